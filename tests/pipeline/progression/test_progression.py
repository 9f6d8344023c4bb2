"""Who changed like this patient: the formula by hand, planted answers, and laws of the answer."""

import json
import math
from dataclasses import asdict, replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from learner_index.data.progression import HIT_FIELDS
from learner_index.errors import QueryError
from learner_index.pipeline.progression.reference import fit_whole_reference
from learner_index.pipeline.progression.source import ChangeSource
from learner_index.search.table import SearchTable
from tests.pipeline.progression.store_of import (
    NOWHERE,
    SICK,
    WIDTH,
    ask,
    one_scan_visits,
    planted,
    source_of,
)

EVERY = {"level": "transition", "k": 10_000}


@pytest.fixture(scope="module")
def noise():
    """Patients whose visits are nothing but noise, each scanned twice."""
    rng = np.random.default_rng(5)
    names = [f"P{i}" for i in range(40) for _ in range(6)]
    obs = pd.DataFrame(
        {
            "scan_id": pd.array([f"S{i}" for i in range(240)], dtype="string"),
            "patient_id": pd.array(names, dtype="string"),
            "day": np.tile(np.repeat([0.0, 30.0, 60.0], 2), 40),
            "rescan": pd.array(np.tile([False, True], 120), dtype="boolean"),
        }
    )
    return source_of(rng.standard_normal((240, 16)).astype(np.float32), obs)


@pytest.fixture(scope="module")
def cohort():
    """Embeddings and columns: 14 patients, two views, each scanned twice."""
    return planted(0, 14, views=("L1", "R1"))


@pytest.fixture(scope="module")
def source(cohort):
    return source_of(*cohort)


@pytest.fixture(scope="module")
def bare():
    """No repeats, no scores: no noise floor and no severity axis."""
    return source_of(*planted(1, repeats=False, scored=False))


def slow_visits(x, obs):
    """(patient, day) to the mean over views of the mean over repeats, in float64."""
    found = {}
    for patient, day in sorted(set(zip(obs["patient_id"], obs["day"], strict=True))):
        is_in = (obs["patient_id"] == patient) & (obs["day"] == day)
        views = sorted(set(obs["view"][is_in]))
        rows = [np.flatnonzero(is_in & (obs["view"] == view)) for view in views]
        found[patient, day] = sum(x[some].astype(float).sum(axis=0) / len(some) for some in rows)
        found[patient, day] /= len(views)
    return found


def slow_hits(x, obs, bandwidths, patient, weights=(1.0, 1.0, 1.0)):
    """(S, direction, start, days, patient, from, to) of the best transition of each other patient.

    All visits have the same views, so that view means cancel.
    """
    visits, pairs = slow_visits(x, obs), {}
    for who in sorted({who for who, _ in visits}):
        days = sorted(day for other, day in visits if other == who)
        pairs[who] = list(pairwise(days))
    first, last = pairs[patient][-1]
    start, delta = visits[patient, first], visits[patient, last] - visits[patient, first]
    best = []
    for who in pairs:
        found = []
        for a, b in pairs[who]:
            other = visits[who, b] - visits[who, a]
            cosine = other @ delta / math.sqrt((other @ other) * (delta @ delta))
            gap = sum((visits[who, a] - start) ** 2) / bandwidths[0] ** 2
            ratio = math.log((b - a) / (last - first)) / bandwidths[1]
            parts = (weights[0] * cosine, -weights[1] * gap, -weights[2] * ratio**2)
            found.append((sum(parts), *parts, who, a, b))
        if who != patient:
            best.append(max(found))
    return sorted(best, reverse=True)


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0), (2.0, 0.5, 0.0)])
def test_hits_are_what_the_formula_gives(cohort, source, weights):
    """S and its parts, from embeddings by a loop: the best transition of each other patient."""
    x, obs = cohort

    found = ask(source, "P3", k=99, weights=weights)

    expected = slow_hits(x, obs, found.bandwidths, "P3", weights)
    told = [(h.patient_id, h.change.from_day, h.change.to_day) for h in found]
    assert told == [row[4:] for row in expected]
    parts = [(h.similarity, h.direction, h.start, h.days) for h in found]
    np.testing.assert_allclose(parts, [row[:4] for row in expected], atol=1e-4)
    assert [h.rank for h in found] == list(range(1, 14))
    assert found.weights == weights


