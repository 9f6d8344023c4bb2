"""Who changed like this patient: against a slow search from the formula, and by the laws of S."""

import math
from dataclasses import replace

import faiss
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner_index.config import ProgressionOptions
from learner_index.errors import QueryError
from learner_index.search import choose
from learner_index.search.flat import FlatIndex
from learner_index.search.progression import all_parts, effective_weights, find_changes
from learner_index.search.transition_table import Question, TransitionTable, stored_question

EACH = ProgressionOptions(level="transition", k=10_000)
DIRECTION = replace(EACH, direction_only=True)
ONES = (1.0, 1.0, 1.0)


def make_arrays(seed, patients=9, most=5, width=4, copies=0.2, zeros=0.15, missing=0.2):
    """Starts, deltas and columns with doubled rows, steady patients and missing cells."""
    rng = np.random.default_rng(seed)
    owners = np.repeat(np.arange(patients), rng.integers(1, most + 1, patients))
    t = len(owners)
    owners = rng.permutation(owners)
    starts = (rng.standard_normal((t, width)) + 5).astype(np.float32)
    deltas = rng.standard_normal((t, width)).astype(np.float32)
    days = rng.integers(1, 400, t).astype(float)
    for row in np.flatnonzero(rng.random(t) < copies):
        twin = rng.integers(t)
        starts[row], deltas[row], days[row] = starts[twin], deltas[twin], days[twin]
    deltas[rng.random(t) < zeros] = 0
    site = [None if rng.random() < missing else "AB"[rng.integers(2)] for _ in range(t)]
    sick = [None if rng.random() < missing else bool(rng.integers(2)) for _ in range(t)]
    obs = pd.DataFrame(
        {
            "patient_id": pd.array([f"P{i}" for i in owners], dtype="string"),
            "delta_day": days,
            "site": pd.array(site, dtype="string"),
            "age": np.where(rng.random(t) < missing, np.nan, rng.integers(20, 90, t)),
            "sick": pd.array(sick, dtype="boolean"),
            "later_day": rng.integers(0, 100, t).astype(float),
        }
    )
    return starts, deltas, obs


def make_table(seed=0, start_bandwidth=2.0, day_bandwidth=0.7, clock="patient", **kwargs):
    """A small random cohort, ready for searches."""
    starts, deltas, obs = make_arrays(seed, **kwargs)
    return TransitionTable(
        starts,
        deltas,
        obs,
        start_bandwidth=start_bandwidth,
        day_bandwidth=day_bandwidth,
        clock=clock,
    )


def simple(deltas, starts=None, days=None, patients=None, **columns):
    """A table of given transitions, each of a patient of its own, with bandwidths of 1."""
    deltas = np.asarray(deltas, np.float64)
    t = len(deltas)
    starts = np.zeros_like(deltas) if starts is None else np.asarray(starts, np.float64)
    obs = pd.DataFrame(
        {
            "patient_id": patients or [f"P{i}" for i in range(t)],
            "delta_day": np.full(t, 7.0) if days is None else days,
            **columns,
        }
    )
    return TransitionTable(starts, deltas, obs, start_bandwidth=1.0, day_bandwidth=1.0)


def slow_parts(table, question, weights, row, sign=1.0):
    """Direction, start and days of one transition, number by number from the formula."""
    ours, theirs = question.delta.tolist(), table.deltas[row].tolist()
    length, other = math.hypot(*ours), math.hypot(*theirs)
    cosine = 0.0
    if length > 1e-9 and other > 1e-9:
        cosine = sign * sum(a * b for a, b in zip(ours, theirs, strict=True)) / (length * other)
    start, days = 0.0, 0.0
    if question.start is not None and table.start_bandwidth:
        pairs = zip(question.start.tolist(), table.starts[row].tolist(), strict=True)
        start = -weights[1] * sum((a - b) ** 2 for a, b in pairs) / table.start_bandwidth**2
    if question.delta_day is not None and table.day_bandwidth:
        ratio = math.log(question.delta_day / table.columns.obs["delta_day"][row])
        days = -weights[2] * ratio**2 / table.day_bandwidth**2
    return weights[0] * cosine, start, days


