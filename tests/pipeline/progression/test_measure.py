"""What a change amounts to: when a verdict can be given, how sure it is, and what it rests on."""

import math
from dataclasses import asdict, replace

import numpy as np
import pytest

from learner_index.analysis import severity
from learner_index.analysis.severity import positions
from learner_index.commands.progression import _sure
from learner_index.data.reference import NoiseFloor
from learner_index.pipeline.progression import measure as measures
from learner_index.pipeline.progression.drift import change_drift, change_figures, changes_in_words
from learner_index.pipeline.progression.measure import (
    AGREEMENT,
    can_tell,
    measure,
    noise_figures,
    noise_notes,
    sign_agreement,
)
from learner_index.pipeline.progression.reference import fit_whole_reference
from tests.pipeline.progression.planted import as_source
from tests.pipeline.progression.store_of import WIDTH, ask, planted, source_of

ONE = np.ones(1)
COUNTS = ("n_improving", "n_steady", "n_worsening", "n_uncertain")


@pytest.fixture(scope="module")
def cohort():
    return planted(0, 14, views=("L1", "R1"))


@pytest.fixture(scope="module")
def known(cohort):
    return fit_whole_reference(*cohort).changes[""]


def floor_of(n_repeats, size=1e-3):
    """So many repeats, each of a patient of its own, that hardly differ."""
    differences = np.random.default_rng(n_repeats).normal(0, size, (n_repeats, WIDTH))
    return NoiseFloor(differences.astype(np.float32), np.arange(n_repeats), is_independent=True)


def along(known, direction, length=10.0):
    """(1, e) a change of that length in a whitened direction, as embeddings have it."""
    return length * np.linalg.solve(known.whitening, direction)[None]


def aside(axis):
    """A unit vector across the axis."""
    other = np.eye(WIDTH)[5] - axis.direction[5] * axis.direction
    return other / np.linalg.norm(other)


def torn(known, share):
    """The reference with 100 draws: the axis turned by 60 degrees aside, the rest the other way."""
    axis, turn = known.axis, math.sqrt(3) / 2 * aside(known.axis)
    draws = [0.5 * axis.direction + (turn if i < 100 * share else -turn) for i in range(100)]
    return replace(known, axis=replace(axis, draws=np.array(draws, np.float32)))


# Repeats that are too few


@pytest.mark.parametrize("n_repeats", [1, 8])
def test_few_repeats_give_no_verdict(known, n_repeats):
    """Eight repeats reach p = 1/9, above 0.1: a huge change is not called steady."""
    few = replace(known, noise=floor_of(n_repeats))

    found = measure(along(known, known.axis.direction), ONE, few)

    assert found.verdict == ("no noise floor",)
    assert found.length_p.tolist() == [1 / (n_repeats + 1)]


def test_nine_repeats_tell_at_a_tenth(known):
    """Nine repeats reach p = 0.1: the same change is worsening."""
    enough = replace(known, noise=floor_of(9))

    found = measure(along(known, known.axis.direction), ONE, enough)

    assert found.verdict == ("worsening",)
    assert not any("cannot tell" in note for note in noise_notes(enough))


@pytest.mark.parametrize(
    ("n_repeats", "alpha", "told"),
    [
        (1, 0.1, "1 repeat cannot tell a change at α 0.1: 9 are needed"),
        (8, 0.1, "8 repeats cannot tell a change at α 0.1: 9 are needed"),
        (18, 0.05, "18 repeats cannot tell a change at α 0.05: 19 are needed"),
    ],
)
def test_a_note_tells_how_many_repeats_are_needed(known, n_repeats, alpha, told):
    """What there is, and the fewest whose p reaches alpha."""
    few = replace(known, noise=floor_of(n_repeats))

    assert told in noise_notes(few, alpha)
    assert told not in noise_notes(replace(few, noise=floor_of(19)), alpha)


@pytest.mark.parametrize("alpha", [0.01, 0.03, 0.05, 0.07, 0.1, 0.2, 0.25, 0.3, 0.5])
def test_the_repeats_asked_for_are_the_fewest_that_tell(alpha):
    """With as many a verdict is possible, with one fewer it is not."""
    needed = math.ceil(1 / alpha) - 1

    assert can_tell(floor_of(needed), alpha)
    assert not can_tell(floor_of(needed - 1), alpha)


# An axis that is in doubt


@pytest.mark.parametrize(
    ("share", "verdict"), [(0.96, "worsening"), (0.95, "worsening"), (0.94, "uncertain")]
)
def test_draws_that_disagree_leave_a_change_uncertain(known, share, verdict):
    """Beyond noise and worse by the axis: told so where 95 % of the draws agree, either way."""
    doubted = torn(known, share)
    change = along(known, known.axis.direction + aside(known.axis))
    opposite = {"worsening": "improving"}.get(verdict, verdict)

    assert measure(change, ONE, doubted).verdict == (verdict,)
    assert measure(-change, ONE, doubted).verdict == (opposite,)


def test_a_change_within_noise_is_steady_however_the_draws_lie(known):
    """Doubt about the axis is no doubt that nothing changed."""
    doubted = torn(known, 0.5)

    found = measure(1e-6 * along(known, known.axis.direction), ONE, doubted)

    assert found.verdict == ("steady",)


