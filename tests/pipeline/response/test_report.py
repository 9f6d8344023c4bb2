"""The report says what was asked, how well it went, and what beats the head."""

import re
from dataclasses import replace

import pytest

from learner_index.pipeline.response.figures import Figure, Figures, Group
from learner_index.pipeline.response.report import (
    figure_words,
    gain_table,
    model_table,
    set_words,
    write_report,
)

NLL, AUROC, F1 = Figure(0.5, 0.4, 0.6), Figure(0.8, 0.7, 0.9), Figure(0.6, 0.5, 0.7)
PLAIN = {"auroc": AUROC, "nll": NLL, "macro_f1": F1, "accuracy": F1, "ece": F1}
FIGURES = Figures(
    models={"head": PLAIN, "majority": PLAIN, "no change": {"macro_f1": F1, "accuracy": F1}},
    gains={
        "majority": {"nll": Figure(-0.2, -0.3, -0.1), "auroc": Figure(0.1, -0.1, 0.2)},
        "single scans": {"nll": Figure(0.2, 0.1, 0.3), "auroc": Figure(-0.1, -0.2, 0.1)},
        "nearest vote": {"nll": Figure(-0.1, -0.2, 0.1), "auroc": Figure(0.0, -0.2, 0.1)},
        "no change": {"macro_f1": Figure(-0.3, -0.4, -0.2)},
    },
    sets={
        "abstaining": Figure(0.25, 0.2, 0.3),
        "accuracy_answered": Figure(0.75, 0.7, 0.8),
        "coverage": Figure(0.91, 0.85, 0.95),
        "set_size": Figure(1.5, 1.4, 1.6),
        "coverage: dead": Figure(0.5),
        "coverage: well": Figure(None),
    },
    groups=(Group("site", "X|Y", 7, 9, {"auroc": AUROC, "coverage": F1}),),
    n_patients=40,
    n_examples=90,
    n_seen=0,
    n_draws=150,
)
CARD = {
    "task": "predict",
    "target": {"name": "ward"},
    "is_simulated": False,
    "data": {
        "classes": {
            "dead": {"examples": 30, "patients": 12},
            "well": {"examples": 60, "patients": 30},
        },
        "n_died": 3,
        "n_lost": 0,
        "n_unknown": 4,
    },
    "sets": {"alpha": 0.125, "coverage_interval": [0.71, 0.98], "n_patients": 23},
    "notes": ["column 'x' tells the outcome", "other"],
    "limits": ["For research."],
}


def written(tmp_path, card=CARD, figures=FIGURES, **more):
    write_report({**card, **more}, figures, tmp_path)
    return (tmp_path / "report.md").read_text("utf-8")


def test_what_beats_the_head_is_said_in_capitals():
    """The interval of the log loss decides; of a model that names classes, macro-F1."""
    header, rows = gain_table(FIGURES)

    assert {row[0]: row[-1] for row in rows} == {
        "majority": "beaten",
        "single scans": "BETTER THAN THE HEAD",
        "nearest vote": "not shown to differ",
        "no change": "BETTER THAN THE HEAD (macro-F1)",
    }
    assert header[1:4] == [
        "log loss ↓",
        "AUROC, one against the rest ↑",
        "macro-F1 ↑",
    ]
    assert rows[0][1] == "-0.200 (-0.300 to -0.100)"
    assert rows[3][1:3] == ["-", "-"]


def test_every_model_has_a_row():
    """The head first, with arrows for which way is good, and a bar where there is no figure."""
    header, rows = model_table(FIGURES)

    assert [row[0] for row in rows] == ["head", "majority", "no change"]
    assert [name[-1] for name in header[1:]] == ["↑", "↓", "↑", "↑"]
    assert rows[2][1:] == ["-", "-", "0.600 (0.500 to 0.700)", "0.600 (0.500 to 0.700)"]
    assert all(len(row) == len(header) for row in rows)


