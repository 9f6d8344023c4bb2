"""A store's visits and transitions against loops, and what appends leave as it was."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner_index.analysis.transitions import MODES
from learner_index.pipeline.progression.visits import (
    merged,
    patient_numbers,
    views_of,
    visit_arrays,
)
from tests.pipeline.progression.changes_toy import (
    assert_same,
    cohort,
    embeddings_of,
    known,
    scans,
    slow_pairs,
    slow_visits,
)

SEEDS = st.integers(0, 2**32 - 1)


def arrays_of(x, obs, mode="consecutive"):
    return visit_arrays(x, obs, patient_numbers(obs)[0], known(x.shape[1]), mode)


def grown(x, obs, n_old, mode):
    """The first rows' visits, brought up to date with the others."""
    numbers = patient_numbers(obs)[0]
    rows = np.flatnonzero(np.isin(numbers, numbers[n_old:]))
    some = obs.iloc[rows].reset_index(drop=True)
    old = arrays_of(x[:n_old], obs.iloc[:n_old], mode)
    new = visit_arrays(x[rows], some, numbers[rows], known(x.shape[1]), mode)
    return merged(old, np.arange(n_old), new, rows, len(obs))


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, mode=st.sampled_from(MODES))
def test_visits_equal_the_definition(seed, mode):
    """Repeats, then views less their means, then visits less the center; noise by formula."""
    x, obs = cohort(seed)
    reference = known()

    found = arrays_of(x, obs, mode)

    visits = slow_visits(obs)
    other = np.mean(list(reference.view_means.values()), axis=0)
    assert len(found.patient) == len(visits)
    for place, visit in enumerate(visits):
        assert np.flatnonzero(found.scan_visit == place).tolist() == visit.rows
        own = [
            x[rows].astype(float).mean(axis=0) - reference.view_means.get(view, other)
            for view, rows in visit.by_view.items()
        ]
        np.testing.assert_allclose(
            found.embeddings[place], np.mean(own, axis=0) - reference.center, atol=1e-5
        )
        spread = sum(1 / (len(own) ** 2 * len(rows)) for rows in visit.by_view.values())
        np.testing.assert_allclose(found.scale[place], np.sqrt(spread))
        assert found.patient[place] == visit.number
        np.testing.assert_equal(found.day[place], visit.day)
        np.testing.assert_allclose(found.score[place], visit.score)


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, mode=st.sampled_from(MODES))
def test_transitions_equal_the_definition(seed, mode):
    """Deltas over shared views alone, their noise by formula, and which views these are."""
    x, obs = cohort(seed)

    found = arrays_of(x, obs, mode)

    visits = slow_visits(obs)
    pairs = slow_pairs(visits, mode)
    assert [*zip(found.earlier.tolist(), found.later.tolist(), strict=True)] == pairs
    for row, (i, j) in enumerate(pairs):
        one, other = visits[i].by_view, visits[j].by_view
        shared = sorted(one.keys() & other.keys())
        moved = [
            x[other[v]].astype(float).mean(0) - x[one[v]].astype(float).mean(0) for v in shared
        ]
        np.testing.assert_allclose(found.deltas[row], np.mean(moved, axis=0), atol=1e-5)
        spread = sum((1 / len(one[v]) + 1 / len(other[v])) / len(shared) ** 2 for v in shared)
        np.testing.assert_allclose(found.delta_scale[row], np.sqrt(spread / 2))
        assert found.n_views[row] == len(shared)
        assert found.view_sets[found.shared[row]] == " + ".join(shared)
        np.testing.assert_equal(found.delta_day[row], visits[j].day - visits[i].day)
        np.testing.assert_allclose(found.delta_score[row], visits[j].score - visits[i].score)
    assert found.view_sets == tuple(sorted({found.view_sets[code] for code in found.shared}))


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, mode=st.sampled_from(MODES), share=st.floats(0, 1))
def test_appended_rows_leave_what_a_full_pass_gives(seed, mode, share):
    """Visits brought up to date equal, to the last bit, those made of all rows at once."""
    x, obs = cohort(seed, patients=6)
    n_old = round(share * len(obs))

    found = grown(x, obs, n_old, mode)

    assert_same(found, arrays_of(x, obs, mode))


def counted(rows, n_old, mode):
    """Transitions before and after the later rows came."""
    obs = scans(*rows)
    x = embeddings_of(len(obs), 3, 0)
    after = grown(x, obs, n_old, mode)
    assert_same(after, arrays_of(x, obs, mode))
    return pairs_of(arrays_of(x[:n_old], obs.iloc[:n_old], mode)), pairs_of(after)


