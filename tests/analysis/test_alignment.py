"""Alignments of trajectories against every way to pair visits, planted shifts, and laws."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner_index.analysis import alignment
from learner_index.analysis.alignment import align, nearest_paths
from learner_index.errors import QueryError, SettingsError

SEEDS = st.integers(0, 2**32 - 1)
LAWS = settings(max_examples=60, deadline=None)
SCALE, SOFTNESS = 1.7, 0.3  # neither is 1, so that a lost one shows
DAYS = np.array([0.0, 150.0, 400.0, 520.0])
CLIMB = np.outer(np.arange(4.0), [0.6, -0.8])  # a straight course: one scale a visit


def walk(rng, n_visits=None, width=3):
    """A random trajectory: embeddings, and days with uneven gaps."""
    n_visits = n_visits or int(rng.integers(1, 6))
    path = np.cumsum(rng.normal(size=(n_visits, width)), axis=0)
    return path, np.cumsum(rng.uniform(1, 300, n_visits))


def course(times):
    """(n, 2) embeddings on one bent course that never comes back, at the given times."""
    times = np.asarray(times, float)
    return np.column_stack([times / 100, np.sin(times / 200)])


def slow_ways(a, b):
    """Every way to pair visits 0 to a - 1 with visits 0 to b - 1 in order, as lists of pairs."""
    if a == 1 and b == 1:
        return [[(0, 0)]]
    before = [(a - 1, b - 1), (a - 1, b), (a, b - 1)]
    return [[*way, (a - 1, b - 1)] for i, j in before if i > 0 and j > 0 for way in slow_ways(i, j)]


def slow_costs(x, y, scale):
    return [[sum((p - q) ** 2 for p, q in zip(u, v, strict=True)) / scale**2 for v in y] for u in x]


def slow_soft_dtw(costs, softness):
    """-γ log Σ exp(-cost of a way / γ) over all ways."""
    ways = slow_ways(len(costs), len(costs[0]))
    sums = [sum(costs[i][j] for i, j in way) for way in ways]
    parts = [math.exp((min(sums) - one) / softness) for one in sums]
    return min(sums) - softness * math.log(sum(parts))


def slow_distance(x, y, scale, softness):
    between, own, theirs = (
        slow_soft_dtw(slow_costs(u, v, scale), softness) for u, v in ((x, y), (x, x), (y, y))
    )
    return (between - (own + theirs) / 2) / ((len(x) + len(y)) / 2)


def slow_gradient(x, y, scale, softness, step=1e-5):
    """Soft-DTW's gradient by the costs, by finite differences, made to sum to 1."""
    costs = np.array(slow_costs(x, y, scale))
    found = np.zeros_like(costs)
    for pair in np.ndindex(costs.shape):
        moved = np.zeros_like(costs)
        moved[pair] = step
        up, down = (slow_soft_dtw((costs + sign * moved).tolist(), softness) for sign in (1, -1))
        found[pair] = (up - down) / (2 * step)
    return found / found.sum()


def slow_moments(weights, day, other_day):
    """Mean and variance of the day gaps of pairs, pair by pair."""
    gaps = {(i, j): other_day[j] - day[i] for i, j in np.ndindex(weights.shape)}
    mean = sum(weights[pair] * gap for pair, gap in gaps.items())
    return mean, sum(weights[pair] * (gap - mean) ** 2 for pair, gap in gaps.items())


@given(SEEDS)
@LAWS
def test_distance_is_the_divergence_over_every_way_to_pair_visits(seed):
    """The distance equals the divergence of soft minima over all ways, listed one by one."""
    rng = np.random.default_rng(seed)
    (x, days), (y, other_days) = walk(rng), walk(rng)

    found = align(x, days, y, other_days, scale=SCALE, softness=SOFTNESS)

    assert found.distance == pytest.approx(slow_distance(x, y, SCALE, SOFTNESS), abs=1e-9)


@given(SEEDS)
@settings(max_examples=25, deadline=None)
def test_weights_are_the_gradient_by_the_costs(seed):
    """The weights equal finite differences of soft-DTW by the costs, and sum to 1."""
    rng = np.random.default_rng(seed)
    (x, days), (y, other_days) = walk(rng), walk(rng)

    found = align(x, days, y, other_days, scale=SCALE, softness=SOFTNESS)

    np.testing.assert_allclose(found.weights, slow_gradient(x, y, SCALE, SOFTNESS), atol=1e-6)
    assert found.weights.sum() == pytest.approx(1)