def slow_search(table, question, options, fulfilled):
    """(row, S) of the k best groups, by a loop over transitions."""
    weights = (options.weights[0], 0, 0) if options.direction_only else options.weights
    patients, best = table.columns.obs["patient_id"], {}
    for row in range(len(table)):
        is_own = patients[row] in question.patient_ids and not options.include_self
        if row == question.row or is_own or not fulfilled(table.columns.obs.iloc[row]):
            continue
        sign = -1.0 if options.negate else 1.0
        found = sum(slow_parts(table, question, weights, row, sign))
        group = patients[row] if options.level == "patient" else row
        if group not in best or found > best[group][0] + 1e-9:
            best[group] = (found, row)
    return sorted(best.values(), key=lambda pair: (-round(pair[0], 9), pair[1]))[: options.k]


def assert_same(found, expected):
    """The same rows in the same order, up to ties within rounding, and the same similarities."""
    assert found.rows.tolist() == [row for _, row in expected]
    np.testing.assert_allclose(found.similarity, [s for s, _ in expected], atol=1e-9)


def anyone(_):
    """No condition."""
    return True


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("level", ["patient", "transition"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"k": 3},
        {"k": 1000},
        {"negate": True},
        {"direction_only": True},
        {"include_self": True},
        {"weights": (0.3, 2.0, 0.0)},
        {"weights": (0.0, 1.0, 0.5)},
        {"weights": (0.2, 0.0, 3.0), "k": 2},
        {"weights": (2.0, 0.0, 0.0), "negate": True},
    ],
)
@pytest.mark.parametrize("backend", ["numpy", "faiss-cpu"])
def test_finds_what_a_slow_search_finds(seed, level, options, backend):
    """Every option ranks as a loop over the formula does, with either backend."""
    table = make_table(seed)
    options = ProgressionOptions(level=level, backend=backend, **options)
    question = stored_question(table, seed)

    found = find_changes(table, question, options)

    assert_same(found, slow_search(table, question, options, anyone))
    assert found.backend == backend


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    patients=st.integers(1, 12),
    width=st.integers(1, 6),
    k=st.integers(1, 15),
    weights=st.tuples(*[st.sampled_from([0.0, 0.2, 1.0, 5.0])] * 3).filter(any),
    level=st.sampled_from(["patient", "transition"]),
    negate=st.booleans(),
)
def test_any_cohort(seed, patients, width, k, weights, level, negate):
    """Random cohorts, weights and k are ranked as by the slow search."""
    table = make_table(seed, patients=patients, width=width)
    question = stored_question(table, seed % len(table))
    options = ProgressionOptions(k=k, weights=weights, level=level, negate=negate)

    found = find_changes(table, question, options)

    assert_same(found, slow_search(table, question, options, anyone))


@pytest.mark.parametrize(
    ("where", "fulfilled"),
    [
        (("site == A",), lambda row: row["site"] is not pd.NA and row["site"] == "A"),
        (("age >= 50", "delta_day < 200"), lambda row: row["age"] >= 50 and row["delta_day"] < 200),
        (("site is missing",), lambda row: row["site"] is pd.NA),
    ],
)
def test_filters_before_it_ranks(where, fulfilled):
    """Conditions cut the cohort, not the list of hits, and the counts say to how many."""
    table = make_table(1, patients=30, missing=0.3)
    options, question = ProgressionOptions(k=5, where=where), stored_question(table, 2)

    found = find_changes(table, question, options)

    obs = table.columns.obs
    is_other = obs["patient_id"] != question.patient_ids[0]
    kept = [row for row in range(len(obs)) if is_other[row] and fulfilled(obs.iloc[row])]
    assert_same(found, slow_search(table, question, options, fulfilled))
    assert np.flatnonzero(found.eligible).tolist() == kept
    assert found.n_eligible == len(kept) > 0
    assert found.n_eligible_patients == obs["patient_id"][kept].nunique()


@pytest.mark.parametrize(
    ("match", "fulfilled"),
    [
        ("site", lambda row: row["site"] == "A"),
        ("site!=", lambda row: row["site"] == "B"),
        ("age±10", lambda row: 40 <= row["age"] <= 60),
        ("sick", lambda row: row["sick"] is True or row["sick"] is np.True_),
    ],
)
@pytest.mark.parametrize("is_stored", [True, False])
def test_matches_the_query(match, fulfilled, is_stored):
    """Likenesses are to the table's row of the query, or to the columns given with it."""
    table = make_table(3, patients=30, missing=0.0)
    cells = {"site": "A", "age": 50.0, "sick": True}
    for column, value in cells.items():
        table.columns.obs.loc[4, column] = value
    question = stored_question(table, 4)
    if not is_stored:
        question = replace(question, row=None, known=pd.DataFrame([cells]))

    found = find_changes(table, question, replace(EACH, match=(match,)))

    mask = [
        bool(fulfilled(row)) and row["patient_id"] != question.patient_ids[0]
        for _, row in table.columns.obs.iterrows()
    ]
    assert found.eligible.tolist() == mask
    assert set(found.rows.tolist()) == set(np.flatnonzero(mask).tolist())


