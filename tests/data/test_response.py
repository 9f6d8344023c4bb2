"""Predictions as records, tables and files."""

import json
from dataclasses import replace

import pandas as pd
import pytest

from learner_index.data.response import NearExample, Prediction, Predictions, check_suffix
from learner_index.errors import SettingsError

SURE = Prediction(
    patient_id="P1",
    task="detect",
    from_day=0.0,
    to_day=7.0,
    treatment="A",
    probabilities={"worse": 0.25, "better": 0.75},
    likeliest="better",
    set=("better",),
    reasons=(),
    votes={"worse": 1, "better": 2},
    nearest=(
        NearExample("P2", 1.0, 4.0, "better", 0.5, 1),
        NearExample("P3", 0, None, "better", 1, 3),
    ),
    log_odds=1.0986,
    parts={"base": 1.0, "change": 0.0986},
    is_fitted_on=False,
    is_seen=True,
    outcome="worse",
)
UNSURE = replace(
    SURE,
    patient_id="P4",
    treatment=None,
    set=None,
    reasons=("too far", "treatment 'C'"),
    votes={},
    nearest=(),
    outcome=None,
)


def answer(*rows, **changes):
    """An answer with these predictions."""
    found = Predictions(
        query={"patient": None, "k": 5},
        rows=rows,
        task="detect",
        target="change",
        classes=("worse", "better"),
        space="toy",
        head="multinomial",
        set_share=0.9,
        adds_up=True,
        is_simulated=False,
        skipped=("line 2 x: broken",),
        limits=("for research",),
        notes=("mind this",),
    )
    return replace(found, **changes)


def test_an_answer_is_a_sequence_of_predictions():
    """Length, positions, slices and iteration are those of its rows."""
    found = answer(SURE, UNSURE)

    assert len(found) == 2
    assert found[-1] is UNSURE
    assert found[:1] == (SURE,)
    assert list(found) == [SURE, UNSURE]


def test_whoever_has_a_reason_abstains():
    """Reasons, and nothing else, decide."""
    assert UNSURE.is_abstaining
    assert not SURE.is_abstaining
    assert not replace(UNSURE, reasons=()).is_abstaining


def test_the_table_has_one_flat_row_a_prediction():
    """Columns, in their order, with words between bars."""
    table = answer(SURE, UNSURE).to_frame()

    assert list(table) == [
        "patient_id",
        "task",
        "from_day",
        "to_day",
        "treatment",
        "likeliest",
        "p_worse",
        "p_better",
        "set",
        "is_abstaining",
        "reasons",
        "log_odds",
        "part_base",
        "part_change",
        "votes",
        "nearest",
        "is_fitted_on",
        "is_seen",
        "outcome",
    ]
    assert table["p_better"].tolist() == [0.75, 0.75]
    assert table["reasons"].tolist() == ["", "too far | treatment 'C'"]
    assert table["nearest"].tolist() == ["P2 | P3", ""]
    assert table["votes"].tolist() == ["worse: 1 | better: 2", ""]
    assert table["set"].isna().tolist() == [False, True]
    assert table["outcome"].isna().tolist() == [False, True]


def test_columns_have_their_kind_even_when_nothing_is_known():
    """A day that nobody has is a number, and a treatment that nobody has is text."""
    table = answer(replace(UNSURE, to_day=None)).to_frame()

    assert table["to_day"].dtype == "float64"
    assert [str(table[name].dtype) for name in ("treatment", "set", "outcome")] == ["string"] * 3


def test_json_holds_all_of_it():
    """Nested as the record is; what is missing is null."""
    found = json.loads(answer(SURE, UNSURE).to_json())

    first, second = found["predictions"]
    assert found["classes"] == ["worse", "better"]
    assert found["skipped"] == ["line 2 x: broken"]
    assert "rows" not in found
    assert first["probabilities"] == {"worse": 0.25, "better": 0.75}
    assert first["nearest"][1] == {
        "patient_id": "P3",
        "from_day": 0,
        "to_day": None,
        "outcome": "better",
        "distance": 1,
        "rank": 3,
    }
    assert (first["set"], second["set"]) == (["better"], None)
    assert (first["is_abstaining"], second["is_abstaining"]) == (False, True)
    assert second["outcome"] is None


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".json", ".CSV"])
def test_what_is_written_can_be_read_again(tmp_path, suffix):
    """By its ending, in whatever case; no other file is left beside it."""
    found = answer(SURE, UNSURE)
    path = tmp_path / f"out{suffix}"

    found.write(path)

    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    if suffix == ".json":
        assert json.loads(path.read_text()) == found.to_dict()
        return
    read = pd.read_parquet(path) if suffix == ".parquet" else pd.read_csv(path)
    assert list(read) == list(found.to_frame())
    assert read["p_worse"].tolist() == [0.25, 0.25]
    assert read["set"].isna().tolist() == [False, True]


@pytest.mark.parametrize("name", ["out.xlsx", "out", "out.csv.gz"])
def test_another_ending_is_refused(tmp_path, name):
    """Before anything is written."""
    with pytest.raises(SettingsError, match=r"written as \.csv, \.json or \.parquet"):
        answer(SURE).write(tmp_path / name)
    with pytest.raises(SettingsError, match="predictions are written"):
        check_suffix(name)
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
    """A file where a folder should be is named, with the reason."""
    (tmp_path / "file").write_text("")

    with pytest.raises(SettingsError, match=r"out\.csv cannot be written: "):
        answer(SURE).write(tmp_path / "file" / "out.csv")


def test_predictions_are_shown_as_a_table():
    """A row each, with its set, and what the sets promise; no dump of the fields."""
    shown = repr(answer(SURE, UNSURE)).splitlines()

    assert shown[0] == "2 predictions (detect)"
    assert shown[2].split() == ["P1", "0", "7", "better", "0.75", "better", "no", "worse"]
    assert shown[3].split() == ["P4", "0", "7", "better", "0.75", "-", "yes", "-"]
    told = "sets hold the outcome of 90 % of patients like those the head was calibrated on"
    assert told in " ".join(" ".join(shown).split())
    assert shown[-1] == "note: mind this"
    assert "no sets" in repr(answer(SURE, set_share=None))
    assert "SIMULATED" in answer(is_simulated=True)._repr_html_()


def test_one_prediction_shows_its_classes_and_reasons():
    """A row a class, what is in the set, votes, and why it abstains."""
    sure, unsure = repr(SURE), repr(UNSURE)

    assert sure.splitlines()[0] == "Prediction (detect) for P1, day 0 to 7"
    assert sure.splitlines()[3].split() == ["better", "0.75", "yes", "2"]
    assert "SEEN BY ENCODER" in sure
    assert "abstains: too far" in unsure
    assert unsure.splitlines()[3].split() == ["better", "0.75", "-", "-"]
    assert "FITTED ON" in repr(replace(SURE, is_fitted_on=True, to_day=None))
    assert "SIMULATED" not in sure
    assert repr(replace(SURE, is_simulated=True)).startswith("SIMULATED: Prediction")
