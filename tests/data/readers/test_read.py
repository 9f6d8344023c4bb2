"""The one door: finding the kind of file, refusing bad ones, keeping quiet."""

import gzip
import os
import subprocess
import sys
import threading
import warnings
import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from learner_index.data.readers import MAX_PIXELS, is_scan_file, known_suffixes, read_scan
from learner_index.data.readers.guards import Request, fenced
from learner_index.errors import ScanError, ScanNotFoundError, UnsupportedScanError

_GREY = np.arange(80, dtype=np.uint8).reshape(8, 10)


def _png(path: Path) -> bytes:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)).save(path)
    return path.read_bytes()


def _jpeg(path: Path) -> bytes:
    _png(path.with_suffix(".png"))
    Image.open(path.with_suffix(".png")).save(path)
    path.with_suffix(".png").unlink()
    return path.read_bytes()


def _npy(path: Path, values: np.ndarray) -> None:
    np.save(path.with_suffix(".npy"), values)


def _nifti(path: Path) -> bytes:
    values = np.random.default_rng(0).normal(size=(9, 9, 9)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), path)
    return path.read_bytes()


def _frames(folder: Path) -> None:
    folder.mkdir()
    Image.fromarray(_GREY).save(folder / "a.png")


def _float(value: float) -> np.ndarray:
    values = np.random.default_rng(0).normal(size=(5, 5))
    values[2, 2] = value
    return values


# name of the file, how it is made, what the message says
_BROKEN = {
    "missing file": ("a.png", lambda p: None, "no such file"),
    "dangling link": ("a.png", lambda p: p.symlink_to(p.parent / "gone.png"), "no such file"),
    "no bytes": ("a.nii.gz", lambda p: p.touch(), "empty: the file has 0 bytes"),
    "unknown kind": ("a.docx", lambda p: p.write_bytes(b"words"), "no reader knows"),
    "empty folder": ("a", lambda p: p.mkdir(), "empty: no slices or frames among 0 files"),
    "folder of folders": ("a", lambda p: (p / "b").mkdir(parents=True), "and 1 folders"),
    "folder with an empty frame": (
        "a",
        lambda p: (_frames(p), (p / "b.png").touch()),
        "1 of 2 files have 0 bytes",
    ),
    "folder of two kinds": (
        "a",
        lambda p: (_frames(p), np.save(p / "b.npy", _GREY)),
        "folder mixes 0 DICOM files, 1 pictures and 1 other",
    ),
    "folder with a broken frame": (
        "a",
        lambda p: (_frames(p), (p / "b.png").write_bytes(b"\x89PNG no")),
        "folder of frames is damaged",
    ),
    "text called png": ("a.png", lambda p: p.write_bytes(b"words"), "picture is damaged"),
    "text called dcm": ("a.dcm", lambda p: p.write_bytes(b"words" * 99), "DICOM file"),
    "text called nii": ("a.nii", lambda p: p.write_bytes(b"words" * 99), "NIfTI file is damaged"),
    "text called nii.gz": ("a.nii.gz", lambda p: p.write_bytes(b"words" * 99), "NIfTI file is"),
    "text called mp4": ("a.mp4", lambda p: p.write_bytes(b"words" * 99), "video is damaged"),
    "text called npy": ("a.npy", lambda p: p.write_bytes(b"words"), "NumPy file is damaged"),
    "text called npz": ("a.npz", lambda p: p.write_bytes(b"words"), "NumPy archive is damaged"),
    "cut png": ("a.png", lambda p: p.write_bytes(_png(p)[:2000]), "picture is damaged"),
    "cut jpeg": ("a.jpg", lambda p: p.write_bytes(_jpeg(p)[:900]), "picture is damaged"),
    "cut nii": ("a.nii", lambda p: p.write_bytes(_nifti(p)[:900]), "truncated"),
    "cut nii.gz": ("a.nii.gz", lambda p: p.write_bytes(_nifti(p)[:900]), "NIfTI file is"),
    "cut npy": ("a.npy", lambda p: (_npy(p, _GREY), os.truncate(p, 150)), "truncated"),
    "npy without values": ("a.npy", lambda p: _npy(p, np.zeros((0, 4))), "empty"),
    "npz that lies": ("a.npz", lambda p: _lying_npz(p), "truncated|damaged"),
    "constant picture": ("a.npy", lambda p: _npy(p, _GREY * 0 + 7), "constant: all 1 × 8 × 10"),
    "NaN": ("a.npy", lambda p: _npy(p, _float(np.nan)), "1 pixels are NaN or infinite"),
    "infinity": ("a.npy", lambda p: _npy(p, _float(np.inf)), "1 pixels are NaN or infinite"),
    "too large for float32": ("a.npy", lambda p: _npy(p, _float(1e300)), "NaN or infinite"),
    "gzipped DICOM": (
        "a.gz",
        lambda p: p.write_bytes(gzip.compress(bytes(128) + b"DICM" + bytes(300))),
        "no reader knows",
    ),
    "DICOM preamble alone": ("a", lambda p: p.write_bytes(bytes(128) + b"DICM"), "DICOM file"),
}


def _lying_npz(path: Path) -> None:
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (99, 99, 99), }".ljust(117) + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("pixels.npy", b"\x93NUMPY\x01\x00\x76\x00" + header + bytes(99))


