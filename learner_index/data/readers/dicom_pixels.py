"""Decoding DICOM frames to grey in the scan's own units, one frame at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learner_index.data.readers.dicom_geometry import Window, rescale
from learner_index.data.readers.grey import Grey, as_pixels, luma
from learner_index.errors import ScanError


@dataclass(frozen=True, slots=True)
class DicomFile:
    """A DICOM file whose header is read and whose pixels are not.

    Attributes:
        path: the file.
        header: every element before the pixels.
        syntax: transfer syntax UID, guessed when the file does not name it.
        frames: number of frames the header claims.
    """

    path: Path
    header: Any
    syntax: str
    frames: int

    @property
    def is_compressed(self) -> bool:
        """Whether frames are encoded one by one."""
        from pydicom.uid import UID

        return bool(UID(self.syntax).is_encapsulated)


def grey_frames(file: DicomFile, chosen: NDArray[np.intp], kept: Window) -> Grey:
    """Frames chosen as (f, h, w): uint8 when that is what the file's own units are, else float32.

    Raises:
        ScanError: the file holds fewer frames than its header claims.
    """
    unique, places = np.unique(chosen, return_inverse=True)
    frames = [
        _grey(raw[kept.rows, kept.columns], file, int(index))
        for index, raw in zip(unique, _decoded(file, unique), strict=True)
    ]
    if any(frame.dtype != np.uint8 for frame in frames):
        frames = [frame.astype(np.float32, copy=False) for frame in frames]
    if np.array_equal(unique, chosen):
        return as_pixels(np.stack(frames))
    return as_pixels(np.stack([frames[int(place)] for place in places]))


def _decoded(file: DicomFile, unique: NDArray[np.intp]) -> Iterator[NDArray[Any]]:
    """(h, w) or (h, w, 3) samples of each frame; colours come out as RGB."""
    from pydicom import dcmread
    from pydicom.pixels import iter_pixels
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    check_length(file)
    source: Any = file.path
    options = (
        {} if "TransferSyntaxUID" in file.header.file_meta else {"transfer_syntax_uid": file.syntax}
    )
    if file.syntax == DeflatedExplicitVRLittleEndian:  # has to be inflated as a whole
        source = dcmread(file.path)
    shape = (int(file.header.Rows), int(file.header.Columns))
    try:
        for frame in iter_pixels(source, indices=unique.tolist(), **options):
            if frame.shape[:2] != shape:
                raise ScanError("pixels do not have the size the header claims; export it again")
            yield frame
    except ValueError as error:
        if file.is_compressed or isinstance(error, ScanError):
            raise
        raise ScanError("truncated: fewer pixels than the header claims; copy it again") from error


def check_length(file: DicomFile) -> None:
    """An uncompressed file holds all the pixels that its header promises.

    Raises:
        ScanError: it does not.
    """
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    header = file.header
    if file.is_compressed or file.syntax == DeflatedExplicitVRLittleEndian:
        return
    samples = 2 if header.get("PhotometricInterpretation") == "YBR_FULL_422" else None
    samples = samples or int(header.get("SamplesPerPixel") or 1)
    bits = int(header.Rows) * int(header.Columns) * samples * int(header.BitsAllocated)
    claimed, held = file.frames * bits // 8, file.path.stat().st_size
    if claimed > held:
        raise ScanError(f"truncated: {claimed} bytes claimed, {held} held; copy it again")


def _grey(raw: NDArray[Any], file: DicomFile, index: int) -> Grey:
    """One frame's samples as grey in the scan's own units."""
    header = file.header
    if raw.ndim == 3:
        return luma(raw)
    if header.get("PhotometricInterpretation") == "PALETTE COLOR":
        return _palette(raw, header)
    stored = raw if file.is_compressed else _stored_bits(raw, header)
    if header.get("PhotometricInterpretation") == "MONOCHROME1":
        stored = _inverted(stored, header)
    return _own_units(stored, header, index)


def _palette(raw: NDArray[Any], header: Any) -> Grey:
    """Grey of a palette's colours; 8-bit indices give 8-bit grey however fine the palette is."""
    from pydicom.pixels import apply_color_lut

    colours = apply_color_lut(raw, header)[..., :3]
    if colours.dtype == np.uint16 and int(header.BitsAllocated) == 8:
        is_wide = bool(np.any(colours > 255))
        colours = (colours >> 8 if is_wide else colours).astype(np.uint8)
    return luma(colours)


def _stored_bits(raw: NDArray[Any], header: Any) -> NDArray[Any]:
    """Values without what old files keep in the unused high bits, such as overlays."""
    allocated = int(header.BitsAllocated)
    stored = int(header.get("BitsStored") or allocated)
    high = int(header.get("HighBit", stored - 1))
    if raw.dtype.kind not in "iu" or not 1 < stored < allocated or high >= allocated:
        return raw
    native = raw.astype(raw.dtype.newbyteorder("="))
    return (native << (allocated - 1 - high)) >> (allocated - stored)


def _inverted(stored: NDArray[Any], header: Any) -> NDArray[Any]:
    """Values of a header that says low is white, turned so that low is black."""
    if stored.dtype.kind not in "iu":
        return -stored
    bits = int(header.get("BitsStored") or header.BitsAllocated)
    total = 2**bits - 1 if stored.dtype.kind == "u" else -1
    turned = total - stored.astype(np.int64)
    fits = stored.dtype == np.uint8 and bits == 8
    return turned.astype(np.uint8) if fits else turned


def _own_units(stored: NDArray[Any], header: Any, index: int) -> Grey:
    """Stored values after the modality's table or line, such as Hounsfield units."""
    from pydicom.pixels import apply_modality_lut

    if header.get("ModalityLUTSequence"):
        return as_pixels(apply_modality_lut(stored, header))
    slope, intercept = rescale(header, index)
    if not np.isfinite([slope, intercept]).all() or slope == 0:
        raise ScanError("rescale slope or intercept is no usable number; export the scan again")
    if int(header.get("BitsAllocated", 8)) == 1:
        return as_pixels(stored.astype(np.uint8) * np.uint8(255))
    if (slope, intercept) == (1.0, 0.0):
        return as_pixels(stored)
    return as_pixels(stored.astype(np.float64) * slope + intercept)