@pytest.mark.parametrize(
    ("known", "match", "message"),
    [
        (None, "age", "nothing to match 'age' with: the query's patient is not in the store"),
        ({"site": ["A"]}, "age", "the query has no age"),
        ({"age": [np.nan]}, "age±5", "the query has no age"),
        ({"age": ["60"]}, "age", "age is '60' and the column holds number"),
        ({"site": [3.0]}, "site", "site is 3.0 and the column holds text"),
        ({"sick": [1.0]}, "sick", "sick is 1.0 and the column holds flag"),
        ({"site": ["A", "B"]}, "site", "the query has 2 rows of columns: give one"),
    ],
)
def test_refuses_a_likeness_to_nothing(known, match, message):
    """A query whose columns do not settle a likeness is refused."""
    table = make_table()
    known = None if known is None else pd.DataFrame(known)
    question = replace(stored_question(table, 0), row=None, known=known)

    with pytest.raises(QueryError, match=message):
        find_changes(table, question, ProgressionOptions(match=(match,)))


def test_planted_answer():
    """Direction, start and span each decide when the others are equal."""
    table = simple(
        deltas=[[1, 0], [1, 0.1], [1, 0], [1, 0], [-1, 0]],
        starts=[[0, 0], [0, 0], [0.5, 0], [0, 0], [0, 0]],
        days=[10.0, 10, 10, 30, 10],
    )
    question = Question(np.array([2.0, 0]), np.zeros(2), 10.0)

    found = find_changes(table, question)

    assert found.rows.tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(
        found.similarity, [1, 1 / math.sqrt(1.01), 0.75, 1 - math.log(3) ** 2, -1], atol=1e-12
    )
    np.testing.assert_allclose(found.start, [0, 0, -0.25, 0, 0], atol=1e-12)
    np.testing.assert_allclose(found.days, [0, 0, 0, -(math.log(3) ** 2), 0], atol=1e-12)


@pytest.mark.parametrize("backend", ["numpy", "faiss-cpu"])
def test_ranks_ties_by_row(backend):
    """Equal transitions come in the order of rows, and a patient is shown by the first."""
    table = simple([[1.0, 2]] * 200, patients=[f"P{i % 100}" for i in range(200)])
    question = Question(np.array([1.0, 0]))

    found = find_changes(table, question, ProgressionOptions(k=7, backend=backend))

    assert found.rows.tolist() == list(range(7))


@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_rounding_hides_no_hit(offset):
    """Differences far below float32's resolution are still ranked exactly."""
    rng = np.random.default_rng(0)
    deltas = np.array([1.0, 0, 0]) + np.outer(rng.permutation(300) * 1e-7, [0, 1.0, 0])
    starts = np.full((300, 3), offset) + rng.permutation(300)[:, None] * 1e-7
    table = simple(deltas, starts)
    question = Question(np.array([1.0, 0, 0]), starts[0], 7.0)

    found = find_changes(table, question, ProgressionOptions(k=10))

    whole = np.sum(all_parts(table, question, ONES), axis=0)
    assert found.rows.tolist() == np.argsort(-whole, kind="stable")[:10].tolist()


def test_opposite_reverses_the_ranking():
    """Looking for the opposite direction turns the list of all transitions around."""
    table = make_table(5, patients=40, copies=0, zeros=0)
    question = stored_question(table, 3)

    found = find_changes(table, question, DIRECTION)
    opposite = find_changes(table, question, replace(DIRECTION, negate=True))

    assert opposite.rows.tolist() == found.rows.tolist()[::-1]
    np.testing.assert_allclose(opposite.cosine, -found.cosine[::-1], atol=1e-12)