def test_bandwidths_and_counts_are_told(cohort, source):
    """The answer says what it rests on: reference, bandwidths, how many, in how many directions."""
    known = source.reference.changes[""]
    n_visits = len(slow_visits(*cohort))

    found = ask(source, "P3", k=2)

    own = sum(patient == "P3" for patient, _ in slow_visits(*cohort))
    assert found.reference == source.reference.fingerprint
    assert found.bandwidths == (known.start_bandwidth, known.day_bandwidth)
    assert found.effective_rank == known.effective_rank > 0
    assert found.n_eligible == found.n_scanned == n_visits - 14 - (own - 1)
    assert found.n_eligible_patients == 13
    assert (len(found), found.exact, found.backend) == (2, True, "numpy")
    counts = {"n_repeats": 2 * n_visits, "n_patients": 14, "is_independent": True}
    assert found.noise == {**counts, "axis_band": found.noise["axis_band"]}
    assert found.axis["unit"] == "SD of a repeat scan"
    assert "direction" not in found.axis


def test_the_patient_is_left_out_unless_asked_for(source):
    """Other changes of the query's patient are hits with include_self, this very one never."""
    without = ask(source, "P3", **EVERY)
    found = ask(source, "P3", include_self=True, **EVERY)

    assert "P3" not in {hit.patient_id for hit in without}
    own = [(h.change.from_day, h.change.to_day) for h in found if h.patient_id == "P3"]
    assert len(own) == 2
    assert max(day for _, day in own) == found.change.from_day
    assert found.n_eligible == without.n_eligible + 2


def test_levels(source):
    """At level patient each is found once, at level transition several times."""
    patients = [hit.patient_id for hit in ask(source, "P3", k=99)]
    transitions = [hit.patient_id for hit in ask(source, "P3", **EVERY)]

    assert len(patients) == len(set(patients)) == 13
    assert len(transitions) > len(set(transitions)) == 13


def test_pairings_change_what_is_compared(source):
    """Baseline changes begin with each patient's first visit."""
    found = ask(source, "P3", transitions="baseline", **EVERY)

    first = source.table.obs.groupby("patient_id")["day"].min()
    assert all(hit.change.from_day == first[hit.patient_id] for hit in found)


@pytest.mark.parametrize(
    ("conditions", "holds"),
    [
        (("age >= 36",), lambda h: h.columns["age"] >= 36),
        (("treatment == A",), lambda h: h.change.treatment == "A"),
        (("treatment != A",), lambda h: h.change.treatment == "B"),
        (("delta_score > 0",), lambda h: h.change.delta_score > 0),
        (("delta_day <= 9", "day < 20"), lambda h: h.change.delta_day <= 9),
        (("later_day > 20",), lambda h: h.change.to_day > 20),
        (("health_score < 60",), lambda h: h.change.health_score < 60),
        (("view == 'L1 + R1'",), lambda h: h.change.views == "L1 + R1"),
    ],
)
def test_conditions_hold_at_the_earlier_visit(source, conditions, holds):
    """Every hit fulfils what was asked, and everyone who does not is missing."""
    everyone = ask(source, "P3", **EVERY)

    found = ask(source, "P3", where=conditions, **EVERY)

    assert 0 < len(found) < len(everyone) or "view" in conditions[0]
    assert all(holds(hit) for hit in found)
    is_young = lambda h: len(conditions) == 1 or h.change.from_day < 20  # noqa: E731
    assert len(found) == sum(holds(hit) and is_young(hit) for hit in everyone)


def test_only_shared_views_are_compared():
    """A change between visits of different views has those both have, and can be asked for."""
    x, obs = planted(6, views=("L1", "R1"))
    last = obs.groupby("patient_id")["day"].transform("max")
    is_gone = (obs["day"] == last) & (obs["view"] == "R1") & (obs["age"] < 36)
    source = source_of(x[~is_gone], obs[~is_gone].reset_index(drop=True))

    found = ask(source, "P7", where=("view == L1",), **EVERY)

    assert {hit.change.views for hit in found} == {"L1"}
    assert {hit.patient_id for hit in found} == {f"P{i}" for i in range(6)}


@pytest.mark.parametrize(
    ("match", "holds"),
    [
        ("site", lambda h, q: h.columns["site"] == q.columns["site"]),
        ("site!=", lambda h, q: h.columns["site"] != q.columns["site"]),
        ("age±4", lambda h, q: abs(h.columns["age"] - q.columns["age"]) <= 4),
        ("treatment", lambda h, q: h.change.treatment == q.change.treatment),
        ("delta_day±3", lambda h, q: abs(h.change.delta_day - q.change.delta_day) <= 3),
    ],
)
def test_hits_match_the_query_at_its_earlier_visit(source, match, holds):
    """A likeness is to the query's own change."""
    everyone = ask(source, "P3", include_self=True, transitions="all", **EVERY)
    like = ask(source, "P1", transitions="all", **EVERY)
    mine = next(h for h in like if h.patient_id == "P3" and h.change == everyone.change)

    found = ask(source, "P3", match=(match,), transitions="all", **EVERY)

    assert all(holds(hit, mine) for hit in found)
    others = [hit for hit in everyone if hit.patient_id != "P3"]
    assert 0 < len(found) == sum(holds(hit, mine) for hit in others) < len(others)


