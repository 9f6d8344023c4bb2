"""Applicability: ordinary patients are called outside as rarely as said, strangers are."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.covariance import LedoitWolf

from learner_index.analysis.applicability import (
    Known,
    Limit,
    Range,
    fit_applicability,
    fit_known,
    fit_limit,
    fit_range,
    load_applicability,
)
from learner_index.errors import (
    NotEnoughDataError,
    QueryError,
    SettingsError,
    SpaceMismatchError,
)

QUICK = settings(max_examples=40, deadline=None)
SEEDS = st.integers(0, 2**32 - 1)
SPREAD = np.array([0.3, 0.8, 1.0, 1.5])
SHIFT = np.array([2.4, 0.0, 0.0, 0.0])  # 7 of the SD of the first feature


def features(seed, n_patients=60, visits=1):
    """(n, 4) features that spread differently, and the patient of each row."""
    rng = np.random.default_rng(seed)
    own = rng.normal(size=(n_patients, 1, 4)) + 0.5 * rng.normal(size=(n_patients, visits, 4))
    return own.reshape(-1, 4) * SPREAD + 5, np.repeat(np.arange(n_patients), visits)


def fitted(seed, n_heldout=60, level=None, columns=()):
    """Fitted on 60 patients, with a limit from others."""
    found = fit_applicability(*features([seed, 0]), columns)
    rows, patient = features([seed, 1], n_heldout)
    return replace(found, limit=fit_limit(found.distance(rows), patient, level=level, seed=seed))


def test_distance_is_that_of_mahalanobis():
    """One row a patient: the covariance of scikit-learn's Ledoit-Wolf, solved row by row."""
    rows, patient = features(0)
    covariance, center = LedoitWolf().fit(rows).covariance_, rows.mean(axis=0)
    query = features(1)[0][:7]

    found = fit_applicability(rows, patient).distance(query)

    slow = [np.sqrt((q - center) @ np.linalg.solve(covariance, q - center)) for q in query]
    np.testing.assert_allclose(found, slow)


@QUICK
@given(SEEDS, st.sampled_from([0.02, 0.05, 0.1, 0.25]), st.booleans())
def test_ordinary_patients_are_rarely_outside(seed, level, is_tied):
    """Each of n + 1 patients in turn: at most the level has p <= level, exactly it without ties.

    This is the whole guarantee, without chance: who is the new patient does not matter.
    """
    n = 99
    rng = np.random.default_rng(seed)
    distances = rng.integers(0, 20, n + 1) * 1.0 if is_tied else rng.permutation(n + 1) + 0.5
    outside = 0
    for one in range(n + 1):
        others = np.delete(distances, one)
        limit = fit_limit(others, np.arange(n), level=level, seed=seed)
        outside += limit.p_value(distances[[one]])[0] <= limit.level

    assert outside <= round(level * (n + 1))
    assert is_tied or outside == round(level * (n + 1))


def test_p_value_counts_who_is_as_far():
    """Four held-out patients at 1, 2, 2 and 3; as far counts, and so does the query itself."""
    limit = fit_limit(np.array([2.0, 3.0, 1.0, 2.0]), list("abcd"), level=0.2, seed=0)

    p_values = limit.p_value(np.array([0.0, 1.0, 1.5, 2.0, 2.5, 3.0, 3.1]))

    np.testing.assert_allclose(p_values, np.array([5, 5, 4, 4, 2, 2, 1]) / 5)


def test_new_patients_keep_the_level_and_strangers_are_found():
    """Over 60 cohorts: 2 % of new patients outside; of shifted and of swollen ones nearly all."""
    alike, shifted, swollen = [], [], []
    for seed in range(60):
        found = fitted(seed, n_heldout=49)
        rows = features([seed, 2], 40)[0]
        alike.append(1 - found.is_inside(rows).mean())
        shifted.append(1 - found.is_inside(rows + SHIFT).mean())
        swollen.append(1 - found.is_inside(5 + 6 * (rows - 5)).mean())

    assert np.mean(alike) == pytest.approx(0.02, abs=4 * np.std(alike) / np.sqrt(60))
    assert np.mean(shifted) > 0.9
    assert np.mean(swollen) > 0.8


def test_a_direction_that_patients_hardly_took_is_far():
    """A step in the feature that varied least among them is outside; in the others it is not."""
    found = fitted(0)
    steps = 2.4 * np.eye(4)

    assert found.is_inside(5 + steps).tolist() == [False, True, True, True]


