"""Questions about change, end to end, on cohorts whose true changes are known; all simulated."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kstest

from learner_index.analysis.resample import draw_weights, interval
from learner_index.analysis.severity import fit_severity_axis, positions
from learner_index.config import ProgressionOptions, TrajectoryOptions
from learner_index.pipeline.progression.axis import severity_axis
from learner_index.pipeline.progression.measure import ALPHA, measure
from learner_index.pipeline.progression.trajectory import trajectory
from learner_index.pipeline.progression.visits import views_of
from tests.pipeline.progression.planted import (
    Plan,
    as_source,
    ask_row,
    plant,
    rows_of,
    true_changes,
)

FIRST = 5  # hits looked at
MOVED = 0.12  # |Δ(e, c)| that a responder has to have moved to be asked about
CONSTANT = Plan(is_constant=True)
BAND = 1.645 * np.sqrt(2)  # half-width, in a scan's noise, that 90 % of repeats differ by
QUIET = ProgressionOptions(k=FIRST, n_draws=0)


def alike(changes, row):
    """(t,) transitions of responders to the treatment that a transition responded to."""
    return (changes["helped"] & (changes["arm"] == changes["arm"].iloc[row])).to_numpy(bool)


def queries(changes):
    """Transitions of responders to either active arm whose state moved."""
    moved = np.hypot(changes["delta_e"], changes["delta_c"]) > MOVED
    return np.flatnonzero((changes["helped"] & moved).to_numpy(bool))


def best_first(likeness, patient, row, k):
    """The k transitions of different other patients, each patient's most alike."""
    order = np.argsort(-np.where(patient == patient[row], -np.inf, likeness), kind="stable")
    order = order[patient[order] != patient[row]]
    return order[np.sort(np.unique(patient[order], return_index=True)[1])[:k]]


def same_arm(changes, asked, find):
    """Of each query: its patient, share of alike among its first hits, and the base rate."""
    patient = changes["patient_id"].to_numpy(object)
    found = []
    for row in asked:
        is_alike, other = alike(changes, row), patient != patient[row]
        base = pd.Series(is_alike[other]).groupby(patient[other]).mean().mean()
        found.append((patient[row], is_alike[find(row)].mean(), base))
    return pd.DataFrame(found, columns=["patient", "hits", "base"])


def ratio_of(found, seed=0):
    """Hits beside base rate, and its 95 % interval over the queries' patients."""
    sums = found.groupby("patient")[["hits", "base"]].sum().to_numpy()
    drawn = draw_weights(len(sums), 1000, seed) @ sums
    return found["hits"].sum() / found["base"].sum(), interval(drawn[:, 0] / drawn[:, 1])


def higher(gains, other, patient, seed=0):
    """95 % interval, over patients, of how much larger one mean is than another."""
    table = pd.DataFrame({"p": patient, "d": gains - other, "n": 1.0}).groupby("p").sum()
    drawn = draw_weights(len(table), 1000, seed) @ table.to_numpy()
    return interval(drawn[:, 0] / drawn[:, 1])


def uniform_p(values):
    return kstest(values, "uniform").pvalue


def slack(n, n_repeats):
    """Three standard errors of a share of n that chance makes `ALPHA`, known from repeats."""
    return 3 * np.sqrt(ALPHA * (1 - ALPHA) * (1 / n + 1 / n_repeats))


def measured(source):
    """Measures of every consecutive transition."""
    followed = source.followed("consecutive")
    return measure(followed.visits.deltas, followed.visits.delta_scale, followed.known)


