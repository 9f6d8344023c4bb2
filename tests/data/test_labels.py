"""Reading what may be trained on from a manifest."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from learner_index.config import ManifestOptions, ScoreOptions
from learner_index.data.labels import read_labels
from learner_index.data.manifest import read_manifest
from learner_index.data.records import Problem
from learner_index.errors import ManifestError, NotEnoughDataError, SettingsError
from tests.toy import write_manifest


def manifest(folder, columns, **options):
    """A manifest of one scan a patient, with these columns."""
    n = len(next(iter(columns.values())))
    rows = [
        {"scan_id": f"s{i}", "patient_id": f"p{i}", "path": f"{i}.npy"}
        | {name: values[i] for name, values in columns.items()}
        for i in range(n)
    ]
    return read_manifest(write_manifest(folder / "cohort.csv", rows), ManifestOptions(**options))


def labels(folder, columns, score=None, **options):
    return read_labels(manifest(folder, columns, **options), ScoreOptions(**(score or {})))


def told(found):
    return [note.message for note in found.notes]


def test_scores_are_the_target_where_no_classes_are_asked_for(tmp_path):
    """Score and target are the manifest's scores in its order, NaN where missing."""
    found = labels(tmp_path, {"health_score": [3, "", 1]})

    np.testing.assert_array_equal(found.score, [3, math.nan, 1])
    np.testing.assert_array_equal(found.target, found.score)
    assert found.score.dtype == found.target.dtype == np.float64
    assert found.is_ceiling.tolist() == [False, False, False]
    assert (found.kind.name, found.threshold) == ("generic", None)


def test_missing_scores_are_counted_in_a_note(tmp_path):
    """A note without a line says how many scans have no score; it is no error."""
    found = labels(tmp_path, {"health_score": [3, "", 1, ""]})

    assert found.notes == (
        Problem("", "", "2 of 4 scans (50 %) without a health score", is_error=False),
    )


def test_complete_scores_need_no_note(tmp_path):
    """Nothing is noted where nothing is amiss."""
    assert labels(tmp_path, {"health_score": [3, 1]}, {"kind": "mmse"}).notes == ()


@pytest.mark.parametrize(
    ("score", "theta"),
    [
        ({"kind": "mmse"}, 3.0),
        ({"kind": "mmse", "change_threshold": 2.0}, 2.0),
        ({"change_threshold": 0.5}, 0.5),
    ],
)
def test_threshold_is_the_kinds_unless_given(tmp_path, score, theta):
    """θ comes from the options, else from the kind."""
    assert labels(tmp_path, {"health_score": [3, 1]}, score).threshold == theta


@pytest.mark.parametrize("theta", [0.0, -1.0, math.nan, math.inf])
def test_impossible_threshold_is_refused(tmp_path, theta):
    """θ must be a positive finite number."""
    with pytest.raises(SettingsError, match=r"change_threshold .*: give a number above 0"):
        labels(tmp_path, {"health_score": [3, 1]}, {"change_threshold": theta})


def test_scores_at_the_ceiling_are_marked_and_told(tmp_path):
    """Full marks in MMSE are at the ceiling; the note gives their share of the known scores."""
    found = labels(tmp_path, {"health_score": [30, 29, "", 30, 12]}, {"kind": "mmse"})

    assert found.is_ceiling.tolist() == [True, False, False, True, False]
    assert "2 of 4 scores (50 %) at the ceiling of 30 (all points reached" in told(found)[1]


def test_turned_scores_keep_their_raw_range_and_ceiling(tmp_path):
    """Read with lower as healthier, 30 points are -30, still valid and at the ceiling; told."""
    found = labels(tmp_path, {"health_score": [30, 0]}, {"kind": "mmse"}, score_direction="lower")

    assert found.score.tolist() == [-30, 0]
    assert found.is_ceiling.tolist() == [True, False]
    assert told(found)[0] == "lower MMSE is read as healthier: is --score-direction lower meant?"


@pytest.mark.parametrize("direction", ["higher", "lower"])
def test_score_out_of_range_is_refused_with_its_line(tmp_path, direction):
    """The first scan out of range is named with line, raw value, reason, count and next step."""
    with pytest.raises(
        ManifestError,
        match=r"^line 3 s1: MMSE 31.0 is outside 0 to 30 \(the test has 30 points\): correct it, "
        r"or take --score-kind generic \(first of 2 such scans\)$",
    ):
        labels(
            tmp_path,
            {"health_score": [30, 31, -1]},
            {"kind": "mmse"},
            score_direction=direction,
        )