def test_training_patients_cannot_tell_what_is_far():
    """Few patients in many dimensions lie close to their own center; others do not."""
    rng = np.random.default_rng(0)
    rows, others = rng.normal(size=(2, 60, 200)) * np.geomspace(1, 0.01, 200)
    found = fit_applicability(rows, np.arange(60))

    wrong = fit_limit(found.distance(rows), np.arange(60), seed=0)
    right = fit_limit(found.distance(others[:50]), np.arange(50), seed=0)

    outside = [
        1 - replace(found, limit=limit).is_inside(others[50:]).mean() for limit in (wrong, right)
    ]
    assert outside[0] > 0.5
    assert outside[1] <= 0.1


@QUICK
@given(SEEDS, st.sampled_from([1e-3, 1.0, 400.0]))
def test_turning_scaling_and_shifting_change_nothing(seed, scale):
    """p-values are those of the same patients in a turned, scaled and shifted space."""
    rng = np.random.default_rng(seed)
    turn = scale * np.linalg.qr(rng.normal(size=(4, 4)))[0]
    training, heldout, query = (features([seed, part])[0] for part in range(3))
    query[:20] *= 3

    def p_values(move):
        found = fit_applicability(move(training), np.arange(60))
        limit = fit_limit(found.distance(move(heldout)), np.arange(60), seed=0)
        return replace(found, limit=limit).p_value(move(query))

    plain, moved = p_values(lambda rows: rows), p_values(lambda rows: rows @ turn - 7 * scale)

    np.testing.assert_allclose(moved, plain, atol=1e-12)


def test_patients_weigh_the_same():
    """A training patient's row 50 times over moves neither center nor spread."""
    rows, patient = features(2)
    copies = np.where(patient == 3, 50, 1)

    plain = fit_applicability(rows, patient)
    more = fit_applicability(np.repeat(rows, copies, axis=0), np.repeat(patient, copies))

    query = features(3)[0]
    np.testing.assert_allclose(more.distance(query), plain.distance(query), rtol=1e-9)
    assert more.whitening.n_patients == 60