def told(source):
    """Verdict of every consecutive transition, and how many repeats they rest on."""
    noise = source.followed("consecutive").known.noise
    return np.array(measured(source).verdict), len(noise.owners)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_finds_responders_of_the_same_arm(seed, record_property):
    """Three times the base rate, beyond what perfect knowledge of severity alone would find.

    Cosines of the true state find fewer than those of noisy embeddings: they take a step of drift
    for as good as a long one, and noise drowns short steps. The state's distances are the ceiling.
    """
    planted = plant(360, seed, turn=seed)
    source = planted.source()
    changes = true_changes(planted, source)
    patient, asked = changes["patient_id"].to_numpy(object), queries(changes)
    state = changes[["delta_e", "delta_c"]].to_numpy(float)
    length = np.linalg.norm(state, axis=1)
    severity = changes["delta_s"].to_numpy(float)

    def by_cosine(row):
        return best_first(state @ state[row] / np.maximum(length, 1e-12), patient, row, FIRST)

    def by_distance(row):
        apart = np.linalg.norm(state - state[row], axis=1)
        return best_first(-apart, patient, row, FIRST)

    def by_severity(row):
        return best_first(-np.abs(severity - severity[row]), patient, row, FIRST)

    def by_query(row):
        return rows_of(changes, ask_row(source, changes, row, QUIET))

    def by_direction(row):
        return rows_of(changes, ask_row(source, changes, row, replace(QUIET, direction_only=True)))

    ways = (by_query, by_direction, by_cosine, by_distance, by_severity)
    found = {way.__name__: ratio_of(same_arm(changes, asked, way)) for way in ways}

    ratio, spread = found["by_query"]
    for name, (value, around) in found.items():
        record_property(name, f"{value:.2f} ({around.low:.2f} to {around.high:.2f})")
    assert ratio >= 3.0
    assert spread.low > found["by_severity"][0]
    assert ratio < found["by_distance"][1].high  # no embedding knows more than the state itself


def test_a_patient_of_another_name_is_found_first():
    """A copy of a patient is the first hit of each change, alike in direction, start and days."""
    planted = plant(40, 15)
    is_first = (planted.obs["patient_id"] == planted.obs["patient_id"].iloc[0]).to_numpy(bool)
    twin = planted.obs[is_first].assign(patient_id="twin", scan_id=lambda own: own["scan_id"] + "t")
    obs = pd.concat([planted.obs, twin.astype(planted.obs.dtypes)], ignore_index=True)
    source = as_source(np.concatenate([planted.embeddings, planted.embeddings[is_first]]), obs)
    changes = source.followed("consecutive").of_transitions
    rows = np.flatnonzero((changes["patient_id"] == "twin").to_numpy(bool))

    hits = [ask_row(source, changes, row, QUIET)[0] for row in rows]

    assert len(hits) == len(twin["day"].unique()) - 1 > 0
    for row, hit in zip(rows, hits, strict=True):
        assert hit.patient_id == planted.obs["patient_id"].iloc[0]
        assert hit.change.from_day == changes["day"].iloc[row]
        assert (hit.direction, hit.start, hit.days) == pytest.approx((1.0, 0.0, 0.0), abs=1e-6)


def test_negation_reverses_the_ranking_by_direction():
    """Looking for the opposite direction ranks all transitions the other way round."""
    planted = plant(60, 3)
    source = planted.source()
    changes = true_changes(planted, source)
    options = replace(QUIET, k=len(changes), level="transition", direction_only=True)
    row = int(queries(changes)[0])

    along = ask_row(source, changes, row, options)
    against = ask_row(source, changes, row, replace(options, negate=True))

    assert len(along) > 50
    assert rows_of(changes, along).tolist() == rows_of(changes, against)[::-1].tolist()
    np.testing.assert_allclose([h.cosine for h in along], [-h.cosine for h in against][::-1])


@pytest.mark.parametrize("direction_only", [False, True])
def test_a_turn_of_the_space_changes_nothing(direction_only):
    """Hits, their parts, p-values and verdicts are those of the space before it was turned."""
    planted = plant(80, 4)
    width = planted.embeddings.shape[1]
    turn = np.linalg.qr(np.random.default_rng(9).standard_normal((width, width)))[0]
    turned = as_source((planted.embeddings @ turn).astype(np.float32), planted.obs)
    source = planted.source()
    changes = true_changes(planted, source)
    options = ProgressionOptions(k=20, n_draws=99, direction_only=direction_only)
    row = int(queries(changes)[0])

    before, after = (ask_row(each, changes, row, options) for each in (source, turned))

    assert rows_of(changes, before).tolist() == rows_of(changes, after).tolist()
    for name in ("similarity", "direction", "start", "cosine", "cosine_p"):
        pairs = [(getattr(a, name), getattr(b, name)) for a, b in zip(before, after, strict=True)]
        np.testing.assert_allclose(*zip(*pairs, strict=True), atol=1e-4)
    assert [h.change.verdict for h in before] == [h.change.verdict for h in after]
    assert before.chance["p_value"] == after.chance["p_value"]


