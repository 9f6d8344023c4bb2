"""Files that are broken in the ways files break, and rows that list them in a manifest."""

import csv
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np

BAD = "scans/secret-name"
"""Where the broken scan lies; its name must not appear in what is said about it."""


def rows() -> list[dict[str, str]]:
    """The rows of the manifest cohort.csv here."""
    with Path("cohort.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write_rows(changed: list[dict[str, str]]) -> None:
    """A new cohort.csv."""
    with Path("cohort.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(k for row in changed for k in row)))
        writer.writeheader()
        writer.writerows(changed)


def change(line: int, **cells: str) -> Callable[[], None]:
    """Later: other values in one line of the manifest (2 is the first scan's)."""

    def spoil() -> None:
        found = rows()
        for row in found:
            row.update({name: row.get(name, "") for name in cells})
        found[line - 2].update(cells)
        write_rows(found)

    return spoil


def add(suffix: str, make: Callable[[Path], object]) -> Callable[[], None]:
    """Later: line 8 of the manifest lists the scan `bad`, made by `make`."""

    def spoil() -> None:
        path = Path(BAD + suffix)
        make(path)
        write_rows([*rows(), {**rows()[0], "scan_id": "bad", "path": str(path)}])

    return spoil


def text(content: str) -> Callable[[Path], object]:
    """A file of plain text."""
    return lambda path: path.write_text(content, encoding="utf-8")


def array(content: object) -> Callable[[Path], object]:
    """A .npy file of some array."""
    return lambda path: np.save(path, np.asarray(content))


def truncated(make: Callable[[Path], object], share: float = 0.5) -> Callable[[Path], object]:
    """The first part of a sound file."""

    def spoil(path: Path) -> None:
        make(path)
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])

    return spoil


def clip(path: Path) -> None:
    """A sound video."""
    import av

    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.height = stream.width = 64
        stream.pix_fmt = "yuv420p"
        for pixels in noise((30, 64, 64)):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "gray")))
        container.mux(stream.encode())


def picture(path: Path) -> None:
    """A sound PNG."""
    from PIL import Image

    Image.fromarray(noise((64, 64))).save(path)


def volume(path: Path) -> None:
    """A sound NIfTI volume."""
    import nibabel

    nibabel.Nifti1Image(noise((16, 16, 16)), np.eye(4)).to_filename(path)


def nan_volume(path: Path) -> None:
    """A volume with a value that is no number."""
    import nibabel

    pixels = noise((16, 16, 16)).astype(np.float32)
    pixels[3, 3, 3] = np.nan
    nibabel.Nifti1Image(pixels, np.eye(4)).to_filename(path)


def dicom(path: Path) -> None:
    """A sound DICOM image."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.SOPClassUID, header.SOPInstanceUID = CTImageStorage, generate_uid()
    header.Modality, header.PhotometricInterpretation = "CT", "MONOCHROME2"
    header.Rows = header.Columns = 64
    header.SamplesPerPixel, header.PixelRepresentation = 1, 0
    header.BitsAllocated = header.BitsStored = 8
    header.HighBit = 7
    header.PixelData = noise((64, 64)).tobytes()
    header["PixelData"].VR = "OB"
    header.save_as(path, enforce_file_format=True)


def mixed_frames(path: Path) -> None:
    """A folder whose frames have two sizes."""
    from PIL import Image

    path.mkdir()
    for number, side in enumerate((32, 32, 48)):
        Image.fromarray(noise((side, side))).save(path / f"{number}.png")


def huge_header(path: Path) -> None:
    """A .npy file whose header promises terabytes."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "|u1", "fortran_order": False, "shape": (99999, 9999, 9999)}
        )
        file.write(bytes(64))


def pickled(path: Path) -> None:
    """A weights file that would run code when it is read."""
    path.write_bytes(pickle.dumps({"weight": Path("x")}))


def noise(shape: tuple[int, ...]) -> np.ndarray:
    """Grey values that differ."""
    return np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
