"""The cache of decoded scans: the right frames, bounded, shared, and never in the way."""

import errno
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner_index.config import Preprocessing
from learner_index.data import decoded
from learner_index.data.decoded import NEIGHBORS, DecodedCache, decode_scan
from learner_index.data.preprocess import preprocess, segment_indices
from learner_index.data.readers import read_scan
from learner_index.errors import ScanError, ScanNotFoundError, SettingsError
from tests.toy import write_scan

TINY = Preprocessing(size=8, frames=2)
ROOMY = 1 << 20
_COUNTS = st.integers(1, 400)


def _clip(path: Path, n: int, dtype: type = np.uint8) -> Path:
    """A clip of noise in which no two frames are alike."""
    values = np.random.default_rng(n).integers(0, 250, (n, 8, 8))
    np.save(path, values.astype(dtype))
    return path


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in _files(folder))


def _fill(cache: DecodedCache, path: Path, names: str) -> None:
    """Keep a scan under each of these content hashes."""
    for name in names:
        cache.frames(name, path, TINY, jitter=False)


def _is_kept(folder: Path, path: Path, name: str) -> bool:
    """Whether another process would find the scan."""
    other = DecodedCache(folder, ROOMY)
    other._note = "only look"
    other.frames(name, path, TINY, jitter=False)
    return other.hits == 1


def _age(folder: Path) -> None:
    """Make every file an hour older, as if nobody had used it since."""
    for path in _files(folder):
        status = path.stat()
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns - 3_600 * 10**9))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    write_scan(tmp_path / "image.npy", (0.1, 0.2, 0.3, 0.4))
    return tmp_path / "image.npy"


# which frames


@given(n=_COUNTS, f=_COUNTS)
def test_the_middle_thirds_are_the_embedded_frames(n, f):
    """Every third centre of 3·f segments, from the second on, is the centre of one of f."""
    wide = segment_indices(n, NEIGHBORS * f)

    np.testing.assert_array_equal(wide[1::NEIGHBORS], segment_indices(n, f))


def test_a_long_clip_gives_three_frames_a_segment(tmp_path):
    """A clip of 3·f frames or more gives 3·f, and [1::3] of them are those embedded."""
    path = _clip(tmp_path / "clip.npy", 11)
    embedded = preprocess(read_scan(path), TINY)

    frames = decode_scan(path, TINY, jitter=True)

    assert (frames.shape, frames.dtype) == ((6, 8, 8), np.float16)
    np.testing.assert_array_equal(frames[1::3], embedded.astype(np.float16))
    np.testing.assert_array_equal(frames[0], (np.load(path)[0] / 255).astype(np.float16))


@pytest.mark.parametrize(("n", "m"), [(2, 2), (5, 2), (6, 6)])
def test_neighbors_need_three_frames_a_segment(tmp_path, n, m):
    """Below 3·f frames a clip gives the f that are embedded."""
    path = _clip(tmp_path / "clip.npy", n)

    assert len(decode_scan(path, TINY, jitter=True)) == m


def test_without_jitter_a_clip_gives_f_frames(tmp_path):
    """A long clip that is not jittered gives exactly the frames that are embedded."""
    path = _clip(tmp_path / "clip.npy", 11)

    frames = decode_scan(path, TINY, jitter=False)

    np.testing.assert_array_equal(frames, preprocess(read_scan(path), TINY).astype(np.float16))


def test_a_clip_whose_limits_depend_on_the_frames_keeps_f(tmp_path):
    """16-bit frames scaled by percentiles of those taken give only what is embedded."""
    path = tmp_path / "clip.npy"
    np.save(path, np.arange(11 * 64, dtype=np.uint16).reshape(11, 8, 8) * 9)
    chosen = read_scan(path, pick=lambda n: segment_indices(n, 2))

    frames = decode_scan(path, TINY, jitter=True)

    np.testing.assert_array_equal(frames, preprocess(chosen, TINY).astype(np.float16))


def test_a_16_bit_clip_with_a_fixed_window_has_neighbors(tmp_path):
    """Limits that do not depend on the frames leave a 16-bit clip its neighbours."""
    path = _clip(tmp_path / "clip.npy", 11, np.uint16)

    frames = decode_scan(path, replace(TINY, intensity="window:0,250"), jitter=True)

    assert len(frames) == 6


