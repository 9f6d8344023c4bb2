"""Objectives on changes: refused where nobody changes, told where recovery may look otherwise."""

from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from learner_index.config import ObjectiveOptions
from learner_index.errors import NotEnoughDataError, SettingsError
from learner_index.learn.objectives.joint import JointLoss
from learner_index.learn.objectives.record import LabelScale
from learner_index.learn.objectives.registry import objectives
from learner_index.pipeline.changes import assumption_note, check_objective, require_changes
from learner_index.pipeline.pretrain import pretrain
from tests.pipeline.pretrain_toy import changed, scored_cohort
from tests.pipeline.test_trainingset import opened
from tests.toy import write_manifest

CARDS = {name: one.card for name, one in objectives().items()}
ON_CHANGES = [name for name, card in CARDS.items() if card.settings.get("pairs") == "intra"]
DIRECTION = ObjectiveOptions("direction")


def trained_for(name: str, folder: Path, **more: object):
    """One epoch of training for an objective."""
    options = changed(objective={"name": name, **more}, training={"epochs": 1})
    return pretrain(folder / "cohort.csv", folder / "run", options)


def cohort(folder: Path, change=lambda p, day: 0.0, **columns) -> Path:
    """Ten patients with three visits each, whose scores change as is said; more columns."""
    rows = scored_cohort(folder)
    for number, row in enumerate(rows):
        p, day = divmod(number, 3)
        row["health_score"] = 8.0 * p + change(p, day)
        row |= {name: value(p, day) for name, value in columns.items()}
    write_manifest(folder / "cohort.csv", rows)
    return folder


def required(name: str, score: list[float], patient: list[int], visit: list[int], **settings):
    """The check on what is trained on, by a range of 10."""
    loss = JointLoss.of(ObjectiveOptions(name, settings=settings), LabelScale(10.0, 1.0))
    require_changes(loss, np.array(score), np.array(patient), np.array(visit))


# Refused


def test_there_are_objectives_on_changes():
    """The tests below are about these two."""
    assert ON_CHANGES == ["antisymmetric_delta", "direction"]


@pytest.mark.parametrize("name", ON_CHANGES)
@pytest.mark.parametrize("day", [lambda p, day: 0, lambda p, day: ""], ids=["one", "unknown"])
def test_without_two_visits_nothing_is_decoded(tmp_path, name, day):
    """Three scans of one visit, or of visits nobody knows: refused at once, no run is left."""
    cohort(tmp_path, lambda p, day: 9.0 * day, day=day)

    with (
        mock.patch("learner_index.pipeline.trainingset.TrainingSet.decode") as decode,
        pytest.raises(NotEnoughDataError, match=f"{name} compares .* none of the 8 patients who"),
    ):
        trained_for(name, tmp_path)
    assert not decode.called
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ON_CHANGES)
@pytest.mark.parametrize("how", [{"contrastive_weight": 0.0}, {"settings": {"pairs": "all"}}])
def test_one_visit_is_enough_where_visits_are_not_compared(tmp_path, name, how):
    """At weight 0 it is `mse`; with `pairs` all, patients are compared with each other."""
    cohort(tmp_path, day=lambda p, day: 0)

    assert trained_for(name, tmp_path, **how).run["state"] == "done"


def test_other_objectives_need_no_visits(tmp_path):
    """What compares patients trains on one visit each as before."""
    cohort(tmp_path, day=lambda p, day: 0)

    assert trained_for("rnc", tmp_path).run["state"] == "done"


def test_visits_that_cannot_be_read_do_not_count(tmp_path):
    """Two scored visits in the table, one of them broken: known once all are decoded."""
    cohort(tmp_path, lambda p, day: 9.0 * day)
    for p in range(10):
        for day in (1, 2):
            (tmp_path / f"scans/p{p}d{day}.npy").unlink()

    with pytest.raises(NotEnoughDataError, match="antisymmetric_delta compares visits"):
        trained_for("antisymmetric_delta", tmp_path)


@pytest.mark.parametrize("threshold", [{}, {"threshold": 0.3}])
def test_changes_below_the_threshold_are_refused(threshold):
    """Nothing would count, and the message says how large changes are."""
    largest = 10 * threshold.get("threshold", 0.1)
    told = r"above 0\.[13] .* who train is 0\.[13]: lower it"

    with pytest.raises(NotEnoughDataError, match=told):
        required("direction", [0.0, largest, 5.0, 5.5], [0, 0, 1, 1], [0, 1, 2, 3], **threshold)


def test_a_single_change_above_the_threshold_is_enough():
    """Also beside scans of unknown visits, which are no change however far apart."""
    required("direction", [0.0, 1.1, 5.0, 9.0], [0, 0, 1, 1], [0, 1, -3, -4])


