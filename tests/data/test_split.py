"""Roles of patients: given by a column, drawn once, or drawn in folds."""

import json
import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner_index.config import SplitOptions
from learner_index.data.split import (
    PatientSplit,
    check_no_shared_content,
    draw_folds,
    draw_split,
    split_from_column,
)
from learner_index.errors import (
    ManifestError,
    NotEnoughDataError,
    RunFormatError,
    SettingsError,
    SplitError,
)

SPLIT = PatientSplit(("c", "a"), ("b",), ("d",))
roles = st.dictionaries(st.text(max_size=3), st.sampled_from(["train", "val", "unseen"]))
known_or_not = st.one_of(st.integers(0, 9), st.none())
cohorts = st.lists(st.lists(known_or_not, min_size=1, max_size=3), min_size=8, max_size=20).map(
    lambda found: [(f"p{i}", score) for i, scores in enumerate(found) for score in scores]
)


def split_of(given_roles):
    named = {"train": [], "val": [], "unseen": []}
    for patient, role in given_roles.items():
        named[role].append(patient)
    return PatientSplit(**{role: tuple(patients) for role, patients in named.items()})


def columns(scans):
    """Patients and scores of scans, None becoming NaN."""
    return [p for p, _ in scans], [math.nan if s is None else float(s) for _, s in scans]


def one_each(n):
    """This many patients with one scan each, whose score is their number."""
    return [f"p{i:03d}" for i in range(n)], [float(i) for i in range(n)]


def numbers(patients):
    return [int(patient[1:]) for patient in patients]


def test_patients_are_sorted():
    """However they come, a role's patients are in order."""
    assert SPLIT.train == ("a", "c")


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ((("a", "b"), ("b",)), "patient 'b' is named twice, in train and val: name"),
        ((("a",), (), ("a",)), "patient 'a' is named twice, in train and unseen"),
        ((("a", "a"),), "patient 'a' is named twice, in train and train"),
        ((("a", "b", "c"), ("a", "b", "c")), "in train and val, as are 2 more patients"),
    ],
)
def test_patient_named_twice_is_refused(named, message):
    """The first such patient is named with both roles, the others are counted."""
    with pytest.raises(SplitError, match=message):
        PatientSplit(*named)


@pytest.mark.parametrize(
    ("patient", "role"),
    [
        ("a", "train"),
        ("b", "val"),
        ("c", "train"),
        ("d", "unseen"),
        ("x", "unseen"),
        ("", "unseen"),
    ],
)
def test_patients_that_are_not_named_are_unseen(patient, role):
    """Each patient has the role that names it, else none of the training's."""
    assert SPLIT.role_of(patient) == role


def test_rows_are_the_scans_of_a_role():
    """Positions of a role's scans are given in order; unnamed patients count as unseen."""
    patients = ["x", "a", "d", "b", "a", "c"]

    found = {role: SPLIT.rows(patients, role).tolist() for role in ("train", "val", "unseen")}

    assert found == {"train": [1, 4, 5], "val": [3], "unseen": [0, 2]}
    assert SPLIT.rows([], "train").dtype == np.int64


@given(roles, roles)
def test_fingerprint_changes_exactly_when_roles_do(one, other):
    """Two splits share a fingerprint exactly when they give the same patients the same roles."""
    same = split_of(one).fingerprint == split_of(other).fingerprint

    assert same == (one == other)


@given(roles, st.randoms(use_true_random=False))
def test_fingerprint_does_not_depend_on_order(found, random):
    """16 hexadecimal digits, equal for equal roles in another order."""
    items = list(found.items())
    random.shuffle(items)

    fingerprint = split_of(found).fingerprint

    assert fingerprint == split_of(dict(items)).fingerprint
    assert len(fingerprint) == 16
    assert int(fingerprint, 16) >= 0


@given(roles)
def test_a_split_survives_json(found):
    """What to_dict gives is JSON, and from_dict gives the split back."""
    split = split_of(found)

    assert PatientSplit.from_dict(json.loads(json.dumps(split.to_dict()))) == split


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"train": ["a"], "val": []},
        {"train": ["a"], "val": [], "test": []},
        {"train": "ab", "val": [], "unseen": []},
        {"train": [1], "val": [], "unseen": []},
        {"train": ["a"], "val": [], "unseen": None},
    ],
)
def test_what_is_no_split_is_refused(found):
    """Absent or unknown roles, and what is no list of ids, are refused with what is needed."""
    with pytest.raises(RunFormatError, match="needs a list of patient ids each for 'train', 'val'"):
        PatientSplit.from_dict(found)


def test_stored_split_with_a_patient_twice_is_refused():
    """A file that was altered by hand does not slip through."""
    with pytest.raises(SplitError, match="patient 'a' is named twice"):
        PatientSplit.from_dict({"train": ["a"], "val": ["a"], "unseen": []})


