"""Small pictures of the scans on a map, read from their files only when asked."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from learner_index.data.manifest import read_manifest, require_valid
from learner_index.data.readers import read_scan
from learner_index.data.thumbnails import thumbnail
from learner_index.errors import ManifestError, QueryError, ScanError

MOST = 2000
"""Scans whose pictures a page may hold: about 6 MB."""
_SIDE = 64  # pixels
_BURNED = "burned-in annotation"  # begins a note of the DICOM reader


def read_thumbnails(
    scan_ids: Sequence[str],
    manifest: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """Pictures of the scans that a manifest lists and that can be read, and what to know of them.

    Args:
        scan_ids: the scans drawn.
        manifest: that the store was built from.
        progress: told after each scan.

    Returns:
        scan_id -> PNG, and notes.

    Raises:
        QueryError: there are too many scans.
        ManifestError: the manifest cannot be read, or lists none of the scans.
    """
    if len(scan_ids) > MOST:
        raise QueryError(
            f"{len(scan_ids):,} scans are too many for thumbnails, {MOST:,} fit into a page: "
            "choose some with --where"
        )
    known = read_manifest(manifest)
    require_valid(known)
    files = dict(zip(known.table["scan_id"].tolist(), known.paths, strict=True))
    listed = [name for name in scan_ids if name in files]
    if not listed:
        raise ManifestError(
            f"{manifest.name} lists none of the {len(scan_ids)} scans drawn: name the manifest "
            "that the store was built from"
        )
    found, is_burned = {}, False
    for done, name in enumerate(listed, 1):
        try:
            scan = read_scan(Path(files[name]), pick=lambda n: np.array([n // 2]))
        except ScanError:
            continue
        is_burned |= any(_BURNED in note for note in scan.notes)
        found[name] = thumbnail(scan, _SIDE)
        progress(done, len(listed))
    return found, _notes(len(scan_ids), len(found), is_burned=is_burned)


def _notes(n_scans: int, n_found: int, *, is_burned: bool) -> tuple[str, ...]:
    """What a person should know before the page leaves the house."""
    notes = ["the page holds pictures of scans, which can show what a pseudonym hides"]
    if is_burned:
        notes.append("BURNED-IN ANNOTATION: pixels may show a name or a date")
    if n_found < n_scans:
        notes.append(f"{n_scans - n_found} scans have no picture: not in the manifest, or broken")
    return tuple(notes)