def test_support_counts_patients_by_their_nearest_start(cohort, source):
    """n_similar is the sum over patients of exp(-gap²/2h²) of the nearest start."""
    found = ask(source, "P3", k=3)

    nearest = {}
    for hit in ask(source, "P3", weights=(0, 1, 0), **EVERY):
        nearest[hit.patient_id] = max(hit.start, nearest.get(hit.patient_id, -np.inf))
    assert found.support.n_similar == pytest.approx(sum(math.exp(s / 2) for s in nearest.values()))
    heavy = ask(source, "P3", weights=(1, 3, 1))
    assert heavy.support.n_similar == pytest.approx(found.support.n_similar)


def test_unsupported_answers_say_nothing_in_general(source):
    """Below the minimum there are hits, a first note, and neither chance nor outcome."""
    found = ask(source, "P3", min_support=13.5, n_draws=9)

    assert len(found) == 10
    assert found.chance is None
    assert found.outcome is None
    assert not found.support.is_supported
    assert found.notes[0].startswith("UNSUPPORTED: 8.6 patients started from a")
    assert "fewer than 13.5 say nothing in general" in found.notes[0]


def test_support_is_not_rounded_up_to_the_minimum(source):
    """Just below the minimum the note does not name the minimum as what there is."""
    n_similar = ask(source, "P3").support.n_similar

    found = ask(source, "P3", min_support=np.nextafter(n_similar, 99))

    told = float(found.notes[0].split()[1])
    assert n_similar - 0.1 <= told < found.support.minimum


def test_chance_is_tested_by_the_draws_asked_for(source):
    """Draws and seed are told, p is at least 1 in draws + 1; no draws, no test."""
    found = ask(source, "P3", n_draws=19, seed=3)

    assert found.chance["p_value"] >= 1 / 20
    assert (found.chance["n_draws"], found.chance["seed"]) == (19, 3)
    assert found.chance["method"] == "permute"
    assert found.chance["statistic"] == pytest.approx(np.mean([h.similarity for h in found]))
    assert ask(source, "P3", n_draws=0).chance is None


@pytest.mark.parametrize(
    ("share", "is_told", "said"),
    [
        (0.05, True, "p of the set: tried on repeats of 40 patients, where nothing changed, it is"),
        (0.1, True, "at most 0.05 for 4 of them"),
        (0.11, False, "no p for the set: tried on repeats of 40 patients"),
        (None, True, "fewer than 20 patients have repeats to try that on"),
    ],
)
def test_a_test_that_finds_what_is_not_there_is_not_told(cohort, share, is_told, said):
    """Where start states count, p is withheld if it is small for repeats; by direction it stays."""
    embeddings, obs = cohort
    fitted = fit_whole_reference(embeddings, obs)
    known = {
        modality: replace(of, placebo_share=share, n_placebo=40)
        for modality, of in fitted.changes.items()
    }
    reference = replace(fitted, changes=known)
    table = SearchTable(embeddings, obs, clock="patient", reference=reference)
    source = ChangeSource(NOWHERE, 0, table, lambda: reference)

    found = ask(source, "P3", n_draws=9)
    by_direction = ask(source, "P3", n_draws=9, direction_only=True)

    assert (found.chance is not None) == is_told
    assert found.outcome is not None
    assert sum(said in note for note in found.notes) == 1
    assert by_direction.chance["method"] == "flip"
    assert not any("of the set" in note or "for the set" in note for note in by_direction.notes)


def test_hits_that_changed_otherwise_are_noted(source):
    """Where start states and days outweigh the direction, most hits may point elsewhere."""
    said = "hits changed in another direction"
    plain, weighed = (ask(source, "P3", k=10, weights=w) for w in ((1, 0, 0), (0.01, 1, 9)))

    assert np.mean([hit.cosine <= 0 for hit in weighed]) > 0.5
    assert any(said in note for note in weighed.notes)
    assert np.mean([hit.cosine <= 0 for hit in plain]) <= 0.5
    assert not any(said in note for note in plain.notes)


def test_a_query_that_did_not_move_says_nothing_of_hits(source):
    """Without a direction the hits are arbitrary: no outcome and no p, but the note why."""
    found = ask(source, vector=np.zeros(6), k=5, n_draws=9)

    assert len(found) == 5
    assert (found.chance, found.outcome) == (None, None)
    assert any("the query did not move" in note for note in found.notes)