@pytest.mark.parametrize("case", _BROKEN)
def test_a_bad_file_gives_one_line(tmp_path, case, capfd):
    """Each gives one ScanError: one line, a next step, no path, no warning, nothing printed."""
    name, make, message = _BROKEN[case]
    folder = tmp_path / "Doe_Jane_1950"
    folder.mkdir()
    make(folder / name)

    with pytest.raises(ScanError, match=message) as caught:
        read_scan(folder / name)

    text = str(caught.value)
    assert "\n" not in text
    assert ";" in text
    assert "Doe" not in text
    assert capfd.readouterr() == ("", "")


def test_errors_tell_missing_from_unsupported(tmp_path):
    """What is not there is a FileNotFoundError; what nobody reads is unsupported."""
    (tmp_path / "a.docx").write_text("words")

    with pytest.raises(FileNotFoundError, match="no such file") as missing:
        read_scan(tmp_path / "gone.png")
    with pytest.raises(UnsupportedScanError, match=r"\.nii\.gz"):
        read_scan(tmp_path / "a.docx")
    assert isinstance(missing.value, ScanNotFoundError)


def test_content_goes_before_suffix(tmp_path):
    """A PNG called .jpg or without suffix is read as what it is."""
    Image.fromarray(_GREY).save(tmp_path / "scan.png")
    for name in ("scan.jpg", "scan"):
        (tmp_path / name).write_bytes((tmp_path / "scan.png").read_bytes())

        assert np.array_equal(read_scan(tmp_path / name).pixels[0], _GREY)


def test_knows_scan_files_by_content_and_name(tmp_path):
    """Folder scans ask this; hidden files, folders and foreign files are no scans."""
    for name in ("a.png", ".hidden.png", "b.txt", "c.NII.GZ"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "IM1").write_bytes(bytes(128) + b"DICM")

    found = {entry.name for entry in [*tmp_path.iterdir(), tmp_path] if is_scan_file(entry)}

    assert found == {"a.png", "c.NII.GZ", "IM1"}
    assert {".nii.gz", ".mp4", ".dcm"} <= set(known_suffixes())


def test_importing_the_readers_is_light():
    """No image library is loaded before the first scan is read."""
    code = (
        "import sys, learner_index.data.readers, learner_index.data.preprocess;"
        "print([m for m in ('nibabel', 'pydicom', 'av', 'PIL', 'torch', 'scipy', 'pandas')"
        " if m in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


@pytest.mark.parametrize("picked", [[3, 1], [-1, 2], [0, 6]])
def test_a_pick_outside_the_clip_is_refused(tmp_path, ramp, picked):
    """Indices that do not ascend within the clip are a mistake of the caller."""
    np.save(tmp_path / "scan.npy", ramp)

    with pytest.raises(ScanError, match=r"not ascending within 0\.\.5"):
        read_scan(tmp_path / "scan.npy", pick=lambda n: np.array(picked))


def test_nothing_picked_is_empty(tmp_path, ramp):
    """A pick of no frames gives no scan."""
    np.save(tmp_path / "scan.npy", ramp)

    with pytest.raises(ScanError, match="empty: 0 frames"):
        read_scan(tmp_path / "scan.npy", pick=lambda n: np.zeros(0, int))


def test_images_and_volumes_are_read_whole(tmp_path):
    """`pick` is for clips alone."""
    volume = np.arange(60.0).reshape(3, 4, 5)
    np.savez(tmp_path / "scan.npz", pixels=volume, kind=np.array("volume"))

    scan = read_scan(tmp_path / "scan.npz", pick=lambda n: np.array([0]))

    assert scan.pixels.shape == (3, 4, 5)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), "more memory"),
        (PermissionError("/home/doe"), "may not be read"),
        (EOFError(), "truncated"),
        (RecursionError("deep"), r"damaged \(RecursionError\)"),
        (type("PanicException", (BaseException,), {})("rust"), r"damaged \(PanicException\)"),
    ],
)
def test_every_failure_of_a_library_becomes_a_scan_error(error, message):
    """The library's error stays the cause; its words, which may hold a path, are not repeated."""
    with pytest.raises(ScanError, match=message) as caught, fenced("scan"):
        raise error

    assert caught.value.__cause__ is error
    assert "doe" not in str(caught.value)


def test_an_interrupt_stays_an_interrupt():
    """Ctrl-C while decoding is no broken file."""
    with pytest.raises(KeyboardInterrupt), fenced("scan"):
        raise KeyboardInterrupt


def test_threads_that_read_leave_the_warnings_as_they_were():
    """Readers that overlap in time restore the filters they found."""
    before = list(warnings.filters)
    first_in, second_in = threading.Event(), threading.Event()

    def first() -> None:
        with fenced("scan"):
            first_in.set()
            second_in.wait(5)

    def second() -> None:
        first_in.wait(5)
        with fenced("scan"):
            second_in.set()
            threads[0].join(5)
            warnings.warn("inside", stacklevel=1)

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert list(warnings.filters) == before


def test_the_limit_counts_all_pixels():
    """Frames times rows times columns, against a limit of about a thousand million."""
    Request().check_size(2**10, 2**10, 2**10)

    assert MAX_PIXELS == 2**30
    with pytest.raises(ScanError, match="oversized"):
        Request().check_size(2**10 + 1, 2**10, 2**10)
