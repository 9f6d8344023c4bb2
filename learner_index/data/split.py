"""Which patients train, which validate and which stay unseen; a patient has exactly one role."""

import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from learner_index.config import SplitOptions
from learner_index.data.problems import groups_of, listed
from learner_index.data.suggest import close_names
from learner_index.errors import (
    ManifestError,
    NotEnoughDataError,
    RunFormatError,
    SettingsError,
    SplitError,
)

Role = Literal["train", "val", "unseen"]
ROLES: tuple[Role, ...] = get_args(Role)

ROLE_WORDS: Mapping[str, Role] = {
    "train": "train",
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "unseen", "holdout", "held-out"), "unseen"),
}
"""What a manifest's column `split` may say, in any case."""

_FEWEST = 2  # patients that train, and that validate


@dataclass(frozen=True, slots=True)
class PatientSplit:
    """The role of every patient; those not named are unseen.

    Attributes:
        train: patients the encoder learns from, sorted.
        val: patients that choose when to stop, sorted; may be empty.
        unseen: patients kept from the encoder, sorted.

    Raises:
        SplitError: a patient is named twice.
    """

    train: tuple[str, ...]
    val: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Sorts the patients and checks that each is named once."""
        for role in ROLES:
            object.__setattr__(self, role, tuple(sorted(getattr(self, role))))
        named = [(patient, role) for role in ROLES for patient in getattr(self, role)]
        times = Counter(patient for patient, _ in named)
        twice = [patient for patient, count in times.items() if count > 1]
        if twice:
            roles = " and ".join(role for patient, role in named if patient == twice[0])
            more = f", as are {len(twice) - 1} more patients" if len(twice) > 1 else ""
            raise SplitError(
                f"patient {twice[0]!r} is named twice, in {roles}{more}: name each patient once"
            )

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that name exactly these roles, in whatever order they came."""
        text = json.dumps([list(getattr(self, role)) for role in ROLES])
        return blake2b(text.encode(), digest_size=8).hexdigest()

    def role_of(self, patient: str) -> Role:
        """What this patient is used for."""
        if _holds(self.train, patient):
            return "train"
        return "val" if _holds(self.val, patient) else "unseen"

    def rows(self, patients: Sequence[str], role: Role) -> NDArray[np.int64]:
        """Positions of a role's scans, ascending, given the (n,) patient of each scan."""
        is_role = {patient: self.role_of(patient) == role for patient in set(patients)}
        return np.flatnonzero([is_role[patient] for patient in patients]).astype(np.int64)

    def to_dict(self) -> dict[str, list[str]]:
        """The patients of each role, JSON-ready."""
        return {role: list(getattr(self, role)) for role in ROLES}

    @classmethod
    def from_dict(cls, roles: Mapping[str, Any]) -> "PatientSplit":
        """The split that `to_dict` described.

        Raises:
            RunFormatError: a role is absent or unknown, or is no list of patient ids.
            SplitError: a patient is named twice.
        """
        is_sound = set(roles) == set(ROLES) and all(
            isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)
            for names in roles.values()
        )
        if not is_sound:
            raise RunFormatError(
                f"a split with {listed(roles) or 'nothing'}: it needs a list of patient ids each "
                f"for {listed(ROLES)}"
            )
        return cls(**{role: tuple(roles[role]) for role in ROLES})


def _holds(ordered: Sequence[str], patient: str) -> bool:
    at = bisect_left(ordered, patient)
    return at < len(ordered) and ordered[at] == patient


def split_from_column(patients: Sequence[str], words: Sequence[str | None]) -> PatientSplit:
    """The split that a manifest's column `split` gives; a patient without a word is unseen.

    Args:
        patients: (n,) patient of each scan.
        words: (n,) a word of `ROLE_WORDS` in any case, None where missing.

    Raises:
        ManifestError: an unknown word.
        SplitError: a patient's scans have different roles.
        NotEnoughDataError: too few patients train, or just one validates.
    """
    found: dict[str, dict[Role, str]] = {patient: {} for patient in patients}
    for patient, word in zip(patients, words, strict=True):
        if word is not None:
            found[patient].setdefault(_role(patient, word), word)
    for patient, roles in found.items():
        if len(roles) > 1:
            raise SplitError(
                f"patient {patient!r} has {listed(roles.values())} in column split: "
                "put all scans of a patient into one"
            )
    split = _split({patient: next(iter(roles), "unseen") for patient, roles in found.items()})
    if len(split.train) < _FEWEST or len(split.val) == 1:
        raise NotEnoughDataError(
            f"column split: {len(split.train)} patients train and {len(split.val)} validate; "
            f"name {_FEWEST} or more for each, or none to validate"
        )
    return split


def _role(patient: str, word: str) -> Role:
    role = ROLE_WORDS.get(word.strip().casefold())
    if role is None:
        raise ManifestError(
            f"patient {patient!r} has {word!r} in column split{close_names(word, ROLE_WORDS)}: "
            f"use one of {', '.join(ROLE_WORDS)}"
        )
    return role


def _split(roles: Mapping[str, Role]) -> PatientSplit:
    named = {role: tuple(p for p, given in roles.items() if given == role) for role in ROLES}
    return PatientSplit(**named)