def test_a_common_direction_is_more_than_chance():
    """Patients who all worsen alike are no chance find; those who change at random are."""
    rng = np.random.default_rng(0)
    step = np.array([1.0, 0, 0, 0, 0, 0])

    p_values = []
    for common in (1.0, 0.0):
        paths = {f"P{i}": [(0.0, rng.standard_normal(WIDTH), 1.0)] for i in range(40)}
        for visits in paths.values():
            moved = common * step + 0.3 * rng.standard_normal(WIDTH)
            visits.append((9.0, visits[0][1] + moved, 2.0))
        found = ask(source_of(*one_scan_visits(paths)), "P0", n_draws=199, direction_only=True)
        p_values.append(found.chance["p_value"])
        assert found.chance["method"] == "flip"

    assert p_values[0] == 1 / 200
    assert p_values[1] > 0.05


def test_negate_looks_for_the_opposite(source):
    """P1 improves: alike are improvers, opposite are worseners, by cosines with the opposite."""
    alike = ask(source, "P1", k=4, direction_only=True)
    found = ask(source, "P1", k=4, direction_only=True, negate=True)

    assert all(int(hit.patient_id[1:]) % 2 == 1 for hit in alike)
    assert all(int(hit.patient_id[1:]) % 2 == 0 for hit in found)
    assert all(hit.cosine > 0 for hit in found)


@pytest.mark.parametrize(("direction", "parity"), [("improving", 1), ("worsening", 0)])
def test_a_direction_finds_the_planted_patients(source, direction, parity):
    """Those simulated to get better are found as improving, the others as worsening."""
    found = ask(source, direction=direction, k=7)

    assert {hit.patient_id for hit in found} == {f"P{i}" for i in range(parity, 14, 2)}
    assert {hit.change.verdict for hit in found} == {direction}
    assert all(np.sign(hit.change.delta_score) == (1 if parity else -1) for hit in found)
    assert (found.weights, found.change) == ((1.0, 0.0, 0.0), None)
    assert found.support.n_similar == 14
    assert found.notes == ()


def test_a_direction_from_a_patient_compares_starts(source):
    """Who improved from where a patient is: starts count, spans cannot, the patient is left out."""
    found = ask(source, "P3", direction="improving", k=99)

    assert "P3" not in {hit.patient_id for hit in found}
    assert found.weights == (1.0, 1.0, 0.0)
    assert len({hit.start for hit in found}) == len(found)
    assert "the query's delta_day is unknown: spans are not compared" in found.notes


def test_a_vector_is_somebody_unknown(source):
    """A vector without a patient leaves nobody out, and says so."""
    found = ask(source, vector=np.ones(WIDTH), k=99)

    assert found.n_eligible_patients == 14
    assert any("patient is unknown" in note for note in found.notes)
    assert found.query["kind"] == "vector"


def test_outcomes_are_counted(source):
    """Median and quartiles of the hits' score changes, and their verdicts."""
    found = ask(source, "P3", k=9)

    moved = [hit.change.delta_score for hit in found]
    outcome = found.outcome
    assert (outcome.n_hits, outcome.n_scored) == (9, 9)
    assert outcome.median_delta_score == pytest.approx(np.median(moved))
    assert outcome.low_delta_score == pytest.approx(np.percentile(moved, 25))
    assert outcome.high_delta_score == pytest.approx(np.percentile(moved, 75))
    verdicts = [hit.change.verdict for hit in found]
    for name in ("improving", "steady", "worsening"):
        assert getattr(outcome, f"n_{name}") == verdicts.count(name)


@pytest.mark.parametrize(("k", "is_told"), [(2, False), (3, True)])
def test_few_scores_have_no_median(source, k, is_told):
    """Fewer than three known changes of score give no median."""
    found = ask(source, "P3", k=k)

    assert found.outcome.n_scored == k
    assert (found.outcome.median_delta_score is not None) == is_told


def test_p_values_are_adjusted_over_all_that_could_be_hits(source):
    """Q is Benjamini-Hochberg's over every eligible transition, as statsmodels gives it."""
    everyone = ask(source, "P3", level="transition", k=999)
    wanted = {}
    for of in ("cosine", "length"):
        given_p = [h.cosine_p if of == "cosine" else h.change.length_p for h in everyone]
        adjusted = multipletests(given_p, method="fdr_bh")[1]
        wanted[of] = {
            (h.patient_id, h.change.from_day): q for h, q in zip(everyone, adjusted, strict=True)
        }

    found = ask(source, "P3", k=9)

    for hit in found:
        key = (hit.patient_id, hit.change.from_day)
        assert hit.cosine_q == pytest.approx(wanted["cosine"][key])
        assert hit.length_q == pytest.approx(wanted["length"][key])
    assert len({hit.cosine_p for hit in found}) > 1


