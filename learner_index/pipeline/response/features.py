"""What a head is given of each example, as standardized numbers; everything fitted is here.

Features come in blocks: the state a patient starts from, what changed, days, treatment, clinical
columns. Each block is divided by the root of its width, so that regularization weighs a block of
128 values like a block of one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from learner_index.errors import NotEnoughDataError
from learner_index.pipeline.response.examples import Examples
from learner_index.pipeline.response.material import Floats, Masks, Material

Block = Literal["delta", "start", "middle", "past", "days", "treatment", "score", "clinical"]
BLOCKS: tuple[Block, ...] = get_args(Block)
_FLAT = 1e-12  # spread beside the largest value below which a feature does not vary


@dataclass(frozen=True, slots=True, eq=False)
class Encoding:
    """How examples become features; fitted on some patients, each weighing the same.

    Attributes:
        blocks: in the order of the features.
        views: (w,) views whose means are known.
        view_means: (w, e) mean embedding of each.
        columns: clinical columns.
        levels: the values known of each text or flag among them, and of treatment.
        fills: what stands in for a missing number: the median over examples.
        center: (m,) subtracted from the features; 0 for those that change sign with the visits.
        scale: (m,) what they are then divided by.
        is_odd: (m,) True for features that change sign when the visits are swapped.
        widths: features of each block.
    """

    blocks: tuple[Block, ...]
    views: tuple[str, ...]
    view_means: Floats
    columns: tuple[str, ...]
    levels: Mapping[str, tuple[str, ...]]
    fills: Mapping[str, float]
    center: Floats
    scale: Floats
    is_odd: Masks
    widths: tuple[int, ...]

    def features(self, material: Material, examples: Examples) -> NDArray[np.float32]:
        """(t, m) standardized features."""
        raw = self.raw(material, examples)
        raw -= self.center.astype(np.float32)
        raw /= self.scale.astype(np.float32)
        return raw

    def raw(self, material: Material, examples: Examples) -> NDArray[np.float32]:
        """(t, m) features as they are."""
        parts = [self._block(name, material, examples) for name in self.blocks]
        return np.concatenate(parts, axis=1, dtype=np.float32)

    def span(self, block: Block) -> slice:
        """Where a block's features are; empty where there is no such block."""
        if block not in self.blocks:
            return slice(0, 0)
        place = self.blocks.index(block)
        start = sum(self.widths[:place])
        return slice(start, start + self.widths[place])

    def start(self, material: Material, examples: Examples) -> NDArray[np.float32]:
        """(t, e) embedding of the earlier visit less its views' means."""
        return material.states(examples.earlier, self.means_of(material.visits.views))

    def means_of(self, views: Sequence[str]) -> Floats:
        """(m, e) mean of each view; the mean over views for one that was not seen."""
        known = dict(zip(self.views, self.view_means, strict=True))
        other = self.view_means.mean(axis=0)
        return np.array([known.get(view, other) for view in views])

    def _block(self, name: Block, material: Material, examples: Examples) -> NDArray[np.floating]:
        """(t, w) features of one block."""
        columns = examples.columns
        if name == "delta":
            return examples.delta
        if name == "start":
            return self.start(material, examples)
        if name == "middle":
            means = self.means_of(material.visits.views)
            return (self.start(material, examples) + material.states(examples.later, means)) / 2
        if name == "days":
            return np.log(examples.delta_day)[:, None]
        if name == "past":
            return _past(examples)
        if name == "treatment":
            return _one_hot(columns.get("treatment"), self.levels["treatment"], len(examples))
        if name == "score":
            return _number(columns["health_score"], self.fills["health_score"])
        return np.concatenate([self._clinical(column, columns) for column in self.columns], axis=1)

    def _clinical(self, name: str, columns: pd.DataFrame) -> Floats:
        """(t, w) features of one clinical column."""
        if name in self.levels:
            return _one_hot(columns.get(name), self.levels[name], len(columns))
        if name not in columns:
            return _number(pd.Series(np.full(len(columns), np.nan)), self.fills[name])
        return _number(columns[name], self.fills[name])


def fit_encoding(
    material: Material,
    examples: Examples,
    fitted_on: Masks,
    blocks: Sequence[Block],
    clinical: Sequence[str] = (),
) -> Encoding:
    """The encoding of some patients' examples.

    Args:
        material: the cohort.
        examples: of it.
        fitted_on: (t,) examples it is fitted on; view means are of all their patients' visits.
        blocks: wanted; one that does not vary among the examples is left out.
        clinical: columns of the block "clinical".

    Raises:
        NotEnoughDataError: nothing varies, or there is no example.
    """
    known = examples.only(fitted_on)
    patients = np.zeros(len(material.patients), bool)
    patients[known.patient] = True
    levels, fills = _categories(known, clinical, "score" in blocks)
    kept = [name for name in blocks if _is_there(name, known, levels, clinical)]
    if not kept:
        raise NotEnoughDataError(f"nothing to learn from: no {' or '.join(blocks)} is known")
    widths = _widths(kept, examples.delta.shape[1], levels, clinical)
    total = sum(widths)
    is_odd = np.repeat([name == "delta" for name in kept], widths)
    views, view_means = _views(material, patients)
    encoding = Encoding(
        blocks=tuple(kept),
        views=views,
        view_means=view_means,
        columns=tuple(clinical) if "clinical" in kept else (),
        levels=levels,
        fills=fills,
        center=np.zeros(total),
        scale=np.ones(total),
        is_odd=is_odd,
        widths=widths,
    )
    center, scale = _scaling(encoding.raw(material, known), patient_weights(known.patient), is_odd)
    scale *= np.sqrt(np.repeat(np.array(widths, float), widths))
    return replace(encoding, center=center, scale=scale)