@pytest.mark.parametrize(
    ("figure", "words"),
    [
        (None, "-"),
        (Figure(None), "-"),
        (Figure(0.5), "0.500"),
        (Figure(-0.0001, -0.0002, 0.0001), "0.000 (0.000 to 0.000)"),
        (Figure(1.23456, 1.0, 2.0), "1.235 (1.000 to 2.000)"),
    ],
)
def test_a_figure_in_words(figure, words):
    """A value with its interval, never minus zero."""
    assert figure_words(figure) == words


def test_all_sections_are_there(tmp_path):
    """Tables, sets, silence, parts, pictures, notes and limits, in that order."""
    text = written(tmp_path)

    heads = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    assert heads == [
        "ward",
        "Patients left out of the fit",
        "Gain over each baseline",
        "Sets, and when the head keeps silent",
        "Parts of the cohort",
        "Notes",
        "Limits",
    ]
    assert "predict: nothing after one visit is given, will it come about?" in text
    assert "Outcomes: dead 30 (12 patients), well 60 (30 patients)." in text
    assert "Of others, 3 died before, 4 have no outcome written or scored." in text
    assert "90 examples of 40 patients; 95 % intervals from 150 draws of patients." in text
    assert "abstains in 0.250 (0.200 to 0.300) of patients; where it answers" in text
    assert "it is right in 0.750 (0.700 to 0.800)." in text
    assert text.count("![") == 3
    assert text.count("| BETTER THAN THE HEAD |") == 1
    assert "- column 'x' tells the outcome\n- other" in text
    assert "- For research.\n" in text


def test_tables_are_tables(tmp_path):
    """Every line of a table has as many cells as its header, whatever is in a name."""
    lines = [line for line in written(tmp_path).splitlines() if line.startswith("|")]

    blocks, width = 0, None
    for line in lines:
        cells = len(re.findall(r"(?<!\\)\|", line))
        if "---" in line:
            blocks += 1
            assert cells == width
        width = cells if line.startswith(("| model", "| baseline", "| part")) else width
        assert cells == width
    assert blocks == 3


def test_the_promise_of_sets_and_what_was_measured():
    """Share, Beta interval and patients; then coverage, also by class, and size."""
    promise, measured = set_words(CARD, FIGURES)

    assert promise == (
        "sets: promised to hold the outcome of 87.5 % of patients; this run's coverage lies "
        "between 0.71 and 0.98 in 95 % of draws of its 23 calibration patients (Beta)"
    )
    assert "0.910 (0.850 to 0.950); by class dead 0.50; 1.500 (1.400 to 1.600) classes" in measured
    assert set_words({**CARD, "sets": None}, FIGURES) == []
    unmeasured = set_words(CARD, replace(FIGURES, sets={"abstaining": Figure(0.1)}))
    assert unmeasured == [
        promise,
        "not measured on patients left out: too few could calibrate in some fold",
    ]


def test_patients_the_encoder_has_seen_are_in_the_headline(tmp_path):
    """In capitals, with their number; not where there are none."""
    seen = written(tmp_path, figures=replace(FIGURES, n_seen=13))
    headline = seen.split("\n\n")[1]

    assert headline.endswith("will it come about? SEEN BY ENCODER (13 of 40 patients).")
    assert "SEEN BY ENCODER" not in written(tmp_path)


def test_simulated_patients_are_in_the_headline(tmp_path):
    """First of all."""
    headline = written(tmp_path, is_simulated=True).split("\n\n")[1]

    assert headline.startswith("SIMULATED patients. predict: ")
    assert "SIMULATED" not in written(tmp_path)


def test_what_is_not_there_has_no_section(tmp_path):
    """No parts, no notes, no sets."""
    bare = replace(FIGURES, groups=(), sets={"abstaining": Figure(1.0)})

    text = written(tmp_path, figures=bare, notes=[], sets=None)

    assert "## Notes" not in text
    assert "## Parts" not in text
    assert "sets: promised" not in text
    assert "abstains in 1.000 of patients." in text