def test_rotation_changes_nothing():
    """S depends on angles and distances alone, whatever the axes of the space."""
    starts, deltas, obs = make_arrays(6, patients=20, width=5)
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((5, 5)))[0]
    kwargs = {"start_bandwidth": 2.0, "day_bandwidth": 0.7}
    table = TransitionTable(starts.astype(float), deltas.astype(float), obs, **kwargs)
    turned = TransitionTable(starts @ turn, deltas @ turn, obs, **kwargs)

    found = find_changes(table, stored_question(table, 0), EACH)
    other = find_changes(turned, stored_question(turned, 0), EACH)

    assert_same_order(found, other)
    for name in ("direction", "start", "days"):
        np.testing.assert_allclose(by_row(other, name), by_row(found, name), atol=1e-6)


def test_swapped_visits_keep_the_ranking_by_direction():
    """Later for earlier everywhere, the query included, is the same question."""
    starts, deltas, obs = make_arrays(7, patients=20)
    kwargs = {"start_bandwidth": 2.0, "day_bandwidth": 0.7}
    table = TransitionTable(starts, deltas, obs, **kwargs)
    swapped = TransitionTable(starts + deltas, -deltas, obs, **kwargs)

    found = find_changes(table, stored_question(table, 1), DIRECTION)
    other = find_changes(swapped, stored_question(swapped, 1), DIRECTION)

    assert other.rows.tolist() == found.rows.tolist()
    np.testing.assert_allclose(other.similarity, found.similarity, atol=1e-12)


def test_scale_of_the_space_changes_nothing():
    """With bandwidths in the space's own units, its unit of length does not matter."""
    starts, deltas, obs = make_arrays(8, patients=20)
    one = TransitionTable(starts, deltas, obs, start_bandwidth=2.0, day_bandwidth=0.7)
    other = TransitionTable(
        starts * 2.0**20, deltas * 2.0**20, obs, start_bandwidth=2.0**21, day_bandwidth=0.7
    )

    found = find_changes(one, stored_question(one, 0), EACH)
    scaled = find_changes(other, stored_question(other, 0), EACH)

    assert scaled.rows.tolist() == found.rows.tolist()
    np.testing.assert_allclose(scaled.similarity, found.similarity, rtol=1e-12)


def test_length_of_a_change_does_not_matter():
    """Only the direction of a delta counts, and only the ratio of two spans of days."""
    starts, deltas, obs = make_arrays(9, patients=20)
    lengths = 2.0 ** np.random.default_rng(0).integers(-3, 4, len(deltas))
    slower = obs.assign(delta_day=obs["delta_day"] * 3)
    kwargs = {"start_bandwidth": 2.0, "day_bandwidth": 0.7}
    table = TransitionTable(starts, deltas, obs, **kwargs)
    other = TransitionTable(starts, deltas * lengths[:, None], slower, **kwargs)

    found = find_changes(table, stored_question(table, 0), EACH)
    scaled = find_changes(other, stored_question(other, 0), EACH)

    assert_same_order(found, scaled)


def assert_same_order(found, other):
    """The same similarity of each row, hence the same order but for ties within rounding."""
    np.testing.assert_allclose(by_row(other, "similarity"), by_row(found, "similarity"), atol=1e-6)
    np.testing.assert_allclose(other.similarity, found.similarity, atol=1e-6)


def by_row(found, name):
    """A part of each hit, in the order of rows."""
    return getattr(found, name)[np.argsort(found.rows)]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 12), site=st.sampled_from([(), ("site == A",)]))
def test_lists_others_and_is_short_only_for_want_of_them(seed, k, site):
    """No hit is of the query's patient, none twice; fewer than k only when fewer are eligible."""
    table = make_table(seed)
    question = stored_question(table, 0)

    found = find_changes(table, question, ProgressionOptions(k=k, where=site))

    patients = table.columns.obs["patient_id"][found.rows].tolist()
    assert question.patient_ids[0] not in patients
    assert len(set(patients)) == len(patients) == min(k, found.n_eligible_patients)
    assert found.eligible[found.rows].all()
    np.testing.assert_allclose(
        found.similarity, found.direction + found.start + found.days, rtol=0, atol=0
    )
    np.testing.assert_allclose(found.direction, found.weights[0] * found.cosine, rtol=0, atol=0)


