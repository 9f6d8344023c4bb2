"""The records that answer questions about change, as mappings, JSON and frames."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from learner_index.data.axis import AxisReport
from learner_index.data.progression import (
    HIT_FIELDS,
    Change,
    Likeness,
    Outcome,
    ProgressionHit,
    Progressions,
    Stop,
    Support,
    Trajectory,
    speeds,
)

CHANGE = Change(
    patient_id="P1",
    from_day=2.0,
    to_day=6.0,
    delta_day=4.0,
    from_scans=("a", "b"),
    to_scans=("c",),
    views="L1",
    length=2.0,
    length_p=None,
    on_axis=-1.0,
    off_share=0.5,
    verdict="improving",
    health_score=50.0,
    later_health_score=52.0,
    delta_score=2.0,
    treatment=None,
)
HIT = ProgressionHit(
    rank=1,
    similarity=-0.5,
    direction=0.75,
    start=-1.0,
    days=-0.25,
    cosine=0.75,
    change=CHANGE,
    cosine_p=None,
    length_q=None,
    cosine_q=None,
    columns={"site": "µ", "rank": "mine", "verdict": "mine"},
)
ANSWER = Progressions(
    query={"kind": "patient", "where": ["day > 1"]},
    change=CHANGE,
    hits=(HIT, replace(HIT, rank=2)),
    exact=True,
    backend="numpy",
    reference="abc",
    weights=(1.0, 1.0, 1.0),
    bandwidths=(2.0, 0.5),
    n_eligible=5,
    n_eligible_patients=4,
    n_scanned=5,
    support=Support(5.0, 5.0),
    chance=None,
    outcome=Outcome(2, 2, None, None, None, 2, 0, 0),
    effective_rank=3.0,
    noise=None,
    axis=None,
    elapsed_ms=1.0,
    search_ms=0.5,
    notes=("one",),
)
PATH = Trajectory(
    query={"patient_id": "P1"},
    patient_id="P1",
    stops=(Stop(2.0, ("a", "b"), 50.0, 0.1, 0.0, 0.2, None),),
    steps=(CHANGE,),
    likes=(Likeness(1, "P2", 0.5, 3.0, 0.0, 2, 0.0, 9.0, None, {"site": None, "distance": 9.0}),),
    path=np.zeros((1, 3)),
    alpha=0.1,
    reference="abc",
    n_eligible_patients=3,
    n_single=1,
    noise=None,
    axis=None,
    elapsed_ms=1.0,
)


def test_a_hit_is_one_flat_mapping():
    """Its fields, its change's and its columns; own fields win over columns of the same name."""
    found = HIT.to_dict()

    assert tuple(found) == (*HIT_FIELDS, "site")
    assert (found["rank"], found["verdict"], found["site"]) == (1, "improving", "µ")
    assert found["from_scans"] == ["a", "b"]
    assert HIT.patient_id == found["patient_id"] == "P1"


def test_an_answer_is_a_sequence_of_hits():
    """Length, position and iteration are those of the hits."""
    assert len(ANSWER) == 2
    assert [hit.rank for hit in ANSWER] == [1, 2]
    assert ANSWER[1].rank == 2
    assert ANSWER[:1] == (HIT,)


def test_an_answers_json_is_the_whole_of_it():
    """Every field, tuples as lists, letters as they are, missing values as null."""
    text = ANSWER.to_json()

    told = json.loads(text)
    assert "µ" in text
    assert set(told) == set(ANSWER.__dataclass_fields__)
    assert told["support"] == {"n_similar": 5.0, "minimum": 5.0, "is_supported": True}
    assert told["change"]["to_scans"] == ["c"]
    assert told["change"]["length_p"] is None
    assert told["outcome"]["n_improving"] == 2
    assert told["notes"] == ["one"]
    assert told["hits"][1]["rank"] == 2


def test_an_answer_without_change_and_outcome():
    """A direction that nobody has: null, not an empty record."""
    told = replace(ANSWER, change=None, outcome=None).to_dict()

    assert (told["change"], told["outcome"]) == (None, None)


@pytest.mark.parametrize("record", [replace(ANSWER, effective_rank=np.nan), PATH])
def test_nan_is_no_json(record):
    """A NaN that slipped through is refused rather than written."""
    record = replace(record, elapsed_ms=float("nan"))

    with pytest.raises(ValueError, match="not JSON compliant"):
        record.to_json()


@pytest.mark.parametrize(("n_similar", "is_enough"), [(4.99, False), (5.0, True), (0.0, False)])
def test_support_suffices_from_the_minimum(n_similar, is_enough):
    """As many as the minimum are enough."""
    assert Support(n_similar, 5.0).is_supported is is_enough


def test_frames_of_hits():
    """A row a hit; without hits the columns stay."""
    assert list(ANSWER.to_frame().columns) == [*HIT_FIELDS, "site"]
    assert len(ANSWER.to_frame()) == 2
    empty = replace(ANSWER, hits=()).to_frame()
    assert (list(empty.columns), len(empty)) == (list(HIT_FIELDS), 0)


def test_speeds_are_per_day():
    """Length, axis and score over the days between; what is unknown stays so."""
    assert speeds(CHANGE) == {"speed": 0.5, "axis_speed": -0.25, "score_speed": 0.5}
    unknown = replace(CHANGE, on_axis=None, delta_score=None)
    assert speeds(unknown) == {"speed": 0.5, "axis_speed": None, "score_speed": None}


def test_a_trajectorys_json_is_all_but_the_path():
    """Stops, steps with speeds, likes; no embeddings."""
    told = json.loads(PATH.to_json())

    assert set(told) == set(PATH.__dataclass_fields__) - {"path"}
    assert told["stops"][0]["scan_ids"] == ["a", "b"]
    assert told["steps"][0]["speed"] == 0.5
    assert told["likes"] == [PATH.likes[0].to_dict()]


def test_a_like_is_one_flat_mapping():
    """Its fields and its columns, as in a hit; own fields win over columns of the same name."""
    found = PATH.likes[0].to_dict()

    assert list(found) == [*(n for n in Likeness.__dataclass_fields__ if n != "columns"), "site"]
    assert (found["patient_id"], found["distance"], found["site"]) == ("P2", 0.5, None)


def test_frames_of_a_trajectory():
    """A row a stop, a step or a like; without any the columns stay."""
    assert list(PATH.to_frame().columns) == list(Stop.__dataclass_fields__)
    steps = PATH.steps_frame()
    assert steps["axis_speed"].tolist() == [-0.25]
    empty = replace(PATH, steps=()).steps_frame()
    assert (list(empty.columns), len(empty)) == (list(steps.columns), 0)
    likes = PATH.likes_frame()
    assert (likes["patient_id"].tolist(), likes["distance"].tolist()) == (["P2"], [0.5])
    none = replace(PATH, likes=()).likes_frame()
    assert [*none.columns, "site"] == list(likes.columns)


def test_an_axis_reports_frame_is_a_copy():
    """Changing it changes no report."""
    report = AxisReport({}, pd.DataFrame({"position": [1.0]}), "abc", "")

    report.to_frame()["position"] = 2.0

    assert report.scans["position"].tolist() == [1.0]
    assert report.notes == ()
