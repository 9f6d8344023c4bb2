"""Visits and transitions against dictionaries and loops, and the laws they keep."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner_index.analysis.transitions import MODES, Transitions, Visits
from learner_index.errors import NotEnoughDataError, QueryError, SettingsError

SEEDS = st.integers(0, 2**32 - 1)
VIEWS = ("L1", "L2", "R1")


def cohort(seed, patients=4, visits=(0, 1, 2, 3, 4), is_complete=False):
    """Columns of scans in shuffled rows: repeats, missing views, visits, days and scores."""
    rng = np.random.default_rng(seed)
    rows, number = [], itertools.count(3)
    for p in range(patients):
        day = 0.0
        for _ in range(rng.choice(visits)):
            day += 10.0 if is_complete else float(rng.integers(0, 3))
            known = day if is_complete or rng.random() < 0.85 else math.nan
            visit = next(number) if is_complete or rng.random() < 0.85 else -1
            views = VIEWS if is_complete else rng.choice(VIEWS, rng.integers(1, 4), replace=False)
            for view in np.repeat(views, rng.integers(1, 3)):
                score = math.nan if rng.random() < 0.2 else float(rng.integers(0, 9))
                rows.append((f"p{p}", visit, str(view), known, score))
    order = rng.permutation(len(rows))
    patient, visit, view, day, score = (
        zip(*(rows[i] for i in order), strict=True) if rows else [()] * 5
    )
    return {
        "patient": np.array(patient, object),
        "visit": np.array(visit, np.int64),
        "view": np.array(view, object),
        "day": np.array(day, float),
        "score": np.array(score, float),
    }


def embed(columns, seed=0, width=3):
    return np.random.default_rng(seed).standard_normal((len(columns["patient"]), width))


def take(columns, rows):
    return {name: column[rows] for name, column in columns.items()}


def slow_visits(columns):
    """Key of a visit -> patient, day, mean score, and view -> its scans."""
    found = {}
    for row, visit in enumerate(columns["visit"].tolist()):
        key = ("known", visit) if visit >= 0 else ("alone", row)
        of_patient = columns["patient"][row]
        one = found.setdefault(key, {"patient": of_patient, "day": [], "score": [], "views": {}})
        one["views"].setdefault(columns["view"][row], []).append(row)
        one["score"].append(columns["score"][row])
        if visit >= 0:
            one["day"].append(columns["day"][row])
    for one in found.values():
        for name, summary in (("day", min), ("score", lambda known: sum(known) / len(known))):
            known = [value for value in one[name] if not math.isnan(value)]
            one[name] = summary(known) if known else math.nan
    return found


def slow_view_means(visits, u, fitted):
    """View -> mean over patients of the mean over their visits of the mean over repeats."""
    by_view = {}
    for one in visits:
        for view, rows in one["views"].items():
            if one["patient"] in fitted:
                own = by_view.setdefault(view, {}).setdefault(one["patient"], [])
                own.append(np.mean(u[rows], axis=0))
    means = {
        view: np.mean([np.mean(own, axis=0) for own in people.values()], axis=0)
        for view, people in by_view.items()
    }
    return means, np.mean(list(means.values()), axis=0)


def slow_transitions(visits, u, mode):
    """Sorted patient, days between, score change, views and delta of each pair."""
    found = []
    for patient in {one["patient"] for one in visits}:
        own = [one for one in visits if one["patient"] == patient and not math.isnan(one["day"])]
        own.sort(key=lambda one: one["day"])
        places = range(len(own))
        for i, j in itertools.combinations(places, 2):
            if (mode == "consecutive" and j > i + 1) or (mode == "baseline" and i > 0):
                continue
            one, other = own[i], own[j]
            shared = sorted(one["views"].keys() & other["views"].keys())
            if shared and one["day"] < other["day"]:
                delta = np.mean(
                    [u[other["views"][v]].mean(0) - u[one["views"][v]].mean(0) for v in shared],
                    axis=0,
                )
                change = other["score"] - one["score"]
                found.append((patient, other["day"] - one["day"], change, len(shared), delta))
    return found


def listed(transitions, u, names):
    """Transitions as rows that do not tell in which order they came."""
    rows = zip(
        [names[code] for code in transitions.patient],
        transitions.delta_day,
        transitions.delta_score,
        transitions.n_views,
        transitions.deltas(u),
        strict=True,
    )
    return comparable(rows)


def comparable(rows):
    return sorted(
        (patient, float(day), repr(float(change)), int(n), *np.round(delta, 9).tolist())
        for patient, day, change, n, delta in rows
    )


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_visits_equal_the_definition(seed):
    """Repeats make a view, views a visit; a scan of unknown visit is one without a day."""
    columns = cohort(seed)
    u, names = embed(columns), sorted(set(columns["patient"]))

    visits = Visits.of(**columns)

    pooled, slow = visits.pool(u), slow_visits(columns)
    assert len(visits) == len(slow)
    for place in range(len(visits)):
        scans = np.flatnonzero(np.isin(visits.scan_group, visits.groups[place]))
        number = int(visits.number[place])
        one = slow[("known", number) if number >= 0 else ("alone", scans[0])]
        assert sorted(scans) == sorted(itertools.chain(*one["views"].values()))
        assert names[visits.patient[place]] == one["patient"]
        np.testing.assert_equal(visits.day[place], one["day"])
        np.testing.assert_allclose(visits.score[place], one["score"])
        expected = np.mean([u[rows].mean(0) for rows in one["views"].values()], axis=0)
        np.testing.assert_allclose(pooled[place], expected)
    keys = [*zip(visits.patient, np.nan_to_num(visits.day, nan=np.inf), strict=True)]
    assert keys == sorted(keys)


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_view_means_weigh_patients_equally(seed):
    """What is subtracted is a mean over patients fitted on; unseen views use the other views'."""
    columns = cohort(seed, patients=5, visits=(1, 2, 5))
    u, names = embed(columns), sorted(set(columns["patient"]))
    visits = Visits.of(**columns)
    fitted_on = np.isin(visits.patient, [0, 1])

    pooled, scans = visits.pool(u, fitted_on), visits.within_views(u, fitted_on)

    slow = slow_visits(columns)
    means, other = slow_view_means(slow.values(), u, names[:2])
    views = columns["view"]
    for row, view in enumerate(views):
        np.testing.assert_allclose(scans[row], u[row] - means.get(view, other), atol=1e-12)
    for place in range(len(visits)):
        rows = np.flatnonzero(np.isin(visits.scan_group, visits.groups[place]))
        own = [scans[rows[views[rows] == view]].mean(axis=0) for view in set(views[rows])]
        np.testing.assert_allclose(pooled[place], np.mean(own, axis=0), atol=1e-12)