@pytest.mark.parametrize("backend", ["faiss-cpu", "faiss-gpu"])
@pytest.mark.parametrize(
    "options",
    [
        {"k": 3},
        {"k": 500},
        {"k": 500, "where": ("age > 40",)},
        {"k": 500, "direction_only": True},
        {"k": 20, "level": "transition"},
    ],
)
def test_backends_agree(backend, options, monkeypatch):
    """FAISS gives NumPy's answer bit for bit; the GPU's way of working runs on a CPU index."""
    table = make_table(4, patients=60, most=9)
    question = stored_question(table, 2)
    expected = find_changes(table, question, ProgressionOptions(**options))
    monkeypatch.setattr(choose, "_has_gpu", lambda: True)
    monkeypatch.setattr(choose, "_make", make_flat)

    found = find_changes(table, question, ProgressionOptions(backend=backend, **options))

    assert (expected.backend, found.backend) == ("numpy", backend)
    assert found.rows.tolist() == expected.rows.tolist()
    assert found.similarity.tolist() == expected.similarity.tolist()


def make_flat(name, prepared):
    """A FAISS index; that of the GPU lies on the CPU here."""
    return FlatIndex(prepared.rows, on_gpu=name == "faiss-gpu", make=faiss.IndexFlatIP)


@pytest.mark.gpu
def test_gpu_agrees():
    """FAISS on a real GPU gives NumPy's answer."""
    if not choose._has_gpu():
        pytest.skip("no GPU here")
    table = make_table(4, patients=60, most=9)
    question = stored_question(table, 2)

    found = find_changes(table, question, ProgressionOptions(k=30, backend="faiss-gpu"))

    expected = find_changes(table, question, ProgressionOptions(k=30, backend="numpy"))
    assert found.backend == "faiss-gpu"
    assert found.rows.tolist() == expected.rows.tolist()


@pytest.mark.parametrize("weights", [ONES, (0.0, 2.0, 0.5), (1.0, 0.0, 0.0)])
def test_parts_of_every_transition(weights):
    """The parts of all transitions are those of the formula, and of the hits, to the last bit."""
    table = make_table(2, patients=400)
    question = stored_question(table, int(np.argmax(table.lengths)))

    parts = all_parts(table, question, weights)

    slow = [slow_parts(table, question, weights, row) for row in range(len(table))]
    np.testing.assert_allclose(np.transpose(parts), slow, atol=1e-9)
    found = find_changes(table, question, replace(EACH, weights=weights))
    assert found.direction.tolist() == parts[0][found.rows].tolist()
    assert found.start.tolist() == parts[1][found.rows].tolist()
    assert found.days.tolist() == parts[2][found.rows].tolist()


@pytest.mark.parametrize("noise", [0.0, 1e-13])
def test_steady_transitions_have_cosine_zero(noise):
    """A delta that is nothing, or nothing but rounding, points nowhere: between like and unlike."""
    table = simple([[-1, 0], [noise, 0], [3, 0], [0, 5]])
    question = Question(np.array([1.0, 0]))

    found = find_changes(table, question)

    assert found.rows.tolist() == [2, 1, 3, 0]
    assert found.cosine.tolist() == [1, 0, 0, -1]


def test_small_changes_still_have_a_direction():
    """A delta far smaller than others, but above rounding, counts in full."""
    table = simple([[1e-9, 0], [0, 5]])

    found = find_changes(table, Question(np.array([1.0, 0])))

    assert found.cosine.tolist() == [1, 0]


def test_says_that_a_steady_query_has_no_direction():
    """A query that did not move is like nothing in direction, and the answer says so."""
    table = simple([[1, 0], [0, 1]], starts=[[9, 0], [1, 0]])

    found = find_changes(table, Question(np.zeros(2), np.zeros(2), None, ("X",)))

    assert found.rows.tolist() == [1, 0]
    assert found.direction.tolist() == [0, 0]
    assert any("the query did not move" in note for note in found.notes)


def test_one_transition_alone_finds_nothing_and_says_why():
    """The only transition, asked for itself, has an empty answer with the counts."""
    table = simple([[1.0, 0]])

    found = find_changes(table, stored_question(table, 0))

    assert found.rows.tolist() == found.similarity.tolist() == []
    assert (found.n_eligible, found.n_eligible_patients) == (0, 0)
    assert found.notes == (
        "nothing is eligible: 1 transitions, 0 after leaving out the query's own",
    )


def test_no_transitions_at_all():
    """A cohort without transitions answers with nothing rather than an error."""
    table = simple(np.empty((0, 2)))

    found = find_changes(table, Question(np.array([1.0, 0]), np.zeros(2), 7.0, ("P0",)))

    assert found.rows.tolist() == []
    assert found.notes == ("nothing is eligible: 0 transitions",)


