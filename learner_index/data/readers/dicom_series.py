"""A folder of DICOM files, one slice each, as one volume."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from learner_index.data.readers.dicom import file_notes, open_dicom, read_dicom
from learner_index.data.readers.dicom_geometry import pixel_spacing, window
from learner_index.data.readers.dicom_pixels import DicomFile, grey_frames
from learner_index.data.readers.dicom_tags import tag_texts
from learner_index.data.readers.guards import Request, fenced
from learner_index.data.readers.orient import ras_scan, stack_slices
from learner_index.data.records import Scan
from learner_index.errors import ScanError, UnsupportedScanError


def read_series(paths: Sequence[Path], request: Request) -> Scan:
    """The volume whose slices these files are; a single file is read as it is.

    Raises:
        ScanError: the files are not the slices of one volume; the message says why.
    """
    with fenced("DICOM series"):
        files = _images(paths)
        if len(files) == 1:
            return read_dicom(files[0].path, request)
        _check_same(files)
        header = files[0].header
        h, w = int(header.Rows), int(header.Columns)
        request.check_size(len(files), h, w)
        spacing_mm = pixel_spacing(header)
        if spacing_mm is None:
            raise ScanError("slices without pixel spacing; give each file a row of its own")
        positions = np.array([_numbers(file, "ImagePositionPatient", 3) for file in files])
        directions = np.array(_numbers(files[0], "ImageOrientationPatient", 6))
        stack = stack_slices(positions, directions, spacing_mm)
        volume = np.zeros((len(files), h, w), np.float32)
        depths = set()
        for place, index in enumerate(stack.order):
            slice_pixels = grey_frames(files[index], np.zeros(1, np.intp), window(header))
            depths.add(slice_pixels.dtype)
            volume[place] = slice_pixels[0]
        values = volume.astype(np.uint8) if depths == {np.dtype(np.uint8)} else volume
        notes = tuple(dict.fromkeys(note for file in files for note in file_notes(file)))
        tags = tag_texts(header, request.tags)
        return ras_scan(values.transpose(2, 1, 0), stack.affine, notes + stack.notes, tags)


def _images(paths: Sequence[Path]) -> list[DicomFile]:
    """The files that hold an acquisition, by name; reports and plans beside it are passed over."""
    files = []
    for path in sorted(paths):
        try:
            files.append(open_dicom(path))
        except UnsupportedScanError:
            continue
    if not files:
        raise UnsupportedScanError(f"{len(paths)} DICOM files without pixels; give the images")
    return files


def _check_same(files: Sequence[DicomFile]) -> None:
    """All files are single slices of one series, one size, one orientation."""
    series = Counter(str(file.header.get("SeriesInstanceUID")) for file in files)
    if len(series) > 1:
        counts = ", ".join(str(count) for count in series.values())
        raise ScanError(
            f"{len(series)} series in one folder ({counts} files); give each its own folder"
        )
    if any(file.frames > 1 for file in files):
        raise ScanError(f"{len(files)} files with several frames; give each a row of its own")
    sizes = Counter(f"{file.header.Rows} × {file.header.Columns}" for file in files)
    if len(sizes) > 1:
        found = ", ".join(f"{count} of {size}" for size, count in sizes.items())
        raise ScanError(f"slices of several sizes ({found}); give each size its own folder")
    directions = np.array([_numbers(file, "ImageOrientationPatient", 6) for file in files])
    if np.ptp(directions, axis=0).max() > 1e-3:
        raise ScanError(
            f"{len(files)} slices of several orientations; leave out localizers and rotated views"
        )


def _numbers(file: DicomFile, name: str, n: int) -> list[float]:
    """The n numbers of a header element that every slice of a volume has."""
    value = file.header.get(name)
    if value is None or isinstance(value, str) or len(value) != n:
        raise ScanError(f"DICOM images without {name}; give each file a row of its own")
    return [float(number) for number in value]
