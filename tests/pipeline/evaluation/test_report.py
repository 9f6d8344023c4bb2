"""The report and its tables: what each line rests on, who was seen, and JSON that is strict."""

import csv
import json
import re
from dataclasses import replace
from unittest import mock

import numpy as np
import pandas as pd
import pytest

from learner_index.errors import RunWriteError
from learner_index.pipeline.evaluation import report
from learner_index.pipeline.evaluation.measures import MEASURES
from learner_index.pipeline.evaluation.methods import methods_paragraph
from learner_index.pipeline.evaluation.report import report_text, write_evaluation
from learner_index.pipeline.evaluation.tables import markdown, prediction_table
from learner_index.pipeline.roles import MARK
from tests.pipeline.evaluation.planted import (
    OPTIONS,
    guessing,
    judged,
    knowing,
    material_of,
    planted_rows,
)


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    return material_of(tmp_path_factory.mktemp("report"), planted_rows(16))


@pytest.fixture(scope="module")
def found(material):
    """A model that has seen four patients, one that has seen nobody, and a bar in a name."""
    seen = replace(guessing(material, "seen"), known=frozenset(material.patients[:4]))
    return judged(material, knowing(material), seen, guessing(material, "a|b", seed=3))


@pytest.fixture(scope="module")
def written(found, tmp_path_factory):
    folder = tmp_path_factory.mktemp("written")
    with mock.patch.object(report, "draw_figures", return_value=[]):
        write_evaluation(found, folder)
    return folder


def tables_of(text):
    """Every Markdown table as rows of cells."""
    blocks = re.findall(r"((?:^\|.*\|$\n?)+)", text, flags=re.MULTILINE)
    return [
        [re.split(r"(?<!\\)\|", line)[1:-1] for line in block.strip().splitlines()]
        for block in blocks
    ]


def strict(text):
    """JSON without the constants that are none."""

    def refuse(word):
        raise ValueError(word)

    return json.loads(text, parse_constant=refuse)


def test_every_table_is_whole(written):
    """All rows of a table have its columns, also where a name has a bar."""
    tables = tables_of((written / "report.md").read_text(encoding="utf-8"))

    assert len(tables) >= 6
    for table in tables:
        assert len({len(row) for row in table}) == 1


def test_every_table_of_figures_says_what_it_rests_on(found):
    """Numbers of patients and of pairs stand in each."""
    for section in report_text(found).split("\n## ")[1:]:
        if not section.startswith(("Against", "Models")):
            assert "patients" in section
            assert "n pairs" in section or "transitions" in section


def test_a_bar_in_a_cell_does_not_end_it():
    """Names are the user's."""
    assert markdown(["a"], [["b|c"]]).splitlines()[-1] == r"| b\|c |"


def test_whom_the_encoder_has_seen_stands_on_every_line(found, written):
    """Report, tables and predictions; and on no line of the others."""
    text = (written / "report.md").read_text(encoding="utf-8")
    rows = [row for table in tables_of(text) for row in table]
    own = [row for row in rows if row[0].strip().startswith("seen")]
    assert own and all(MARK in "".join(row) for row in own if len(row) > 2)
    assert all(MARK not in row[0] for row in rows if row[0].strip().startswith(("knows", "a\\|b")))
    assert f"- seen: {MARK} (4 of 16 patients)" in text
    matrix = text.split("cell by cell")[1].splitlines()[2]
    assert f"seen **{MARK} (4 of 16 patients)**" in matrix
    for name in ("measures", "predictions", "comparisons"):
        table = pd.read_csv(written / f"{name}.csv", keep_default_na=False)
        is_seen = table["seen"].str.startswith(MARK)
        assert (is_seen == (table["model"] == "seen")).all()
    assert MARK in (written / "methods.md").read_text(encoding="utf-8")
    record = strict((written / "evaluation.json").read_text(encoding="utf-8"))
    assert [one["n_seen"] for one in record["models"][:3]] == [0, 4, 0]


def test_a_seen_model_to_compare_with_marks_every_comparison(material):
    """A difference from a model that has seen patients is about seen patients too."""
    seen = replace(guessing(material, "seen"), known=frozenset(material.patients))
    found = judged(material, seen, knowing(material), options=replace(OPTIONS, against="seen"))

    assert f"## Against seen **{MARK} (16 of 16 patients)**" in report_text(found)