def test_hits_of_pure_noise_do_not_pass(noise):
    """Of the hits that were chosen for their cosines, few have a q of 0.1 or less."""
    found = [ask(noise, f"P{i}", k=10, direction_only=True) for i in range(0, 40, 4)]

    passed = [hit.cosine_q <= 0.1 for answer in found for hit in answer]
    assert np.mean(passed) <= 0.1
    assert np.mean([hit.cosine_p <= 0.1 for answer in found for hit in answer]) > 0.5


def test_changes_of_the_patient_have_no_cosine_p(source):
    """They may share a scan with the query, and so point the opposite way by that alone."""
    found = ask(source, "P3", k=99, level="transition", include_self=True)

    own = [hit for hit in found if hit.patient_id == "P3"]
    assert own
    assert all(hit.cosine_p is None and hit.cosine_q is None for hit in own)
    assert all(hit.cosine_p is not None for hit in found if hit.patient_id != "P3")


def test_transitions_that_start_alike_have_no_p(source):
    """Several of one patient are not independent; by direction alone patients are turned around."""
    found = ask(source, "P3", k=5, level="transition", n_draws=9)

    assert found.chance is None
    assert any("takes transitions for independent" in note for note in found.notes)
    by_direction = ask(source, "P3", k=5, level="transition", n_draws=9, direction_only=True)
    assert by_direction.chance["method"] == "flip"


def test_many_transitions_get_fewer_draws(source, monkeypatch):
    """The answer tells how many were made; never fewer than 99 of those asked for."""
    module = "learner_index.pipeline.progression.progression._MOST_CELLS"
    n = ask(source, "P3").n_eligible
    made = []
    for cells in (150 * n, 1):
        monkeypatch.setattr(module, cells)
        made.append(ask(source, "P3", n_draws=999).chance["n_draws"])

    assert made == [150, 99]
    assert ask(source, "P3", n_draws=9).chance["n_draws"] == 9


def test_conditions_know_the_days_as_hits_tell_them(source):
    """from_day and to_day are columns of a transition, as day and later_day are."""
    for one, other in (("from_day", "day"), ("to_day", "later_day")):
        found = ask(source, "P3", k=99, where=(f"{one} <= 60",))
        assert found.n_eligible == ask(source, "P3", k=99, where=(f"{other} <= 60",)).n_eligible


def test_length_p_is_the_share_of_repeats_as_far_apart():
    """P = (1 + repeats at least as far apart, for so many scans averaged) / (repeats + 1)."""
    source = source_of(*planted(7, views=("L1", "R1"), noise=0.6))
    noise = np.linalg.norm(source.reference.changes[""].noise.differences, axis=1)

    found = ask(source, "P3", k=99)

    for hit in found:  # two views of two scans each, at both visits: the noise of 4 scans
        n_beyond = np.sum(noise * math.sqrt(1 / 4) >= hit.change.length)
        assert hit.change.length_p == pytest.approx((1 + n_beyond) / (len(noise) + 1))
    assert len({hit.change.length_p for hit in found}) > 3


def test_an_axis_that_tells_nothing_gives_no_verdict():
    """Where scores of patients left out are not told, no change is called by the axis."""
    x, obs = planted(3, 14)
    scores = np.random.default_rng(0).standard_normal(len(obs))

    found = ask(source_of(x, obs.assign(health_score=scores)), "P3")

    assert found.axis["r2"] < 0
    assert {hit.change.verdict for hit in found} == {"no severity axis"}
    assert any("places on it mean nothing" in note for note in found.notes)


def test_a_tiny_change_is_steady():
    """Within the noise of repeats nothing is called improving or worsening."""
    x, obs = planted(7, noise=0.3)
    is_last = (obs["day"] == obs.groupby("patient_id")["day"].transform("max")).to_numpy()
    for patient in ("P2", "P3"):
        mine = (obs["patient_id"] == patient).to_numpy()
        day = sorted(set(obs["day"][mine]))[-2]
        before = x[mine & (obs["day"] == day).to_numpy()]
        x[mine & is_last] = before + np.float32(1e-3)
    source = source_of(x, obs)

    found = ask(source, "P2", k=99)

    assert found.change.verdict == "steady"
    assert found.change.length_p > 0.5
    verdicts = {hit.patient_id: hit.change.verdict for hit in ask(source, "P2", k=1)}
    assert verdicts.get("P3", "steady") == "steady"


def test_no_repeats_no_p_values(bare):
    """Without repeats every p is missing, never a number, and a note says why."""
    found = ask(bare, "P3")

    values = [(h.cosine_p, h.cosine_q, h.length_q, h.change.length_p) for h in found]
    assert set(values) == {(None,) * 4}
    assert found.noise is None
    assert any(note.startswith("no noise floor: no visit has two scans") for note in found.notes)


