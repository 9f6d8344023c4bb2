"""What is known of changes: bandwidths against loops, repeats, and what is missing without them."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner_index.analysis import change_reference as module
from learner_index.analysis.change_reference import fit_change_reference
from learner_index.analysis.noise import noise_covariance
from learner_index.analysis.space import effective_rank, fit_whitening, inverse_root
from learner_index.errors import QueryError

SEEDS = st.integers(0, 2**32 - 1)


def cohort(seed=0, patients=7, visits=2, repeats=1, *, width=3, marked=True, scored=True):
    """Columns and embeddings of visits of one view; embeddings follow the health score."""
    rng = np.random.default_rng(seed)
    patient, visit, day, score, rescan, u = [], [], [], [], [], []
    for p, v in itertools.product(range(patients), range(visits)):
        health = float(rng.normal(50, 10))
        when = 30.0 * v + float(rng.integers(1, 25))
        for repeat in range(repeats):
            patient.append(f"p{p:04}")
            visit.append(p * visits + v)
            day.append(when)
            score.append(health if scored else math.nan)
            rescan.append(marked and repeat > 0)
            u.append(np.append(-health / 5, np.zeros(width - 1)) + rng.normal(0, 0.4, width))
    columns = {
        "patient": np.array(patient, object),
        "visit": np.array(visit),
        "view": np.array(["L1"] * len(patient), object),
        "day": np.array(day),
        "score": np.array(score),
        "is_rescan": np.array(rescan, bool),
    }
    return np.array(u), columns


def fit(u, columns, **options):
    return fit_change_reference(u, **columns, **options)


def changed(columns, **others):
    return columns | {name: np.asarray(value) for name, value in others.items()}


def slow_bandwidths(u, columns):
    """Medians over pairs of patients of two visits each, both loops written out."""
    starts, ratios = [], []
    for name in sorted(set(columns["patient"])):
        rows = np.flatnonzero(columns["patient"] == name)
        earlier, later = rows[np.argsort(columns["day"][rows])]
        starts.append(u[earlier])
        ratios.append(math.log(columns["day"][later] - columns["day"][earlier]))
    pairs = [*itertools.combinations(range(len(starts)), 2)]
    distances = sorted(math.dist(starts[i], starts[j]) for i, j in pairs)
    spans = sorted(abs(ratios[i] - ratios[j]) for i, j in pairs)
    middle = len(pairs) // 2, (len(pairs) - 1) // 2
    return sum(distances[i] for i in middle) / 2, sum(spans[i] for i in middle) / 2


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, patients=st.integers(2, 9))
def test_bandwidths_are_medians_over_pairs_of_patients(seed, patients):
    """Distances of start embeddings, and log ratios of days, not below a tenth."""
    u, columns = cohort(seed, patients, scored=False)

    found = fit(u, columns)

    start, days = slow_bandwidths(u, columns)
    np.testing.assert_allclose(found.start_bandwidth, start, rtol=1e-9)
    np.testing.assert_allclose(found.day_bandwidth, max(0.1, days), rtol=1e-9)


def test_patients_with_many_transitions_count_once():
    """One transition of each, drawn by the seed: pairs within a patient are none."""
    u, columns = cohort(1, patients=2, visits=9)
    far = u + np.where(columns["patient"] == "p0001", 1000.0, 0.0)[:, None]

    found = [fit(far, columns, seed=seed) for seed in range(12)]

    assert all(900 * math.sqrt(3) < each.start_bandwidth < 1100 * math.sqrt(3) for each in found)
    assert len({each.start_bandwidth for each in found}) > 3
    assert fit(far, columns, seed=0).start_bandwidth == found[0].start_bandwidth


def test_equal_spans_have_the_least_bandwidth():
    """Days that differ by a tenth are alike: a bandwidth of 0 would compare nothing."""
    u, columns = cohort()
    day = np.tile([0.0, 10.0], 7)

    assert fit(u, changed(columns, day=day)).day_bandwidth == 0.1


def test_bandwidths_of_large_cohorts_rest_on_some_patients(monkeypatch):
    """No more are compared than is said, and the median is nearly that of all."""
    u, columns = cohort(3, patients=120, scored=False)
    everyone = fit(u, columns).start_bandwidth

    monkeypatch.setattr(module, "_MOST_PAIRED", 60)
    some = fit(u, columns).start_bandwidth

    assert some != everyone
    assert some == pytest.approx(everyone, rel=0.25)


@pytest.mark.parametrize("n_followed", [0, 1])
def test_no_bandwidth_without_two_followed_patients(n_followed):
    """Nothing to compare: 0 stands for that."""
    u, columns = cohort()
    alone = columns["patient"] >= f"p{n_followed:04}"
    day = np.where(alone, math.nan, columns["day"])

    found = fit(u, changed(columns, day=day))

    assert (found.start_bandwidth, found.day_bandwidth) == (0, 0)
    assert (found.n_transitions, found.n_patients, found.n_visits) == (n_followed, 7, 14)


def test_one_patient_is_not_enough():
    """Nobody to compare with."""
    u, columns = cohort(patients=1, visits=5, repeats=2)

    assert fit(u, columns) is None


@pytest.mark.parametrize("level", [0.0, 1.0, 0.1, 1e9])
@pytest.mark.parametrize("patients", [0, 2, 3, 7])
def test_equal_embeddings_say_nothing(patients, level):
    """A collapsed encoder, whatever rounding makes of it, or no scan at all."""
    columns = {name: column[: 4 * patients] for name, column in cohort(repeats=2)[1].items()}

    assert fit(np.full((4 * patients, 3), level), columns) is None


def test_scans_that_differ_by_view_alone_say_nothing():
    """Less the view means nothing is left."""
    u, columns = cohort(patients=2, visits=2)
    view = np.array(["L1", "R1"] * 2, object)

    found = fit(np.where(view == "L1", 5.0, -5.0)[:, None], changed(columns, view=view))

    assert u.shape == (4, 3)
    assert found is None


def test_view_means_and_center_weigh_patients_equally():
    """A patient with many scans counts no more than another."""
    u = np.array([[1.0], [1.0], [4.0], [10.0]])
    columns = {
        "patient": np.array(["a", "a", "a", "b"], object),
        "visit": np.arange(4),
        "view": np.array(["L1", "L1", None, "L1"], object),
        "day": np.arange(4.0),
        "score": np.full(4, math.nan),
        "is_rescan": np.zeros(4, bool),
    }

    found = fit(u, columns)

    assert {name: mean.tolist() for name, mean in found.view_means.items()} == {
        "": [4.0],
        "L1": [5.5],
    }
    moved = [np.mean([1 - 5.5, 1 - 5.5, 4 - 4]), 10 - 5.5]
    np.testing.assert_allclose(found.center, [np.mean(moved)])


def test_repeats_of_two_patients_whiten():
    """W is the inverse root of the noise of a scan."""
    u, columns = cohort(repeats=2)
    u[:, 2] *= 7

    found = fit(u, columns)

    assert found.is_noise_whitened
    assert (found.noise.n_patients, len(found.noise.owners)) == (7, 14)
    expected = inverse_root(noise_covariance(found.noise))
    np.testing.assert_allclose(found.whitening, expected)
    np.testing.assert_allclose(found.noise.differences, (u[1::2] - u[::2]).astype(np.float32))


@pytest.mark.parametrize("case", ["none", "one patient", "all equal"])
def test_without_enough_repeats_the_visits_spread_whitens(case):
    """No repeats, repeats of one patient, or repeats that do not differ."""
    u, columns = cohort(repeats=2)
    if case == "all equal":
        u[1::2] = u[::2]
    else:
        has_repeats = columns["patient"] == "p0000" if case == "one patient" else False
        kept = (np.arange(len(u)) % 2 == 0) | has_repeats
        u, columns = u[kept], {name: column[kept] for name, column in columns.items()}

    found = fit(u, columns)

    assert not found.is_noise_whitened
    visit = columns["visit"]
    pooled = np.array([u[visit == number].mean(axis=0) for number in range(14)])
    owners = np.repeat(np.arange(7), 2)
    np.testing.assert_allclose(found.whitening, fit_whitening(pooled, owners).matrix, rtol=1e-6)
    assert (found.noise is None) == (case == "none")
    assert found.axis is not None
    told = any("in standard deviations of visits" in note for note in found.notes)
    assert told == (case != "none")


@pytest.mark.parametrize("marked", [True, False])
def test_unmarked_repeats_are_a_lower_bound(marked):
    """Those of one session are told from independent ones."""
    u, columns = cohort(repeats=2, marked=marked)

    assert fit(u, columns).noise.is_independent is marked


def test_scans_of_two_views_are_no_repeats():
    """Six zones of one examination would be."""
    u, columns = cohort(repeats=2, marked=False)
    view = np.array(["L1", "R1"] * (len(u) // 2), object)

    assert fit(u, changed(columns, view=view)).noise is None


def test_only_so_many_repeats_are_kept(monkeypatch):
    """A draw of them, in order; the whitening rests on all."""
    u, columns = cohort(4, patients=30, visits=1, repeats=2)
    everything = fit(u, columns)
    monkeypatch.setattr(module, "_MOST_REPEATS", 20)

    some, again, other = (fit(u, columns, seed=seed) for seed in (0, 0, 1))

    rows = [
        everything.noise.differences.tolist().index(row) for row in some.noise.differences.tolist()
    ]
    assert rows == sorted(rows)
    assert len(set(rows)) == 20
    np.testing.assert_array_equal(some.noise.differences, again.noise.differences)
    assert some.noise.differences.tolist() != other.noise.differences.tolist()
    np.testing.assert_array_equal(some.whitening, everything.whitening)
    assert some.noise.is_independent


def test_patients_of_kept_repeats_are_numbered_without_gaps(monkeypatch):
    """Patients whose repeats were not drawn do not count as patients without noise."""
    u, columns = cohort(4, patients=400, visits=1, repeats=2, scored=False)
    full = np.trace(noise_covariance(fit(u, columns).noise))
    monkeypatch.setattr(module, "_MOST_REPEATS", 100)

    noise = fit(u, columns).noise

    assert noise.owners.tolist() == [*range(100)]
    assert noise.n_patients == 100
    assert np.trace(noise_covariance(noise)) == pytest.approx(full, rel=0.3)


@pytest.mark.parametrize(
    ("case", "why"),
    [
        ("few patients", "no severity axis from 8 scored visits of 4 patients: add patients"),
        ("no score", "no severity axis from 0 scored visits of 0 patients: add patients"),
        ("one score", "no severity axis: the 14 scored visits of 7 patients all have health"),
    ],
)
def test_notes_say_why_there_is_no_axis(case, why):
    """What was found and what to do; all else is known as before."""
    u, columns = cohort(patients=4 if case == "few patients" else 7, scored=case != "no score")
    if case == "one score":
        columns = changed(columns, score=np.full(len(u), 40.0))

    found = fit(u, columns)

    assert found.axis is None
    (note,) = found.notes
    assert note.startswith("no severity axis")
    assert why in note
    assert found.start_bandwidth > 0


def test_an_axis_that_could_be_fitted_needs_no_note():
    """It points to where embeddings go as health falls, behind the whitening."""
    u, columns = cohort(repeats=2)

    found = fit(u, columns)

    assert found.notes == ()
    assert (found.axis.n_visits, found.axis.n_patients, found.axis.n_followed) == (14, 7, 7)
    pattern = found.axis.pattern / np.linalg.norm(found.axis.pattern)
    assert pattern[0] > 0.95


def test_effective_rank_is_that_of_deltas():
    """Patients weighted equally; 0 where nobody changed."""
    u, columns = cohort(5, width=4)
    still = np.repeat(u[::2], 2, axis=0)

    found, none = fit(u, columns), fit(still, columns)

    assert found.effective_rank == pytest.approx(effective_rank(u[1::2] - u[::2], np.arange(7)))
    assert 1 <= found.effective_rank <= 4
    assert none.effective_rank == 0


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS)
def test_the_order_of_rows_does_not_matter(seed):
    """Shuffled scans: the same bandwidths, means and counts."""
    u, columns = cohort(seed % 100, scored=False)
    order = np.random.default_rng(seed).permutation(len(u))

    found = fit(u, columns)
    other = fit(u[order], {name: column[order] for name, column in columns.items()})

    for name in ("center", "whitening", "start_bandwidth", "day_bandwidth", "effective_rank"):
        np.testing.assert_allclose(getattr(other, name), getattr(found, name), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("repeats", [1, 2])
@pytest.mark.parametrize("scored", [True, False])
def test_refuses_embeddings_with_nan(repeats, scored):
    """A diverged encoder, whether it shows in a repeat, a visit or a delta."""
    u, columns = cohort(repeats=repeats, scored=scored)
    u[3, 1] = math.nan

    with pytest.raises(QueryError, match="NaN or infinity"):
        fit(u, columns)


def test_refuses_a_visit_of_two_patients():
    """Visit numbers are of one patient each."""
    u, columns = cohort()

    with pytest.raises(QueryError, match="one visit has scans of patients p0000 and p0001"):
        fit(u, changed(columns, visit=np.zeros(len(u), int)))


@pytest.mark.parametrize(("n_unseen", "is_honest"), [(30, True), (10, False)])
def test_an_encoder_that_memorises_makes_no_axis(n_unseen, is_honest):
    """Embeddings that hold the scores of patients trained on, and of no others, say nothing."""
    u, columns = cohort(4, patients=60 + n_unseen)
    is_seen = np.repeat(np.arange(60 + n_unseen) < 60, 2)
    u[~is_seen] = np.random.default_rng(1).permutation(u[~is_seen])

    found = fit(u, columns, is_seen=is_seen).axis

    assert (found.r2 < 0.1) == is_honest
    assert (found.n_seen, found.n_patients) == ((0, 30) if is_honest else (60, 70))