def test_ratio_of_shares_is_no_s_f(tmp_path):
    """S/F of saturations in shares is refused, and the message says what it is made of."""
    with pytest.raises(ManifestError, match=r"S/F ratio 2.4 is outside .*SpO2 in percent by FiO2"):
        labels(tmp_path, {"health_score": [2.4, 4.5]}, {"kind": "sf"})


def test_infinite_score_is_refused(tmp_path):
    """A table with an infinite score is refused, although no manifest's text can hold one."""
    found = manifest(tmp_path, {"health_score": [1, 2]})
    table = found.table.assign(health_score=[1.0, math.inf])

    with pytest.raises(ManifestError, match=r"line 3 s1: health score inf is not finite"):
        read_labels(dataclasses.replace(found, table=table), ScoreOptions())


def test_manifest_without_scores_is_told_which_columns_may_hold_them(tmp_path):
    """Number columns that are named like a score are proposed; texts and others are not."""
    columns = {"MMSE": [1, 2], "lung_score": [1, 2], "age": [1, 2], "score_note": ["a", "b"]}

    with pytest.raises(
        NotEnoughDataError,
        match=r"cohort.csv has no health score: .*--score-column NAME "
        r"\(perhaps 'MMSE' and 'lung_score'\)$",
    ):
        labels(tmp_path, columns)


def test_manifest_without_anything_like_a_score_is_told_what_to_add(tmp_path):
    """Without a candidate the message ends with the option."""
    with pytest.raises(NotEnoughDataError, match=r"--score-column NAME$"):
        labels(tmp_path, {"age": [1, 2]})


def test_column_without_any_score_is_refused(tmp_path):
    """A score column whose every cell is empty is named."""
    with pytest.raises(NotEnoughDataError, match=r"column 'mmse' has no value that counts: fill"):
        labels(tmp_path, {"mmse": ["", ""]}, score_column="mmse")


@pytest.mark.parametrize(
    ("columns", "score", "message"),
    [
        ({"health_score": [2, 2, ""]}, {}, "the same health score in all 2 scans"),
        ({"health_score": [2, 3]}, {"edges": (9.0,)}, "the same class between the edges in all 2"),
        ({"stage": [1, 1]}, {"class_column": "stage"}, "the same class in column stage in all 2"),
        ({"view": ["", ""]}, {"class_column": "view"}, "has no class in column view"),
    ],
)
def test_targets_that_do_not_differ_are_refused(tmp_path, columns, score, message):
    """Nothing can be learned from one value, or from none."""
    with pytest.raises(NotEnoughDataError, match=f"{message}.*: nothing can be learned"):
        labels(tmp_path, columns, score)


def test_sf94_leaves_out_what_was_measured_above_94_percent(tmp_path):
    """Scores with a higher or unknown SpO2 become NaN, each with its count; 94 % counts."""
    found = labels(
        tmp_path,
        {"health_score": [300, 310, 320, 330, ""], "spo2": [94, 94.5, "", 90, 99]},
        {"kind": "sf94"},
    )

    np.testing.assert_array_equal(found.score, [300, math.nan, math.nan, 330, math.nan])
    assert told(found) == [
        "1 of 4 scores (25 %) left out because SpO2 is above 94 %",
        "1 of 4 scores (25 %) left out because SpO2 is unknown",
        "3 of 5 scans (60 %) without a health score",
    ]


def test_sf94_may_be_given_as_such(tmp_path):
    """A score column called sf94 needs no SpO2."""
    found = labels(tmp_path, {"sf94": [300, "", 330]}, {"kind": "sf94"}, score_column="sf94")

    np.testing.assert_array_equal(found.score, [300, math.nan, 330])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({}, "no column spo2 with numbers in .*cohort.csv: add SpO2"),
        ({"SpO2": [90, 91]}, r"\(did you mean 'SpO2'\?\): add SpO2"),
        ({"spo2": ["low", "high"]}, "no column spo2 with numbers"),
        ({"spo2": [0.9, 0.97]}, "goes up to 0.97, so it holds shares: write it in percent"),
        ({"spo2": [90, 940]}, "line 3 s1: SpO2 940.0 is no percentage"),
        ({"spo2": [-1, 94]}, "line 2 s0: SpO2 -1.0 is no percentage"),
    ],
)
def test_sf94_needs_saturations_in_percent(tmp_path, columns, message):
    """Without percentages S/F94 cannot be told from S/F."""
    with pytest.raises(ManifestError, match=message):
        labels(tmp_path, {"health_score": [300, 310], **columns}, {"kind": "sf94"})


def test_sf94_without_any_low_saturation_is_refused(tmp_path):
    """Where every score is left out, the reason is in the message."""
    with pytest.raises(NotEnoughDataError, match=r"left out because SpO2 is above 94 %: fill it"):
        labels(tmp_path, {"health_score": [300, 310], "spo2": [96, 97]}, {"kind": "sf94"})