@pytest.mark.slow
def test_is_what_tslearn_computes():
    """Divergence and alignment are those of a library that many use."""
    metrics = pytest.importorskip("tslearn.metrics")
    rng = np.random.default_rng(4)
    (path, days), (other, other_days) = walk(rng, 4), walk(rng, 6)
    x, y = path / SCALE, other / SCALE

    found = align(path, days, other, other_days, scale=SCALE, softness=SOFTNESS)

    weights, between = metrics.soft_dtw_alignment(x, y, gamma=SOFTNESS)
    own, theirs = (metrics.soft_dtw(z, z, gamma=SOFTNESS) for z in (x, y))
    assert found.distance == pytest.approx((between - (own + theirs) / 2) / 5)
    np.testing.assert_allclose(found.weights, weights / weights.sum(), atol=1e-9)


def test_shift_and_spread_are_moments_of_the_paired_days():
    """The shift is the weighted mean of day gaps; its variance loses half of each path's own."""
    rng = np.random.default_rng(5)
    (x, days), (y, other_days) = walk(rng, 4), walk(rng, 5)
    between, own, theirs = (slow_gradient(u, v, SCALE, 2.0) for u, v in ((x, y), (x, x), (y, y)))

    found = align(x, days, y, other_days, scale=SCALE, softness=2.0)

    mean, variance = slow_moments(between, days, other_days)
    variance -= slow_moments(own, days, days)[1] / 2
    variance -= slow_moments(theirs, other_days, other_days)[1] / 2
    assert variance > 1
    assert found.day_shift == pytest.approx(mean, rel=1e-5)
    assert found.shift_spread == pytest.approx(math.sqrt(variance), rel=1e-4)


@given(SEEDS, st.floats(-3, 2), st.floats(-3, 2))
@LAWS
def test_distance_is_never_below_zero(seed, spread, softness):
    """However near, far or softly paired two trajectories are, no distance is negative."""
    rng = np.random.default_rng(seed)
    (x, days), (y, other_days) = walk(rng), walk(rng)

    found = align(x * 10**spread, days, y * 10**spread, other_days, scale=1, softness=10**softness)

    assert found.distance >= 0
    assert slow_distance(x * 10**spread, y * 10**spread, 1, 10**softness) > -1e-8  # no cut-off


def test_rounding_makes_no_distance_negative():
    """Trajectories a billionth apart, where the divergence is all rounding, are not below 0."""
    rng = np.random.default_rng(14)
    paths = [walk(rng, 5)[0] for _ in range(50)]
    day = np.arange(5.0)

    found = [align(x, day, x + 1e-9, day, scale=SCALE, softness=SOFTNESS) for x in paths]

    assert min(one.distance for one in found) >= 0
    assert max(one.distance for one in found) < 1e-12


@given(SEEDS, st.floats(-2000, 2000))
@LAWS
def test_a_copy_is_at_distance_zero_and_shifted_by_its_days(seed, shift):
    """A copy some days later has distance exactly 0, just that shift, and no spread."""
    path, days = walk(np.random.default_rng(seed))

    found = align(path, days, path.copy(), days + shift, scale=SCALE, softness=SOFTNESS)

    assert found.distance == 0
    assert found.day_shift == pytest.approx(shift, abs=1e-6)
    assert found.shift_spread == pytest.approx(0, abs=1e-3)


def test_a_slower_clock_shows_as_spread():
    """A course run through at half the pace is paired visit by visit, with gaps that grow."""
    days = np.array([0.0, 10.0, 20.0, 30.0])

    found = align(CLIMB * 9, days, CLIMB * 9, 2 * days, scale=1)

    np.testing.assert_allclose(found.weights, np.eye(4) / 4, atol=1e-9)
    assert found.day_shift == pytest.approx(15)  # gaps 0, 10, 20 and 30
    assert found.shift_spread == pytest.approx(math.sqrt(125))


@given(SEEDS)
@LAWS
def test_swapping_negates_the_shift_and_nothing_else(seed):
    """With the patients swapped the distance is the same, the shift negated, the weights turned."""
    rng = np.random.default_rng(seed)
    one, other = walk(rng, 9), walk(rng, int(rng.integers(1, 9)))

    found = align(*one, *other, scale=SCALE, softness=2.0)
    swapped = align(*other, *one, scale=SCALE, softness=2.0)

    assert swapped.distance == found.distance
    assert swapped.day_shift == pytest.approx(-found.day_shift, abs=1e-6)
    assert swapped.shift_spread == pytest.approx(found.shift_spread, abs=1e-3)
    np.testing.assert_allclose(swapped.weights, found.weights.T, atol=1e-12)


@given(SEEDS)
@LAWS
def test_turning_and_moving_the_space_changes_nothing(seed):
    """A rotation, a move and another unit of embeddings leave the alignment as it was."""
    rng = np.random.default_rng(seed)
    (x, days), (y, other_days) = walk(rng), walk(rng)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]

    found = align(x, days, y, other_days, scale=SCALE, softness=SOFTNESS)
    moved = align(
        x @ turn * 4 + 5, days, y @ turn * 4 + 5, other_days, scale=SCALE * 4, softness=SOFTNESS
    )

    assert moved.distance == pytest.approx(found.distance, abs=1e-9)
    assert moved.day_shift == pytest.approx(found.day_shift, abs=1e-6)