def test_tells_which_condition_left_nothing():
    """The counts after each condition are in the note of an empty answer."""
    table = simple(np.eye(3), site=["A", "A", "B"])
    options = ProgressionOptions(where=("site == A", "delta_day > 99"), backend="faiss-cpu")

    found = find_changes(table, stored_question(table, 2), options)

    assert found.rows.tolist() == []
    assert found.backend == "faiss-cpu"
    steps = "2 after site == A, 0 after delta_day > 99, 0 after leaving out the query's own"
    assert found.notes == (f"nothing is eligible: 3 transitions, {steps}; delta_day is 7",)


def test_as_of_a_day_an_empty_answer_tells_nothing_of_later_ones():
    """What a column holds may be known only later, so no hint is given; without a day, it is."""
    table = make_table(0, clock="cohort", patients=30)
    question = stored_question(table, 0)

    now = find_changes(table, question, ProgressionOptions(where=("site == Z",)))
    then = find_changes(table, question, ProgressionOptions(where=("site == Z",), as_of=999.0))

    assert "site has no 'Z'" in now.notes[-1]
    assert "site has no" not in " ".join(then.notes)


def test_own_patient_may_be_a_hit_but_never_the_query_itself():
    """With include_self another transition of the patient may be found."""
    table = simple(np.ones((3, 2)), patients=["P0", "P0", "P1"])
    question = stored_question(table, 0)

    found = find_changes(table, question, ProgressionOptions(include_self=True))

    assert found.rows.tolist() == [1, 2]
    assert (found.n_eligible, found.n_eligible_patients) == (2, 2)


def test_patients_with_no_transition_of_their_own_are_fine():
    """A query's patient who is not in the table leaves nobody out, and several leave all out."""
    table = simple(np.ones((4, 2)), patients=["P0", "P0", "P1", "P2"])

    found = find_changes(table, Question(np.ones(2), patient_ids=("P0", "P9", "P2")))

    assert found.rows.tolist() == [2]
    assert (found.n_eligible, found.n_eligible_patients) == (1, 1)


def test_says_that_nobody_is_left_out():
    """Without a patient the answer warns that the query's own transitions may be among it."""
    table = simple(np.eye(2))

    nobody = find_changes(table, Question(np.ones(2)))
    asked = find_changes(table, Question(np.ones(2)), ProgressionOptions(include_self=True))

    assert any("patient is unknown" in note for note in nobody.notes)
    assert not any("patient is unknown" in note for note in asked.notes)


@pytest.mark.parametrize(
    ("start", "delta_day", "bandwidths", "weights", "notes"),
    [
        (True, 7.0, (2.0, 0.7), (1, 1, 1), []),
        (False, 7.0, (2.0, 0.7), (1, 0, 1), ["the query's start is unknown: start states"]),
        (True, None, (2.0, 0.7), (1, 1, 0), ["the query's delta_day is unknown: spans"]),
        (True, 7.0, (0.0, 0.7), (1, 0, 1), ["the reference has no bandwidth of start: start"]),
        (True, 7.0, (2.0, 0.0), (1, 1, 0), ["the reference has no bandwidth of delta_day: sp"]),
        (False, None, (2.0, 0.7), (1, 0, 0), ["the query's start", "the query's delta_day"]),
    ],
)
def test_drops_what_cannot_be_compared(start, delta_day, bandwidths, weights, notes):
    """What the query does not know, or nothing can scale, weighs 0, and the answer says so."""
    table = make_table(0, *bandwidths)
    question = Question(np.ones(4), np.full(4, 5.0) if start else None, delta_day, ("X",))

    found = find_changes(table, question, EACH)

    assert found.weights == weights == effective_weights(table, question, ONES)
    assert len(found.notes) == len(notes)
    assert all(note.startswith(said) for note, said in zip(found.notes, notes, strict=True))
    assert_same(found, slow_search(table, question, EACH, anyone))


