"""Is it more than chance that the best hits of a progression query changed alike?

The best of many transitions are alike by choice, so that chance must redo the choice: shuffling
among the hits would change nothing. What noise does to one transition is left to `noise`.

Turning patients around takes their changes for symmetric, not transitions for independent. Dealing
deltas out to other start states takes all transitions for exchangeable: several of one patient
that are alike make p too small where they may all be hits, and too large where they may not. And
noise in a start embedding turns its delta back towards the mean, alike in all who start alike: to
this test that is no chance, so that with noisy visits p is too small. `placebo` tries how much.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from learner_index.analysis.distance import Floats, Integers, Reals
from learner_index.errors import NotEnoughDataError, QueryError, SettingsError

Method = Literal["flip", "permute"]

DRAWS = 999
STRATA, STRATUM = 5, 20  # at most so many strata of days, of at least so many transitions
_CELLS = 1_000_000  # draws times groups held at a time
_ROUNDING = 1e-12  # statistics closer than this are equal


@dataclass(frozen=True, slots=True)
class SetTest:
    """Whether the k best hits changed alike by more than chance.

    Attributes:
        statistic: mean similarity S of the k best hits; larger is more alike. Where start states
            count it holds their part too: a common direction is then one that shows in patients
            who start alike, which the direction part alone would hide behind the choice.
        p_value: share of draws that are as large, the observed one among them; at least
            1 / (n_draws + 1).
        n_draws: random draws, besides the observed one.
        seed: of the draws.
        null_mean: mean of the statistic over draws: what choosing the best gives by itself.
        null_high: 95th percentile over draws.
        method: "flip" turned all of a patient's deltas around at random: the hypothesis is that
            no direction is common. "permute" gave deltas to other start states: the hypothesis
            is that patients who start alike change no more alike than others.
    """

    statistic: float
    p_value: float
    n_draws: int
    seed: int
    null_mean: float
    null_high: float
    method: Method


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """Chooses k hits: the best transition of each group, then the best groups.

    Attributes:
        order: (t,) positions of transitions, ordered by group and then position.
        group: (t,) number of the group, in that order.
        starts: (g,) where each group begins, in that order.
        k: hits, at most g.
    """

    order: NDArray[np.int64]
    group: NDArray[np.int64]
    starts: NDArray[np.int64]
    k: int

    @classmethod
    def of(cls, group: Integers, k: int) -> "Selection":
        """The selection of up to k hits of different groups; (t,) group of each transition."""
        codes, counts = np.unique(group, return_inverse=True, return_counts=True)[1:]
        order = np.argsort(codes, kind="stable")
        return cls(order, codes[order], np.cumsum(counts) - counts, min(k, len(counts)))

    def mean(self, similarity: Floats) -> float:
        """Mean similarity of the hits; (t,) similarity of each transition, in order of `order`."""
        best = np.maximum.reduceat(similarity, self.starts)  # (g,)
        best.partition(len(best) - self.k)
        return float(best[len(best) - self.k :].mean())


def common_direction_test(
    direction: Reals,
    patient: Integers,
    k: int,
    *,
    group: Integers | None = None,
    rest: Reals | None = None,
    delta_day: Reals | None = None,
    n_draws: int = DRAWS,
    seed: int = 0,
) -> SetTest:
    """Do the k best hits change alike by more than choosing the best of many brings about?

    Each draw undoes what patients have in common, then chooses anew. Without `rest` it turns all
    deltas of a patient around, or none. With `rest` it deals direction parts out again, within
    strata of days. The module says what either takes for granted.

    Args:
        direction: (t,) part w_d·cos of every eligible transition, not of the hits alone.
        patient: (t,) number of each transition's patient.
        k: hits; fewer where there are fewer groups.
        group: (t,) what must differ between hits. None: the patient.
        rest: (t,) sum of the other parts of the similarity. None or all 0: direction only.
        delta_day: (t,) days between visits, used with `rest`. None: one stratum.
        n_draws: at least 1.
        seed: of the draws.

    Raises:
        NotEnoughDataError: there is no transition.
        SettingsError: k or n_draws is below 1.
        QueryError: a part is NaN or infinite, or the lengths differ.

    Source:
        Winkler et al. 2014, NeuroImage 92, 381-397; p by Phipson & Smyth 2010, as in `swap_test`.
    """
    if k < 1 or n_draws < 1:
        raise SettingsError(f"k {k} and n_draws {n_draws}: ask for 1 or more of each")
    given = {"direction": direction, "rest": rest, "delta_day": delta_day}
    parts = {name: np.asarray(part, np.float64) for name, part in given.items() if part is not None}
    groups = patient if group is None else group
    _check(parts, {"patient": patient, "group": groups})
    values, chosen, rng = parts["direction"], Selection.of(groups, k), np.random.default_rng(seed)
    others = parts.get("rest", np.zeros(len(values)))
    if others.any():
        strata = day_strata(parts.get("delta_day", np.zeros(len(values))))
        drawn = permuted_means(values, others, chosen, permutations(strata, n_draws, rng))
    else:
        owners = np.unique(patient, return_inverse=True)[1]
        drawn = flip_means(values, owners, chosen, flip_blocks(owners.max() + 1, n_draws, rng))
    observed = chosen.mean((values + others)[chosen.order])
    is_extreme = drawn >= observed - _ROUNDING * float(np.abs(values).max())
    return SetTest(
        statistic=observed,
        p_value=(1 + int(np.count_nonzero(is_extreme))) / (n_draws + 1),
        n_draws=n_draws,
        seed=seed,
        null_mean=float(drawn.mean()),
        null_high=float(np.quantile(drawn, 0.95)),
        method="permute" if others.any() else "flip",
    )


def day_strata(delta_day: Reals) -> NDArray[np.int64]:
    """Quantile groups of transitions with similar days between visits, equal days together.

    Args:
        delta_day: (t,) days.

    Returns:
        (t,) 0 for the shortest; at most 5 strata, and none of fewer than 20 transitions where
        there are 20.
    """
    codes, counts = np.unique(delta_day, return_inverse=True, return_counts=True)[1:]
    ends, n, start = np.cumsum(counts), len(codes), 0
    cuts: list[int] = []
    while len(cuts) < STRATA - 1:
        size = max(STRATUM, -(-(n - start) // (STRATA - len(cuts))))
        last = int(np.searchsorted(ends, start + size))  # the day the stratum ends with
        if last >= len(ends) or n - ends[last] < STRATUM:
            break
        cuts.append(last + 1)
        start = int(ends[last])
    return np.searchsorted(np.array(cuts, np.int64), codes, side="right").astype(np.int64)


def flip_blocks(
    n_patients: int, n_draws: int, rng: np.random.Generator
) -> Iterator[NDArray[np.bool_]]:
    """(b, p) blocks of draws, True where all deltas of a patient are turned around."""
    block = max(1, _CELLS // n_patients)
    for start in range(0, n_draws, block):
        size = (min(block, n_draws - start), n_patients)
        yield rng.integers(0, 2, size, np.int8).astype(np.bool_)


def flip_means(
    direction: Floats,
    patient: NDArray[np.int64],
    chosen: Selection,
    blocks: Iterable[NDArray[np.bool_]],
) -> Floats:
    """Mean similarity of the hits of each draw that turns some patients' deltas around.

    Of what one group has of one patient, only the largest part can be the best, or the smallest
    when turned around.

    Args:
        direction: (t,).
        patient: (t,) 0 to p - 1.
        chosen: how hits are chosen, here by the direction part alone.
        blocks: of (b, p) draws, True where turned around.

    Returns:
        (n_draws,).
    """
    values, owners = direction[chosen.order], patient[chosen.order]
    cells = np.lexsort((owners, chosen.group))
    values, owners, groups = values[cells], owners[cells], chosen.group[cells]
    is_new = np.diff(groups, prepend=-1) != 0
    firsts = np.flatnonzero(is_new | (np.diff(owners, prepend=-1) != 0))
    as_is, turned = np.maximum.reduceat(values, firsts), -np.minimum.reduceat(values, firsts)
    owners, starts = owners[firsts], np.flatnonzero(is_new[firsts])
    cut, drawn = len(starts) - chosen.k, []
    for flips in blocks:
        best = np.where(flips[:, owners], turned, as_is)  # (b, cells)
        if len(starts) < len(firsts):
            best = np.maximum.reduceat(best, starts, axis=1)
        best.partition(cut, axis=1)
        drawn.append(best[:, cut:].mean(axis=1))
    return np.concatenate(drawn)


def permutations(
    strata: NDArray[np.int64], n_draws: int, rng: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """(t,) per draw, the transition whose direction part each transition gets, of its stratum."""
    order = np.argsort(strata, kind="stable")
    cuts = np.flatnonzero(np.diff(strata[order])) + 1
    for _ in range(n_draws):
        dealt = np.empty_like(order)
        dealt[order] = np.concatenate([rng.permutation(own) for own in np.split(order, cuts)])
        yield dealt


def permuted_means(
    direction: Floats, rest: Floats, chosen: Selection, orders: Iterable[NDArray[np.int64]]
) -> Floats:
    """Mean similarity of the hits of each draw that deals direction parts out again.

    Args:
        direction: (t,).
        rest: (t,) stays where it is.
        chosen: how hits are chosen, by the sum of both.
        orders: (t,) per draw, as `permutations` gives them.

    Returns:
        (n_draws,).
    """
    others = rest[chosen.order]
    return np.array([chosen.mean(direction[order[chosen.order]] + others) for order in orders])


def _check(parts: Mapping[str, Floats], names: Mapping[str, Integers]) -> None:
    """Refuse no transitions, arrays of different lengths, and parts that are no numbers."""
    lengths = {name: len(values) for name, values in {**parts, **names}.items()}
    if len(set(lengths.values())) > 1:
        raise QueryError(f"lengths differ, {lengths}: give one value a transition in each")
    if not lengths["direction"]:
        raise NotEnoughDataError("no eligible transition to test: widen the query's filters")
    for name, values in parts.items():
        strays = np.flatnonzero(~np.isfinite(values))
        if len(strays):
            raise QueryError(
                f"{name} of transition {strays[0]} is {values[strays[0]]}: leave it out"
            )
