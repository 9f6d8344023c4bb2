"""What a run trains on: whose scans are read, how targets are scaled, what is refused early."""

import json
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from learner_index.errors import DivergedError, RunFormatError, SettingsError
from learner_index.learn.objectives.joint import JointLoss
from learner_index.learn.objectives.record import LabelScale
from learner_index.learn.processes import Processes
from learner_index.pipeline import pretrain as module
from learner_index.pipeline.lesson import Job, Talk, agree, target_scale, visit_means
from learner_index.pipeline.pretrain import pretrain
from learner_index.pipeline.runs import read_run
from tests.pipeline.pretrain_toy import SMALL, UNSEEN, changed, scored_cohort
from tests.toy import write_manifest

ONCE = changed(training={"epochs": 1})


def stopped(folder: Path, options=ONCE) -> None:
    """A run interrupted before its first step."""
    with (
        mock.patch.object(module, "fit_encoder", side_effect=KeyboardInterrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        pretrain(folder / "cohort.csv", folder / "run", options)


def test_scale_weighs_patients_not_scans():
    """A patient with three scans counts as much as one with one; as worked out by hand."""
    center, spread = target_scale(np.array([0.0, 3, 6, 9]), np.array([4, 4, 4, 7]))

    assert center == pytest.approx((3 + 9) / 2)
    assert spread == pytest.approx(np.sqrt(((36 + 9 + 0) / 3 + 9) / 2))


def test_a_visit_has_one_score():
    """The mean of its scans, in order of visits; scans of other visits are untouched."""
    means = visit_means(np.array([1.0, 5, 3, 7]), np.array([8, 2, 8, 30]))

    assert means.tolist() == [5, 2, 7]


def test_many_zones_of_one_visit_do_not_narrow_the_kernel(tmp_path):
    """Each visit scanned three times gives the loss the scale of each visit scanned once."""
    scales = []
    for name, copies in (("one", 1), ("three", 3)):
        rows = scored_cohort(tmp_path / name, n_patients=6, n_visits=2)
        more = []
        for row in rows:
            pixels = np.load(tmp_path / name / str(row["path"]))
            for k in range(copies):
                path = f"scans/{row['scan_id']}_{k}.npy"
                np.save(tmp_path / name / path, np.roll(pixels, k, axis=0))
                more.append({**row, "scan_id": f"{row['scan_id']}_{k}", "path": path})
        write_manifest(tmp_path / name / "cohort.csv", more)
        with mock.patch.object(JointLoss, "of", side_effect=JointLoss.of) as made:
            pretrain(tmp_path / name / "cohort.csv", tmp_path / name / "run", ONCE)
        scales.append(made.call_args.args[1])

    assert isinstance(scales[0], LabelScale)
    assert scales[1].kernel_width == pytest.approx(scales[0].kernel_width)
    assert scales[1].range == pytest.approx(scales[0].range)


def test_scans_of_unknown_visits_are_numbered_below_0(tmp_path):
    """Each for itself, so that no two of them are taken for two visits of a patient."""
    rows = scored_cohort(tmp_path, n_patients=4)
    for row in rows[:3]:
        row["day"] = ""
    write_manifest(tmp_path / "cohort.csv", rows)

    with (
        mock.patch.object(module, "fit_encoder", side_effect=KeyboardInterrupt) as fit,
        pytest.raises(KeyboardInterrupt),
    ):
        pretrain(tmp_path / "cohort.csv", tmp_path / "run", ONCE)

    visit = fit.call_args.args[0].examples.visit
    assert (visit[:3] < 0).all() and (visit[3:] >= 0).all()
    assert len(set(visit.tolist())) == 12


# Which scans


def test_unseen_patients_are_decoded_last(tmp_path):
    """First who trains and validates, then, when all is trained, the others."""
    scored_cohort(tmp_path)
    said: list[str] = []

    pretrain(tmp_path / "cohort.csv", tmp_path / "run", UNSEEN, talk=Talk(say=said.append))

    assert said == [
        "reading 21 scans",
        "measuring patients the encoder has not seen",
        "reading 9 scans",
    ]


def test_nothing_is_said_of_unseen_patients_where_there_are_none(tmp_path):
    """Only the scans that train and validate are read."""
    scored_cohort(tmp_path)
    said: list[str] = []

    pretrain(tmp_path / "cohort.csv", tmp_path / "run", ONCE, talk=Talk(say=said.append))

    assert said == ["reading 30 scans"]


def test_a_scan_that_is_gone_stops_a_run_that_goes_on(tmp_path):
    """By name and number."""
    scored_cohort(tmp_path)
    stopped(tmp_path)
    (tmp_path / "scans/p3d1.npy").unlink()

    with pytest.raises(RunFormatError, match=r"1 scans that could be read .* now: p3d1; restore"):
        pretrain(tmp_path / "cohort.csv", tmp_path / "run", resume=True)


def test_a_scan_that_does_not_decode_this_time_stops_too(tmp_path):
    """Its bytes are the same, but a reader fails: the run would train on other scans."""
    scored_cohort(tmp_path)
    off = changed(ONCE, cache={"max_gb": 0.0})
    stopped(tmp_path, off)

    def fail(self, row, settings, *, jitter):
        if row == 4:
            raise OSError(5, "Input/output error")
        return np.zeros((1, 32, 32), np.float16)

    with (
        mock.patch("learner_index.pipeline.trainingset.TrainingSet.frames", fail),
        pytest.raises(RunFormatError, match=r"1 scans that could be read .* now: p1d1;"),
    ):
        pretrain(tmp_path / "cohort.csv", tmp_path / "run", resume=True)


def test_a_scan_that_can_be_read_by_now_stops_too(tmp_path):
    """The other way round: more scans would train than did."""
    scored_cohort(tmp_path)
    path = tmp_path / "scans/p3d1.npy"
    original = path.read_bytes()
    stopped(tmp_path)
    run = read_run(tmp_path / "run")
    run |= {"scans": "0" * 16, "skipped": ["line 12 p3d1: empty"]}
    (tmp_path / "run/run.json").write_text(json.dumps(run), encoding="utf-8")

    with pytest.raises(RunFormatError, match="can be read now: start another"):
        pretrain(tmp_path / "cohort.csv", tmp_path / "run", resume=True)
    assert path.read_bytes() == original


def test_the_first_process_says_which_scans_are_broken():
    """All others take its list, whatever they could read themselves."""
    cohort = mock.Mock(hashes=["a", "b"], broken={})
    processes = mock.Mock(shared=lambda value: (["a", ""], {1: "gone"}))

    agree(Job(cohort, SMALL, 1, Talk(), processes))

    assert cohort.hashes == ["a", ""]
    assert cohort.broken == {1: "gone"}


# Refused or told before training


def test_batches_that_cannot_be_dealt_out_stop_before_decoding(tmp_path):
    """Four patients a batch and three processes: said at once."""
    scored_cohort(tmp_path)

    @contextmanager
    def three():
        yield Processes(0, 3, 0)

    with (
        mock.patch.object(module, "joined", three),
        mock.patch("learner_index.pipeline.trainingset.TrainingSet.decode") as decode,
        pytest.raises(SettingsError, match=r"4 patients a batch .* 3 processes.*multiple of 3"),
    ):
        pretrain(tmp_path / "cohort.csv", tmp_path / "run", SMALL)
    assert not decode.called


def test_a_cache_that_is_too_small_is_told(tmp_path):
    """With the size that would do."""
    scored_cohort(tmp_path)
    small = changed(ONCE, cache={"max_gb": 1e-6})

    done = pretrain(tmp_path / "cohort.csv", tmp_path / "run", small)

    assert len(done.notes) == 1
    assert "each epoch decodes some again: --set cache.max_gb=1 keeps them all" in done.notes[0]


def test_an_untrained_head_is_told(tmp_path):
    """Regression weight 0 and too few validation patients for distances: the last epoch."""
    scored_cohort(tmp_path)
    no_head = changed(ONCE, objective={"regression_weight": 0.0})

    done = pretrain(tmp_path / "cohort.csv", tmp_path / "run", no_head)

    assert done.run["criterion"] is None
    assert "the last epoch is kept, because fewer than 3 patients" in done.notes[0]


@pytest.mark.parametrize(
    ("score", "words"),
    [
        ({}, {"kind": "generic", "unit": "units of the score"}),
        ({"bins": 3}, {"kind": "class", "unit": "class 0..2"}),
        ({"edges": (20.0,)}, {"kind": "class", "unit": "class 0..1"}),
    ],
)
def test_head_has_a_unit_and_a_direction(tmp_path, score, words):
    """So that a prediction can be read."""
    scored_cohort(tmp_path)

    stopped(tmp_path, changed(ONCE, score=score))

    target = read_run(tmp_path / "run")["target"]
    assert {name: target[name] for name in words} == words
    assert target["direction"] == "higher is healthier"


def test_a_diverged_batch_is_kept_whole(tmp_path):
    """run.json names every scan, of a run and of the run of its fold."""
    scored_cohort(tmp_path)
    problem = DivergedError("the loss is nan")
    problem.scan_ids = ("p0d0", "p1d1")

    with (
        mock.patch.object(module, "fit_encoder", side_effect=problem),
        pytest.raises(DivergedError, match=r"fold-1: the loss is nan"),
    ):
        pretrain(tmp_path / "cohort.csv", tmp_path / "run", changed(ONCE, split={"folds": 2}))

    for run in (read_run(tmp_path / "run"), read_run(tmp_path / "run/fold-1")):
        assert (run["state"], run["batch"]) == ("diverged", ["p0d0", "p1d1"])