def test_weights_are_the_querys_business():
    """Rows are prepared once for all weights, and once more for directions alone."""
    table = make_table(0)
    question = stored_question(table, 0)
    find_changes(table, question)
    find_changes(table, question, ProgressionOptions(direction_only=True))
    kept = [table.prepared(direction_only=value) for value in (False, True)]

    find_changes(table, question, ProgressionOptions(weights=(3.0, 0.1, 9.0), negate=True))

    assert table.prepared(direction_only=False) is kept[0]
    assert table.prepared(direction_only=True) is kept[1]
    assert [rows.rows.shape[1] for rows in kept] == [11, 4]
    assert all(rows.rows.dtype == np.float32 and rows.rows.flags.c_contiguous for rows in kept)


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0), (0.1, 3.0, 0.0), (1e-30, 1e9, 1.0)])
def test_products_are_the_similarity_but_for_a_constant(weights):
    """A row's product and S differ by the same amount everywhere, to within the stated slack."""
    table = make_table(3, patients=60, width=16)
    question = stored_question(table, 0)
    prepared = table.prepared(direction_only=False)
    vector = table.vector(question.delta, question.start, question.delta_day, weights)

    products = prepared.rows @ vector[0]

    whole = np.sum(all_parts(table, question, weights), axis=0) / max(weights)
    gaps = products.astype(np.float64) - whole
    assert np.ptp(gaps) <= 2 * prepared.slack(vector) < 1e-2


def test_outliers_hide_nothing():
    """A start thousands of bandwidths away costs time, not hits."""
    starts, deltas, obs = make_arrays(0, patients=50)
    starts[3] = 1e4
    table = TransitionTable(starts, deltas, obs, start_bandwidth=2.0, day_bandwidth=0.7)
    question = stored_question(table, 0)

    found = find_changes(table, question)

    assert_same(found, slow_search(table, question, ProgressionOptions(), anyone))


def test_starts_far_from_zero_stay_accurate():
    """Where the origin lies does not matter: it is moved to the mean before float32."""
    starts, deltas, obs = make_arrays(0, patients=50)
    table = TransitionTable(starts + 1e4, deltas, obs, start_bandwidth=2.0, day_bandwidth=0.7)
    question = stored_question(table, 0)
    vector = table.vector(question.delta, question.start, question.delta_day, ONES)

    slack = table.prepared(direction_only=False).slack(vector)

    assert slack < 1e-3


def test_as_of_hides_what_was_not_there_yet():
    """Transitions that end after the day are no hits; outcomes may not be asked for."""
    table = make_table(0, clock="cohort", patients=30)
    table.columns.obs["response"] = "improved"
    table.columns.obs.loc[len(table) - 1, "later_day"] = 50.0
    options = replace(EACH, as_of=50.0)

    found = find_changes(table, stored_question(table, 0), options)

    later, patients = table.columns.obs["later_day"], table.columns.obs["patient_id"]
    assert 50.0 in later[patients != patients[0]].to_list()
    assert found.eligible.tolist() == ((later <= 50) & (patients != patients[0])).to_list()
    with pytest.raises(QueryError, match="asks what came later, which --as-of hides"):
        find_changes(
            table, stored_question(table, 0), replace(options, where=("response == improved",))
        )


def test_as_of_needs_the_cohorts_clock():
    """On the patients' own clocks nothing is before or after."""
    table = make_table(0, clock="patient")

    with pytest.raises(QueryError, match="cut the query with --until-day"):
        find_changes(table, stored_question(table, 0), ProgressionOptions(as_of=3.0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k is 0: give a whole number from 1"),
        ({"k": True}, "k is True"),
        ({"k": 2.0}, "k is 2.0"),
        ({"level": "scan"}, "no level 'scan': choose patient or transition"),
        ({"transitions": "some"}, "no transitions 'some'"),
        ({"weights": (0.0, 0.0, 0.0)}, "three finite numbers from 0, not all 0"),
        ({"weights": (1.0, -1.0, 0.0)}, "three finite numbers from 0"),
        ({"weights": (1.0, np.nan, 0.0)}, "three finite numbers from 0"),
        ({"weights": (1.0, np.inf, 0.0)}, "three finite numbers from 0"),
        ({"weights": (1.0, None, 0.0)}, "three finite numbers from 0"),
        ({"weights": (1.0, 1.0)}, "three finite numbers from 0"),
        ({"weights": 1.0}, "three finite numbers from 0"),
        ({"weights": (0.0, 1.0, 1.0), "direction_only": True}, "nothing is left to rank by"),
        ({"backend": "annoy"}, "no backend 'annoy'"),
        ({"min_support": -1.0}, "--min-support is -1.0: give a number from 0"),
        ({"min_support": None}, "--min-support is None"),
        ({"min_support": np.nan}, "--min-support is nan"),
        ({"n_draws": -1}, "--n-draws is -1: give a whole number from 0"),
        ({"n_draws": 9.5}, "--n-draws is 9.5"),
        ({"seed": -1}, "--seed is -1: give a whole number from 0"),
        ({"as_of": np.inf}, "--as-of is inf"),
        ({"until_day": "soon"}, "--until-day is 'soon'"),
        ({"where": ("sx == f",)}, "no column 'sx'"),
        ({"match": ("sx",)}, "no column 'sx'"),
    ],
)
def test_refuses_options(options, message):
    """An option that means nothing is refused in one line, with the next step."""
    table = make_table()

    with pytest.raises(QueryError, match=message) as error:
        find_changes(table, stored_question(table, 0), ProgressionOptions(**options))

    assert "\n" not in str(error.value)