def test_edges_cut_turned_scores_into_classes(tmp_path):
    """Classes count the edges reached, on the scale where higher is healthier."""
    found = labels(
        tmp_path,
        {"health_score": [1, 2, "", 5]},
        {"edges": (-4.0, -2.0)},
        score_direction="lower",
    )

    np.testing.assert_array_equal(found.target, [2, 2, math.nan, 0])
    np.testing.assert_array_equal(found.score, [-1, -2, math.nan, -5])


def test_bins_are_not_cut_here(tmp_path):
    """Quantiles wait for the training patients: the target is still the score."""
    found = labels(tmp_path, {"health_score": [1, 2, 3]}, {"bins": 2})

    assert found.target.tolist() == [1, 2, 3]


def test_named_classes_are_numbered_from_the_sickest(tmp_path):
    """Classes count up in the order given; a scan without one has none, and scores remain."""
    found = labels(
        tmp_path,
        {"health_score": [1, 2, 3, 4], "stage": ["mild", "severe", "", "well"]},
        {"class_column": "stage", "classes": ("severe", "mild", "well")},
    )

    np.testing.assert_array_equal(found.target, [1, 0, math.nan, 2])
    assert found.score.tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("values", "classes"), [([4, 1, ""], ("4", "1")), (["true", "false", ""], ("true", "false"))]
)
def test_numbers_and_flags_can_be_named_as_classes(tmp_path, values, classes):
    """Numbered stages that fall with health are put in order by listing them."""
    found = labels(tmp_path, {"stage": values}, {"class_column": "stage", "classes": classes})

    np.testing.assert_array_equal(found.target, [0, 1, math.nan])


def test_numbered_classes_are_ranked(tmp_path):
    """Without a list, higher numbers are healthier classes, counted without gaps."""
    found = labels(tmp_path, {"stage": [10, 2.5, "", 7, 2.5]}, {"class_column": "stage"})

    np.testing.assert_array_equal(found.target, [2, 0, math.nan, 1, 0])
    assert np.isnan(found.score).all()
    assert told(found) == ["5 of 5 scans (100 %) without a health score"]


def test_score_column_as_classes_is_turned_like_the_score(tmp_path):
    """Stages declared healthier when lower count up with health."""
    found = labels(
        tmp_path,
        {"stage": [1, 4, 2]},
        {"class_column": "stage"},
        score_column="stage",
        score_direction="lower",
    )

    assert found.target.tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("score", "message"),
    [
        ({"class_column": "stge"}, r"class_column stge: no such column .*did you mean 'stage'"),
        (
            {"class_column": "stage"},
            "class_column stage holds 'mild', no number: .*--score-classes",
        ),
        (
            {"class_column": "stage", "classes": ("bad", "mild")},
            "line 3 s1: stage severe is none of --score-classes bad, mild: .*first of 2 such scans",
        ),
    ],
)
def test_classes_that_cannot_be_read_are_refused(tmp_path, score, message):
    """An absent column, text without an order, and a class that is not listed, with its line."""
    with pytest.raises(ManifestError, match=message):
        labels(tmp_path, {"stage": ["mild", "severe", "{}"]}, score)


def test_two_ways_to_make_classes_are_refused(tmp_path):
    """Bins and edges together are a contradiction, found before the manifest is looked at."""
    with pytest.raises(SettingsError, match="'bins' and 'edges' are given"):
        labels(tmp_path, {"age": [1, 2]}, {"bins": 2, "edges": (1.0,)})


def test_unknown_kind_is_refused(tmp_path):
    """The kind must be one that is known."""
    with pytest.raises(SettingsError, match=r"--score-kind mms: .*did you mean 'mmse'"):
        labels(tmp_path, {"health_score": [1, 2]}, {"kind": "mms"})


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.one_of(st.integers(0, 30), st.just("")), min_size=2).filter(
        lambda values: len({value for value in values if value != ""}) > 1
    )
)
def test_turning_mirrors_scores_and_nothing_else(tmp_path, values):
    """Declaring lower healthier negates score and target; ceiling, kind and θ stay."""
    up, down = (
        labels(tmp_path, {"health_score": values}, {"kind": "mmse"}, score_direction=direction)
        for direction in ("higher", "lower")
    )

    np.testing.assert_array_equal(up.score, -down.score)
    np.testing.assert_array_equal(up.target, -down.target)
    np.testing.assert_array_equal(up.is_ceiling, down.is_ceiling)
    assert (up.kind, up.threshold) == (down.kind, down.threshold)