def test_no_repeats_no_verdict():
    """With an axis and without repeats the verdict is that there is no noise floor."""
    found = ask(source_of(*planted(1, repeats=False)), "P3")

    assert {hit.change.verdict for hit in found} == {"no noise floor"} == {found.change.verdict}
    assert all(isinstance(hit.change.on_axis, float) for hit in found)
    assert (found.outcome.n_improving, found.outcome.n_worsening) == (None, None)


def test_no_scores_no_axis(bare):
    """Without health scores nothing lies along an axis, and a note says why."""
    found = ask(bare, "P3")

    assert {hit.change.verdict for hit in found} == {"no severity axis"}
    assert {(hit.change.on_axis, hit.change.off_share) for hit in found} == {(None, None)}
    assert found.axis is None
    assert (found.outcome.n_scored, found.outcome.median_delta_score) == (0, None)
    assert any("0 scored visits" in note for note in found.notes)


def test_session_repeats_are_a_lower_bound():
    """Repeats that none is marked `rescan` of are called a lower bound."""
    x, obs = planted(0)

    found = ask(source_of(x, obs.drop(columns="rescan")), "P3")

    assert found.noise["is_independent"] is False
    assert any("the noise floor is a lower bound" in note for note in found.notes)


def test_seen_patients_are_told_first():
    """The first note says whom the encoder has seen: the query and how many hits."""
    x, obs = planted(0)
    roles = ["train" if p in ("P3", "P1", "P5") else "unseen" for p in obs["patient_id"]]
    obs["encoder_role"] = pd.array(roles, dtype="string")
    source = source_of(x, obs)

    found = ask(source, "P3", k=99, min_support=99)

    assert found.notes[0].startswith("SEEN BY ENCODER: the query and 2 of 11 hits belong to")
    alone = ask(source, "P2", k=1, where=("age == 34",)).notes
    assert not any(note.startswith("SEEN BY ENCODER: the query") for note in alone)
    assert not any("hits belong" in note for note in alone)


def test_answers_are_json_without_nan(source, bare):
    """The JSON holds the whole answer: no NaN, and every field of the record."""
    for asked in (source, bare):
        found = ask(asked, "P3", n_draws=9, transitions="all", k=np.int64(4))

        told = json.loads(found.to_json())

        assert set(told) == set(found.__dataclass_fields__)
        assert told == json.loads(json.dumps(found.to_dict(), allow_nan=False))
        assert "NaN" not in found.to_json()
        assert told["support"]["is_supported"] == found.support.is_supported
        assert told["hits"][0]["from_scans"] == list(found[0].change.from_scans)
        assert told["query"]["k"] == 4


def test_missing_cells_are_null():
    """Missing scores, sites and undated events come back as None."""
    x, obs = planted(0)
    is_gone = (obs["patient_id"] == "P1").to_numpy(bool)
    obs.loc[is_gone, ["site", "health_score", "event", "event_day", "treatment"]] = None

    found = ask(source_of(x, obs), "P3", k=99)

    hit = next(hit for hit in found if hit.patient_id == "P1")
    names = ("site", "event", "event_day", "response")
    assert [hit.columns[name] for name in names] == [None, None, None, "better"]
    assert (hit.change.health_score, hit.change.delta_score, hit.change.treatment) == (None,) * 3
    json.loads(found.to_json())


def test_frames_have_a_row_a_hit(source):
    """The frame has a hit's fields, its change's and its columns, in this order."""
    found = ask(source, "P3", k=3)

    frame = found.to_frame()

    assert list(frame.columns[: len(HIT_FIELDS)]) == list(HIT_FIELDS)
    assert set(frame.columns[len(HIT_FIELDS) :]) == {
        *("site", "age", "response", "event", "event_day"),
    }
    assert frame["similarity"].tolist() == [hit.similarity for hit in found]
    assert frame["patient_id"].tolist() == [hit.patient_id for hit in found]


def test_nobody_eligible(source):
    """No hit is no error: the frame keeps its columns, a note says what each step left."""
    found = ask(source, "P3", where=("age > 999",), n_draws=9, min_support=0)

    assert (len(found), found.n_eligible, found.outcome, found.chance) == (0, 0, None, None)
    assert list(found.to_frame().columns) == list(HIT_FIELDS)
    assert "0 after age > 999" in found.notes[0]
    json.loads(found.to_json())