def test_takes_numpys_numbers():
    """Options that NumPy made are as good as Python's."""
    table = make_table()
    options = ProgressionOptions(k=np.int64(3), weights=np.ones(3), seed=np.int32(1))

    found = find_changes(table, stored_question(table, 0), options)

    assert len(found.rows) == 3
    assert found.weights == ONES


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"delta": np.ones(3)}, r"delta is of shape \(3,\) and the transitions are of width 4"),
        ({"delta": np.full(4, np.nan)}, "delta holds NaN or infinity"),
        ({"start": np.ones((1, 4))}, r"start is of shape \(1, 4\)"),
        ({"start": np.full(4, np.inf)}, "start holds NaN or infinity"),
        ({"start": np.full(4, 1e16)}, "bandwidths from their mean: refit the reference"),
        ({"delta_day": 0.0}, "the query spans 0 days"),
        ({"delta_day": np.nan}, "delta_day is nan"),
        ({"row": 999}, "no transition 999 among"),
        ({"row": -1}, "no transition -1 among"),
    ],
)
def test_refuses_questions(change, message):
    """A question that does not fit the table is refused."""
    table = make_table()

    with pytest.raises(QueryError, match=message):
        find_changes(table, replace(stored_question(table, 0), **change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"starts": np.ones((2, 3))}, r"starts of shape \(2, 3\) and deltas of shape \(2, 2\)"),
        ({"deltas": np.ones(2)}, r"deltas of shape \(2,\)"),
        ({"obs": pd.DataFrame({"patient_id": ["P"], "delta_day": [1.0]})}, "fit 1 rows of columns"),
        ({"obs": pd.DataFrame({"patient_id": ["P", "Q"]})}, "without a column 'delta_day'"),
        (
            {"obs": pd.DataFrame({"patient_id": ["P", None], "delta_day": [1.0, 1]})},
            "transition 1 has no patient_id",
        ),
        (
            {"obs": pd.DataFrame({"patient_id": ["P", "Q"], "delta_day": [1.0, 0]})},
            "transition 1 spans 0 days",
        ),
        (
            {"obs": pd.DataFrame({"patient_id": ["P", "Q"], "delta_day": [np.nan, 1]})},
            "transition 0 spans nan days",
        ),
        ({"starts": np.array([[1, 2], [3, np.nan]])}, "the start embedding of transition 1 holds"),
        ({"deltas": np.array([[1, np.inf], [3, 0]])}, "the delta of transition 0 holds NaN or inf"),
        ({"start_bandwidth": -1.0}, "start_bandwidth is -1.0"),
        ({"day_bandwidth": np.nan}, "day_bandwidth is nan"),
    ],
)
def test_refuses_tables(change, message):
    """Arrays that do not fit together, or hold no numbers, are refused with their place."""
    given = {
        "starts": np.ones((2, 2)),
        "deltas": np.ones((2, 2)),
        "obs": pd.DataFrame({"patient_id": ["P", "Q"], "delta_day": [1.0, 1.0]}),
        "start_bandwidth": 1.0,
        "day_bandwidth": 1.0,
    }

    with pytest.raises(QueryError, match=message):
        TransitionTable(**(given | change))


def test_refuses_bandwidths_that_fit_other_data():
    """Distances that float32 cannot hold in units of the bandwidth are refused, not overflowed."""
    starts, deltas, obs = make_arrays(0)
    table = TransitionTable(starts, deltas, obs, start_bandwidth=1e-18, day_bandwidth=1.0)

    with pytest.raises(QueryError, match="bandwidths from their mean: refit the reference"):
        find_changes(table, stored_question(table, 0))


@pytest.mark.parametrize("row", [-1, 10_000])
def test_refuses_a_row_that_is_not_there(row):
    """A stored question needs a row of the table."""
    with pytest.raises(QueryError, match=f"no transition {row} among"):
        stored_question(make_table(), row)
