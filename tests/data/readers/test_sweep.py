"""Every real file within reach: a scan, or one line that says why not."""

import csv
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from learner_index.data.readers import read_scan
from learner_index.errors import ScanError


def _folder(package: str, inside: str) -> Path:
    spec = importlib.util.find_spec(package)
    return Path(next(iter(spec.submodule_search_locations))) / inside if spec else Path("absent")


_FOLDERS = [
    _folder("pydicom", "data/test_files"),
    _folder("data_store", "data"),
    _folder("nibabel", "tests/data"),
]
_FILES = sorted(
    path
    for folder in _FOLDERS
    for path in folder.rglob("*")
    if (path.suffix in (".dcm", ".nii", "") and path.is_file()) or path.name.endswith(".nii.gz")
)
_COHORTS = Path(__file__).resolve().parents[4] / "shared" / "data"


@pytest.mark.parametrize("path", _FILES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_every_file_of_the_libraries_is_read_or_refused(path, capfd):
    """A valid scan or a one-line ScanError: no warning, nothing printed, no other exception."""
    try:
        scan = read_scan(path)
    except ScanError as error:
        assert "\n" not in str(error)
        assert path.stem not in str(error)
    else:
        assert scan.pixels.ndim == 3
        assert scan.pixels.dtype in (np.uint8, np.float32)
        assert scan.pixels.flags.c_contiguous
        assert np.isfinite(scan.pixels).all()
        lengths = {"image": 2, "clip": 2, "volume": 3}[scan.kind]
        assert scan.spacing_mm is None or len(scan.spacing_mm) == lengths
        assert (scan.kind == "image") <= (len(scan.pixels) == 1)
    assert capfd.readouterr() == ("", "")


def test_most_of_the_libraries_files_are_scans():
    """The sweep is not satisfied by refusing everything."""
    if not _FILES:
        pytest.skip("pydicom's and nibabel's test files are not installed")
    n_read = 0
    for path in _FILES:
        if path.suffix == ".dcm" and path.stat().st_size < 400_000:
            try:
                read_scan(path)
            except ScanError:
                continue
            n_read += 1

    assert n_read >= 70


def _rows(name: str) -> list[dict[str, str]]:
    table = _COHORTS / name / "cohort.csv"
    if not table.exists():
        pytest.skip(f"the {name} cohort is not beside the repository (../shared/data)")
    with table.open() as file:
        return list(csv.DictReader(file))


def test_reads_every_clip_of_the_ultrasound_cohort():
    """All COVID-BLUES clips are 350 × 350 bytes; sampled frames equal those of the whole clip."""
    rows = _rows("covid_blues")

    shapes = set()
    for number, row in enumerate(rows):
        path = _COHORTS / "covid_blues" / row["path"]
        scan = read_scan(path, pick=lambda n: np.array([0, n // 2, n - 1]))
        shapes.add((scan.kind, scan.pixels.dtype.name, scan.pixels.shape))
        if number % 40 == 0:
            whole = read_scan(path).pixels
            assert np.array_equal(scan.pixels, whole[[0, len(whole) // 2, len(whole) - 1]])

    assert shapes == {("clip", "uint8", (3, 350, 350))}
    assert len(rows) == 147


def test_reads_every_film_of_the_x_ray_cohort():
    """All films are 8-bit images of at most 320 pixels."""
    rows = _rows("mhh_cxr")

    scans = [read_scan(_COHORTS / "mhh_cxr" / row["path"]) for row in rows]

    assert {scan.kind for scan in scans} == {"image"}
    assert {scan.pixels.dtype.name for scan in scans} == {"uint8"}
    assert max(max(scan.pixels.shape) for scan in scans) == 320