@settings(max_examples=100, deadline=None)
@given(seed=SEEDS, mode=st.sampled_from(MODES))
def test_transitions_equal_the_definition(seed, mode):
    """Pairs of two days and a shared view, in three modes; days, scores and differences."""
    columns = cohort(seed)
    u, names = embed(columns), sorted(set(columns["patient"]))
    visits = Visits.of(**columns)

    found = Transitions.of(visits, mode)

    slow = slow_visits(columns)
    ordered = [slow[key] for key in sorted(slow)]
    assert listed(found, u, names) == comparable(slow_transitions(ordered, u, mode))
    assert (visits.patient[found.earlier] == found.patient).all()
    assert (visits.patient[found.later] == found.patient).all()
    assert len(found) == len(found.patient)


@pytest.mark.parametrize(
    ("mode", "count"),
    [
        ("consecutive", lambda n: n - 1),
        ("all", lambda n: n * (n - 1) // 2),
        ("baseline", lambda n: n - 1),
    ],
)
def test_complete_cohorts_have_so_many_transitions(mode, count):
    """Of n visits with all views: n - 1, every pair, and n - 1."""
    columns = cohort(0, patients=9, visits=(1, 2, 5, 8), is_complete=True)

    found = Transitions.of(Visits.of(**columns), mode)

    per_patient = {
        name: len(set(columns["visit"][columns["patient"] == name])) for name in columns["patient"]
    }
    assert len(found) == sum(map(count, per_patient.values()))
    assert set(found.n_views.tolist()) == {len(VIEWS)}


def test_differences_use_shared_views_alone():
    """A view that one visit lacks moves nothing, however far it lies from the others."""
    columns = {
        "patient": ["a"] * 3,
        "visit": [0, 1, 1],
        "view": ["L1", "L1", "R1"],
        "day": np.array([0.0, 4, 4]),
        "score": np.array([1.0, 3, 3]),
    }

    found = Transitions.of(Visits.of(**columns))

    assert found.deltas(np.array([[1.0], [3.0], [1000.0]])).tolist() == [[2]]
    assert (found.n_views.tolist(), found.delta_day.tolist()) == ([1], [4])
    assert found.delta_score.tolist() == [2]


@pytest.mark.parametrize(
    ("day", "view"),
    [([0, 0], ["a", "a"]), ([0, 5], ["a", "b"]), ([0, math.nan], ["a", "a"])],
    ids=["one day", "no shared view", "no day"],
)
@pytest.mark.parametrize("mode", MODES)
def test_visits_that_are_no_transition(mode, day, view):
    """One day, no view in common, or an unknown day."""
    visits = Visits.of(["p", "p"], [0, 1], view, day, [1.0, 2.0])

    found = Transitions.of(visits, mode)

    assert len(visits) == 2
    assert len(found) == 0
    assert found.deltas(np.zeros((2, 4))).shape == (0, 4)


def test_no_other_pair_takes_the_place_of_one_left_out():
    """The next visit shows another view, so the one after it is not the next."""
    visits = Visits.of(["p"] * 3, [0, 1, 2], ["a", "b", "a"], [0, 1, 2], [1.0] * 3)

    counts = {mode: len(Transitions.of(visits, mode)) for mode in MODES}

    assert counts == {"consecutive": 0, "all": 1, "baseline": 1}


def test_a_visit_over_two_days_has_the_first():
    """An examination that went on the next day, one scan of which has no day."""
    visits = Visits.of(["p"] * 3, [4, 4, 4], None, [math.nan, 3, 2], [1.0, math.nan, 4.0])

    assert (visits.number.tolist(), visits.day.tolist()) == ([4], [2])
    assert visits.score.tolist() == [2.5]


def test_missing_views_are_one_view():
    """None, NaN and "" mean the same; without a column all scans are repeats."""
    u = np.array([[1.0], [2.0], [6.0]])
    rest = ([0, 0, 0], [0, 0, 0], [1.0, 1, 1])

    named = Visits.of(["p"] * 3, rest[0], [None, math.nan, "L1"], *rest[1:])
    unnamed = Visits.of(["p"] * 3, rest[0], None, *rest[1:])

    assert named.pool(u).tolist() == [[3.75]]
    assert unnamed.pool(u).tolist() == [[3]]


def test_some_transitions_keep_their_values():
    """By mask or by position, every column and difference goes along."""
    columns = cohort(1, patients=6, visits=(4,), is_complete=True)
    u, found = embed(columns), Transitions.of(Visits.of(**columns))
    kept = np.arange(len(found))[::-2]

    some, masked = found.only(kept), found.only(np.arange(len(found)) % 3 == 0)

    np.testing.assert_array_equal(some.deltas(u), found.deltas(u)[kept])
    np.testing.assert_array_equal(masked.deltas(u), found.deltas(u)[::3])
    for name in ("patient", "earlier", "later", "delta_day", "delta_score", "n_views"):
        np.testing.assert_array_equal(getattr(some, name), getattr(found, name)[kept])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("n", [0, 1])
def test_cohorts_with_nothing_to_pair(mode, n):
    """No scan, or one scan of one patient: no transition, and shapes that fit."""
    visits = Visits.of(["p"] * n, np.zeros(n, int), None, np.zeros(n), np.full(n, np.nan))

    found = Transitions.of(visits, mode)

    assert (len(visits), len(found)) == (n, 0)
    assert visits.pool(np.ones((n, 2))).tolist() == [[1, 1]] * n
    assert np.isnan(visits.score).all()
    assert found.only(np.zeros(0, bool)).deltas(np.ones((n, 2))).shape == (0, 2)


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, mode=st.sampled_from(MODES))
def test_the_order_of_rows_does_not_matter(seed, mode):
    """Shuffled scans give the same transitions."""
    columns = cohort(seed)
    u, names = embed(columns), sorted(set(columns["patient"]))
    order = np.random.default_rng(seed).permutation(len(u))

    found, shuffled = (
        listed(Transitions.of(Visits.of(**one), mode), rows, names)
        for one, rows in ((columns, u), (take(columns, order), u[order]))
    )

    assert found == shuffled


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, mode=st.sampled_from(MODES))
def test_a_constant_per_view_leaves_differences(seed, mode):
    """What a view adds to every embedding is in both visits alike."""
    columns = cohort(seed)
    u, found = embed(columns), Transitions.of(Visits.of(**columns), mode)
    shift = {view: 10 * row for view, row in zip(VIEWS, np.eye(3), strict=True)}

    moved = u + np.array([shift[view] for view in columns["view"]])

    np.testing.assert_allclose(found.deltas(moved), found.deltas(u), atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS)