def test_visits_repeated_cost_little_and_going_back_costs_much():
    """Each visit twice is near; the same visits in the reverse order are far."""
    twice = align(CLIMB, DAYS, CLIMB.repeat(2, axis=0), DAYS.repeat(2), scale=1)
    reverse = align(CLIMB, DAYS, CLIMB[::-1], DAYS, scale=1)

    assert twice.distance < 0.05
    assert reverse.distance > 1
    assert abs(twice.day_shift) < 1


def test_long_trajectories_are_not_far_for_being_long():
    """One scale beside at every visit is distance 1, with few visits and with many."""
    aside = np.array([0.8, 0.6])  # at right angles to the course
    long, day = np.outer(np.arange(40.0), [5.4, -7.2]), np.arange(40.0)

    few = align(CLIMB * 9, DAYS, CLIMB * 9 + aside, DAYS, scale=1)
    many = align(long, day, long + aside, day, scale=1)

    assert few.distance == pytest.approx(1, abs=1e-6)
    assert many.distance == pytest.approx(1, abs=1e-6)


def test_a_single_visit_is_paired_with_all():
    """A trajectory of one visit is paired with each of the other's alike, in either place."""
    one = align(CLIMB[:1], DAYS[:1], CLIMB, DAYS, scale=1)
    other = align(CLIMB, DAYS, CLIMB[:1], DAYS[:1], scale=1)

    np.testing.assert_allclose(one.weights, [[0.25] * 4])
    assert one.day_shift == pytest.approx(DAYS.mean())
    assert other.day_shift == pytest.approx(-DAYS.mean())


@pytest.mark.parametrize("seed", range(5))
def test_finds_the_same_course_seen_on_other_days(seed):
    """A patient on one's course, at other days and another clock, is found with the shift."""
    rng = np.random.default_rng(seed)
    days = np.array([0.0, 200.0, 400.0, 600.0])
    times = np.sort(np.concatenate([[0, 600], rng.uniform(0, 600, 3)]))
    strangers = [walk(rng, 5, 2) for _ in range(200)]

    ((position, found),) = nearest_paths(
        course(days), days, [*strangers, (course(times), times + 1000)], scale=1, k=1
    )

    assert position == 200
    assert abs(found.day_shift - 1000) < 200


def test_a_shift_beyond_the_visits_is_understated():
    """Seen over a later stretch, a patient has a shift of the right sign that is too small."""
    times = np.array([0.0, 200.0, 400.0, 600.0])

    found = align(course(times), times, course(times + 200), times, scale=1)

    assert -200 < found.day_shift < -50


def test_a_shifted_copy_ranks_first():
    """Among many trajectories a copy on another clock comes first, at its shift."""
    rng = np.random.default_rng(8)
    path, days = walk(rng, 4)
    others = [walk(rng) for _ in range(300)]
    others.insert(123, (path, days - 77))

    found = nearest_paths(path, days, others, scale=SCALE, k=3)

    assert found[0][0] == 123
    assert found[0][1].distance == 0
    assert found[0][1].day_shift == pytest.approx(-77)


@pytest.mark.parametrize("cells", [1, 100, 1 << 20])
def test_ranks_as_aligning_each_would(monkeypatch, cells):
    """Positions and distances are those of aligning every path alone, whatever the block."""
    monkeypatch.setattr(alignment, "_CELLS", cells)
    rng = np.random.default_rng(9)
    path, days = walk(rng, 3)
    others = [walk(rng) for _ in range(60)]
    alone = [align(path, days, *other, scale=SCALE, softness=SOFTNESS) for other in others]

    found = nearest_paths(path, days, others, scale=SCALE, softness=SOFTNESS, k=60)

    expected = sorted(range(60), key=lambda i: alone[i].distance)
    assert [i for i, _ in found] == expected
    for i, one in found:
        assert one.distance == pytest.approx(alone[i].distance, abs=1e-12)
        assert one.day_shift == pytest.approx(alone[i].day_shift)
        np.testing.assert_allclose(one.weights, alone[i].weights, atol=1e-12)


def test_equal_distances_are_in_order_of_position():
    """Copies of one trajectory tie, and come in the order they were given."""
    rng = np.random.default_rng(10)
    path, days = walk(rng, 4)
    near, far = (path + 0.1, days), (path + 5, days)

    found = nearest_paths(path, days, [far, near, near] * 20, scale=1, k=60)

    assert [i for i, _ in found] == [*(i for i in range(60) if i % 3), *range(0, 60, 3)]