def test_single_visits_are_no_changes():
    """A cohort without two visits of anyone points to `similar`."""
    paths = {name: [(0.0, np.arange(WIDTH) + i, 1.0)] for i, name in enumerate("ABC")}

    with pytest.raises(QueryError, match=r"two visits on different days.*`similar`"):
        ask(source_of(*one_scan_visits(paths)), "A")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"k": 0}, QueryError, "k is 0: give a whole number from 1"),
        ({"k": 2.5}, QueryError, "k is 2.5"),
        ({"k": True}, QueryError, "k is True"),
        ({"weights": (0, 0, 0)}, QueryError, "weights are .*: give three finite numbers from 0"),
        ({"weights": (1, 1)}, QueryError, "give three finite numbers"),
        ({"weights": "1,1,1"}, QueryError, "give three finite numbers"),
        ({"weights": (0, 1, 1), "direction_only": True}, QueryError, "nothing is left to rank by"),
        ({"min_support": -1}, QueryError, "--min-support is -1: give a number from 0"),
        ({"min_support": np.inf}, QueryError, "--min-support is inf"),
        ({"n_draws": -1}, QueryError, "--n-draws is -1"),
        ({"seed": 0.5}, QueryError, "--seed is 0.5"),
        ({"level": "scan"}, QueryError, "no level 'scan': choose patient or transition"),
        ({"transitions": "x"}, QueryError, "no transitions 'x': choose consecutive, all, baseline"),
        ({"modality": "mr"}, QueryError, "no modality 'mr'"),
        ({"backend": "x"}, QueryError, "no backend 'x'"),
        ({"where": ("agee > 1",)}, QueryError, "no column 'agee'.*did you mean 'age'"),
        ({"where": ("age > x",)}, QueryError, "holds numbers, and 'x' is none"),
        ({"match": ("sitee",)}, QueryError, "no column 'sitee'.*did you mean 'site'"),
        ({"as_of": 3.0}, QueryError, "clock 'patient'.*--until-day"),
        ({"as_of": np.nan}, QueryError, "--as-of is nan: give a finite number"),
        ({"until_day": -1}, QueryError, "patient 'P3' has no scan until day -1"),
    ],
)
def test_refuses_options_that_cannot_be_met(source, options, error, message):
    """Every wrong option is named with its value and what would do."""
    with pytest.raises(error, match=message):
        ask(source, "P3", **options)


@pytest.mark.parametrize(
    "options",
    [
        {"k": np.int64(3), "n_draws": np.int64(9), "seed": np.int64(1)},
        {"weights": np.ones(3, np.float32), "until_day": np.float32(900)},
        {"k": 10**9, "min_support": 1e300},
        {"weights": (0, 0, 1)},
        {"weights": (1e-9, 1e9, 0)},
    ],
)
def test_odd_options_are_answered(source, options):
    """NumPy's numbers, k beyond all patients, single weights: an answer in JSON."""
    found = ask(source, "P3", **options)

    assert len(found) == min(13, json.loads(found.to_json())["query"]["k"])


def odd_cohorts():
    """Cohorts at the edge: (name, paths, query, what becomes of it)."""
    line = [np.arange(WIDTH) * (i + 1.0) for i in range(9)]
    two = {"A": [(0, line[0], 9), (5, line[1], 8)], "B": [(0, line[2], 7)]}
    return [
        ("3 rows", two, "A", "0 after leaving out the query's own"),
        ("all of one patient", {**two, "A": [(i, line[i], i) for i in range(9)]}, "A", "0 after"),
        ("1 patient", {"A": two["A"]}, "A", "1 patient is too few"),
        (
            "nobody moved",
            {n: [(0, line[i], 1), (1, line[i], 2)] for i, n in enumerate("ABC")},
            "A",
            "the query did not move",
        ),
        (
            "half and negative days",
            {n: [(-3.5, line[i], 1), (0.5, line[i + 1], 2)] for i, n in enumerate("ABC")},
            "A",
            "UNSUPPORTED",
        ),
        (
            "odd names",
            {
                n: [(0, line[i], 1), (1, line[i + 1], 2)]
                for i, n in enumerate(["007", "a b,ü", "-x"])
            },
            "007",
            "UNSUPPORTED",
        ),
        (
            "far out",
            {n: [(0, 1e25 * line[i], 1), (1, 1e25 * line[i + 1], 2)] for i, n in enumerate("ABC")},
            "A",
            "UNSUPPORTED",
        ),
        (
            "constant scores",
            {n: [(0, line[i], 5), (1, line[i + 1], 5)] for i, n in enumerate("ABCDEF")},
            "A",
            "all have health score 5",
        ),
    ]


@pytest.mark.parametrize(
    ("paths", "query", "told"),
    [case[1:] for case in odd_cohorts()],
    ids=[case[0] for case in odd_cohorts()],
)
def test_odd_cohorts_are_answered_or_refused(paths, query, told):
    """Whatever the cohort, the answer is JSON with a note, or a refusal in words."""
    source = source_of(*one_scan_visits(paths))

    try:
        said = ask(source, query, n_draws=9).to_json()
    except QueryError as refusal:
        said = str(refusal)

    assert told in said


