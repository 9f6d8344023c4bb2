"""Small scans of every kind, and the real ones that installed packages bring along."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

Maker = Callable[..., Path]


def _package(name: str) -> Path:
    """Folder of an installed package, without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"package {name} is not installed")
    return Path(next(iter(spec.submodule_search_locations)))


@pytest.fixture(scope="session")
def real_dicom() -> Callable[[str], Path]:
    """Path of one of pydicom's own test files, by name."""
    folders = (_package("pydicom") / "data/test_files", _package("data_store") / "data")

    def find(name: str) -> Path:
        return next(folder / name for folder in folders if (folder / name).exists())

    return find


@pytest.fixture(scope="session")
def nibabel_data() -> Path:
    """Folder of nibabel's test volumes."""
    return _package("nibabel") / "tests/data"


@pytest.fixture
def make_dicom(tmp_path: Path) -> Maker:
    """Write an uncompressed DICOM file; keywords set or replace elements of its header."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    def make(name: str, pixels: NDArray[Any], **elements: Any) -> Path:
        header = Dataset()
        header.file_meta = FileMetaDataset()
        header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        header.SOPClassUID = CTImageStorage
        header.SOPInstanceUID = generate_uid()
        header.SeriesInstanceUID = "1.2.3"
        header.Modality = "CT"
        is_colour = pixels.shape[-1] == 3
        grey_shape = pixels.shape[:-1] if is_colour else pixels.shape
        header.Rows, header.Columns = grey_shape[-2:]
        if len(grey_shape) == 3:
            header.NumberOfFrames = grey_shape[0]
        header.SamplesPerPixel = 3 if is_colour else 1
        if is_colour:
            header.PlanarConfiguration = 0
        header.PhotometricInterpretation = "RGB" if is_colour else "MONOCHROME2"
        header.BitsAllocated = header.BitsStored = pixels.dtype.itemsize * 8
        header.HighBit = header.BitsStored - 1
        header.PixelRepresentation = int(pixels.dtype.kind == "i")
        header.PixelData = pixels.tobytes()
        header["PixelData"].VR = "OB" if pixels.dtype.itemsize == 1 else "OW"
        for keyword, value in elements.items():
            if value is None:
                del header[keyword]
            else:
                setattr(header, keyword, value)
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        header.save_as(path, enforce_file_format=True)
        return path

    return make


@pytest.fixture
def make_video(tmp_path: Path) -> Maker:
    """Write (f, h, w) grey or (f, h, w, 3) RGB frames as a video."""
    import av

    def make(name: str, frames: NDArray[np.uint8], codec: str = "mpeg4", **options: str) -> Path:
        path = tmp_path / name
        pixel_format = "gray" if frames.ndim == 3 else "rgb24"
        with av.open(path, "w") as container:
            stream = container.add_stream(codec, rate=25, options=options)
            stream.height, stream.width = frames.shape[1:3]
            stream.pix_fmt = "yuv420p"
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, pixel_format)))
            container.mux(stream.encode())
        return path

    return make


@pytest.fixture
def ramp() -> NDArray[np.uint8]:
    """(6, 16, 24) clip whose frames are told apart by their mean: 20, 50, 80, ..."""
    frames = np.tile(np.arange(24, dtype=np.uint8), (6, 16, 1))
    return (frames + np.arange(20, 200, 30, dtype=np.uint8)[:, None, None]).astype(np.uint8)
