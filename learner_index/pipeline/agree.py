"""Refuse a manifest whose days, scores or files cannot stand in one store with what is there."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from learner_index.errors import ManifestError

if TYPE_CHECKING:
    from learner_index.data.manifest import Manifest

REPLACED_AT_LEAST = 5
_WAY_OUT = "list all scans in one manifest, drop the others with --prune, or use another store"


def require_agreement(
    settings: Mapping[str, Any], stored: pd.DataFrame, manifest: "Manifest"
) -> None:
    """Stored scans the manifest does not list keep days and scores: they must stay comparable.

    Args:
        settings: what the store remembers.
        stored: the store's columns; some of its scans are not in the manifest and will be kept.
        manifest: what is to be brought in.

    Raises:
        ManifestError: another clock, another score rule, or days counted from another date.
    """
    if manifest.clock != settings["clock"]:
        raise ManifestError(
            f"the store's days are on the {settings['clock']} clock, this manifest's on the "
            f"{manifest.clock} clock, and some stored scans are not in it: {_WAY_OUT}"
        )
    known, score = settings.get("score", {}), manifest.score
    if score is not None and known:
        fresh = {"column": score.column, "direction": score.direction, "per": score.per}
        for name, value in fresh.items():
            if known.get(name) != value:
                raise ManifestError(
                    f"the store's scores have {name} {known.get(name)}, this manifest's {value}, "
                    f"and some stored scans are not in it: {_WAY_OUT}"
                )
    if manifest.has_dates:
        _require_one_origin(stored, manifest)


def _require_one_origin(stored: pd.DataFrame, manifest: "Manifest") -> None:
    """Days count from the manifest's earliest date: it must still be the store's earliest."""
    days = pd.Series(stored["day"].to_numpy(), index=stored["scan_id"])
    table = manifest.table
    shared = table["scan_id"].isin(days.index).to_numpy(dtype=bool)
    before = days.reindex(table["scan_id"][shared]).to_numpy()
    shift = np.unique(table["day"].to_numpy()[shared] - before)
    shift = shift[~np.isnan(shift)]
    if len(shift) == 0 or not np.any(shift == 0):
        raise ManifestError(
            "days are counted from a manifest's earliest date, which is not the store's any more, "
            f"and some stored scans are not in this manifest: {_WAY_OUT}"
        )


def require_same_cohort(n_changed: int, n_same: int, *, may_replace: bool) -> None:
    """Refuse to replace every scan at once: that is most likely another cohort's manifest.

    Raises:
        ManifestError: five or more stored scans have other bytes now, and none is the same.
    """
    if n_changed >= REPLACED_AT_LEAST and n_same == 0 and not may_replace:
        raise ManifestError(
            f"all {n_changed} stored scans of this manifest have other bytes now: if it is another "
            "cohort, name another store with -o; if every scan was made anew, say --replace"
        )
