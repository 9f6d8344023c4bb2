"""Simulated cohorts on disk: all of a folder or none of it, the same bytes for the same seed."""

import csv
import gzip
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from learner_index.errors import StoreExistsError

LABEL_NAME = "SIMULATED.txt"


def is_simulated(folder: Path) -> bool:
    """Whether a folder holds a simulated cohort, by the label that lies in each."""
    return (folder / LABEL_NAME).exists()


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill, which takes the name `folder` only once everything is in it.

    Raises:
        StoreExistsError: something other than an empty folder has that name.
    """
    _refuse_occupied(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.partial-", dir=folder.parent))
    try:
        yield staging
        staging.chmod(0o755)  # mkdtemp keeps others out
        _refuse_occupied(folder)
        staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def write_clip(path: Path, pixels: NDArray[np.uint8], spacing_mm: tuple[float, float]) -> None:
    """Write a clip as `.npz` with `pixels` (f, h, w) and `spacing_mm` (row, column).

    Not compressed: speckle hardly shrinks (4 %), and NumPy dates every member 1980.
    """
    np.savez(path, pixels=pixels, spacing_mm=np.array(spacing_mm, float))


def write_volume(path: Path, voxels: NDArray[np.uint8], affine: NDArray[np.float64]) -> None:
    """Write a volume (x, y, z) as `.nii.gz`, without the clock that gzip would keep.

    Args:
        path: where.
        voxels: grey values.
        affine: (4, 4) from voxel indices to RAS millimetres.
    """
    import nibabel

    image = nibabel.Nifti1Image(voxels, affine)
    image.header.set_xyzt_units("mm")
    with path.open("wb") as file, gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:
        packed.write(image.to_bytes())


def write_table(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write a CSV with the columns of its first row."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def _refuse_occupied(folder: Path) -> None:
    """Refuse a name that is taken by anything but an empty folder."""
    if not folder.is_symlink() and not folder.exists():
        return
    if folder.is_symlink() or not folder.is_dir() or any(folder.iterdir()):
        raise StoreExistsError(f"{folder} exists and is no empty folder: name a new folder")