def test_words_of_the_column_become_roles():
    """Common words in any case are understood; without a word a patient is unseen."""
    words = {
        "a": "train", "b": "TRAIN", "c": "val", "d": "Validation", "e": "dev", "f": "valid",
        "g": "test", "h": "holdout", "i": "held-out", "j": "unseen", "k": None,
    }  # fmt: skip

    split = split_from_column(list(words), list(words.values()))

    assert split == PatientSplit(("a", "b"), ("c", "d", "e", "f"), ("g", "h", "i", "j", "k"))


def test_a_word_on_one_scan_speaks_for_its_patient():
    """Scans without a word have the role of their patient's others; synonyms agree."""
    patients, words = ["a", "a", "b", "c", "c", "d"], ["train", None, "train", "val", "dev", "val"]

    assert split_from_column(patients, words) == PatientSplit(("a", "b"), ("c", "d"))


def test_patient_with_two_words_is_refused():
    """Scans of one patient in two roles are refused by name."""
    with pytest.raises(SplitError, match="patient 'b' has 'train' and 'Test' in column split"):
        split_from_column(["a", "b", "b"], ["train", "train", "Test"])


def test_unknown_word_is_refused_with_the_known_ones():
    """A typing error is answered with what was meant and all that is understood."""
    with pytest.raises(
        ManifestError,
        match=r"patient 'a' has 'trian' .*did you mean 'train'.*use one of train, val",
    ):
        split_from_column(["a"], ["trian"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "val", "val"], "1 patients train and 2 validate"),
        (["train", "train", "val"], "2 patients train and 1 validate"),
        ([None, None, "test"], "0 patients train and 0 validate"),
    ],
)
def test_column_with_too_few_patients_is_refused(words, message):
    """Two patients must train, and none or two validate."""
    with pytest.raises(NotEnoughDataError, match=message):
        split_from_column(["a", "b", "c"], words)


def test_column_without_validation_is_allowed():
    """Training may go without validation."""
    assert split_from_column(["a", "b"], ["train", "train"]).val == ()


@settings(max_examples=50, deadline=None)
@given(cohorts, st.floats(0, 0.4), st.floats(0, 0.25), st.integers(0, 99))
def test_every_patient_has_one_role_in_a_draw(scans, val, test, seed):
    """The three roles are disjoint and cover the cohort, with the counts the shares ask for."""
    patients, scores = columns(scans)
    n = len(set(patients))

    split = draw_split(patients, scores, SplitOptions(val_share=val, test_share=test, seed=seed))

    assert sorted(split.train + split.val + split.unseen) == sorted(set(patients))
    assert len(split.val) == (max(2, int(n * val + 0.5)) if val else 0)
    assert len(split.unseen) == (max(1, int(n * test + 0.5)) if test else 0)


@settings(max_examples=50, deadline=None)
@given(cohorts, st.randoms(use_true_random=False), st.integers(0, 99))
def test_draws_do_not_depend_on_the_order_of_scans(scans, random, seed):
    """Permuting the scans changes neither the split nor the folds."""
    shuffled = list(scans)
    random.shuffle(shuffled)

    for draw, options in (
        (draw_split, SplitOptions(test_share=0.2, seed=seed)),
        (draw_folds, SplitOptions(folds=3, seed=seed)),
    ):
        assert draw(*columns(scans), options) == draw(*columns(shuffled), options)


def test_another_seed_draws_another_split():
    """The draw is the seed's, and only its."""
    drawn = [draw_split(*one_each(40), SplitOptions(seed=seed)) for seed in (0, 0, 1)]

    assert drawn[0] == drawn[1] != drawn[2]