def test_heldout_patients_lend_one_row_each():
    """Many rows of one patient are one patient, whichever of them is drawn."""
    distances = np.r_[np.arange(30.0), np.full(500, 99.0)]
    patient = np.r_[np.arange(30), np.full(500, 29)]

    drawn = [fit_limit(distances, patient, seed=seed).distances for seed in range(5)]

    assert all(len(each) == 30 and (np.diff(each) > 0).all() for each in drawn)
    assert {each[-1] for each in drawn} == {99.0}
    several = [fit_limit(np.arange(60.0), np.arange(60) // 2, seed=s).distances for s in range(2)]
    assert (several[0] != several[1]).any()


@pytest.mark.parametrize(
    ("n_heldout", "asked", "level"),
    [
        (99, None, 0.02),
        (49, None, 0.02),
        (48, None, 1 / 49),
        (19, None, 1 / 20),
        (18, None, None),
        (49, 0.02, 0.02),
        (48, 0.02, None),
        (9, 0.1, 0.1),
        (8, 0.1, None),
    ],
)
def test_the_level_is_one_that_patients_can_tell(n_heldout, asked, level):
    """The default gives way where patients are few; a level asked for does not, but says so."""
    found = fitted(0, n_heldout, level=asked)

    stranger = np.full((1, 4), 1e4)
    assert found.limit.level == level
    assert found.is_inside(stranger).tolist() == [level is None]
    assert found.limit.note.startswith("no query is called unlike") == (level is None)


def test_says_how_many_patients_are_needed():
    """Few held-out patients, and none at all."""
    few = fitted(0, 8, level=0.1)
    none = fit_applicability(*features(0))

    note = "no query is called unlike the patients fitted on"
    assert few.limit.note == f"{note}: 8 held-out patients, 9 needed"
    assert none.limit.note == f"{note}: no held-out patients"
    assert none.is_inside(np.full((1, 4), 1e4)).all()
    assert fit_limit(np.empty(0), [], seed=0).note == none.limit.note


def test_is_the_same_after_storing():
    """Arrays and a JSON text give back what answers alike."""
    columns = (fit_range("days", [3.0, 40.0]), fit_known("treatment", ["a", None]))
    found = fitted(4, columns=columns)
    query = features(9)[0] * 2
    values = {"days": [50.0] * 60, "treatment": ["b"] * 60}

    again = load_applicability(found.arrays(), json.loads(json.dumps(found.facts())))

    assert again.reasons(query, values) == found.reasons(query, values)
    assert (again.p_value(query) == found.p_value(query)).all()
    assert again.facts() == found.facts()
    assert again.columns == columns
    assert all(each.dtype == np.float64 for each in found.arrays().values())


def test_keeps_no_rows():
    """Of 60 patients: a center, a matrix, and one sorted distance for each held-out patient."""
    arrays = fitted(0).arrays()

    shapes = {name: each.shape for name, each in arrays.items()}
    assert shapes == {"center": (4,), "matrix": (4, 4), "distances": (60,)}
    assert (np.diff(arrays["distances"]) >= 0).all()


def test_ranges_hold_their_ends():
    """Both ends are inside; what is beyond or missing is told."""
    days = fit_range("days between visits", [30, np.nan, 365, 90])

    assert days == Range("days between visits", 30.0, 365.0)
    assert [days.why_outside(value) for value in (30, 100.5, 365)] == ["", "", ""]
    assert days.why_outside(29) == "days between visits 29 is outside 30 to 365"
    assert days.why_outside(400.0) == "days between visits 400 is outside 30 to 365"
    assert days.why_outside(float("nan")) == "days between visits is missing"
    assert days.why_outside(None) == "days between visits is missing"


def test_categories_are_known_or_not():
    """Words seen in fitting; no word at all is a category like others."""
    seen, gap = fit_known("treatment", ["b", "a", "b"]), fit_known("treatment", ["a", np.nan])

    assert (seen, gap.words) == (Known("treatment", ("a", "b")), ("", "a"))
    assert [seen.why_outside(value) for value in ("a", "b")] == ["", ""]
    assert seen.why_outside("c") == "treatment 'c' was not among those fitted on"
    assert seen.why_outside(None) == "treatment '' was not among those fitted on"
    assert [gap.why_outside(value) for value in (None, "", np.nan)] == ["", "", ""]


def test_reasons_are_given_for_each_query():
    """Features and columns are judged apart, features first; nothing where all is well."""
    columns = (Range("days", 1, 9), Known("treatment", ("a",)))
    found = fitted(0, n_heldout=99, columns=columns)
    queries = np.array([np.full(4, 5.0), np.full(4, 1e4), np.full(4, 5.0)])

    reasons = found.reasons(queries, {"days": [5, 10, 5], "treatment": ["a", "b", "a"]})

    assert [len(row) for row in reasons] == [0, 3, 0]
    assert reasons[1] == (
        "features are unlike those of the patients fitted on: p 0.01",
        "days 10 is outside 1 to 9",
        "treatment 'b' was not among those fitted on",
    )
    assert fitted(0).reasons(queries)[0] == ()


def test_refuses_what_it_cannot_judge():
    """Missing columns, features of no number or another width, no spread, wrong levels."""
    found = fitted(0, columns=(Range("days", 1, 9),))
    rows, patient = features(0)

    with pytest.raises(QueryError, match="'days' is needed for each of the 60 queries"):
        found.reasons(rows, {"days": [1.0]})
    with pytest.raises(QueryError, match="a feature is NaN or infinite"):
        found.distance(np.full((1, 4), np.nan))
    with pytest.raises(SpaceMismatchError, match="embeddings 3 wide"):
        found.p_value(rows[:, :3])
    with pytest.raises(NotEnoughDataError, match="no spread"):
        fit_applicability(rows[:1], patient[:1])
    with pytest.raises(SettingsError, match=r"1\.5 is no share"):
        fit_limit(rows[:, 0] ** 2, patient, level=1.5, seed=0)
    with pytest.raises(QueryError, match="a distance is NaN or negative"):
        fit_limit(np.array([1.0, np.nan]), ["a", "b"], seed=0)
    with pytest.raises(QueryError, match="2 distances of 1 patients"):
        fit_limit(np.ones(2), ["a"], seed=0)
    with pytest.raises(NotEnoughDataError, match="'days' has no finite value"):
        fit_range("days", [np.nan])


def test_a_limit_of_nobody_finds_nothing_rare():
    """No held-out patients: p is 1 at any distance."""
    assert Limit(np.empty(0), None).p_value(np.array([0.0, 1e9])).tolist() == [1, 1]
