"""Which scans meet in a batch: P patients spread over health scores, V scans of each.

Losses compare the scans of a batch, so chance must not fill it with one patient or one score.
Everything is a function of seed and epoch, so that a resumed run draws what it would have drawn.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from learner_index.config import BatchOptions
from learner_index.errors import NotEnoughDataError, SettingsError

_LEFT_OUT, _ROUND, _SCANS = range(3)  # streams of chance, apart from one another


@dataclass(frozen=True, slots=True)
class PairCounts:
    """How much a batch has to compare; pairs are unordered, both scores finite.

    Attributes:
        n_inter: pairs of two patients.
        n_informative: of these, pairs whose scores differ.
    """

    n_inter: int
    n_informative: int


def count_pairs(score: NDArray[np.floating], patient: NDArray[np.integer]) -> PairCounts:
    """How many pairs of a batch a contrastive loss can learn from.

    Args:
        score: (b,) health scores; NaN where there is none.
        patient: (b,) number of the patient.
    """
    is_known = np.isfinite(score)
    known, whose = score[is_known], patient[is_known]
    one, other = np.triu_indices(len(known), 1)
    is_inter = whose[one] != whose[other]
    return PairCounts(
        n_inter=int(is_inter.sum()),
        n_informative=int((is_inter & (known[one] != known[other])).sum()),
    )


def check_batches(options: BatchOptions) -> None:
    """Refuse batches in which nothing could be compared.

    Raises:
        SettingsError: names the option and its range.
    """
    for name, least in (("patients", 2), ("scans", 1)):
        value = getattr(options, name)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise SettingsError(
                f"batches.{name} is {value!r}: give a whole number, at least {least}"
            )


class PatientBatches:
    """Batches of P patients and V scans of each, spread evenly over health scores.

    Steps are grouped into rounds of as many batches as there are P patients for. In a round
    every patient is drawn once, but for a remainder of fewer than P, who are left out in turn.
    The patients of a round, in order of median score, are cut into P strata, and each batch takes
    one from each. So, counted from the first epoch, no patient is ever drawn more than 2 times
    more often than another.

    Args:
        patient: (n,) number of the patient of each scan.
        visit: (n,) number of the visit, unique at least within its patient.
        score: (n,) health scores; scans whose score is not finite are not drawn.
        options: P and V; P becomes the number of patients where there are fewer.
        seed: of every draw.

    Attributes:
        patients: P.
        scans: V.
        n_scans: scans that can be drawn.
        n_patients: patients that can be drawn.
        n_without_score: patients left out, since none of their scans has a score.
        n_steps: batches in an epoch, at least 1.

    Raises:
        SettingsError: P is less than 2, or V less than 1.
        NotEnoughDataError: fewer than 2 patients have a score, or all scores are equal.

    Example:
        >>> patient, visit = np.array([7, 7, 8, 8]), np.array([0, 1, 0, 1])
        >>> batches = PatientBatches(patient, visit, np.arange(4.0), BatchOptions(), seed=0)
        >>> [rows.tolist() for rows in batches.epoch(0)]
        [[2, 3, 0, 1]]
    """

    def __init__(
        self,
        patient: NDArray[np.integer],
        visit: NDArray[np.integer],
        score: NDArray[np.floating],
        options: BatchOptions,
        seed: int,
    ) -> None:
        check_batches(options)
        rows = np.flatnonzero(np.isfinite(score)).astype(np.intp)
        names, codes = np.unique(patient[rows], return_inverse=True)
        self.n_scans, self.n_patients = len(rows), len(names)
        self.n_without_score = len(np.unique(patient)) - self.n_patients
        self._check_scores(score[rows])
        self.patients, self.scans = min(options.patients, self.n_patients), options.scans
        self.n_steps = max(1, round(self.n_scans / (self.patients * self.scans)))
        borders = np.cumsum(np.bincount(codes))[:-1]
        own = np.split(rows[np.argsort(codes, kind="stable")], borders)
        medians = [float(np.median(score[mine])) for mine in own]
        self._rows = [own[i] for i in np.argsort(medians, kind="stable")]  # sickest first
        self._visit = visit
        self._seed = seed

    def _check_scores(self, known: NDArray[np.floating]) -> None:
        """Refuse scores in which there is nothing to compare."""
        if self.n_patients < 2:
            raise NotEnoughDataError(
                f"{self.n_patients} of {self.n_patients + self.n_without_score} patients to train "
                "on have a health score: add scores or patients until at least 2 have one"
            )
        if known.min() == known.max():
            raise NotEnoughDataError(
                f"all {len(known)} health scores are equal ({known[0]:g}), so there is nothing to "
                "learn: check the score column, or add patients who differ"
            )

    def epoch(self, number: int) -> list[NDArray[np.intp]]:
        """The batches of one epoch.

        Returns:
            n_steps arrays (P·V,) of rows; the first V are the first patient's, and so on. The
            patients of a batch come in random order.
        """
        size = self.n_patients // self.patients  # batches in a round
        first = number * self.n_steps
        rng = self._rng(_SCANS, number)
        batches, current = [], -1
        for step in range(first, first + self.n_steps):
            if step // size != current:
                current = step // size
                strata = self._strata(current)
            members = rng.permutation(strata[:, step % size])
            batches.append(np.concatenate([self._scans_of(i, rng) for i in members]))
        return batches

    def shard(self, rows: NDArray[np.intp], rank: int, world: int) -> NDArray[np.intp]:
        """One process's part of a batch: whole patients, equally many for each process.

        Args:
            rows: (P·V,) one batch.
            rank: number of the process, from 0.
            world: number of processes; their parts in order make up the batch.

        Raises:
            SettingsError: the patients cannot be dealt out evenly, or there is no such process.
        """
        if not 0 <= rank < world:
            raise SettingsError(f"process {rank} of {world}: give a rank in 0..{world - 1}")
        if self.patients % world:
            raise SettingsError(
                f"{self.patients} patients a batch cannot be dealt out to {world} processes: "
                f"set batches.patients to a multiple of {world}, within {self.n_patients} patients"
            )
        size = self.patients // world * self.scans
        return rows[rank * size : (rank + 1) * size]

    def _strata(self, number: int) -> NDArray[np.intp]:
        """(P, batches in a round) patients; a row is one stratum of scores in random order."""
        remainder = self.n_patients % self.patients
        order = self._rng(_LEFT_OUT, 0).permutation(self.n_patients)
        turn = (number * remainder + np.arange(remainder)) % self.n_patients
        present = np.delete(np.arange(self.n_patients, dtype=np.intp), order[turn])
        strata = present.reshape(self.patients, -1)
        return self._rng(_ROUND, number).permuted(strata, axis=1)

    def _scans_of(self, i: int, rng: np.random.Generator) -> NDArray[np.intp]:
        """(V,) rows of one patient: of different visits, then different, then repeated."""
        rows = rng.permutation(self._rows[i])
        visit = self._visit[rows]
        is_earlier = np.tri(len(rows), k=-1, dtype=bool)
        rank = ((visit[:, None] == visit) & is_earlier).sum(axis=1)  # within its visit
        order = np.lexsort((rng.random(len(rows)), rank))
        return np.resize(rows[order], self.scans)

    def _rng(self, *key: int) -> np.random.Generator:
        """A stream of chance of its own."""
        return np.random.default_rng(np.random.SeedSequence(self._seed, spawn_key=key))