def test_scans_of_unknown_visits_are_no_change():
    """They may be of one visit, so a patient with nothing else has none to show."""
    with pytest.raises(NotEnoughDataError, match="none of the 1 patients who train has two"):
        required("direction", [0.0, 5.0, 9.0], [0, 0, 0], [-1, -2, 4])


def test_scores_that_stay_can_be_learned_as_such():
    """No change at all is a fact for the one that reads changes off."""
    required("antisymmetric_delta", [2.0, 2.0], [0, 0], [0, 1])


@pytest.mark.parametrize("name", ON_CHANGES)
def test_one_scan_a_patient_holds_no_change(name):
    """Batches of one scan of each patient are refused; of `rnc` they are not."""
    single = {"batches": {"scans": 1}}

    check_objective(changed(objective={"name": "rnc"}, **single))
    with pytest.raises(SettingsError, match=f"{name} compares .* batches.scans is 1: give --sca"):
        check_objective(changed(objective={"name": name}, **single))


# Told


def up(p: int, day: int) -> float:
    return 30.0 * day


def down(p: int, day: int) -> float:
    return -30.0 * day


def both(p: int, day: int) -> float:
    """Even patients rise by 30 in all, odd ones fall."""
    return (15.0 if p % 2 == 0 else -15.0) * day


@pytest.mark.parametrize(
    ("change", "theta", "seen"),
    [
        (both, 30.0, "here the scores of 5 patients rise and of 5 fall by 30 or more, so"),
        (both, 30.5, None),
        (both, None, "rise and of 5 fall (by any amount: no θ is given), so"),
        (lambda p, day: 40.0 * (day == 1), 30.0, "of 10 patients rise and of 10 fall by 30"),
        (lambda p, day: (p == 0) * 40.0 * day - 3.0 * day, 30.0, None),
        (up, 30.0, None),
        (down, 30.0, None),
        (down, None, None),
    ],
    ids=["both", "below", "no theta", "and back", "only one way", "up", "down", "down, no theta"],
)
def test_scores_that_go_both_ways_are_told(tmp_path, change, theta, seen):
    """Patients who get better and patients who get worse, each by θ or more."""
    cohort(tmp_path, change)
    options = changed(score={"change_threshold": theta})

    note = assumption_note(opened(tmp_path, options), DIRECTION)

    assert (note is None) == (seen is None)
    assert seen is None or seen in str(note)


def test_treatments_that_differ_are_told(tmp_path):
    """Two treatments, and also one that not everybody is given; the same for all is none."""
    found = {}
    for name, given in {
        "two": lambda p, day: "diuretic" if p % 2 else "fluid",
        "some": lambda p, day: "diuretic" if day else "",
        "all": lambda p, day: "diuretic",
    }.items():
        cohort(tmp_path / name, up, treatment=given)
        found[name] = assumption_note(opened(tmp_path / name), DIRECTION)

    assert found["two"] == (
        "direction assumes that getting better is getting worse run backwards, along one axis "
        "that all patients share; here column treatment has 2 values, so recovery may look "
        "otherwise: judge answers about patients who get better and who get worse apart"
    )
    assert found["some"] == found["two"]
    assert found["all"] is None


def test_without_days_nobody_knows_what_rose(tmp_path):
    """Visits by name have no order, so nothing is said of rise and fall."""
    cohort(tmp_path, both, visit=lambda p, day: f"v{day}", day=lambda p, day: "")

    assert assumption_note(opened(tmp_path), DIRECTION) is None


@pytest.mark.parametrize("name", list(objectives()))
def test_only_those_that_assume_are_told(tmp_path, name):
    """A note about each objective with an assumption, unless it has weight 0."""
    found = opened(cohort(tmp_path, both))

    assert (assumption_note(found, ObjectiveOptions(name)) is not None) == (name in ON_CHANGES)
    assert assumption_note(found, ObjectiveOptions(name, contrastive_weight=0.0)) is None


def test_a_run_tells_it_once(tmp_path):
    """Among the notes of pretraining, in folds as well."""
    cohort(tmp_path, both)
    options = changed(
        objective={"name": "antisymmetric_delta"}, training={"epochs": 1}, split={"folds": 2}
    )

    done = pretrain(tmp_path / "cohort.csv", tmp_path / "run", options)

    told = [note for note in done.notes if "assumes that getting better undoes" in note]
    assert len(told) == 1


@pytest.mark.parametrize("name", ON_CHANGES)
def test_training_for_changes_is_not_plain_regression(tmp_path, name):
    """Its term is there in every epoch, and the encoder is another than that of `mse`."""
    cohort(tmp_path, both)
    options = changed(objective={"name": name})

    done = pretrain(tmp_path / "cohort.csv", tmp_path / "run", options)
    plain = pretrain(tmp_path / "cohort.csv", tmp_path / "mse", changed(objective={"name": "mse"}))

    assert all(row["contrastive"] > 0 for row in done.run["history"])
    assert done.run["space"] != plain.run["space"]
