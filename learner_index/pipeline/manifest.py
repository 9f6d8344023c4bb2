"""`manifest` and `check`: a table from a folder tree, and whether a table is sound."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learner_index.config import ManifestOptions
from learner_index.data.bids import write_manifest_from_bids
from learner_index.data.check import check_manifest
from learner_index.data.folder import write_manifest_from_folder
from learner_index.data.manifest import Manifest, read_manifest
from learner_index.data.report import Report
from learner_index.data.writing import FolderResult
from learner_index.errors import NotEnoughDataError
from learner_index.search.filters import fulfils_all, unmet_hint
from learner_index.search.table import SearchTable


def write_manifest(
    folder: Path,
    output: Path,
    *,
    pattern: str | None = None,
    suffixes: Sequence[str] | None = None,
    overwrite: bool = False,
) -> FolderResult:
    """Write a manifest from a folder tree, by pattern, or as BIDS when there is none.

    Args:
        folder: top of the tree.
        output: table to write.
        pattern: such as "{patient_id}/{day}_{view}.mp4"; None: the tree follows BIDS.
        suffixes: of BIDS, such as T1w; None: all.
        overwrite: replace an existing table.

    Raises:
        ManifestError: nothing fits, or the table exists.
    """
    if pattern is None:
        return write_manifest_from_bids(folder, output, suffixes=suffixes, overwrite=overwrite)
    return write_manifest_from_folder(folder, pattern, output, overwrite=overwrite)


def check_cohort(manifest: Path, changes: Mapping[str, Any] | None = None) -> Report:
    """A cohort in figures, with every problem of its manifest and its files.

    Args:
        manifest: the table.
        changes: fields of `ManifestOptions` other than the defaults.

    Raises:
        ManifestError: nothing can be made of the file.
    """
    return check_manifest(read_manifest(manifest, ManifestOptions(**(changes or {}))))


def rows_where(manifest: Manifest, conditions: Sequence[str]) -> NDArray[np.intp]:
    """Rows of a manifest whose columns fulfil all conditions, in order; perhaps none.

    Args:
        manifest: the table.
        conditions: each "column op value"; without any, all rows do.

    Raises:
        QueryError: a condition is not understood.
    """
    table = SearchTable(np.empty((manifest.n_scans, 0), np.float32), manifest.table)
    return np.flatnonzero(fulfils_all(table, conditions))


def why_no_rows(manifest: Manifest, conditions: Sequence[str]) -> str:
    """What the columns hold in place of what is asked; a phrase to append, perhaps ""."""
    table = SearchTable(np.empty((manifest.n_scans, 0), np.float32), manifest.table)
    return unmet_hint(table, conditions)


def only_where(manifest: Manifest, conditions: Sequence[str]) -> Manifest:
    """The scans that fulfil all conditions; arguments as in `rows_where`.

    Raises:
        QueryError: a condition is not understood.
        NotEnoughDataError: no scan fulfils them.
    """
    if not conditions:
        return manifest
    rows = rows_where(manifest, conditions)
    if len(rows) == 0:
        raise NotEnoughDataError(
            f"no scan of {manifest.path.name} fulfils {' and '.join(conditions)}: loosen --where"
            f"{why_no_rows(manifest, conditions)}"
        )
    return manifest.only(rows)
