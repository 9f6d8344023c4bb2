"""Where the scans are: paths made absolute, kept inside the manifest's folder, listed once."""

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import overload

from learner_index.data.columns import Texts
from learner_index.data.content import file_stamp
from learner_index.data.ids import rows_with_control_characters
from learner_index.data.problems import ProblemList, groups_of, listed

_ODD = frozenset(("", ".", ".."))


class ScanPaths(Sequence[Path]):
    """Absolute paths of many scans, kept as text: a `Path` is made when it is asked for.

    A hundred thousand `Path` objects take seconds to make, and most are never looked at.

    Attributes:
        texts: the paths as they would be opened.
        stamps: what `content.file_stamp` said of each file when the manifest was read; "" for
            folders, links and what is not there.
    """

    __slots__ = ("stamps", "texts")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, texts: Iterable[str], stamps: Iterable[str] = ()) -> None:
        self.texts = tuple(texts)
        self.stamps = tuple(stamps) or ("",) * len(self.texts)

    def __len__(self) -> int:
        """Number of scans."""
        return len(self.texts)

    @overload
    def __getitem__(self, index: int) -> Path: ...
    @overload
    def __getitem__(self, index: slice) -> "ScanPaths": ...
    def __getitem__(self, index: int | slice) -> "Path | ScanPaths":
        """The path of one scan, or the paths of some."""
        if isinstance(index, slice):
            return ScanPaths(self.texts[index], self.stamps[index])
        return Path(self.texts[index])

    def __iter__(self) -> Iterator[Path]:
        """Paths, in order."""
        return map(Path, self.texts)

    def __eq__(self, other: object) -> bool:
        """Whether another sequence holds the same paths."""
        return isinstance(other, Sequence) and list(self) == list(other)

    def __repr__(self) -> str:
        """How many there are; a path may say who the patient is."""
        return f"ScanPaths({len(self)} paths)"


class Resolver:
    """Real paths of many files, reading each folder's own links only once."""

    def __init__(self) -> None:
        self._folders: dict[str, str] = {"": ""}

    def real(self, path: str) -> str:
        """The absolute path without symbolic links and "..", as os.path.realpath gives it."""
        return self.look(path)[0]

    def look(self, path: str) -> tuple[str, str]:
        """The real path, and the stamp of a plain file: one question to the system for both."""
        folder, _, name = path.rpartition("/")
        if name in _ODD:
            return os.path.realpath(path), ""
        top = self._folders.get(folder)
        if top is None:
            top = self._folders[folder] = self.real(folder).rstrip("/")
        try:
            status = os.lstat(path)
        except (OSError, ValueError):
            return f"{top}/{name}", ""
        if stat.S_ISLNK(status.st_mode):
            return os.path.realpath(path), ""
        return f"{top}/{name}", file_stamp(status) if stat.S_ISREG(status.st_mode) else ""


def absolute_paths(folder: Path, texts: Texts, problems: ProblemList) -> list[str]:
    """(n,) absolute paths; rows without a usable one are reported and get the folder itself."""
    unusable = set(rows_with_control_characters(texts))
    for row, text in enumerate(texts):
        if text is None:
            problems.error([row], "no path: fill it in")
    for row in sorted(unusable):
        problems.error([row], f"path {texts[row]!r} has a control character: rename the file")
    top = str(folder)
    start = f"{top.rstrip('/')}/"
    paths = []
    for row, text in enumerate(texts):
        if text is None or row in unusable:
            paths.append(top)
        else:
            paths.append(text if text.startswith("/") else start + text)
    return paths


def check_inside(folder: Path, real: Sequence[str], texts: Texts, problems: ProblemList) -> None:
    """Reports scans that lie outside the manifest's folder once links and ".." are followed."""
    top = os.path.realpath(folder)
    start = top.rstrip("/") + "/"
    outside = [row for row, path in enumerate(real) if not path.startswith(start)]
    for row in outside:
        path = real[row]
        if texts[row] is None:
            continue
        if path == top:
            problems.error([row], f"path {texts[row]!r} is the manifest's own folder")
        else:
            problems.error(
                [row],
                f"path {texts[row]!r} leaves the manifest's folder: "
                "move the file, or allow it with --allow-outside",
            )


def check_listed_once(
    real: Sequence[str], texts: Texts, owners: Sequence[Texts], problems: ProblemList
) -> None:
    """Reports files listed by several rows; an error when patients or splits differ.

    Args:
        real: (n,) real path of each row.
        texts: (n,) paths as written; rows without one are not compared.
        owners: patient ids, then splits (empty when the manifest has none), each (n,).
        problems: where to report.
    """
    keys = [path if text is not None else None for path, text in zip(real, texts, strict=True)]
    if len(set(keys)) == len(keys):
        return
    for rows in groups_of(keys).values():
        if len(rows) > 1:
            report_shared(rows, owners, "one path", problems)


def report_shared(
    rows: list[int], owners: Sequence[Texts], what: str, problems: ProblemList
) -> None:
    """Reports rows that share a path or content: an error across patients or splits."""
    for word, texts in zip(("patients", "splits"), owners, strict=False):
        names = sorted({str(texts[row]) for row in rows if texts[row] is not None}) if texts else []
        if len(names) > 1:
            shown = listed(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
            problems.error(rows, f"{what} under {word} {shown}: leave all but one out")
            return
    problems.note(rows, f"{what} under {len(rows)} scan ids of one patient")
