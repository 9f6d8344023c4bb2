"""Coarse classes of health scores, cut where training patients' scores divide evenly."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from learner_index.config import ScoreOptions
from learner_index.data.problems import listed
from learner_index.errors import NotEnoughDataError, SettingsError

_DIGITS = 12  # of shares: hides the order in which weights were summed


@dataclass(frozen=True, slots=True)
class CoarseEdges:
    """Where scores are cut into classes.

    Attributes:
        edges: strictly ascending scores, each the lowest of its healthier class.
        notes: what a person should know, such as that ties left fewer classes than asked for.
    """

    edges: tuple[float, ...]
    notes: tuple[str, ...] = ()

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.edges) + 1


def fit_edges(scores: ArrayLike, patients: Sequence[str], bins: int) -> CoarseEdges:
    """Edges that divide the training patients as evenly over classes as ties allow.

    Every edge is one of the scores, so that an increasing change of scale changes no class.

    Args:
        scores: (n,) health scores of training scans only, higher is healthier; NaN is left out.
        patients: (n,) patient of each scan; every patient weighs the same, however many scans.
        bins: number of classes wanted, 2 or more.

    Raises:
        SettingsError: fewer than 2 classes are asked for.
        NotEnoughDataError: fewer than 2 different scores.
    """
    _check_bins(bins)
    values = np.asarray(scores, dtype=np.float64)
    known = ~np.isnan(values)
    levels, level = np.unique(values[known], return_inverse=True)
    if len(levels) < 2:
        raise NotEnoughDataError(
            f"no {bins} classes from {int(known.sum())} training scans with a health score, "
            f"{len(levels)} different: add patients, or leave bins out"
        )
    weights = _patient_weights(np.asarray(patients, dtype=object)[known])
    below = np.cumsum(np.bincount(level, weights))[:-1] / weights.sum()  # (m - 1,) below levels[1:]
    wanted = np.arange(1, bins) / bins
    gaps = np.abs(below[:, None] - wanted).round(_DIGITS)  # (m - 1, bins - 1)
    edges = tuple(map(float, np.unique(levels[1:][gaps.argmin(axis=0)])))
    return CoarseEdges(edges, _notes(len(edges) + 1, bins))


def coarse(scores: ArrayLike, edges: Sequence[float]) -> NDArray[np.float64]:
    """Class of each score, 0 the sickest; a score at an edge is in the healthier class.

    Args:
        scores: (n,) health scores, higher is healthier; NaN where unknown.
        edges: strictly ascending scores.

    Returns:
        (n,) class numbers as float64, NaN where the score is.

    Raises:
        SettingsError: the edges are not finite and strictly ascending.
    """
    check_edges(edges)
    values = np.asarray(scores, dtype=np.float64)
    classes = np.searchsorted(np.asarray(edges, dtype=np.float64), values, side="right")
    return np.where(np.isnan(values), np.nan, classes.astype(np.float64))


def check_edges(edges: Sequence[float]) -> None:
    """Lets edges pass that can cut classes.

    Raises:
        SettingsError: they are not finite and strictly ascending.
    """
    values = np.asarray(edges, dtype=np.float64)
    shown = ", ".join(f"{value:g}" for value in values)
    if not np.isfinite(values).all():
        raise SettingsError(f"edges {shown}: every one must be a finite number")
    if (np.diff(values) <= 0).any():
        raise SettingsError(f"edges {shown}: write them ascending, each once")


def check_class_options(options: ScoreOptions) -> None:
    """Lets options pass that make classes in one way, or leave the scores as they are.

    Raises:
        SettingsError: they ask for several ways, too few classes, or impossible edges.
    """
    ways = {"bins": options.bins, "edges": options.edges, "class_column": options.class_column}
    given = [name for name, value in ways.items() if value is not None and value != ()]
    if len(given) > 1:
        raise SettingsError(f"{listed(given)} are given: choose one way to make classes")
    if options.bins is not None:
        _check_bins(options.bins)
    check_edges(options.edges)
    classes = options.classes
    if classes and options.class_column is None:
        raise SettingsError("--score-classes: say with class_column which column holds them")
    if classes and (len(classes) < 2 or len(set(classes)) < len(classes)):
        shown = ", ".join(classes)
        raise SettingsError(f"--score-classes {shown}: give 2 or more, each once, sickest first")


def _check_bins(bins: int) -> None:
    if bins < 2:
        raise SettingsError(f"bins {bins}: give 2 or more classes, or leave bins out")


def _patient_weights(patients: NDArray[np.object_]) -> NDArray[np.float64]:
    """(n,) weight of each scan; those of one patient sum to 1."""
    _, code, count = np.unique(patients.astype(str), return_inverse=True, return_counts=True)
    return 1.0 / count[code]


def _notes(found: int, wanted: int) -> tuple[str, ...]:
    if found == wanted:
        return ()
    return (f"{found} classes instead of {wanted}: too many training scores are equal",)
