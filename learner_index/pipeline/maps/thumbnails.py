"""Small pictures of the scans on a map, read from their files only when asked."""

from collections.abc import Callable, Mapping
from pathlib import Path

from learner_index.data.show import plural
from learner_index.data.thumbnails import OTHER, picture_files, read_stored, thumbnail
from learner_index.errors import ManifestError, QueryError

MOST = 2000
"""Scans whose pictures a page may hold: about 6 MB."""
_SIDE = 64  # pixels
_BURNED = "burned-in annotation"  # begins a note of the DICOM reader


def read_thumbnails(
    scans: Mapping[str, str],
    manifest: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """Pictures of the scans that a manifest lists and that can be read, and what to know of them.

    Args:
        scans: scan_id -> the store's content hash, of the scans drawn; other files of the same
            ids are not shown.
        manifest: that the store was built from.
        progress: told after each scan.

    Returns:
        scan_id -> PNG, and notes.

    Raises:
        QueryError: there are too many scans.
        ManifestError: the manifest cannot be read, or lists none of the scans.
    """
    if len(scans) > MOST:
        raise QueryError(
            f"{len(scans):,} scans are too many for thumbnails, {MOST:,} fit into a page: "
            "choose some with --where"
        )
    files = picture_files(manifest)
    listed = [name for name in scans if name in files]
    if not listed:
        raise ManifestError(
            f"{manifest.name} lists none of the {plural(len(scans), 'scan')} drawn: name the "
            "manifest that the store was built from"
        )
    found, is_burned, n_other = {}, False, 0
    for done, name in enumerate(listed, 1):
        scan = read_stored(files[name], scans[name])
        if isinstance(scan, str):
            n_other += scan == OTHER
        else:
            is_burned |= any(_BURNED in note for note in scan.notes)
            found[name] = thumbnail(scan, _SIDE)
        progress(done, len(listed))
    return found, _notes(len(scans), len(found), n_other, is_burned=is_burned)


def _notes(n_scans: int, n_found: int, n_other: int = 0, *, is_burned: bool) -> tuple[str, ...]:
    """What a person should know before the page leaves the house."""
    notes = ["the page holds pictures of scans, which can show what a pseudonym hides"]
    if is_burned:
        notes.append("BURNED-IN ANNOTATION: pixels may show a name or a date")
    n_gone = n_scans - n_found - n_other
    if n_other:
        notes.append(f"{_lack(n_other)}: the manifest's file is {OTHER}")
    if n_gone:
        notes.append(f"{_lack(n_gone)}: not in the manifest, or broken")
    return tuple(notes)


def _lack(n: int) -> str:
    return f"{plural(n, 'scan')} {'has' if n == 1 else 'have'} no picture"