def test_images_and_volumes_are_not_jittered(tmp_path, image):
    """An image gives 1 frame and a volume f slices, jitter or not."""
    import nibabel

    volume = np.random.default_rng(0).random((8, 8, 12)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), tmp_path / "volume.nii")

    assert decode_scan(image, TINY, jitter=True).shape == (1, 8, 8)
    assert decode_scan(tmp_path / "volume.nii", TINY, jitter=True).shape == (2, 8, 8)


def test_an_archived_clip_is_decoded_like_any_other(tmp_path):
    """A clip in an .npz file with its kind and spacing has neighbours, too."""
    pixels = np.load(_clip(tmp_path / "clip.npy", 9))
    np.savez(tmp_path / "clip.npz", pixels=pixels)

    frames = decode_scan(tmp_path / "clip.npz", TINY, jitter=True)

    np.testing.assert_array_equal(frames, decode_scan(tmp_path / "clip.npy", TINY, jitter=True))


def test_neighbors_that_cannot_be_read_are_done_without(tmp_path, monkeypatch):
    """A clip of which only more than f frames are too much gives its f frames."""
    path = _clip(tmp_path / "clip.npy", 11)
    monkeypatch.setattr(
        decoded, "read_scan", lambda p, pick: read_scan(p, pick=pick, max_pixels=2 * 64)
    )

    assert len(decode_scan(path, TINY, jitter=True)) == 2


@pytest.mark.parametrize("jitter", [True, False])
def test_a_scan_that_cannot_be_embedded_is_not_trained_on(tmp_path, jitter):
    """A clip whose f frames are constant is refused as it is in embedding, jitter or not."""
    pixels = np.load(_clip(tmp_path / "clip.npy", 11))
    pixels[segment_indices(11, 2)] = 7
    np.save(tmp_path / "clip.npy", pixels)

    with pytest.raises(ScanError, match=r"^constant: all 2 × 8 × 8 pixels are 7"):
        decode_scan(tmp_path / "clip.npy", TINY, jitter=jitter)


# hits and misses


def test_the_second_use_is_a_hit(folder, tmp_path):
    """A scan is decoded once; afterwards its file is not even looked at."""
    path = _clip(tmp_path / "clip.npy", 11)
    cache = DecodedCache(folder, ROOMY)
    first = cache.frames("a", path, TINY, jitter=True)
    path.unlink()

    second = cache.frames("a", path, TINY, jitter=True)

    np.testing.assert_array_equal(first, second)
    assert (second.dtype, second.flags.writeable) == (np.float16, True)
    assert (cache.hits, cache.misses, cache.notes) == (1, 1, ())


def test_another_process_sees_the_files(folder, image):
    """A second cache on the same folder starts with what the first one wrote."""
    first = DecodedCache(folder, ROOMY).frames("a", image, TINY, jitter=False)
    other = DecodedCache(folder, ROOMY)

    second = other.frames("a", image, TINY, jitter=False)

    np.testing.assert_array_equal(first, second)
    assert (other.hits, other.misses) == (1, 0)


@pytest.mark.parametrize(
    ("content_hash", "settings", "jitter"),
    [("b", TINY, False), ("a", replace(TINY, intensity="range"), False), ("a", TINY, True)],
)
def test_other_content_settings_or_jitter_miss(folder, image, content_hash, settings, jitter):
    """Anything that could change the frames has a file of its own."""
    cache = DecodedCache(folder, ROOMY)
    cache.frames("a", image, TINY, jitter=False)

    cache.frames(content_hash, image, settings, jitter=jitter)

    assert (cache.hits, cache.misses) == (0, 2)
    assert len(_files(folder)) == 2


def test_another_version_misses(folder, image, monkeypatch):
    """Files of another version of decoding are not used."""
    DecodedCache(folder, ROOMY).frames("a", image, TINY, jitter=False)
    monkeypatch.setattr(decoded, "_VERSION", decoded._VERSION + 1)

    assert not _is_kept(folder, image, "a")