def test_columns_are_not_needed():
    """Without view, score, treatment or repeats, the answer is the same where it can be."""
    x, obs = planted(8, repeats=False)
    bare = obs[["scan_id", "patient_id", "day"]]

    found, full = ask(source_of(x, bare), "P3"), ask(source_of(x, obs), "P3")

    assert [hit.patient_id for hit in found] == [hit.patient_id for hit in full]
    assert [hit.similarity for hit in found] == [hit.similarity for hit in full]
    assert found[0].columns == {}


def test_own_fields_win_over_columns(source):
    """A manifest column named like a field of the hit does not hide it."""
    x, obs = planted(0)
    obs["similarity"] = pd.array(["mine"] * len(obs), dtype="string")

    found = ask(source_of(x, obs), "P3", k=1)

    assert found[0].columns["similarity"] == "mine"
    assert found[0].to_dict()["similarity"] == found[0].similarity


def answers(found):
    """(patients, parts, p-values, verdicts) of the hits, ordered by patient."""
    hits = sorted(found, key=lambda hit: (hit.patient_id, hit.change.from_day))
    parts = [(h.direction, h.start, h.days, h.change.off_share, h.change.length) for h in hits]
    p_values = [(h.cosine_p, h.change.length_p) for h in hits]
    return [h.patient_id for h in hits], parts, p_values, [h.change.verdict for h in hits]


def assert_alike(one, other):
    """The same up to float32; a p-value may differ by one repeat that is as far."""
    assert one[0] == other[0]
    np.testing.assert_allclose(one[1], other[1], atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(one[2], other[2], atol=0.03)
    assert one[3] == other[3]


@settings(max_examples=5, deadline=None, derandomize=True)
@given(seed=st.integers(0, 1000))
def test_rotating_the_space_changes_nothing(seed):
    """Embeddings turned by any rotation, reference refitted: the same hits, parts and verdicts."""
    x, obs = planted(seed, 8)
    turn = np.linalg.qr(np.random.default_rng(seed).standard_normal((WIDTH, WIDTH)))[0]

    found = [ask(source_of(some, obs), "P3", k=99) for some in (x, (x @ turn).astype(np.float32))]

    assert_alike(*map(answers, found))


@settings(max_examples=5, deadline=None, derandomize=True)
@given(seed=st.integers(0, 1000), size=st.floats(-20, 20))
def test_adding_a_constant_changes_nothing(seed, size):
    """All embeddings moved alike: the same hits, parts and verdicts."""
    x, obs = planted(seed, 8)

    found = [ask(source_of(some, obs), "P3", k=99) for some in (x, x + np.float32(size))]

    assert_alike(*map(answers, found))


@settings(max_examples=5, deadline=None, derandomize=True)
@given(seed=st.integers(0, 1000))
def test_going_back_in_time_turns_every_change_around(seed):
    """With all days negated, deltas and changes along the axis change sign, lengths stay."""
    x, obs = planted(seed, 8)

    told = []
    for sign in (1, -1):
        source = source_of(x, obs.assign(day=sign * obs["day"]))
        every = ask(source, vector=SICK, direction_only=True, **EVERY)
        told.append(
            {
                (h.patient_id, *sorted(np.abs([h.change.from_day, h.change.to_day]))): h
                for h in every
            }
        )

    assert set(told[0]) == set(told[1])
    for key, hit in told[0].items():
        other = told[1][key]
        assert other.change.on_axis == pytest.approx(-hit.change.on_axis, rel=1e-3, abs=1e-3)
        assert other.change.length == pytest.approx(hit.change.length, rel=1e-5)
        assert other.change.length_p == pytest.approx(hit.change.length_p)
        assert other.change.off_share == pytest.approx(hit.change.off_share, abs=1e-3)
        assert other.direction == pytest.approx(-hit.direction, abs=1e-3)
        assert other.change.delta_score == pytest.approx(-hit.change.delta_score)


@settings(max_examples=5, deadline=None, derandomize=True)
@given(seed=st.integers(0, 1000))
def test_negation_reverses_the_ranking(seed):
    """By direction alone, the opposite ranks all transitions the other way around."""
    source = source_of(*planted(seed, 8))

    ahead = ask(source, "P3", direction_only=True, **EVERY)
    behind = ask(source, "P3", direction_only=True, negate=True, **EVERY)

    keys = [[(h.patient_id, h.change.from_day) for h in some] for some in (ahead, behind)]
    assert keys[0] == keys[1][::-1]
    np.testing.assert_allclose(
        [h.cosine for h in ahead], [-h.cosine for h in behind][::-1], atol=1e-12
    )


def test_equal_questions_have_equal_answers(cohort):
    """Asked again of another process's rows, everything but the time is the same."""
    found = [ask(source_of(*cohort), "P3", n_draws=49) for _ in range(2)]

    told = [asdict(replace(some, elapsed_ms=0.0, search_ms=0.0)) for some in found]
    assert told[0] == told[1]