def test_running_time_backwards_negates_differences(seed):
    """Days turned round: each pair swaps its visits, and every change its sign."""
    columns = cohort(seed, is_complete=True, visits=(1, 2, 4))
    u = embed(columns)

    found, back = (
        Transitions.of(Visits.of(**(columns | {"day": days})), "all")
        for days in (columns["day"], -columns["day"])
    )

    def rows(transitions, sign):
        changes = [transitions.delta_score, *transitions.deltas(u).T]
        signed = sign * np.nan_to_num(np.column_stack(changes), nan=0.0) + 0.0
        return sorted(map(tuple, np.column_stack([transitions.patient, signed]).round(9).tolist()))

    assert rows(found, 1) == rows(back, -1)
    assert sorted(found.delta_day) == sorted(back.delta_day)


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, n=st.integers(2, 7))
def test_a_visit_between_two_replaces_their_transition(seed, n):
    """Consecutive pairs: inserted between, it removes one and adds two, whichever row it is."""
    rng = np.random.default_rng(seed)
    day = 10.0 * np.arange(n)
    where = int(rng.integers(0, n - 1))

    def pairs(days):
        visits = Visits.of(["p"] * len(days), np.arange(len(days)), None, days, days)
        found = Transitions.of(visits)
        ends = visits.day[found.earlier], visits.day[found.later]
        return set(zip(*map(np.ndarray.tolist, ends), strict=True))

    before, after = pairs(day), pairs(rng.permutation(np.append(day, day[where] + 5)))

    middle = day[where] + 5
    assert before - after == {(day[where], day[where + 1])}
    assert after - before == {(day[where], middle), (middle, day[where + 1])}