def test_names_hold_hashes_only(folder, tmp_path):
    """Neither a scan's name nor its content hash shows in the folder."""
    path = _clip(tmp_path / "Miller_1950.npy", 11)

    DecodedCache(folder, ROOMY).frames("c0ffee", path, TINY, jitter=True)

    (file,) = _files(folder)
    stem = file.stem
    assert len(stem) == 32 and set(stem) <= set("0123456789abcdef")
    assert file.relative_to(folder).as_posix() == f"{stem[0]}/{stem[1]}/{stem}.npy"
    assert b"Miller" not in file.read_bytes()


def test_files_are_plain_npy(folder, image):
    """A file of the cache can be opened with np.load, for a look."""
    frames = DecodedCache(folder, ROOMY).frames("a", image, TINY, jitter=False)

    np.testing.assert_array_equal(np.load(_files(folder)[0], allow_pickle=False), frames)


@pytest.mark.parametrize("folder_given", [True, False])
def test_no_folder_or_no_bytes_means_no_cache(folder, image, folder_given):
    """Without a folder, or with 0 bytes, every use decodes and nothing is written."""
    cache = DecodedCache(folder, 0) if folder_given else DecodedCache(None, ROOMY)

    _fill(cache, image, "aa")

    assert (cache.hits, cache.misses, folder.exists()) == (0, 2, False)


def test_refuses_a_negative_bound(folder):
    """A bound below 0 is refused."""
    with pytest.raises(SettingsError, match="cache of -1 bytes is impossible"):
        DecodedCache(folder, -1)


def test_a_broken_scan_stays_broken(folder, tmp_path):
    """The reader's errors come through as they are, and leave nothing behind."""
    (tmp_path / "broken.png").write_bytes(b"\x89PNG nothing more")
    cache = DecodedCache(folder, ROOMY)

    with pytest.raises(ScanError, match="damaged"):
        cache.frames("a", tmp_path / "broken.png", TINY, jitter=True)
    with pytest.raises(ScanNotFoundError, match="no such file"):
        cache.frames("b", tmp_path / "absent.png", TINY, jitter=False)

    assert (_files(tmp_path / "cache"), cache.notes) == ([], ())


# damage


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:3],
        lambda content: bytes(4),
        lambda content: content[:-40],
        lambda content: content[:150] + bytes([content[150] ^ 1]) + content[151:],
        lambda content: content.replace(b"(1, 8, 8)", b"(1, 8, 4)"),
        lambda content: content + b"more",
    ],
    ids=["empty", "stub", "zeros", "truncated", "flipped", "header", "longer"],
)
def test_a_damaged_file_is_decoded_again(folder, image, damage):
    """Whatever is wrong with a file, the scan comes from its source, and the file is mended."""
    cache = DecodedCache(folder, ROOMY)
    good = cache.frames("a", image, TINY, jitter=False)
    (file,) = _files(folder)
    file.write_bytes(damage(file.read_bytes()))

    again = cache.frames("a", image, TINY, jitter=False)

    np.testing.assert_array_equal(again, good)
    assert (cache.hits, cache.misses) == (0, 2)
    assert _is_kept(folder, image, "a")


# the bound


def _one(folder: Path, image: Path) -> int:
    """Bytes that one decoded image takes."""
    _fill(DecodedCache(folder / "one", ROOMY), image, "a")
    return _size(folder / "one")


def test_the_bound_holds_after_many_writes(folder, image, tmp_path):
    """However many scans come, the folder never holds more than the bound."""
    bound = 7 * _one(tmp_path, image) + 3
    cache = DecodedCache(folder, bound)
    sizes = []

    for number in range(60):
        cache.frames(str(number), image, TINY, jitter=False)
        sizes.append(_size(folder))

    assert max(sizes) <= bound
    assert len(_files(folder)) == 7


def test_the_longest_unused_leave_first(folder, image, tmp_path):
    """A scan used again outlives one written after it but not used since."""
    cache = DecodedCache(folder, 3 * _one(tmp_path, image))
    for name in "abc":
        _fill(cache, image, name)
        _age(folder)

    _fill(cache, image, "ad")

    assert cache.hits == 1
    assert [_is_kept(folder, image, name) for name in "abcd"] == [True, False, True, True]


