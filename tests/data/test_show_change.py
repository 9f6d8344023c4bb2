"""What is shown of progressions, trajectories and axes."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from learner_index.data.axis import AxisReport
from learner_index.data.progression import Outcome, Stop
from learner_index.data.show_change import noise_floor_words
from tests.data.test_progression import ANSWER, CHANGE, HIT, PATH

NOISE = {"n_repeats": 12, "n_patients": 3, "is_independent": True}
AXIS = {
    "r2": 0.5,
    "slope_between": -20.0,
    "slope_within": -10.0,
    "slope_within_low": -12.0,
    "slope_within_high": -8.0,
    "angle_deg": 25.0,
    "unit": "SD of a repeat scan",
    "n_visits": 30,
    "n_patients": 10,
    "n_draws": 200,
    "n_seen": 0,
}


def lines(record):
    """What a shell shows, line by line."""
    return repr(record).splitlines()


def test_hits_show_their_parts_and_outcomes():
    """A row a hit: similarity, its parts, the change of health score, the verdict."""
    shown = lines(replace(ANSWER, noise=NOISE))

    assert shown[0] == "2 progressions like a patient"
    assert shown[2].split() == [
        "1", "P1", "-0.5", "0.75", "-1", "-0.25", "2", "improving",
    ]  # fmt: skip
    assert "5 eligible transitions of 4 patients; exact; noise floor from 12" in shown[4]
    assert shown[-1] == "note: one"
    assert "from_day" in ANSWER._repr_html_()


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"kind": "patient", "patient_id": "P9"}, "like P9"),
        (
            {"kind": "patient", "patient_id": "P9", "from_day": 1.0, "to_day": 2.5},
            "like P9, day 1 to 2.5",
        ),
        ({"kind": "direction", "direction": "improving"}, "towards improving"),
        ({"kind": "groups"}, "along a direction by groups"),
        ({"kind": "vector", "patient_id": "P9"}, "along a direction by vector"),
    ],
)
def test_what_was_asked_stands_above(query, words):
    """Whose change, or which direction."""
    assert lines(replace(ANSWER, query=query))[0] == f"2 progressions {words}"


def test_outcome_and_chance_are_told():
    """The median change with its quartiles, and p with its draws; nothing where there is none."""
    outcome = Outcome(2, 2, -5.0, -9.0, 1.0, 0, 1, 1)
    chance = {"statistic": 0.9, "null_mean": 0.5, "p_value": 0.012, "n_draws": 999}
    told = " ".join(repr(replace(ANSWER, outcome=outcome, chance=chance)).split())

    assert "median change of health score -5 (quartiles -9 to +1) in 2 of 2 hits" in told
    assert "p = 0.012, 999 draws" in told
    assert "median" not in repr(replace(ANSWER, outcome=None))


def test_an_approximate_answer_without_hits():
    """It says so, and has no table."""
    shown = repr(replace(ANSWER, hits=(), exact=False))

    assert shown.startswith("0 progressions")
    assert "approximate" in shown
    assert "rank" not in shown


def test_a_hit_without_scores():
    """A dash, not a number."""
    unknown = replace(HIT, change=replace(CHANGE, delta_score=None))

    assert lines(replace(ANSWER, hits=(unknown,)))[2].split()[6] == "-"


def test_a_path_shows_visits_and_steps():
    """A row a visit, with what changed since the one before; units and doubt below."""
    stops = (*PATH.stops, Stop(6.0, ("c",), None, -0.9, -1.5, -0.3, None))
    shown = lines(replace(PATH, stops=stops, axis=AXIS, noise=NOISE, is_simulated=True))

    assert shown[0] == "SIMULATED: Trajectory of P1, 2 visits"
    assert shown[2].split() == ["2", "50", "0.1", "0.0", "0.2", "-", "-", "2"]
    assert shown[3].split() == ["6", "-", "-0.9", "-1.5", "-0.3", "-1", "improving", "1"]
    told = " ".join(shown)
    assert "position rises as health falls, in SD of a repeat scan" in told
    assert "Paths most alike: P2" in told


def test_a_path_without_an_axis_or_likes():
    """No axis: said. Nobody alike: nothing said."""
    stops = (Stop(None, ("a",), None, None, None, None, None),)
    shown = lines(replace(PATH, stops=stops, steps=(), likes=()))

    assert shown[2].split() == ["-"] * 7 + ["1"]
    assert shown[-1] == "no severity axis"


def test_an_axis_shows_what_it_is_worth():
    """R² for patients left out, both slopes, and how many it rests on."""
    report = AxisReport(AXIS, pd.DataFrame({"position": np.zeros(7)}), "abc", "", ("mind",))
    told = " ".join(repr(report).split())

    assert "R², patients left out 0.50" in told
    assert "the same within patients -10.0 (95 % -12.0 to -8.0)" in told
    assert "30 visits of 10 patients" in told
    assert told.endswith("note: mind")
    assert "SEEN BY ENCODER" not in told


def test_an_axis_of_seen_patients_says_so():
    """Patients the encoder was trained on flatter R²."""
    report = AxisReport(AXIS | {"n_seen": 4}, pd.DataFrame(), "abc", "", is_simulated=True)

    assert "4 patients SEEN BY ENCODER" in repr(report)
    assert "SIMULATED" in report._repr_html_()
    assert repr(AxisReport({}, pd.DataFrame(), "", "")).startswith("Severity axis")


@pytest.mark.parametrize(
    ("noise", "words"),
    [
        (None, "no noise floor"),
        (NOISE, "noise floor from 12 independent repeats of 3 patients"),
        (
            {"n_repeats": 1, "n_patients": 1, "is_independent": False},
            "noise floor from 1 same-session repeat of 1 patient",
        ),
    ],
)
def test_what_the_noise_floor_rests_on(noise, words):
    """Repeats, patients, and whether they are independent."""
    assert noise_floor_words(noise) == words
