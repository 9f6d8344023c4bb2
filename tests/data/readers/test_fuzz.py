"""Damaged copies of good files: a scan or a ScanError, whatever the damage."""

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from learner_index.data.readers import read_scan
from learner_index.errors import ScanError

_VALUES = np.random.default_rng(0).integers(0, 255, (4, 12, 12), dtype=np.uint8)


@pytest.fixture(scope="module")
def good_files(tmp_path_factory, request):
    """Small valid files by name; native formats only, a C decoder may hang or crash on noise."""
    folder = tmp_path_factory.mktemp("good")
    np.save(folder / "a.npy", _VALUES)
    np.savez_compressed(folder / "a.npz", pixels=_VALUES, spacing_mm=np.ones(2))
    Image.fromarray(_VALUES[0]).save(folder / "a.png")
    Image.fromarray(_VALUES[0]).save(folder / "a.bmp")
    Image.fromarray(_VALUES[0]).save(folder / "a.tif")
    Image.fromarray(_VALUES[0]).save(folder / "a.jpg")
    nibabel.save(nibabel.Nifti1Image(_VALUES, np.eye(4)), folder / "a.nii")
    nibabel.save(nibabel.Nifti1Image(_VALUES, np.eye(4)), folder / "a.nii.gz")
    find = request.getfixturevalue("real_dicom")
    for name in ("SC_rgb_small_odd.dcm", "MR_small.dcm", "rtplan.dcm", "MR_small_RLE.dcm"):
        (folder / name).write_bytes(find(name).read_bytes())
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


_NAMES = [
    "a.npy", "a.npz", "a.png", "a.bmp", "a.tif", "a.jpg", "a.nii", "a.nii.gz",
    "SC_rgb_small_odd.dcm", "MR_small.dcm", "rtplan.dcm", "MR_small_RLE.dcm",
]  # fmt: skip


@pytest.mark.parametrize("name", _NAMES)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damage_gives_a_scan_or_a_scan_error(good_files, tmp_path_factory, name, data):
    """Cutting the end off or changing a few bytes never raises anything else, nor warns."""
    content = bytearray(good_files[name])
    for _ in range(data.draw(st.integers(0, 4))):
        place = data.draw(
            st.integers(0, len(content) - 1) | st.integers(0, min(400, len(content) - 1))
        )
        content[place] = data.draw(st.integers(0, 255))
    end = data.draw(st.just(len(content)) | st.integers(0, len(content)))
    path = tmp_path_factory.mktemp("bad") / name
    path.write_bytes(bytes(content[:end]))

    try:
        scan = read_scan(path, max_pixels=10**6)
    except ScanError as error:
        assert "\n" not in str(error)
    else:
        assert np.isfinite(scan.pixels).all()


def test_damaged_videos_give_a_scan_or_a_scan_error(make_video):
    """Some changed bytes in each of many places of a video."""
    frames = np.repeat(_VALUES, 4, axis=1).repeat(4, axis=2)
    path = make_video("clip.mp4", frames)
    content = path.read_bytes()
    random = np.random.default_rng(0)

    for _ in range(60):
        bad = bytearray(content)
        for place in random.integers(0, len(bad), 3):
            bad[place] = random.integers(0, 256)
        path.write_bytes(bad[: random.integers(len(bad) // 2, len(bad) + 1)])
        try:
            read_scan(path, max_pixels=10**7)
        except ScanError as error:
            assert "\n" not in str(error)
