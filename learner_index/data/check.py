"""Everything that can be said about a cohort before any scan is decoded.

Adds to the manifest's own problems what only the files tell: missing, empty, or the same content
under two names.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from learner_index.data.content import HashCache, content_hash, folder_files
from learner_index.data.manifest import Manifest
from learner_index.data.paths import report_shared
from learner_index.data.problems import ProblemList, by_line, groups_of
from learner_index.data.report import Report, report_of
from learner_index.errors import ScanError

Listings = dict[Path, dict[str, str]]


def check_manifest(manifest: Manifest, cache: HashCache | None = None) -> Report:
    """The cohort in numbers, with all problems of its manifest and files, in order of lines.

    Args:
        manifest: what `read_manifest` returned.
        cache: hashes of unchanged files, to save reading them.
    """
    scan_ids = manifest.texts("scan_id")
    problems = ProblemList(manifest.row_word, manifest.lines, scan_ids, list(manifest.problems))
    sizes = [_size(path) for path in manifest.paths]
    _check_present(manifest, sizes, problems)
    _check_content(manifest, sizes, cache, problems)
    return report_of(manifest, by_line(problems.found))


@dataclass(frozen=True, slots=True)
class _Size:
    """Bytes of a file or folder; why there are none."""

    n_bytes: int = 0
    reason: str = ""


def _size(path: Path) -> _Size:
    try:
        status = os.stat(path)  # noqa: PTH116 - Path is slower
        if not os.path.isdir(path):  # noqa: PTH112
            return _Size(status.st_size, "" if status.st_size else "is empty: write it again")
        files = folder_files(path)
        total = sum(os.stat(file).st_size for _, file in files)  # noqa: PTH116
    except FileNotFoundError:
        return _Size(reason="is missing: check the path")
    except OSError as error:
        return _Size(reason=f"cannot be read ({error.strerror}): check the path and its rights")
    return _Size(total, "" if total else "holds no files: check the path")


def _check_present(manifest: Manifest, sizes: Sequence[_Size], problems: ProblemList) -> None:
    listings: Listings = {}
    for row, size in enumerate(sizes):
        path = manifest.paths[row]
        if path == manifest.folder:
            continue  # reported as a missing path when the manifest was read
        if size.reason:
            text = os.path.relpath(path, manifest.folder)
            problems.error([row], f"file {text!r} {size.reason}{_hint(manifest, text, listings)}")


def _hint(manifest: Manifest, text: str, listings: Listings) -> str:
    """The file that was perhaps meant by a path that leads nowhere."""
    near = _meant(manifest.folder, text, listings)
    hint = f" (did you mean {near!r}?)" if near else ""
    return hint or (" (folders are separated by /)" if "\\" in text else "")


def _meant(folder: Path, text: str, listings: Listings) -> str | None:
    """The path but for upper and lower case, backslashes and a missing ending."""
    found: list[str] = []
    for part in text.replace("\\", "/").split("/"):
        names = listings.setdefault(folder, {}) or _listing(folder, listings)
        near = names.get(part) or names.get(part.casefold())
        if near is None:
            return None
        found.append(near)
        folder = folder / near
    return "/".join(found)


def _listing(folder: Path, listings: Listings) -> dict[str, str]:
    """What lies in a folder, by name, by name without case, and by that without its ending."""
    names = sorted(os.listdir(folder)) if folder.is_dir() else []  # noqa: PTH208
    listings[folder] = {Path(name).stem.casefold(): name for name in names}
    listings[folder] |= {name.casefold(): name for name in names}
    listings[folder] |= {name: name for name in names}
    return listings[folder]


def _check_content(
    manifest: Manifest,
    sizes: Sequence[_Size],
    cache: HashCache | None,
    problems: ProblemList,
) -> None:
    """Reports rows with the same bytes at different paths; only files of equal size are read."""
    owners = (manifest.texts("patient_id"), manifest.texts("split"))
    alike = groups_of([None if size.reason else size.n_bytes for size in sizes])
    hashes: list[str | None] = [None] * len(sizes)
    for rows in alike.values():
        if len({manifest.paths[row] for row in rows}) > 1:
            for row in rows:
                hashes[row] = _hash(manifest, row, cache, problems)
    for rows in groups_of(hashes).values():
        if len({os.path.realpath(manifest.paths[row]) for row in rows}) > 1:
            report_shared(rows, owners, "the same content", problems)


def _hash(
    manifest: Manifest, row: int, cache: HashCache | None, problems: ProblemList
) -> str | None:
    path = manifest.paths[row]
    try:
        scan_id = problems.scan_ids[row]
        return content_hash(path) if cache is None or not scan_id else cache.hash(scan_id, path)
    except ScanError as error:
        problems.error([row], f"file cannot be compared with others: {error}")
        return None