@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_later_visit_adds_transitions(n):
    """To n visits: one more consecutive pair, n more of all, one more to the baseline."""

    def count(visits, mode):
        columns = ["p"] * visits, np.arange(visits), None, np.arange(visits), np.ones(visits)
        return len(Transitions.of(Visits.of(*columns), mode))

    added = {mode: count(n + 1, mode) - count(n, mode) for mode in MODES}

    assert added == {"consecutive": 1, "all": n, "baseline": 1}


def test_view_means_take_away_which_views_a_visit_has():
    """Embeddings that are their view alone: every visit is 0, with few views or many."""
    columns = cohort(2, patients=12, visits=(3, 4))
    level = {"L1": [5.0, 0], "L2": [-7.0, 1], "R1": [0.0, 90]}
    u = np.array([level[view] for view in columns["view"]])
    visits = Visits.of(**columns)

    pooled = visits.pool(u, visits.patient < 6)

    assert np.ptp(visits.pool(u), axis=0).min() > 1
    np.testing.assert_allclose(pooled, 0, atol=1e-9)


def test_embeddings_are_left_alone():
    """Nothing is subtracted in place, even from one that is a row of its own."""
    u = np.array([[1.0], [3.0]])
    visits = Visits.of(["p", "p"], [0, 1], None, [0, 1], [1.0, 2.0])

    visits.pool(u, np.array([True, True]))
    visits.within_views(u, np.array([True, True]))

    assert u.tolist() == [[1], [3]]