def patient_weights(patient: NDArray[np.int64]) -> Floats:
    """(t,) equal for a patient's examples, adding up to t."""
    _, code, count = np.unique(patient, return_inverse=True, return_counts=True)
    shares = 1.0 / count[code]
    return np.asarray(shares * (len(shares) / max(len(count), 1)))


def _scaling(raw: NDArray[np.float32], weight: Floats, is_odd: Masks) -> tuple[Floats, Floats]:
    """(m,) centers and spreads; what does not vary is divided by 1."""
    share = (weight / weight.sum()).astype(np.float32)
    center = np.where(is_odd, 0.0, share @ raw).astype(np.float32)
    variance = share @ np.square(raw - center)
    spread = np.sqrt(np.maximum(variance, 0.0)).astype(np.float64)
    largest = np.abs(raw).max(axis=0, initial=0.0)
    return center.astype(np.float64), np.where(spread > _FLAT + 1e-6 * largest, spread, 1.0)


def _views(material: Material, patients: Masks) -> tuple[tuple[str, ...], Floats]:
    """(w,) views that some patients have, and the (w, e) mean of each over them."""
    visits, means = material.visits, material.fit_view_means(patients)
    has = (visits.groups[patients[visits.patient]] >= 0).any(axis=0)
    return tuple(np.array(visits.views, object)[has]), means[has]


def _categories(
    known: Examples, clinical: Sequence[str], has_score: bool
) -> tuple[dict[str, tuple[str, ...]], dict[str, float]]:
    """Levels of texts and flags, medians of numbers, among the examples fitted on."""
    levels: dict[str, tuple[str, ...]] = {}
    fills: dict[str, float] = {}
    names = [*clinical, *(["health_score"] if has_score else []), "treatment"]
    for name in names:
        if name not in known.columns:
            continue
        column = known.columns[name]
        if name != "treatment" and is_numeric_dtype(column.dtype) and not is_bool_dtype(column):
            values = column.to_numpy(np.float64, na_value=np.nan)
            values = values[np.isfinite(values)]
            fills[name] = float(np.median(values)) if len(values) else 0.0
        else:
            levels[name] = tuple(sorted(set(_texts(column)) - {""}))
    return levels, fills


def _is_there(
    name: Block, known: Examples, levels: Mapping[str, tuple[str, ...]], clinical: Sequence[str]
) -> bool:
    """Whether a block says anything."""
    if name == "treatment":
        texts = set(_texts(known.columns["treatment"])) if "treatment" in known.columns else set()
        return len(texts) > 1
    if name == "past":
        return bool(np.isfinite(known.delta_day).any())
    if name == "score":
        return bool(known.columns["health_score"].notna().any())
    if name == "clinical":
        return any(known.columns[column].nunique(dropna=False) > 1 for column in clinical)
    return True


def _widths(
    blocks: Sequence[Block],
    width: int,
    levels: Mapping[str, tuple[str, ...]],
    clinical: Sequence[str],
) -> tuple[int, ...]:
    """Features of each block."""
    clinical_width = sum(len(levels[name]) if name in levels else 2 for name in clinical)
    known: dict[Block, int] = {
        "delta": width,
        "start": width,
        "middle": width,
        "past": width + 3,
        "days": 1,
        "treatment": len(levels.get("treatment", ())),
        "score": 2,
        "clinical": clinical_width,
    }
    return tuple(known[name] for name in blocks)


def _past(examples: Examples) -> NDArray[np.float32]:
    """(t, e + 3) latest change, whether there is one, its log days, log of visits before."""
    has_past = np.isfinite(examples.delta_day)
    days = np.where(has_past, np.log(np.where(has_past, examples.delta_day, 1.0)), 0.0)
    more = np.column_stack([has_past, days, np.log1p(examples.n_before)])
    return np.concatenate([examples.delta, more.astype(np.float32)], axis=1)


def _number(column: "pd.Series[float]", fill: float) -> Floats:
    """(t, 2) a number, its median where missing, and whether it is missing."""
    values = column.to_numpy(np.float64, na_value=np.nan)
    is_missing = ~np.isfinite(values)
    return np.column_stack([np.where(is_missing, fill, values), is_missing])


def _one_hot(column: "pd.Series[str] | None", levels: Sequence[str], n: int) -> Floats:
    """(t, l) 1 for the level that a text is; zeros where it is missing or new."""
    found = np.zeros((n, len(levels)))
    if column is not None and levels:
        codes = pd.Index(list(levels), dtype=object).get_indexer(pd.Index(_texts(column)))
        found[codes >= 0, codes[codes >= 0]] = 1.0
    return found


def _texts(column: "pd.Series[str]") -> list[str]:
    """Values as text, "" where missing."""
    return list(column.astype("string").fillna("").astype(object))