@given(st.integers(10, 80), st.integers(0, 99))
def test_validation_is_spread_evenly_over_scores(n, seed):
    """Each stratum of neighbours by score gives exactly one patient that validates."""
    split = draw_split(*one_each(n), SplitOptions(val_share=0.2, seed=seed))

    k = len(split.val)
    cuts = [n * i // k for i in range(k + 1)]
    assert np.histogram(numbers(split.val), [*cuts[:-1], n + 1])[0].tolist() == [1] * k


def test_patients_are_ordered_by_their_median_score():
    """One outlying scan does not move a patient to another stratum."""
    patients, scores = one_each(20)
    more = draw_split(patients + ["p000"] * 2, [*scores, 0.0, 999.0], SplitOptions())

    assert more == draw_split(patients, scores, SplitOptions())


def test_patients_without_a_score_come_last():
    """Unknown scores form strata of their own, as if they were the highest."""
    patients, scores = one_each(20)
    unknown = [*scores[:15], *[math.nan] * 5]

    assert draw_split(patients, unknown, SplitOptions()) == draw_split(
        patients, scores, SplitOptions()
    )


def test_share_of_zero_draws_nobody():
    """Without validation and test all patients train."""
    split = draw_split(*one_each(3), SplitOptions(val_share=0.0))

    assert (len(split.train), split.val, split.unseen) == (3, (), ())


def test_small_share_still_gives_two_that_validate_and_one_unseen():
    """A share above zero is never rounded away."""
    split = draw_split(*one_each(6), SplitOptions(val_share=0.01, test_share=0.01))

    assert [len(role) for role in (split.train, split.val, split.unseen)] == [3, 2, 1]


@pytest.mark.parametrize(
    ("n", "options", "message"),
    [
        (3, {}, "3 patients: 2 would validate and 0 stay unseen, so fewer than 2 train"),
        (1, {"val_share": 0.0}, "1 patients: 0 would validate"),
        (10, {"val_share": 0.5, "test_share": 0.4}, "5 would validate and 4 stay unseen"),
        (4, {"folds": 2}, "4 patients: 2 would validate and 2 stay unseen"),
    ],
)
def test_too_few_patients_are_refused(n, options, message):
    """Two patients must be left to train; the message counts where the others go."""
    draw = draw_folds if "folds" in options else draw_split

    with pytest.raises(NotEnoughDataError, match=f"{message}.*add patients or lower --val-share"):
        draw(*one_each(n), SplitOptions(**options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"val_share": 1.0}, "--val-share 1: give a share from 0 to below 1"),
        ({"val_share": -0.1}, "--val-share -0.1: give a share"),
        ({"test_share": math.nan}, "--test-share nan: give a share"),
        ({"val_share": 0.5, "test_share": 0.5}, "leave nobody for training: lower one"),
        ({"seed": -1}, "--seed -1: give 0 or more"),
    ],
)
@pytest.mark.parametrize("draw", [draw_split, draw_folds])
def test_options_out_of_range_are_refused(draw, options, message):
    """Impossible shares and seeds are refused before anything is drawn."""
    with pytest.raises(SettingsError, match=message):
        draw(*one_each(20), SplitOptions(folds=2, **options))


@settings(max_examples=50, deadline=None)
@given(cohorts, st.integers(2, 4), st.integers(0, 99))
def test_every_patient_is_unseen_in_exactly_one_fold(scans, k, seed):
    """Folds are disjoint, cover the cohort and differ by one patient at most."""
    patients, scores = columns(scans)

    folds = draw_folds(patients, scores, SplitOptions(folds=k, val_share=0.2, seed=seed))

    unseen = [set(split.unseen) for split in folds]
    assert len(folds) == k
    assert set().union(*unseen) == set(patients)
    assert not any(a & b for a, b in combinations(unseen, 2))
    assert max(map(len, unseen)) - min(map(len, unseen)) <= 1
    for split in folds:
        assert sorted(split.train + split.val + split.unseen) == sorted(set(patients))


@given(st.integers(8, 60), st.integers(2, 4), st.integers(0, 99))
def test_folds_are_spread_evenly_over_scores(n, k, seed):
    """Any k neighbours by score that form a block are in k different folds."""
    folds = draw_folds(*one_each(n), SplitOptions(folds=k, seed=seed))

    for split in folds:
        blocks = [number // k for number in numbers(split.unseen)]
        assert len(set(blocks)) == len(blocks)


@pytest.mark.parametrize("folds", [None, 1, 0, -2])
def test_fewer_than_two_folds_are_refused(folds):
    """One fold is no cross-fitting."""
    with pytest.raises(SettingsError, match=rf"--folds {folds or 0}: give 2 or more"):
        draw_folds(*one_each(20), SplitOptions(folds=folds))


def test_more_folds_than_patients_are_refused():
    """Each fold needs a patient."""
    with pytest.raises(NotEnoughDataError, match="4 patients for 5 folds: add some or lower"):
        draw_folds(*one_each(4), SplitOptions(folds=5))


def test_folds_beside_a_share_for_test_are_refused():
    """The folds are what stays unseen, so a share for it contradicts them."""
    with pytest.raises(SettingsError, match="--test-share and --folds are given"):
        draw_folds(*one_each(20), SplitOptions(folds=2, test_share=0.1))


def test_same_bytes_in_two_roles_are_refused():
    """A copy of a training scan under an unseen patient is named with both scans and patients."""
    with pytest.raises(
        SplitError, match=r"s2 of patient 'a' \(train\) and s3 of patient 'x' \(unseen\): drop one"
    ):
        check_no_shared_content(
            SPLIT, ["a", "b", "a", "x"], ["h1", "h2", "h3", "h3"], ["s0", "s1", "s2", "s3"]
        )


@pytest.mark.parametrize(
    ("patients", "hashes"),
    [
        (["a", "a"], ["h", "h"]),
        (["a", "c"], ["h", "h"]),
        (["d", "x"], ["h", "h"]),
        (["a", "b"], ["", ""]),
        (["a", "b"], ["h", "i"]),
    ],
)
def test_other_copies_pass(patients, hashes):
    """Copies within a role, and unknown content, are no leak."""
    check_no_shared_content(SPLIT, patients, hashes, ["s0", "s1"])