def test_without_a_floor_doubt_about_the_axis_is_not_told(known):
    """What cannot be told from noise is not called uncertain."""
    change = along(known, known.axis.direction + aside(known.axis))

    found = measure(change, ONE, replace(torn(known, 0.5), noise=None))

    assert found.verdict == ("no noise floor",)


def test_sign_agreement_counts_draws(known, monkeypatch):
    """Draw by draw: the share with the sign of g·W d; in blocks or not."""
    rng, whitening = np.random.default_rng(3), np.diag([0.1, 9.0, 1.0, 0.3, 3.0, 5.0])
    deltas = rng.standard_normal((40, WIDTH)).astype(np.float32)
    spread = 0.3 * rng.standard_normal(known.axis.draws.shape)
    draws = (known.axis.draws + spread).astype(np.float32)
    axis = replace(known.axis, draws=draws)

    found = sign_agreement(deltas, axis, whitening)
    monkeypatch.setattr(measures, "_BLOCK", 7)
    parts = sign_agreement(deltas, axis, whitening)

    places = positions(axis, deltas, whitening)
    for share, delta, here in zip(found, deltas, places, strict=True):
        agreeing = [(draw @ whitening @ delta > 0) == (here > 0) for draw in draws]
        assert share == pytest.approx(np.mean(agreeing))
    assert found.min() < AGREEMENT < found.max()
    np.testing.assert_array_equal(parts, found)


# Outcomes


@pytest.mark.parametrize("scored", [True, False])
def test_outcomes_count_no_verdict_where_none_can_be_given(scored):
    """Without repeats, or without an axis: None, not 0; and the line says so."""
    found = ask(source_of(*planted(1, repeats=not scored, scored=scored)), "P3")

    counts = [value for name, value in asdict(found.outcome).items() if name in COUNTS]
    assert counts == [None] * 4
    if scored:
        assert _sure(found)[0].endswith("; no verdict can be given")
    assert "None" not in " ".join(_sure(found))


def test_outcomes_count_uncertain_changes(cohort):
    """Every hit has one verdict, and those that draws disagree on are counted and printed."""
    found = ask(source_of(*cohort), "P3", k=9)

    told = asdict(found.outcome)
    assert sum(told[name] for name in COUNTS) == 9
    assert told["n_uncertain"] == 0
    assert "uncertain" not in _sure(found)[0]
    doubted = replace(found, outcome=replace(found.outcome, n_uncertain=2))
    assert _sure(doubted)[0].endswith(" worsening, 2 uncertain")


def test_hits_that_draws_disagree_on_are_uncertain(cohort):
    """With draws that point anywhere all changes beyond noise are uncertain, and counted."""
    reference = fit_whole_reference(*cohort)
    draws = np.random.default_rng(0).standard_normal((200, WIDTH)).astype(np.float32)
    known = reference.changes[""]
    lost = replace(known, axis=replace(known.axis, draws=draws))

    found = ask(as_source(*cohort, replace(reference, changes={"": lost})), "P3", k=9)

    assert found.outcome.n_uncertain + found.outcome.n_steady == 9
    assert found.outcome.n_uncertain > 0
    assert found.change.verdict == "uncertain"


# What is told of the floor


def test_the_band_is_what_repeats_stay_within(known):
    """90 % of repeats, patients weighted equally, differ by at most the band on the axis."""
    width = noise_figures(known)["axis_band"]

    apart = np.abs(known.noise.differences.astype(float) @ known.whitening @ known.axis.direction)
    owners = known.noise.owners

    def share(is_within):
        return np.mean([is_within[owners == own].mean() for own in set(owners.tolist())])

    assert share(apart <= width * (1 + 1e-9)) >= 0.9 > share(apart < width * (1 - 1e-9))


def test_no_band_without_an_axis_that_tells(known):
    """Places on an axis that tells nothing mean nothing, and so does a band on it."""
    lost = replace(known, axis=replace(known.axis, r2=-0.1))

    assert noise_figures(lost)["axis_band"] is None
    assert noise_figures(replace(known, axis=None))["axis_band"] is None
    assert noise_figures(replace(known, noise=None)) is None


def test_info_prints_the_band(cohort):
    """The line of the noise floor ends with the band, where there is one."""
    figures = change_figures(fit_whole_reference(*cohort), *cohort)
    width = figures[""]["noise"]["axis_band"]

    line = dict(changes_in_words(figures))["noise floor"]
    figures[""]["noise"]["axis_band"] = None
    bare = dict(changes_in_words(figures))["noise floor"]

    assert line == f"{bare}; 90 % of repeats within ±{width:.2f} on the axis"


def test_drift_chooses_no_penalty(cohort, known, monkeypatch):
    """The axis now is fitted once with the reference's penalty; nothing is cross-validated."""

    def refuse(*_):
        raise AssertionError("cross-validated")

    monkeypatch.setattr(severity, "_cross_fit", refuse)
    one, other = (
        change_drift(replace(known, axis=replace(known.axis, penalty=penalty)), *cohort)
        for penalty in (known.axis.penalty, 1e6)
    )

    assert one.axis_turned_deg == pytest.approx(0, abs=1e-4)
    assert other.axis_turned_deg > 0.1