def pairs_of(found):
    days = found.day[found.earlier], found.day[found.later]
    patients = found.patient[found.earlier]
    return set(zip(patients.tolist(), *map(np.ndarray.tolist, days), strict=True))


def test_a_visit_that_arrives_late_splits_a_transition():
    """Between two old visits: in consecutive pairs one goes and two come, no other moves."""
    old = [("a", 0.0), ("b", 0.0), ("a", 10.0), ("a", 30.0), ("b", 9.0)]

    before, after = counted([*old, ("a", 20.0)], len(old), "consecutive")

    assert before - after == {(0, 10.0, 30.0)}
    assert after - before == {(0, 10.0, 20.0), (0, 20.0, 30.0)}


@pytest.mark.parametrize(("mode", "added"), [("consecutive", 1), ("all", 4), ("baseline", 1)])
def test_a_visit_at_the_end_adds_transitions(mode, added):
    """To 4 visits of a patient: 1, 4 and 1; none of another patient's goes."""
    old = [("b", 0.0), ("b", 3.0), *(("a", 10.0 * day) for day in range(4))]

    before, after = counted([*old, ("a", 99.0)], len(old), mode)

    assert before <= after
    assert len(after - before) == added


def test_a_new_baseline_replaces_all_transitions():
    """A visit before the first one: every pair starts there."""
    old = [("a", 5.0), ("a", 10.0), ("a", 20.0)]

    before, after = counted([*old, ("a", 0.0)], len(old), "baseline")

    assert before == {(0, 5.0, 10.0), (0, 5.0, 20.0)}
    assert after == {(0, 0.0, 5.0), (0, 0.0, 10.0), (0, 0.0, 20.0)}


def test_scans_added_to_a_visit_move_it():
    """No new visit; its embedding, its score and its noise change, and so does the delta."""
    obs = scans(("a", 0.0), ("a", 9.0), ("a", 9.0), health_score=[1.0, 3.0, 5.0])
    x = np.array([[0.0] * 3, [1.0] * 3, [3.0] * 3], np.float32)

    found = grown(x, obs, 2, "consecutive")

    assert_same(found, arrays_of(x, obs))
    assert found.scan_visit.tolist() == [0, 1, 1]
    assert found.score.tolist() == [1, 4]
    assert found.deltas.tolist() == [[2, 2, 2]]
    assert found.scale.tolist() == [1, np.sqrt(0.5)]
    assert found.delta_scale.tolist() == [np.sqrt(0.75)]


def test_view_sets_that_nobody_has_any_more_go():
    """A patient's only shared view grows to two: the old name is not kept."""
    rows = [("a", 0.0), ("a", 9.0), ("a", 0.0), ("a", 9.0)]
    obs = scans(*rows, view=["L1", "L1", "R1", "R1"])

    found = grown(embeddings_of(4, 3, 0), obs, 2, "consecutive")

    assert found.view_sets == ("L1 + R1",)
    assert found.shared.tolist() == [0]


@pytest.mark.parametrize("mode", MODES)
def test_no_scan_is_no_visit(mode):
    """Nothing before the first append, then everything."""
    obs = scans(("a", 0.0), ("a", 1.0), ("b", 0.0))
    x = embeddings_of(3, 3, 0)

    empty = arrays_of(x[:0], obs.iloc[:0], mode)

    assert (len(empty.patient), len(empty.earlier), empty.view_sets) == (0, 0, ())
    assert empty.embeddings.shape == (0, 3)
    assert_same(grown(x, obs, 0, mode), arrays_of(x, obs, mode))


def test_patients_are_numbered_as_they_appear():
    """Not by name, so that appended rows renumber nobody."""
    numbers, names = patient_numbers(scans(("z", 0.0), ("a", 0.0), ("z", 1.0)))

    assert numbers.tolist() == [0, 1, 0]
    assert names == ("z", "a")


def test_missing_views_are_one_view():
    """As text "", and so they are without a column."""
    obs = scans(("a", 0.0), ("a", 0.0), view=[None, "L1"])

    assert views_of(obs) == ["", "L1"]
    assert views_of(obs.drop(columns="view")) == ["", ""]


def test_a_store_without_scores_days_or_views():
    """Each scan is then a visit of its own, and no pair of them a transition."""
    obs = pd.DataFrame({"patient_id": pd.array(["a", "a"], "string")})

    found = arrays_of(embeddings_of(2, 3, 0), obs)

    assert found.scan_visit.tolist() == [0, 1]
    assert np.isnan(found.day).all()
    assert np.isnan(found.score).all()
    assert len(found.earlier) == 0
