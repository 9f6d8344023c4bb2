"""Whether a query is like the patients a head was fitted on.

A head answers anything; where a query is unlike its patients the answer means nothing. What is
kept is a mean, a covariance, distances of held-out patients, ranges and category names: no
patient's features.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.analysis.conformal import least_patients, one_per_patient
from learner_index.analysis.distance import Floats, Names, Reals
from learner_index.analysis.space import Whitening, fit_whitening
from learner_index.errors import NotEnoughDataError, QueryError

LEVEL = 0.02
MOST_LEVEL = 0.05  # where patients are few: to call more of the ordinary ones outside is no help
_NO_LIMIT = "no query is called unlike the patients fitted on"


@dataclass(frozen=True, slots=True)
class Range:
    """Smallest and largest value of a column among the patients fitted on.

    Attributes:
        name: of the column, with its unit.
        low, high: the ends, both inside.
    """

    name: str
    low: float
    high: float

    def why_outside(self, value: object) -> str:
        """Why this value says that the head does not apply; "" if it says nothing."""
        if pd.isna(value):  # type: ignore[call-overload]
            return f"{self.name} is missing"
        number = float(value)  # type: ignore[arg-type]
        if self.low <= number <= self.high:
            return ""
        return f"{self.name} {number:g} is outside {self.low:g} to {self.high:g}"


@dataclass(frozen=True, slots=True)
class Known:
    """Categories of a column among the patients fitted on.

    Attributes:
        name: of the column.
        words: the categories, sorted; "" stands for none given.
    """

    name: str
    words: tuple[str, ...]

    def why_outside(self, value: object) -> str:
        """Why this value says that the head does not apply; "" if it says nothing."""
        word = _word(value)
        return "" if word in self.words else f"{self.name} {word!r} was not among those fitted on"


@dataclass(frozen=True, slots=True, eq=False)
class Limit:
    """How far from the center held-out patients lie.

    Attributes:
        distances: (n,) ascending, one random row of each held-out patient.
        level: a query is outside if at most this share of patients like those fitted on is as
            far. None: held-out patients are too few to say.
        note: what a person should know of it; "" for nothing.
    """

    distances: Floats
    level: float | None
    note: str = ""

    def p_value(self, distance: Reals) -> Floats:
        """(t,) how rare such a distance is: of patients like those fitted on, p <= x in share x.

        (1 + held-out patients as far or farther) / (n + 1), so never below 1 / (n + 1).

        Source:
            Vovk, Gammerman & Shafer 2005, "Algorithmic learning in a random world": conformal
            p-value. For outliers: Bates et al. 2023, Ann. Statist. 51, 149-178.
        """
        n = len(self.distances)
        farther = n - np.searchsorted(self.distances, np.asarray(distance, np.float64), "left")
        return np.asarray((1.0 + farther) / (n + 1.0))


@dataclass(frozen=True, slots=True, eq=False)
class Applicability:
    """What a head's patients were like.

    Attributes:
        whitening: center and covariance of the features fitted on.
        limit: how far held-out patients lie; with none, no distance is too far.
        columns: ranges and categories of columns beside the features.
    """

    whitening: Whitening
    limit: Limit
    columns: tuple[Range | Known, ...] = ()

    def distance(self, features: Reals) -> Floats:
        """(t,) distance from the center, in standard deviations of the patients fitted on.

        Raises:
            QueryError: a feature is NaN or infinite.
            SpaceMismatchError: the features have another width.

        Source:
            Mahalanobis 1936, with the shrunk covariance of `space.fit_whitening`.
        """
        if not np.isfinite(features).all():
            raise QueryError("a feature is NaN or infinite: fill what is missing first")
        dtype = np.result_type(features, np.float32)  # float32 is exact enough, and half the work
        center, matrix = (
            part.astype(dtype) for part in (self.whitening.center, self.whitening.matrix)
        )
        moved = replace(self.whitening, center=center, matrix=matrix).apply(features)
        return np.asarray(np.linalg.norm(moved, axis=1), np.float64)

    def p_value(self, features: Reals) -> Floats:
        """(t,) share of patients like those fitted on who are as far from their center.

        Raises:
            QueryError, SpaceMismatchError: as for `distance`.
        """
        return self.limit.p_value(self.distance(features))

    def is_inside(self, features: Reals) -> NDArray[np.bool_]:
        """(t,) False where the features are unlike those fitted on; True where none can say.

        Raises:
            QueryError, SpaceMismatchError: as for `distance`.
        """
        level = self.limit.level
        return self.p_value(features) > (0.0 if level is None else level)

    def reasons(
        self, features: Reals, values: Mapping[str, Sequence[object]] | None = None
    ) -> list[tuple[str, ...]]:
        """Why the head does not apply to each query; nothing where it does.

        Args:
            features: (t, e) of the queries.
            values: (t,) values of each of `columns`, by name.

        Raises:
            QueryError: a column is missing or has another length, or as for `distance`.
            SpaceMismatchError: the features have another width.
        """
        p_values, is_inside = self.p_value(features), self.is_inside(features)
        far = ["" if ok else _far(p) for p, ok in zip(p_values, is_inside, strict=True)]
        found = [far, *(_column_reasons(each, values or {}, len(far)) for each in self.columns)]
        return [tuple(filter(None, row)) for row in zip(*found, strict=True)]

    def arrays(self) -> dict[str, Floats]:
        """Its numbers, as arrays: "center" (e,), "matrix" (e, e) and "distances" (n,)."""
        return {
            "center": self.whitening.center,
            "matrix": self.whitening.matrix,
            "distances": self.limit.distances,
        }

    def facts(self) -> dict[str, Any]:
        """All else, as values that JSON knows."""
        return {
            "n_patients": self.whitening.n_patients,
            "level": self.limit.level,
            "note": self.limit.note,
            "ranges": [asdict(each) for each in self.columns if isinstance(each, Range)],
            "known": [
                {"name": each.name, "words": list(each.words)}
                for each in self.columns
                if isinstance(each, Known)
            ],
        }


def load_applicability(
    arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]
) -> Applicability:
    """The same again from its `arrays` and `facts`; ranges come before categories."""
    center, matrix, distances = (
        np.asarray(arrays[name], np.float64) for name in ("center", "matrix", "distances")
    )
    columns = [Range(**each) for each in facts["ranges"]]
    known = [Known(each["name"], tuple(each["words"])) for each in facts["known"]]
    return Applicability(
        Whitening(center, matrix, facts["n_patients"]),
        Limit(distances, facts["level"], facts["note"]),
        (*columns, *known),
    )


def fit_applicability(
    features: Reals, patient: Names, columns: Sequence[Range | Known] = ()
) -> Applicability:
    """What the patients fitted on are like; without a limit.

    `dataclasses.replace` gives it one, of `fit_limit`.

    Args:
        features: (t, e) of the patients that the head was fitted on, who weigh the same.
            Standardized: beside large features the shrinkage hides steps in small ones.
        patient: (t,) patient of each row.
        columns: ranges and categories of columns beside the features.

    Raises:
        NotEnoughDataError: fewer than two patients, or all features are equal.
        QueryError: a feature is NaN or infinite, or a row has no patient.
    """
    return Applicability(fit_whitening(features, patient), _no_limit(), tuple(columns))


def fit_limit(distances: Reals, patient: Names, *, level: float | None = None, seed: int) -> Limit:
    """How far is too far, from one random row of each held-out patient.

    Training patients lie closer to their own center than others do, so they cannot tell. In a
    cross-validation each distance may come from the fold that its patient was held out of.

    Args:
        distances: (t,) `Applicability.distance` of patients it was not fitted on.
        patient: (t,) patient of each row.
        level: share of patients like those fitted on that may be called outside. None: 0.02, or
            with fewer than 49 patients the smallest there is, up to 0.05.
        seed: of the rows drawn.

    Returns:
        A limit with level None and a note where patients are too few for the level.

    Raises:
        QueryError: lengths differ, a distance is NaN or negative, or a row has no patient.
        SettingsError: the level is no share.
    """
    measured = np.asarray(distances, np.float64)
    if not (measured >= 0).all():
        raise QueryError("a distance is NaN or negative: give those of Applicability.distance")
    if len(measured) != len(patient):
        raise QueryError(f"{len(measured)} distances of {len(patient)} patients: give as many")
    kept = np.sort(measured[one_per_patient(patient, seed)])
    if len(kept) == 0:
        return _no_limit()
    needed = least_patients(MOST_LEVEL if level is None else level)
    if len(kept) < needed:
        return Limit(kept, None, f"{_NO_LIMIT}: {len(kept)} held-out patients, {needed} needed")
    return Limit(kept, max(LEVEL, 1.0 / (len(kept) + 1)) if level is None else level)


def fit_range(name: str, values: Sequence[float] | Reals) -> Range:
    """Range of a column over the patients fitted on; missing values are left out.

    With n patients, about 2 in n + 1 others like them fall outside.

    Raises:
        NotEnoughDataError: no value is finite.
    """
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known)]
    if len(known) == 0:
        raise NotEnoughDataError(f"column {name!r} has no finite value: leave it out")
    return Range(name, float(known.min()), float(known.max()))


def fit_known(name: str, values: Sequence[object]) -> Known:
    """Categories of a column over the patients fitted on; None, NaN and "" all mean none given."""
    return Known(name, tuple(sorted({_word(value) for value in set(values)})))


def _no_limit() -> Limit:
    """The limit of nobody."""
    return Limit(np.empty(0), None, f"{_NO_LIMIT}: no held-out patients")


def _far(p_value: float) -> str:
    """Why features that are too far are a reason."""
    return f"features are unlike those of the patients fitted on: p {p_value:.2g}"


def _column_reasons(
    column: Range | Known, values: Mapping[str, Sequence[object]], n_rows: int
) -> list[str]:
    """The reason in each row, "" for none."""
    if column.name not in values or len(values[column.name]) != n_rows:
        raise QueryError(f"{column.name!r} is needed for each of the {n_rows} queries: add it")
    if isinstance(column, Known):
        why = {value: column.why_outside(value) for value in set(values[column.name])}
        return [why[value] for value in values[column.name]]
    numbers = np.asarray(values[column.name], np.float64)
    found = [""] * n_rows
    for row in np.flatnonzero(~((numbers >= column.low) & (numbers <= column.high))).tolist():
        found[row] = column.why_outside(numbers[row])
    return found


def _word(value: object) -> str:
    """A category as text."""
    return "" if pd.isna(value) else str(value)  # type: ignore[call-overload]