def test_refuses_a_visit_of_two_patients():
    """Both are named."""
    with pytest.raises(QueryError, match="one visit has scans of patients a and b: give each"):
        Visits.of(["a", "a", "b"], [0, 1, 1], None, [0, 1, 1], np.ones(3))


def test_refuses_scans_without_a_patient():
    """An unknown patient could be anyone's."""
    with pytest.raises(QueryError, match="1 scans have no patient"):
        Visits.of(["a", None], [0, 1], None, [0, 1], np.ones(2))


def test_refuses_an_unknown_mode():
    """The message lists the three."""
    visits = Visits.of(["a"], [0], None, [0], [1.0])

    with pytest.raises(SettingsError, match="'first' are unknown: use consecutive, all, baseline"):
        Transitions.of(visits, "first")


@pytest.mark.parametrize("measure", [Visits.pool, Visits.within_views])
def test_refuses_view_means_of_nobody(measure):
    """No visit is fitted on."""
    visits = Visits.of(["a"], [0], None, [0], [1.0])

    with pytest.raises(NotEnoughDataError, match="no visit to take view means from"):
        measure(visits, np.ones((1, 2)), np.array([False]))


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS)
def test_noise_scales_equal_the_definition(seed):
    """Visits: √Σ 1/(m² r) over m views of r repeats."""
    columns = cohort(seed)
    visits = Visits.of(**columns)

    found = visits.noise_scales()

    assert len(found) == len(visits)
    views = columns["view"]
    for place in range(len(visits)):
        rows = np.flatnonzero(visits.scan_visit == place)
        repeats = [int(np.sum(views[rows] == view)) for view in set(views[rows])]
        expected = math.sqrt(sum(1 / (len(repeats) ** 2 * r) for r in repeats))
        np.testing.assert_allclose(found[place], expected)


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, mode=st.sampled_from(MODES))
def test_noise_scales_of_deltas_equal_the_definition(seed, mode):
    """Over the m shared views: √(Σ (1/r + 1/r')/(2 m²)), with r and r' repeats."""
    columns = cohort(seed)
    visits = Visits.of(**columns)
    transitions = Transitions.of(visits, mode)

    found = transitions.noise_scales()

    assert len(found) == len(transitions)
    views = columns["view"]
    for row, ends in enumerate(zip(transitions.earlier, transitions.later, strict=True)):
        one, other = (views[visits.scan_visit == end].tolist() for end in ends)
        shared = set(one) & set(other)
        total = sum(1 / one.count(view) + 1 / other.count(view) for view in shared)
        np.testing.assert_allclose(found[row], math.sqrt(total / 2) / len(shared))


def test_noise_scales_are_what_noise_does():
    """Independent noise of spread 1 in each scan: visits and deltas spread as told."""
    patient, visit, view = (
        ["p"] * 6,
        [0, 0, 0, 1, 1, 1],
        ["L1", "L1", "R1", "L1", "R1", "R1"],
    )
    visits = Visits.of(patient, visit, view, [0.0] * 3 + [5.0] * 3, np.ones(6))
    transitions = Transitions.of(visits)
    u = np.random.default_rng(0).standard_normal((6, 200_000))

    pooled, deltas = visits.pool(u), transitions.deltas(u)

    np.testing.assert_allclose(pooled.std(axis=1), visits.noise_scales(), rtol=0.01)
    expected = math.sqrt(2) * transitions.noise_scales()  # a difference of two scans has √2
    np.testing.assert_allclose(deltas.std(axis=1), expected, rtol=0.01)


def test_one_scan_a_visit_has_scale_one():
    """Nothing is averaged: a visit is as noisy as a scan, a delta as a difference of two."""
    visits = Visits.of(["p"] * 2, [0, 1], ["L1"] * 2, [0.0, 5.0], np.ones(2))

    assert visits.noise_scales().tolist() == [1, 1]
    np.testing.assert_allclose(Transitions.of(visits).noise_scales(), [1])