def draw_split(patients: Sequence[str], scores: ArrayLike, options: SplitOptions) -> PatientSplit:
    """A split drawn at random, each role spread evenly over health scores.

    Patients are put in order of their median score. As many strata of neighbours are cut as
    patients are wanted, and one patient is drawn from each: first for unseen, then for val.

    Args:
        patients: (n,) patient of each scan; their order does not matter.
        scores: (n,) health score or class of each scan, NaN where unknown.
        options: its shares are rounded to whole patients; a share above 0 gives at least 1
            unseen patient, and at least 2 that validate.

    Raises:
        SettingsError: a share or the seed is out of range.
        NotEnoughDataError: fewer than 2 patients would be left for training.
    """
    _check_shares(options)
    ordered, rng = _by_score(patients, scores), np.random.default_rng(options.seed)
    n_unseen = _count(len(ordered), options.test_share, fewest=1)
    n_val = _count(len(ordered), options.val_share, fewest=_FEWEST)
    _check_enough(len(ordered), n_val, n_unseen)
    unseen = _spread(ordered, n_unseen, rng)
    return _rest_trains(ordered, unseen, n_val, rng)


def draw_folds(
    patients: Sequence[str], scores: ArrayLike, options: SplitOptions
) -> tuple[PatientSplit, ...]:
    """One split a fold; every patient is unseen in exactly one of them.

    Args:
        patients: (n,) patient of each scan; their order does not matter.
        scores: (n,) health score or class of each scan, NaN where unknown.
        options: its folds say how many; val_share is of all patients, drawn from those not in
            the fold.

    Raises:
        SettingsError: fewer than 2 folds, a test_share beside them, or a value out of range.
        NotEnoughDataError: fewer patients than folds, or fewer than 2 left for training.
    """
    _check_shares(options)
    k = options.folds or 0
    if k < 2:
        raise SettingsError(f"--folds {k}: give 2 or more, or leave it out for one encoder")
    if options.test_share > 0:
        raise SettingsError("--test-share and --folds are given: the folds are unseen in turn")
    ordered, rng = _by_score(patients, scores), np.random.default_rng(options.seed)
    if len(ordered) < k:
        raise NotEnoughDataError(
            f"{len(ordered)} patients for {k} folds: add some or lower --folds"
        )
    n_val = _count(len(ordered), options.val_share, fewest=_FEWEST)
    _check_enough(len(ordered), n_val, -(-len(ordered) // k))
    blocks = [rng.permutation(k)[: len(ordered[at : at + k])] for at in range(0, len(ordered), k)]
    fold = np.concatenate(blocks).tolist()
    folds = [[p for p, f in zip(ordered, fold, strict=True) if f == i] for i in range(k)]
    return tuple(_rest_trains(ordered, unseen, n_val, rng) for unseen in folds)


def check_no_shared_content(
    split: PatientSplit,
    patients: Sequence[str],
    content_hashes: Sequence[str],
    scan_ids: Sequence[str],
) -> None:
    """Lets scans pass none of which has the bytes of a scan of another role.

    Args:
        split: the roles.
        patients: (n,) patient of each scan.
        content_hashes: (n,) hash of each scan's bytes, "" where unknown.
        scan_ids: (n,) id of each scan.

    Raises:
        SplitError: the same bytes are under two patients with different roles.
    """
    roles = {patient: split.role_of(patient) for patient in set(patients)}
    for rows in groups_of([digest or None for digest in content_hashes]).values():
        a = rows[0]
        b = next((row for row in rows if roles[patients[row]] != roles[patients[a]]), None)
        if b is not None:
            one, other = (
                f"{scan_ids[row]} of patient {patients[row]!r} ({roles[patients[row]]})"
                for row in (a, b)
            )
            raise SplitError(
                f"the same scan has two roles, {one} and {other}: "
                "drop one of them, or give both patients one role"
            )


def _check_shares(options: SplitOptions) -> None:
    for option, share in (("val", options.val_share), ("test", options.test_share)):
        if not 0 <= share < 1:
            raise SettingsError(f"--{option}-share {share:g}: give a share from 0 to below 1")
    if options.val_share + options.test_share >= 1:
        raise SettingsError(
            f"--val-share {options.val_share:g} and --test-share {options.test_share:g} leave "
            "nobody for training: lower one"
        )
    if options.seed < 0:
        raise SettingsError(f"--seed {options.seed}: give 0 or more")


def _check_enough(n: int, n_val: int, n_unseen: int) -> None:
    if n - n_val - n_unseen < _FEWEST:
        raise NotEnoughDataError(
            f"{n} patients: {n_val} would validate and {n_unseen} stay unseen, so fewer than "
            f"{_FEWEST} train; add patients or lower --val-share"
        )


def _count(n: int, share: float, fewest: int) -> int:
    """Patients that a share stands for, rounded half up."""
    return max(fewest, int(n * share + 0.5)) if share > 0 else 0


def _by_score(patients: Sequence[str], scores: ArrayLike) -> list[str]:
    """Patients from the lowest median score to the highest, then those without one."""
    values = pd.Series(np.asarray(scores, dtype=np.float64))
    medians = values.groupby(np.asarray(patients, dtype=object)).median()  # in order of names
    return [str(medians.index[at]) for at in np.argsort(medians.to_numpy(), kind="stable")]


def _spread(ordered: Sequence[str], n: int, rng: np.random.Generator) -> list[str]:
    """One patient drawn from each of n strata of neighbours."""
    cuts = [len(ordered) * i // n for i in range(n + 1)] if n else []
    return [ordered[int(rng.integers(low, high))] for low, high in pairwise(cuts)]


def _rest_trains(
    ordered: Sequence[str], unseen: Sequence[str], n_val: int, rng: np.random.Generator
) -> PatientSplit:
    held = set(unseen)
    rest = [patient for patient in ordered if patient not in held]
    val = _spread(rest, n_val, rng)
    chosen = held | set(val)
    return PatientSplit(tuple(p for p in rest if p not in chosen), tuple(val), tuple(unseen))
