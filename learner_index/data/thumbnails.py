"""Scans as small pictures, for figures and pages that were asked to show scans."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learner_index.config import Plane
from learner_index.data.columns import cleaned
from learner_index.data.content import content_hash
from learner_index.data.preprocess import plane_spacing
from learner_index.data.readers import read_scan
from learner_index.data.records import Scan
from learner_index.data.suggest import close_names
from learner_index.data.table import read_table
from learner_index.errors import ManifestError, ScanError

GONE, BROKEN, OTHER = "file is missing", "file cannot be read", "not the stored scan"
"""Why a scan has no picture."""

_DARK, _BRIGHT = 1, 99  # percentiles shown as black and white
_ACROSS: tuple[Plane, ...] = ("axial", "coronal", "sagittal")  # a volume's axes are their normals


def picture_files(manifest: Path) -> dict[str, Path]:
    """Where the scans of a manifest lie; columns other than scan_id and path are not looked at.

    A path may lead out of the manifest's folder, since `read_stored` opens only what is in the
    store. Rows without an id or a path are left out.

    Raises:
        ManifestError: it cannot be read, lacks one of the two columns or lists a scan twice.
    """
    raw = read_table(Path(manifest))
    for name in ("scan_id", "path"):
        if name not in raw.names:
            raise ManifestError(
                f"manifest {raw.path} has no column {name}{close_names(name, raw.names)}: pictures "
                "need scan_id and path"
            )
    folder, found = raw.path.parent.absolute(), dict[str, Path]()
    rows = zip(cleaned(raw.cells["scan_id"]), cleaned(raw.cells["path"]), strict=True)
    for scan_id, path in rows:
        if scan_id is None or path is None:
            continue
        if scan_id in found:
            raise ManifestError(
                f"manifest {raw.path} has an error: it lists scan {scan_id!r} twice; see all with "
                f"`learner-index check {raw.path}`"
            )
        found[scan_id] = folder / path
    return found


def read_stored(path: Path, stored_hash: str) -> Scan | str:
    """A scan to take a picture of, or why there is none.

    A manifest of other files can use the same scan ids: only a file with the bytes that were
    stored is shown.

    Args:
        path: of the file or folder.
        stored_hash: the store's `content_hash` of the scan.

    Returns:
        The middle frame of a clip, a whole volume; or `GONE`, `BROKEN` or `OTHER`.
    """
    try:
        if not (path.is_file() or path.is_dir()):
            return GONE
        if content_hash(path) != stored_hash:
            return OTHER
        return read_scan(path, pick=lambda n: np.array([n // 2]))
    except (ScanError, OSError, ValueError):  # of paths that no system can open, too
        return BROKEN


def middle_picture(scan: Scan) -> tuple[NDArray[Any], float]:
    """(h, w) the middle frame of a clip or slice of a volume, and a pixel's height in widths.

    A volume is cut as it was acquired: across its thin side where it is a slab, else axially.
    """
    plane: Plane = "axial"
    if scan.kind == "volume":
        least, next_least = sorted(scan.pixels.shape)[:2]
        if 2 * least <= next_least:
            plane = _ACROSS[int(np.argmin(scan.pixels.shape))]
    row_mm, column_mm = plane_spacing(scan, plane) or (1.0, 1.0)
    slices = np.moveaxis(scan.pixels, _ACROSS.index(plane), 0)
    middle: NDArray[Any] = slices[len(slices) // 2]
    return middle if plane == "axial" else middle[::-1], row_mm / column_mm  # superior is up


def thumbnail(scan: Scan, side: int) -> bytes:
    """`middle_picture` as a grey PNG whose longer side is `side` pixels.

    A picture can show what the pseudonym hides: make one only when asked.

    Args:
        scan: frames or slices; pixels that are not square are stretched to be so.
        side: longest side, in pixels.
    """
    from PIL import Image

    pixels, aspect = middle_picture(scan)
    middle = np.asarray(pixels, np.float64)
    low, high = np.nanpercentile(middle, [_DARK, _BRIGHT])
    grey = np.clip((middle - low) / ((high - low) or 1.0), 0, 1)
    height, width = middle.shape[0] * aspect, float(middle.shape[1])
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    file = BytesIO()
    picture = Image.fromarray(np.round(255 * np.nan_to_num(grey)).astype(np.uint8))
    picture.resize(size, Image.Resampling.BILINEAR).save(file, "PNG", optimize=True)
    return file.getvalue()
