"""Video files."""

import av
import numpy as np
import pytest

from learner_index.data.readers import read_scan, video
from learner_index.errors import ScanError


@pytest.mark.parametrize("name", ["clip.mp4", "clip.avi", "clip.mkv", "clip.mov"])
def test_reads_every_container(make_video, ramp, name):
    """Frames come out in order, in the full grey range, whatever the container."""
    frames = np.repeat(np.repeat(ramp, 4, axis=1), 4, axis=2)

    scan = read_scan(make_video(name, frames, "libx264", crf="4"))

    assert (scan.kind, scan.spacing_mm, scan.notes) == ("clip", None, ())
    assert scan.pixels.dtype == np.uint8
    assert np.abs(scan.pixels.astype(int) - frames).max() <= 6


def test_colours_become_luma(make_video):
    """Red, green and blue frames have the luma of red, green and blue."""
    frames = np.zeros((3, 32, 32, 3), np.uint8)
    for channel in range(3):
        frames[channel, :, :, channel] = 255

    scan = read_scan(make_video("clip.mp4", frames))

    assert scan.pixels.mean(axis=(1, 2)) == pytest.approx([76, 150, 29], abs=4)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
def test_picking_equals_reading_all_and_indexing(make_video, ramp, name):
    """Also in containers that do not count their frames, and with frames picked twice."""
    path = make_video(name, ramp)

    scan = read_scan(path, pick=lambda n: np.array([0, 2, 2, n - 1]), max_pixels=4 * 16 * 24)

    assert np.array_equal(scan.pixels, read_scan(path).pixels[[0, 2, 2, 5]])


def test_a_wrong_count_is_corrected_and_noted(make_video, ramp, monkeypatch):
    """When fewer frames decode than the container claims, frames are picked of the true number."""
    path = make_video("clip.mp4", np.concatenate([ramp] * 4))
    true_claims = video._claims
    monkeypatch.setattr(video, "_claims", lambda path: (25, *true_claims(path)[1:]))

    scan = read_scan(path, pick=lambda n: np.array([0, n - 1]))

    assert scan.notes == ("the container claims 25 frames, 24 decode",)
    assert scan.pixels[1].mean() == pytest.approx(ramp[-1].mean(), abs=4)


def test_a_missing_end_is_truncated(make_video, ramp, monkeypatch):
    """Far fewer frames than claimed means that the end of the file is missing."""
    path = make_video("clip.mp4", ramp)
    monkeypatch.setattr(video, "_claims", lambda _: (60, 16, 24))

    with pytest.raises(ScanError, match="truncated: 60 frames claimed, 6 found"):
        read_scan(path)


def test_a_file_cut_in_the_middle_is_refused(make_video):
    """A copy that broke off half way gives no scan."""
    frames = np.random.default_rng(0).integers(0, 255, (30, 64, 64), dtype=np.uint8)
    path = make_video("clip.avi", frames)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    with pytest.raises(ScanError, match=r"truncated|damaged"):
        read_scan(path)


def test_sound_alone_is_refused(tmp_path):
    """A file without a picture stream is named as such."""
    with av.open(tmp_path / "sound.mp4", "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())

    with pytest.raises(ScanError, match="without a picture"):
        read_scan(tmp_path / "sound.mp4")


def test_oversized_clips_are_refused_before_decoding(make_video, ramp, monkeypatch):
    """The container's own numbers are enough to refuse."""
    path = make_video("clip.mp4", ramp)
    monkeypatch.setattr(video, "_decoded", lambda _: pytest.fail("decoded"))

    with pytest.raises(ScanError, match=r"oversized: .* 6 × 16 × 24"):
        read_scan(path, max_pixels=2000)


def test_frames_that_change_in_size_are_refused(make_video, ramp, monkeypatch):
    """A clip has one size."""
    path = make_video("clip.mp4", ramp)
    monkeypatch.setattr(video, "_claims", lambda _: (6, 20, 20))

    with pytest.raises(ScanError, match="change in size"):
        read_scan(path)
