"""What speaks for a head's answer: which features, and which patients of whom more is known."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from learner_index.pipeline.response.features import Block
from learner_index.pipeline.response.headfolder import Axis
from learner_index.pipeline.response.material import Codes, Floats
from learner_index.pipeline.response.models import Model

Singles = NDArray[np.float32]
_ROWS = 4_096  # examples whose parts are worked out at a time
_CELLS = 20_000_000  # distances in memory at a time
_WORDS: Mapping[Block, str] = {"delta": "change"}  # where a part is not called as its block is
_SPLIT: tuple[Block, ...] = ("delta", "start", "middle")


def log_odds_parts(
    model: Model, axis: Axis | None, features: Singles, chosen: Codes
) -> tuple[Floats, dict[str, Floats]]:
    """How far each group of features speaks for one class against the others.

    The log odds are the class's log probability less the mean log probability of the others. A
    part is what they lose when its features are set to the average of those fitted on (for
    changes: to no change). Of a linear head, base and parts add up to the log odds; of others, what
    is left is the part "together".

    Args:
        model: the head.
        axis: what changes and states are split along; None: they are not split.
        features: (t, m) standardized.
        chosen: (t,) number of the class spoken for.

    Returns:
        (t,) log odds, and the (t,) parts by name, in the order of the features.
    """
    total, parts = np.empty(len(features)), dict[str, Floats]()
    for first in range(0, len(features), _ROWS):
        some = slice(first, first + _ROWS)
        rows = features[some].astype(np.float64)
        total[some] = _log_odds(model, rows, chosen[some])
        found = {"base": _log_odds(model, np.zeros_like(rows), chosen[some])}
        for name, piece, span in _pieces(model, axis, rows):
            without = rows.copy()
            without[:, span] -= piece
            found[name] = total[some] - _log_odds(model, without, chosen[some])
        if not model.kind.is_linear:
            found["together"] = total[some] - sum(found.values())
        for name, values in found.items():
            parts.setdefault(name, np.empty(len(features)))[some] = values
    return total, parts


def _log_odds(model: Model, features: Floats, chosen: Codes) -> Floats:
    """(t,) logit of a class less the mean logit of the other possible ones, at the temperature."""
    logits = model.logits(features) / model.temperature.value
    own = np.take_along_axis(logits, chosen[:, None], axis=1)
    is_other = np.isfinite(logits) & (np.arange(logits.shape[1]) != chosen[:, None])
    others = np.where(is_other, logits, 0.0).sum(axis=1) / is_other.sum(axis=1)
    return np.asarray(own[:, 0] - others)


def _pieces(model: Model, axis: Axis | None, rows: Floats) -> list[tuple[str, Floats, slice]]:
    """Name, (t, w) standardized values and place of each part of the features."""
    found = []
    for block in model.encoding.blocks:
        span, name = model.encoding.span(block), _WORDS.get(block, block)
        own = rows[:, span]
        if axis is None or block not in _SPLIT:
            found.append((name, own, span))
            continue
        scale = model.encoding.scale[span]
        along = axis.along(own * scale) / scale
        found += [(f"{name}_on_axis", along, span), (f"{name}_off_axis", own - along, span)]
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """n examples whose outcomes are known, of patients who stand together.

    Attributes:
        features: (n, w) standardized, of the embeddings.
        patient: (n,) number of the patient, ascending.
        code: (n,) number of the class that came about.
        n_classes: c.
    """

    features: Singles
    patient: Codes
    code: Codes
    n_classes: int


@dataclass(frozen=True, slots=True, eq=False)
class Nearest:
    """What the patients nearest to one example have to say.

    Attributes:
        rows: of the memory: the nearest of the class spoken for, one a patient, nearest first.
        distance: of each.
        rank: of each: 1 + other patients with a nearer example.
        votes: (c,) how many of the nearest patients had each class, by their nearest example.
    """

    rows: Codes
    distance: Floats
    rank: Codes
    votes: Codes


def nearest_patients(
    memory: Memory, asked: Singles, barred: Sequence[Collection[int]], chosen: Codes, k: int
) -> list[Nearest]:
    """The patients nearest to each example, and the nearest who had its likeliest class.

    Args:
        memory: examples that may be found; at least one.
        asked: (q, w) features of the examples asked about.
        barred: (q,) numbers of patients who may not be found.
        chosen: (q,) number of the class spoken for.
        k: patients that vote, and that speak, at most.
    """
    first = np.flatnonzero(np.diff(memory.patient, prepend=-1))
    place = {number: at for at, number in enumerate(memory.patient[first].tolist())}
    lengths = np.square(memory.features).sum(axis=1)
    found = []
    step = max(1, _CELLS // len(memory.code))
    for start in range(0, len(asked), step):
        some = asked[start : start + step]
        for row, squares in enumerate(lengths - 2 * (some @ memory.features.T), start):
            out = [place[number] for number in barred[row] if number in place]
            ranked = _Ranked(memory, first, squares, out)
            found.append(_speakers(ranked, asked[row], int(chosen[row]), k))
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Ranked:
    """A memory beside one example: (n,) squared distances up to a constant, and who is out."""

    memory: Memory
    first: Codes
    squares: Singles
    out: Sequence[int]

    def by_patient(self, squares: Singles) -> Singles:
        """(p,) of each patient's nearest example; infinite for those who are out."""
        found = np.minimum.reduceat(squares, self.first)
        found[self.out] = np.inf
        return found

    def nearest(self, squares: Singles, k: int) -> Codes:
        """Rows of the k nearest patients at most, the nearest first, ties by number."""
        found = self.by_patient(squares)
        some = np.argpartition(found, k - 1)[:k] if k < len(found) else np.arange(len(found))
        some = some[np.lexsort((some, found[some]))]
        ends = np.append(self.first, len(squares))
        rows = [
            ends[at] + int(np.argmin(squares[ends[at] : ends[at + 1]]))
            for at in some.tolist()
            if np.isfinite(found[at])
        ]
        return np.array(rows, np.int64)


def _speakers(ranked: _Ranked, asked: Singles, chosen: int, k: int) -> Nearest:
    """Who votes, and who speaks for one class."""
    memory, squares = ranked.memory, ranked.squares
    votes = np.bincount(memory.code[ranked.nearest(squares, k)], minlength=memory.n_classes)
    of_class = np.where(memory.code == chosen, squares, np.float32(np.inf))
    rows = ranked.nearest(of_class, k)
    nearer = ranked.by_patient(squares)[None] < squares[rows, None]  # (k, p)
    own = np.searchsorted(ranked.first, rows, side="right") - 1
    nearer[np.arange(len(rows)), own] = False
    gaps = memory.features[rows].astype(np.float64) - asked
    return Nearest(rows, np.linalg.norm(gaps, axis=1), 1 + nearer.sum(axis=1), votes)