def test_lengths_of_no_change_have_uniform_p():
    """Where states are constant, p of ‖d‖ is uniform over a random transition a patient."""
    source = plant(600, 5, CONSTANT).source()
    followed = source.followed("consecutive")
    visits, known = followed.visits, followed.known
    rng = np.random.default_rng(0)
    owners = visits.patient[visits.earlier]
    patients = rng.permutation(np.unique(owners))[:150]  # the floor's repeats are many beside them
    rows = np.array([rng.choice(np.flatnonzero(owners == one)) for one in patients])

    p = measure(visits.deltas[rows], visits.delta_scale[rows], known).length_p

    assert len(known.noise.owners) > 2 * len(rows)
    assert uniform_p(p) > 0.01


@pytest.mark.parametrize("seed", [5, 6, 7])
def test_constant_states_are_rarely_called_changing(seed):
    """At most alpha of steps between equal states are called improving or worsening."""
    verdict, n_repeats = told(plant(400, seed, CONSTANT).source())

    share = np.isin(verdict, ["improving", "worsening"]).mean()
    assert ALPHA / 3 < share <= ALPHA + slack(len(verdict), n_repeats)


@pytest.mark.slow
@pytest.mark.parametrize("direction_only", [True, False])
def test_hits_of_no_change_have_uniform_set_p(direction_only):
    """Where states are constant, p of the set of hits is uniform over independent cohorts.

    Noise is a third of what patients differ by. With more of it, p with start states is too small,
    as `chance` says; p of the direction alone stays uniform.
    """
    options = ProgressionOptions(k=5, n_draws=199, direction_only=direction_only)
    found = []
    for seed in range(120):
        planted = plant(40, 100 + seed, CONSTANT, turn=seed)
        source = planted.source()
        answer = ask_row(source, true_changes(planted, source), 0, options)
        found.append(answer.chance["p_value"])

    assert answer.chance["method"] == ("flip" if direction_only else "permute")
    assert uniform_p(found) > 0.01


def test_drift_of_three_bands_is_called_by_its_name():
    """Steps of three times the band of 90 % of single repeats, along the true axis, are seen."""
    size = 3 * BAND * CONSTANT.noise
    way = np.arange(300) % 3 - 1
    planted = plant(300, 8, replace(CONSTANT, drift=size * way))
    source = planted.source()
    moved = true_changes(planted, source)["delta_s"].to_numpy(float)

    verdict, n_repeats = told(source)

    assert np.mean(verdict[moved > 1e-9] == "worsening") >= 0.9
    assert np.mean(verdict[moved < -1e-9] == "improving") >= 0.9
    still = verdict[np.abs(moved) < 1e-9]
    assert np.mean(still != "steady") <= ALPHA + slack(len(still), n_repeats)


def test_swapped_visits_undo_the_change():
    """With days reversed a step has the opposite delta, sign and name, and the same length."""
    planted = plant(40, 9)
    source = planted.source()
    obs = planted.obs.assign(day=100.0 - planted.obs["day"])
    swapped = as_source(planted.embeddings, obs, source.reference)
    opposite = {"improving": "worsening", "worsening": "improving", "steady": "steady"}
    options = TrajectoryOptions(k=0)
    seen = set()

    for patient in planted.obs["patient_id"].unique():
        there, back = (trajectory(each, patient, options).steps for each in (source, swapped))
        assert len(there) == len(back) > 0
        for step, undone in zip(there, back[::-1], strict=True):
            assert undone.from_scans == step.to_scans
            assert undone.on_axis == pytest.approx(-step.on_axis, abs=1e-5)
            assert undone.length == pytest.approx(step.length, rel=1e-6)
            assert undone.verdict == opposite[step.verdict]
            seen.add(step.verdict)

    assert seen == set(opposite)
    there, back = (each.followed("consecutive").visits.deltas for each in (source, swapped))
    np.testing.assert_allclose(np.sort(there, axis=0), np.sort(-back, axis=0), atol=1e-6)


def test_steps_add_up_to_positions():
    """With one view, a step's change along the axis is the difference of its visits' positions."""
    planted = plant(40, 16)
    source = planted.source()

    for patient in planted.obs["patient_id"].unique()[:10]:
        path = trajectory(source, patient, TrajectoryOptions(k=0))
        places = np.array([stop.position for stop in path.stops])
        assert [step.on_axis for step in path.steps] == pytest.approx(np.diff(places), abs=1e-4)


def test_worse_states_are_called_worsening():
    """Of steps called changing, those that truly got worse are called worsening."""
    planted = plant(200, 10)
    source = planted.source()
    moved = true_changes(planted, source)["delta_s"].to_numpy(float)

    verdict, _ = told(source)

    assert np.mean(verdict[moved > 0.08] == "worsening") > 0.8
    assert np.mean(verdict[moved < -0.08] == "improving") > 0.8