def test_the_record_is_strict_and_says_what_the_tables_say(written):
    """No NaN, and the same numbers as the CSV files."""
    record = strict((written / "evaluation.json").read_text(encoding="utf-8"))
    with (written / "measures.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))

    assert len(record["measures"]) == len(rows)
    for one, row in zip(record["measures"], rows, strict=True):
        assert (one["model"], one["measure"]) == (row["model"], row["measure"])
        assert float(row["value"]) == pytest.approx(one["value"], rel=1e-4)
        assert (one["low"] is None) == (row["low"] == "")
    assert record["score"]["threshold"] == 5.0
    assert record["against"] == record["options"]["against"] == "knows"


def test_predictions_are_of_every_transition_once(found):
    """With the fold that left its patient out, and probabilities that sum to 1."""
    table = prediction_table(found)
    one = table[table["model"] == "knows"]

    assert len(one) == len(found.material.changes)
    assert (one["predicted"] == one["health_change"]).all()
    sums = one[["p_worsened", "p_stable", "p_improved"]].sum(axis=1)
    np.testing.assert_allclose(sums, 1)
    for number, split in enumerate(found.splits, 1):
        assert set(one["patient_id"][one["fold"] == number]) == set(split.unseen)


def test_without_changes_the_tables_are_empty_but_whole(tmp_path):
    """A CSV without rows still has its columns; there is nothing to compare."""
    material = material_of(tmp_path, planted_rows(16), theta=None)
    found = judged(material, knowing(material))

    with mock.patch.object(report, "draw_figures", return_value=[]):
        write_evaluation(found, tmp_path / "out")

    predictions = pd.read_csv(tmp_path / "out/predictions.csv")
    comparisons = pd.read_csv(tmp_path / "out/comparisons.csv")
    assert len(predictions) == len(comparisons) == 0
    assert {"model", "p_stable", "seen"} <= set(predictions)
    assert {"model", "difference", "seen"} <= set(comparisons)
    assert "Primary endpoint" not in (tmp_path / "out/report.md").read_text(encoding="utf-8")


def test_simulated_cohorts_are_called_simulated(found):
    """In the first line, and in the Methods paragraph; real ones are not."""
    simulated = replace(found, material=replace(found.material, is_simulated=True))

    assert "SIMULATED DATA" in report_text(simulated)
    assert "SIMULATED scans" in methods_paragraph(simulated)
    assert "SIMULATED" not in report_text(found) + methods_paragraph(found)
    assert repr(simulated).startswith("SIMULATED: Evaluation")
    assert "SIMULATED" not in repr(found)


def test_an_evaluation_is_shown_by_its_primary_measure(found):
    """A row a model with interval, and who was seen; no dump of the fields."""
    shown = repr(found).splitlines()

    assert shown[0] == "Evaluation by macro-F1"
    rows = shown[2 : 2 + len(found.outcomes)]
    assert [line.split("  ")[0] for line in rows] == [one.name for one in found.outcomes]
    assert [line.split("  ")[0] for line in rows if "SEEN BY ENCODER" in line] == ["seen"]
    assert f"compared with {found.against}" in " ".join(" ".join(shown).split())
    assert "<td" in found._repr_html_()
    without = replace(found, outcomes=tuple(replace(o, figures={}) for o in found.outcomes))
    assert repr(without).splitlines()[2].split()[1:] == ["-", "-", "-", "unseen"]


def test_losing_cells_are_printed_like_winning_ones(found):
    """Every model but the one compared with has a cell in every row."""
    matrix = report_text(found).split("cell by cell")[1].split("\n\n")[1]
    rows = tables_of(matrix)[0][2:]

    assert {row[1].strip() for row in rows} <= {"+", "−", "·"}
    named = {row[0].split(":")[-1].strip() for row in rows}
    assert MEASURES["macro_f1"].title in named


def test_methods_name_what_decides_a_number(found):
    """Draws, test, what is averaged over folds, versions; no claim about who is better."""
    text = methods_paragraph(found)

    for words in ("200 bootstrap draws", "99 permutations", "Holm", "within folds", "scikit-learn"):
        assert words in text
    assert "better" not in text


def test_a_disk_that_refuses_is_one_line(found, tmp_path):
    """What was trained is kept, and the message says so."""
    from learner_index.pipeline.evaluation import evaluate

    refusal = OSError(28, "No space left on device")
    with (
        mock.patch.object(evaluate, "measured", return_value=found),
        mock.patch.object(evaluate, "write_evaluation", side_effect=refusal),
        mock.patch.object(evaluate, "contest_of_stores"),
        pytest.raises(RunWriteError, match=r"No space left on device.*what was trained is kept"),
    ):
        evaluate.evaluate([tmp_path / "a.zarr"], tmp_path / "out")