def test_use_after_the_folder_was_measured_counts(folder, image, tmp_path, monkeypatch):
    """A scan used between the look through the folder and the eviction is spared."""
    monkeypatch.setattr(decoded, "_LOOKS", 1)
    cache = DecodedCache(folder, 3 * _one(tmp_path, image))
    for name in "abc":
        _fill(cache, image, name)
        _age(folder)
    cache = DecodedCache(folder, 3 * _one(tmp_path, image))

    _fill(cache, image, "ad")

    assert [_is_kept(folder, image, name) for name in "abcd"] == [True, False, True, True]


def test_time_stamps_are_renewed_once_in_a_while(folder, image):
    """A file used a moment ago keeps its time stamp; an older one is renewed."""
    cache = DecodedCache(folder, ROOMY)
    _fill(cache, image, "a")
    (file,) = _files(folder)
    written_ns = file.stat().st_mtime_ns

    _fill(cache, image, "a")
    soon_ns = file.stat().st_mtime_ns
    _age(folder)
    _fill(cache, image, "a")

    assert soon_ns == written_ns
    assert file.stat().st_mtime_ns >= written_ns


def test_files_found_at_the_start_count(folder, image, tmp_path):
    """What an earlier process left is part of the bound."""
    _fill(DecodedCache(folder, ROOMY), image, "abcdef")
    bound = 3 * _one(tmp_path, image)

    _fill(DecodedCache(folder, bound), image, "g")

    assert _size(folder) <= bound
    assert _is_kept(folder, image, "g")


def test_two_processes_share_one_bound(folder, image, tmp_path):
    """Two that write in turn exceed the bound by less than a sixteenth."""
    bound = 40 * _one(tmp_path, image)
    caches = [DecodedCache(folder, bound), DecodedCache(folder, bound)]

    for number in range(200):
        caches[number % 2].frames(str(number), image, TINY, jitter=False)

    assert bound / 2 < _size(folder) <= bound * 17 / 16


def test_the_folder_is_not_looked_through_at_each_write(folder, image, tmp_path, monkeypatch):
    """While a cache fills, its folder is measured about 16 times, not once a scan."""
    bound = 200 * _one(tmp_path, image)
    looks = []
    look = DecodedCache._look
    monkeypatch.setattr(DecodedCache, "_look", lambda self: (looks.append(1), look(self)))

    cache = DecodedCache(folder, bound)
    for number in range(200):
        cache.frames(str(number), image, TINY, jitter=False)

    assert 10 <= len(looks) <= 20


def test_a_scan_larger_than_the_bound_is_not_kept(folder, image):
    """It is decoded each time, pushes nothing out, and is no reason for a note."""
    cache = DecodedCache(folder, 100)

    _fill(cache, image, "aa")

    assert (cache.misses, cache.notes, _files(folder)) == (2, (), [])


def test_files_of_others_are_never_removed(folder, image, tmp_path):
    """In a folder that holds other things, only the cache's own files make room."""
    one = _one(tmp_path, image)
    others = [folder / "scan.npy", folder / "a" / "b" / "scan.npy", folder / "a" / "b" / "x.tmp"]
    others[1].parent.mkdir(parents=True)
    for path in others:
        path.write_bytes(b"x" * 10 * one)
    cache = DecodedCache(folder, 2 * one)

    _fill(cache, image, "abcd")

    assert all(path.stat().st_size == 10 * one for path in others)
    assert _is_kept(folder, image, "d")


def test_leftovers_of_killed_processes_leave(folder, image, tmp_path):
    """An old temporary file counts and is evicted; a young one is somebody's work."""
    one = _one(tmp_path, image)
    names = [folder / "a" / "b" / f"{digit * 32}.{'0' * 32}.tmp" for digit in "ab"]
    names[0].parent.mkdir(parents=True)
    for path in names:
        path.write_bytes(b"x" * one)
    os.utime(names[0], (time.time() - 7200,) * 2)

    _fill(DecodedCache(folder, 2 * one), image, "cd")

    assert [path.exists() for path in names] == [False, True]


