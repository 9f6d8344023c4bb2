"""Where the scans are: paths made absolute, kept inside the manifest's folder, listed once."""

import os
from collections.abc import Sequence
from pathlib import Path

from learner_index.data.columns import Texts
from learner_index.data.ids import rows_with_control_characters
from learner_index.data.problems import ProblemList, groups_of, listed


class Resolver:
    """Real paths of many files, reading each folder's own links only once."""

    def __init__(self) -> None:
        self._folders: dict[str, str] = {}

    def real(self, path: str) -> str:
        """The path without symbolic links and "..", as os.path.realpath gives it."""
        folder, _, name = path.rpartition("/")
        if name in ("", ".", "..") or os.path.islink(path):  # noqa: PTH114 - Path is ten times slower here
            return os.path.realpath(path)
        known = self._folders.get(folder)
        if known is None:
            known = self._folders[folder] = os.path.realpath(folder or "/")
        return f"{known.rstrip('/')}/{name}"


def absolute_paths(folder: Path, texts: Texts, problems: ProblemList) -> tuple[Path, ...]:
    """(n,) absolute paths; rows without a usable one are reported and get the folder itself."""
    unusable = set(rows_with_control_characters(texts))
    for row, text in enumerate(texts):
        if text is None:
            problems.error([row], "no path: fill it in")
    for row in sorted(unusable):
        problems.error([row], f"path {texts[row]!r} has a control character: rename the file")
    if not unusable and None not in texts:
        return tuple(map(folder.__truediv__, map(str, texts)))
    return tuple(
        folder if text is None or row in unusable else folder / text
        for row, text in enumerate(texts)
    )


def check_inside(folder: Path, real: Sequence[str], texts: Texts, problems: ProblemList) -> None:
    """Reports scans that lie outside the manifest's folder once links and ".." are followed."""
    top = os.path.realpath(folder)
    start = top.rstrip("/") + "/"
    for row, path in enumerate(real):
        if texts[row] is None:
            continue
        if path == top:
            problems.error([row], f"path {texts[row]!r} is the manifest's own folder")
        elif not path.startswith(start):
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
