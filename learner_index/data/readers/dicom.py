"""DICOM files: one frame is an image, frames with positions a volume, other frames a clip."""

from pathlib import Path
from typing import Any

import numpy as np

from learner_index.data.readers.dicom_geometry import (
    frame_orientations,
    frame_positions,
    pixel_spacing,
    window,
)
from learner_index.data.readers.dicom_pixels import DicomFile, grey_frames
from learner_index.data.readers.dicom_tags import tag_texts
from learner_index.data.readers.guards import Request, fenced
from learner_index.data.readers.orient import ras_scan, stack_slices
from learner_index.data.records import Scan
from learner_index.errors import ScanError, UnsupportedScanError

_NO_ACQUISITION = ("SEG", "RTDOSE", "RTPLAN", "RTSTRUCT", "RTIMAGE", "SR", "PR", "KO", "ECG", "REG")
_CINE = ("US", "IVUS", "XA", "RF", "ES", "OP", "GM", "XC")


def read_dicom(path: Path, request: Request) -> Scan:
    """The image, clip or volume in one DICOM file.

    Raises:
        ScanError: the file is damaged, truncated or too large.
        UnsupportedScanError: it holds no acquisition.
    """
    with fenced("DICOM file"):
        file = open_dicom(path)
        request.check_size(1, int(file.header.Rows), int(file.header.Columns))
        if file.frames > 1:
            volume = _volume(file, request)
            return volume if volume is not None else _clip(file, request)
        kept = window(file.header)
        pixels = grey_frames(file, np.zeros(1, np.intp), kept)
        tags = tag_texts(file.header, request.tags)
        return Scan(pixels, kept.spacing_mm, "image", file_notes(file), tags)


def open_dicom(path: Path) -> DicomFile:
    """Header of a DICOM file that holds an acquisition.

    Raises:
        UnsupportedScanError: it holds something else.
    """
    from pydicom import dcmread

    header = dcmread(path, stop_before_pixels=True, force=True)
    modality = str(header.get("Modality") or "")
    if modality in _NO_ACQUISITION:
        raise UnsupportedScanError(f"DICOM of modality {modality}; give the acquisition itself")
    if not header.get("Rows") or not header.get("Columns"):
        raise UnsupportedScanError("DICOM file without pixels; leave it out or give the image")
    frames = int(header.get("NumberOfFrames") or 1)
    return DicomFile(path, header, _syntax(header), frames)


def _syntax(header: Any) -> str:
    """Transfer syntax, or the plain one that reading the header without it implies."""
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    named = header.file_meta.get("TransferSyntaxUID")
    if named:
        return str(named)
    is_implicit, is_little = header.original_encoding
    if is_implicit:
        return str(ImplicitVRLittleEndian)
    return str(ExplicitVRLittleEndian if is_little else ExplicitVRBigEndian)


def file_notes(file: DicomFile) -> tuple[str, ...]:
    """What a person should know about one file."""
    notes = []
    if str(file.header.get("BurnedInAnnotation") or "").upper() == "YES":
        notes.append("burned-in annotation: pixels may show a name or a date")
    if "TransferSyntaxUID" not in file.header.file_meta:
        notes.append("the file does not name its transfer syntax; the plain one was assumed")
    return tuple(notes)


def _clip(file: DicomFile, request: Request) -> Scan:
    """Frames in time, those picked only."""
    kept = window(file.header)
    h, w = int(file.header.Rows), int(file.header.Columns)
    pixels = grey_frames(file, request.indices(file.frames, h, w), kept)
    notes = file_notes(file)
    if str(file.header.get("Modality")) not in _CINE:
        notes = (*notes, f"{file.frames} frames without positions: read as a clip in stored order")
    return Scan(pixels, kept.spacing_mm, "clip", notes, tag_texts(file.header, request.tags))


def _volume(file: DicomFile, request: Request) -> Scan | None:
    """Frames in space, all of them; None when the header gives them no place."""
    if (
        str(file.header.get("Modality")) in _CINE
        or "PerFrameFunctionalGroupsSequence" not in file.header
    ):
        return None
    request.check_size(file.frames, int(file.header.Rows), int(file.header.Columns))
    positions = frame_positions(file.header, file.frames)
    directions = frame_orientations(file.header, file.frames)
    spacing_mm = pixel_spacing(file.header)
    if positions is None or directions is None or spacing_mm is None:
        return None
    if np.ptp(directions, axis=0).max() > 1e-3:
        raise ScanError("frames of several orientations; export each as a scan of its own")
    stack = stack_slices(positions, directions[0], spacing_mm)
    pixels = grey_frames(file, np.arange(file.frames), window(file.header))[stack.order]
    tags = tag_texts(file.header, request.tags)
    notes = file_notes(file) + stack.notes
    return ras_scan(pixels.transpose(2, 1, 0), stack.affine, notes, tags)