def test_positions_follow_severity_within_patients():
    """Positions correlate with planted severity, and explain scores as the true state does."""
    planted = plant(360, 11)
    perfect = plant(360, 11, Plan(noise=0.0, offset=0.0, view_offset=0.0))
    source = planted.source()

    scans = severity_axis(source).scans

    owner = planted.obs["patient_id"]
    both = pd.DataFrame({"position": scans["position"], "s": planted.truth["s"]})
    within = both - both.groupby(owner).transform("mean")
    r2, best = (severity_axis(each).figures["r2"] for each in (source, perfect.source()))
    assert within.corr().loc["position", "s"] > 0.9
    assert best - 0.05 < r2 < best + 0.02


@pytest.mark.slow
def test_position_intervals_cover():
    """95 % intervals hold the position that the axis of a large cohort gives, and are narrow."""
    large = plant(1500, 12, turn=1).source().followed("consecutive").visits
    held, narrow = [], []
    for seed in range(16):
        followed = (source := plant(100, 200 + seed, turn=1).source()).followed("consecutive")
        known, scans = followed.known, severity_axis(source).scans
        axis = fit_severity_axis(
            large.embeddings, known.whitening, large.score, large.patient, n_draws=1
        )
        moved = followed.embeddings - known.means_of(views_of(followed.obs)) - known.center
        true = positions(axis, moved, known.whitening)
        held.append(np.mean((scans["low"] <= true) & (true <= scans["high"])))
        narrow.append(np.mean(scans["high"] - scans["low"]) / np.std(true))

    assert np.mean(held) > 0.85
    assert np.mean(narrow) < 3.0  # 3.9 would tell nothing


def test_matched_views_show_no_false_change():
    """Visits that alternate between views seem to change only where views are not matched."""
    plan = replace(CONSTANT, views=(("L1", "L2"), ("L1", "R1")), view_offset=0.3)
    planted = plant(300, 13, plan)
    blind = planted.obs.assign(view=planted.obs["view"].mask(planted.obs["view"].notna(), "L1"))

    matched = planted.source()
    unmatched = as_source(planted.embeddings, blind, matched.reference)

    (verdict, n_repeats), (wrong, _) = told(matched), told(unmatched)
    most = ALPHA + slack(len(verdict), n_repeats)
    assert np.mean(verdict != "steady") <= most
    assert np.mean(measured(matched).length_p <= ALPHA) <= most
    assert np.mean(wrong != "steady") > 0.9
    assert np.mean(measured(unmatched).length_p <= ALPHA) > 0.9


@pytest.mark.slow
def test_nearest_transitions_truly_started_and_changed_alike():
    """By nDCG against true start and change, S beats chance, score change and direction alone."""
    planted = plant(300, 14)
    source = planted.source()
    changes = true_changes(planted, source)
    patient = changes["patient_id"].to_numpy(object)
    start, state = (
        changes[names].to_numpy(float) for names in (["e", "c"], ["delta_e", "delta_c"])
    )
    score = changes["delta_score"].to_numpy(float)
    options = replace(QUIET, k=10)
    asked = np.random.default_rng(0).permutation(len(changes))[:120]
    discount = 1 / np.log2(np.arange(2, 12))
    found = {"all of S": [], "direction": [], "score": [], "chance": []}

    for row in asked:
        gain = closeness(start, row) * closeness(state, row)
        ideal = discount @ gain[best_first(gain, patient, row, 10)]
        only = replace(options, direction_only=True)
        hits = {
            "all of S": rows_of(changes, ask_row(source, changes, row, options)),
            "direction": rows_of(changes, ask_row(source, changes, row, only)),
            "score": best_first(-np.abs(score - score[row]), patient, row, 10),
            "chance": best_first(np.random.default_rng(row).random(len(gain)), patient, row, 10),
        }
        for name, rows in hits.items():
            found[name].append(discount @ gain[rows] / ideal)

    values = {name: np.array(each) for name, each in found.items()}
    for other in ("direction", "score", "chance"):
        assert higher(values["all of S"], values[other], patient[asked]).low > 0, other


def closeness(points, row):
    """(t,) 1 at a transition's own point, falling with the distance in medians of it."""
    apart = np.linalg.norm(points - points[row], axis=1)
    return np.exp(-0.5 * (apart / np.median(apart)) ** 2)