def test_files_removed_by_others_are_no_trouble(folder, image, tmp_path, monkeypatch):
    """A file that another process evicted first is passed over."""
    monkeypatch.setattr(decoded, "_LOOKS", 1)
    bound = 3 * _one(tmp_path, image)
    _fill(DecodedCache(folder, ROOMY), image, "abc")
    cache = DecodedCache(folder, bound)
    for path in _files(folder):
        path.unlink()

    _fill(cache, image, "defg")

    assert cache.notes == ()
    assert 0 < _size(folder) <= bound


# a disk that refuses


def test_a_full_disk_does_not_stop_training(folder, image, monkeypatch):
    """Scans go on uncached, what was kept is still used, and one note says why."""
    cache = DecodedCache(folder, ROOMY)
    _fill(cache, image, "a")
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        write(path, content[:100])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    _fill(cache, image, "bca")

    assert (cache.hits, cache.misses) == (1, 3)
    assert len(_files(folder)) == 1
    (note,) = cache.notes
    assert "no longer kept (No space left on device)" in note
    assert "\n" not in note


def test_the_first_reason_is_the_one_noted(folder, image, monkeypatch):
    """After a refusal nothing more is written, so that there is only one reason."""
    cache = DecodedCache(folder, ROOMY)
    refusals = iter([errno.EROFS, errno.ENOSPC])

    def refuse(path: Path, content: bytes) -> int:
        raise OSError(number := next(refusals), os.strerror(number))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    _fill(cache, image, "abc")

    assert "Read-only file system" in cache.notes[0]
    assert next(refusals) == errno.ENOSPC


def test_a_folder_that_cannot_be_made_does_not_stop_training(image, tmp_path):
    """A file where the folder should be leaves a note and no cache."""
    (tmp_path / "cache").write_text("in the way")

    cache = DecodedCache(tmp_path / "cache", ROOMY)
    _fill(cache, image, "aa")

    assert cache.misses == 2
    assert "Not a directory" in cache.notes[0]


def test_a_folder_in_which_nothing_can_be_removed_leaves_a_note(
    folder, image, tmp_path, monkeypatch
):
    """Where no room can be made nothing more is kept."""
    cache = DecodedCache(folder, 2 * _one(tmp_path, image))
    _fill(cache, image, "ab")

    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "unlink", refuse)
    _fill(cache, image, "c")

    assert "Permission denied" in cache.notes[0]
    assert len(_files(folder)) == 2


def test_a_used_file_that_cannot_be_touched_is_still_used(folder, image, monkeypatch):
    """A read-only cache gives hits although its time stamps cannot be renewed."""
    _fill(DecodedCache(folder, ROOMY), image, "a")
    _age(folder)

    def refuse(path: Path) -> None:
        raise PermissionError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "utime", refuse)

    assert _is_kept(folder, image, "a")


# threads


def test_threads_share_a_cache(folder, tmp_path):
    """Concurrent uses give the right frames, count right and keep the bound."""
    paths = [_clip(tmp_path / f"{n}.npy", n) for n in range(6, 14)]
    expected = [decode_scan(path, TINY, jitter=True) for path in paths]
    cache = DecodedCache(folder, 5_000)
    gate = threading.Barrier(4)

    def work(worker: int) -> bool:
        gate.wait()
        order = np.random.default_rng(worker).integers(0, 8, 40)
        return all(
            np.array_equal(cache.frames(str(i), paths[i], TINY, jitter=True), expected[i])
            for i in order
        )

    with ThreadPoolExecutor(4) as pool:
        are_right = list(pool.map(work, range(4)))

    assert all(are_right)
    assert cache.hits + cache.misses == 160
    assert cache.hits > 0
    assert _size(folder) <= 5_000
    assert cache.notes == ()


def test_only_its_owner_may_look_into_the_cache(folder, image):
    """The folder is made with mode 0700, and one that exists keeps its own."""
    DecodedCache(folder, ROOMY).frames("a" * 32, image, TINY, jitter=False)
    (folder.parent / "shared").mkdir(mode=0o755)
    DecodedCache(folder.parent / "shared", ROOMY).frames("a" * 32, image, TINY, jitter=False)

    modes = [path.stat().st_mode & 0o777 for path in (folder, folder.parent / "shared")]
    assert modes == [0o700, 0o755]