def test_later_visits_of_others_change_no_one_else():
    """More visits of some patients leave the distance and shift of the rest as they were."""
    rng = np.random.default_rng(11)
    path, days = walk(rng, 4)
    others = [walk(rng, int(rng.integers(2, 5))) for _ in range(40)]
    longer = list(others)
    for i in range(0, 40, 2):
        rows, day = others[i]
        longer[i] = (np.vstack([rows, rows[-1] + 1]), np.append(day, day[-1] + 50))

    before = dict(nearest_paths(path, days, others, scale=SCALE, k=40))
    after = dict(nearest_paths(path, days, longer, scale=SCALE, k=40))

    for i in range(1, 40, 2):
        assert after[i].distance == before[i].distance
        assert after[i].day_shift == before[i].day_shift
    assert any(after[i].distance != before[i].distance for i in range(0, 40, 2))


def test_gives_fewer_where_there_are_fewer():
    """All paths come back where k is more than there are, and none where there is none."""
    rng = np.random.default_rng(12)
    others = [walk(rng) for _ in range(2)]

    assert len(nearest_paths(*walk(rng), others, scale=1, k=5)) == 2
    assert nearest_paths(*walk(rng), [], scale=1, k=5) == []


def test_single_precision_and_whole_days_are_taken():
    """float32 embeddings and integer days give what the same numbers as float64 give."""
    path, days = CLIMB.astype(np.float32), DAYS.astype(np.int64)

    found = align(path, days, path + 1, days, scale=SCALE)

    expected = align(path.astype(float), DAYS, (path + 1).astype(float), DAYS, scale=SCALE)
    assert found.distance == expected.distance
    assert found.weights.dtype == np.float64


def test_costs_far_above_the_softness_lose_nothing():
    """Pairs that cost a billion times the softness still share out a weight of 1."""
    found = align(CLIMB * 1e4, DAYS, CLIMB * 1e4 + 300, DAYS, scale=1, softness=0.1)

    assert found.weights.sum() == pytest.approx(1)
    assert found.distance == pytest.approx(180_000, rel=1e-6)


BAD_PATHS = {
    "has shape \\(0, 2\\): give one embedding a visit": (CLIMB[:0], DAYS[:0]),
    "has shape \\(4,\\): give one embedding a visit": (CLIMB[:, 0], DAYS),
    "has 4 visits but days of shape \\(3,\\): give one day a visit": (CLIMB, DAYS[:3]),
    "goes back in time: order its visits by day": (CLIMB, DAYS[::-1]),
    "an embedding or a day that is no finite number": (CLIMB * np.nan, DAYS),
    "or a day that is no finite number: leave that visit out": (CLIMB, DAYS * np.nan),
    "is too far out for scale 1: check both": (CLIMB * 1e200, DAYS),
}


@pytest.mark.parametrize("message", BAD_PATHS)
def test_refuses_paths_that_cannot_be_aligned(message):
    """Each fault of a path is named, with where it is: first, second, or its position."""
    bad, good = BAD_PATHS[message], (CLIMB, DAYS)

    with pytest.raises(QueryError, match=f"the first path.*{message}"):
        align(*bad, *good, scale=1)
    with pytest.raises(QueryError, match=f"the second path.*{message}"):
        align(*good, *bad, scale=1)
    with pytest.raises(QueryError, match=f"the path asked for.*{message}"):
        nearest_paths(*bad, [good], scale=1, k=1)
    with pytest.raises(QueryError, match=f"path 2.*{message}"):
        nearest_paths(*good, [good, good, bad], scale=1, k=1)


def test_refuses_paths_of_two_spaces():
    """Embeddings of unequal width are refused, with both widths."""
    with pytest.raises(QueryError, match="the second path has embeddings of width 1, not 2"):
        align(CLIMB, DAYS, CLIMB[:, :1], DAYS, scale=1)
    with pytest.raises(QueryError, match="path 1 has embeddings of width 1, not 2"):
        nearest_paths(CLIMB, DAYS, [(CLIMB, DAYS), (CLIMB[:, :1], DAYS)], scale=1, k=1)


@pytest.mark.parametrize("value", [0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("name", ["scale", "softness"])
def test_refuses_a_scale_or_softness_that_is_not_above_zero(name, value):
    """A scale or softness of 0, below it, or not finite is refused and shown."""
    options = {"scale": 1.0, "softness": 0.1, name: value}

    with pytest.raises(SettingsError, match=f"{name} is {value}: give a .* above 0"):
        align(CLIMB, DAYS, CLIMB, DAYS, **options)
    with pytest.raises(SettingsError, match=f"{name} is {value}: give a .* above 0"):
        nearest_paths(CLIMB, DAYS, [], k=1, **options)


def test_refuses_to_find_none():
    """Asking for no path is refused."""
    with pytest.raises(SettingsError, match="k is 0: ask for 1 path or more"):
        nearest_paths(CLIMB, DAYS, [(CLIMB, DAYS)], scale=1, k=0)