@pytest.mark.parametrize("mode", MODES)
def test_no_visit_has_no_noise(mode):
    """Empty columns where there is nothing, not an error."""
    visits = Visits.of([], np.zeros(0, int), None, np.zeros(0), np.zeros(0))

    assert visits.noise_scales().shape == (0,)
    assert Transitions.of(visits, mode).noise_scales().shape == (0,)


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS)
def test_view_means_equal_the_definition(seed):
    """Of each view by name: the mean over all patients of their visits' mean over repeats."""
    columns = cohort(seed, patients=5, visits=(1, 2, 5))
    u = embed(columns)
    visits = Visits.of(**columns)

    found = visits.view_means(u)

    means, _ = slow_view_means(slow_visits(columns).values(), u, set(columns["patient"]))
    assert visits.views == tuple(sorted(means))
    for view, mean in zip(visits.views, found, strict=True):
        np.testing.assert_allclose(mean, means[view], atol=1e-12)


def test_given_view_means_take_the_place_of_fitted_ones():
    """Pooling less the means of everyone is pooling fitted on everyone."""
    columns = cohort(5, patients=6, visits=(2, 3))
    u, visits = embed(columns), Visits.of(**columns)
    everyone = np.ones(len(visits), bool)

    given_means = visits.pool(u, view_means=visits.view_means(u))

    np.testing.assert_array_equal(given_means, visits.pool(u, everyone))


def test_given_view_means_belong_to_views_by_place():
    """Each view loses its own mean, then views are averaged."""
    visits = Visits.of(["p"] * 3, [0] * 3, ["R1", "L1", "R1"], [0.0] * 3, np.ones(3))
    means = np.array([[10.0], [100.0]])

    found = visits.pool(np.array([[103.0], [11.0], [105.0]]), view_means=means)

    assert visits.views == ("L1", "R1")
    assert found.tolist() == [[(1 + 4) / 2]]


def test_views_are_named_in_alphabetical_order():
    """Whichever comes first, the missing one as ""; without a column there is that one alone."""
    rest = (["p"] * 4, [0] * 4), ([0.0] * 4, np.ones(4))

    named = Visits.of(*rest[0], ["R1", None, "L1", math.nan], *rest[1])
    unnamed = Visits.of(*rest[0], None, *rest[1])

    assert (named.views, unnamed.views) == (("", "L1", "R1"), ("",))
    assert [named.views[column] for column in named.group_view] == ["", "L1", "R1"]
    assert named.scan_group.tolist() == [2, 0, 1, 0]


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS)
def test_each_scan_has_its_visit(seed):
    """The visit's patient, day and number are those of its scans."""
    columns = cohort(seed)
    names = sorted(set(columns["patient"]))

    visits = Visits.of(**columns)

    assert [names[code] for code in visits.patient[visits.scan_visit]] == [*columns["patient"]]
    np.testing.assert_array_equal(visits.number[visits.scan_visit], columns["visit"])
    assert sorted(set(visits.scan_visit.tolist())) == [*range(len(visits))]


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, mode=st.sampled_from(MODES))
def test_other_patients_do_not_move_a_bit(seed, mode):
    """Some patients' visits and deltas alone are, to the last bit, those among all others."""
    columns = cohort(seed, patients=5, visits=(1, 2, 4))
    u = embed(columns)
    mine = np.isin(columns["patient"], ["p3", "p4"])

    everyone, alone = Visits.of(**columns), Visits.of(**take(columns, mine))

    is_mine = everyone.patient >= 3
    np.testing.assert_array_equal(alone.pool(u[mine]), everyone.pool(u)[is_mine])
    np.testing.assert_array_equal(alone.noise_scales(), everyone.noise_scales()[is_mine])
    some, found = Transitions.of(alone, mode), Transitions.of(everyone, mode)
    found = found.only(found.patient >= 3)
    np.testing.assert_array_equal(some.deltas(u[mine]), found.deltas(u))
    np.testing.assert_array_equal(some.noise_scales(), found.noise_scales())


def test_refuses_view_means_of_no_visit():
    """An empty cohort has no views to take a mean of."""
    visits = Visits.of([], np.zeros(0, int), None, np.zeros(0), np.zeros(0))

    with pytest.raises(NotEnoughDataError, match="no visit to take view means from: name"):
        visits.view_means(np.zeros((0, 2)))
