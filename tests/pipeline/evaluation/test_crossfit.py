"""Objectives trained on a manifest: once, on whom they should be, and again from where it stopped.

Two objectives, two folds and two epochs of a tiny network; the same run serves most claims.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest

from learner_index.config import EvaluateOptions
from learner_index.errors import (
    DivergedError,
    EncoderError,
    NotEnoughDataError,
    RunFormatError,
    SettingsError,
    SplitError,
)
from learner_index.pipeline.evaluation import crossfit, report
from learner_index.pipeline.evaluation.evaluate import evaluate
from learner_index.pipeline.runs import read_run
from tests.pipeline.evaluation.planted import outcome
from tests.pipeline.pretrain_toy import SMALL, changed, scored_cohort
from tests.toy import write_manifest

OPTIONS = EvaluateOptions(
    objectives=("mse", "learner_weighted"),
    baselines=("handcrafted",),
    seeds=1,
    folds=2,
    n_bootstraps=100,
    n_permutations=99,
)
PRETRAINING = changed(
    SMALL,
    score={"change_threshold": 2.0},
    training={"epochs": 1},
    objective={"contrastive_weight": 0.0},
)


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    """Figures take seconds, and have tests of their own."""
    monkeypatch.setattr(report, "draw_figures", lambda found, folder: [])


def run(folder: Path, options=OPTIONS, pretraining=PRETRAINING, **more):
    """An evaluation of the cohort in a folder."""
    return evaluate([folder / "cohort.csv"], folder / "out", options, pretraining, **more)


def files_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Content and time of every file that is no cache."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "cache" not in str(path)
    }


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A folder with a finished evaluation, and what it found; to be copied."""
    folder = tmp_path_factory.mktemp("done")
    scored_cohort(folder)
    with mock.patch.object(report, "draw_figures", return_value=[]):
        return folder, run(folder)


@pytest.fixture
def home(done, tmp_path):
    """A copy of it."""
    shutil.copytree(done[0], tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_no_contrast_is_mse_bit_for_bit(done):
    """`learner_weighted` of weight 0: every figure and draw is that of mse, and p is 1."""
    one, other = (outcome(done[1], name) for name in ("mse", "learner_weighted"))

    assert set(one.figures) == set(other.figures) and len(one.figures) > 20
    for name, figure in one.figures.items():
        assert figure.value == other.figures[name].value or np.isnan(figure.value), name
        np.testing.assert_array_equal(figure.draws, other.figures[name].draws, err_msg=name)
    own = [one for one in done[1].comparisons if one.model == "learner_weighted"]
    assert {one.difference for one in own if not np.isnan(one.difference)} == {0.0}
    assert [one.p_swap for one in own if one.measure == "macro_f1"] == [1.0]


def test_a_contrast_is_not_mse(home, done):
    """The test above can fail: with a weight, the figures differ."""
    weighted = changed(PRETRAINING, objective={"contrastive_weight": 1.0})
    shutil.rmtree(home / "out")

    found = run(home, replace(OPTIONS, objectives=("learner_weighted",)), weighted)

    one, other = outcome(found, "learner_weighted"), outcome(done[1], "mse")
    assert one.figures["score_mae"].value != other.figures["score_mae"].value


def test_runs_were_trained_on_whom_the_folds_say(done):
    """Each run's roles are those of its fold, and its unseen patients are the ones measured."""
    folder, found = done

    for name in OPTIONS.objectives:
        for number, split in enumerate(found.splits, 1):
            known = read_run(folder / f"out/runs/{name}-seed0/fold-{number}")
            assert known["patients"] == split.to_dict()
    assert sorted(p for split in found.splits for p in split.unseen) == list(
        found.material.patients
    )
    assert {one.n_seen for one in found.outcomes} == {0}


def test_a_second_call_trains_nothing_and_says_the_same(home):
    """Runs and vectors keep their time stamps; every file has the same bytes."""
    before = files_of(home / "out")

    run(home)

    after = files_of(home / "out")
    assert {name: content for name, (content, _) in after.items()} == {
        name: content for name, (content, _) in before.items()
    }
    kept = [name for name in before if name.startswith(("runs/", "vectors/"))]
    assert len(kept) > 10
    assert all(after[name][1] == before[name][1] for name in kept)


def test_an_interrupted_evaluation_goes_on(home, done):
    """Stopped before the second objective: the first is kept, and the end is the same."""
    shutil.rmtree(home / "out")
    pretrain = crossfit.pretrain

    def stop(manifest, folder, *args, **kwargs):
        if folder.name.startswith("learner_weighted"):
            raise KeyboardInterrupt
        return pretrain(manifest, folder, *args, **kwargs)

    with mock.patch.object(crossfit, "pretrain", stop), pytest.raises(KeyboardInterrupt):
        run(home)
    before = files_of(home / "out/runs")
    assert before and not (home / "out/report.md").exists()

    run(home)

    after = files_of(home / "out/runs")
    assert all(after[name] == before[name] for name in before)
    for name in ("report.md", "measures.csv", "predictions.csv", "evaluation.json"):
        assert (home / "out" / name).read_bytes() == (done[0] / "out" / name).read_bytes()


def test_other_settings_are_refused(home):
    """A folder of runs goes on with its own settings only; the message names objective and seed."""
    more = changed(PRETRAINING, training={"epochs": 2})

    with pytest.raises(
        RunFormatError, match=r"^mse, seed 0: the run was started with training.epochs = 1, not 2"
    ):
        run(home, pretraining=more)


def test_other_scores_are_refused(home):
    """Runs of another cohort are not passed off as this one's."""
    table = pd.read_csv(home / "cohort.csv")
    table.loc[0, "health_score"] += 1
    table.to_csv(home / "cohort.csv", index=False)

    with pytest.raises(RunFormatError, match="scans and scores are not those"):
        run(home)


def test_a_run_of_other_patients_is_refused(home):
    """Should a run and a fold ever differ in who is unseen, nothing is measured."""
    swapped = crossfit.pretrain

    def other(*args, **kwargs):
        result = swapped(*args, **kwargs)
        return replace(result, folds=result.folds[::-1])

    with (
        mock.patch.object(crossfit, "pretrain", other),
        pytest.raises(SplitError, match=r"mse, seed 0, fold-2 was not trained on this fold's"),
    ):
        run(home)


def test_a_broken_scan_is_left_out_of_everything(tmp_path):
    """It is told, trained on by nobody, and measured by nobody."""
    scored_cohort(tmp_path)
    (tmp_path / "scans/p3d1.npy").write_bytes(b"\x93NUMPY")

    found = run(tmp_path, replace(OPTIONS, objectives=("mse",)))

    assert found.material.n_scans == 29
    assert "p3d1" not in found.material.scan_ids
    assert len(found.skipped) == 1 and "p3d1" in found.skipped[0]
    record = json.loads((tmp_path / "out/evaluation.json").read_text(encoding="utf-8"))
    assert record["skipped"] == list(found.skipped)
    assert "skipped 1 scans" in (tmp_path / "out/report.md").read_text(encoding="utf-8")


def test_conditions_limit_training_and_measuring(tmp_path):
    """Who is left out is in no role of any run, and in no figure."""
    scored_cohort(tmp_path)
    some = changed(PRETRAINING, split={"where": ("patient_id != p9",)})

    found = run(tmp_path, replace(OPTIONS, objectives=("mse",)), some)

    assert "p9" not in found.material.patients and found.material.n_patients == 9
    roles = read_run(tmp_path / "out/runs/mse-seed0/fold-1")["patients"]
    assert "p9" not in {patient for names in roles.values() for patient in names}


def test_a_simulated_cohort_has_its_truth_beside_the_models(tmp_path):
    """The oracle is measured, its space against the truth too, and all is called SIMULATED."""
    rows = scored_cohort(tmp_path)
    (tmp_path / "SIMULATED.txt").write_text("", encoding="utf-8")
    truth = [{"scan_id": r["scan_id"], "s": -r["health_score"], "e": 1.0} for r in rows]
    pd.DataFrame(truth[::-1]).to_csv(tmp_path / "truth.csv", index=False)

    found = run(tmp_path, replace(OPTIONS, objectives=()))

    assert found.material.is_simulated
    assert list(found.material.truth["s"]) == [-row["health_score"] for row in rows]
    assert outcome(found, "oracle").figures["score_mae"].value < 1.5
    assert "within_true_centered" in outcome(found, "handcrafted").figures
    assert "SIMULATED DATA" in (tmp_path / "out/report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            replace(OPTIONS, objectives=("mse", "learner_wieghted")),
            SettingsError,
            r"no objective 'learner_wieghted' \(did you mean 'learner_weighted'\?\)",
        ),
        (replace(OPTIONS, baselines=("handcraftd",)), EncoderError, "no baseline 'handcraftd'"),
        (replace(OPTIONS, against="msee"), SettingsError, r"--against msee: no such model"),
        (replace(OPTIONS, folds=11), NotEnoughDataError, "10 patients for 11 folds"),
        (replace(OPTIONS, transitions="sometimes"), SettingsError, "transitions 'sometimes'"),
    ],
    ids=["objective", "baseline", "against", "folds", "transitions"],
)
def test_what_cannot_be_is_refused_before_anything_is_trained(tmp_path, options, error, message):
    """Hours are not spent on one objective to learn that the next is misspelt."""
    scored_cohort(tmp_path)

    with pytest.raises(error, match=message):
        run(tmp_path, options)

    assert not (tmp_path / "out/runs").exists()


def test_nothing_left_to_measure_is_refused(tmp_path):
    """The only baseline could not be had: why is told, and nothing is written."""
    scored_cohort(tmp_path)
    missing = mock.patch.object(
        crossfit, "frozen_models", return_value=([], ["baseline imagenet is left out: no extra"])
    )

    with missing, pytest.raises(SettingsError, match="nothing to evaluate: baseline imagenet is"):
        run(tmp_path, replace(OPTIONS, objectives=(), baselines=("imagenet",)))

    assert not (tmp_path / "out/report.md").exists()


def test_all_stable_is_refused_before_anything_is_trained(tmp_path):
    """A θ that nobody reaches."""
    scored_cohort(tmp_path)
    far = changed(PRETRAINING, score={"change_threshold": 50.0})

    with pytest.raises(NotEnoughDataError, match="all 20 transitions are stable at θ = 50"):
        run(tmp_path, pretraining=far)

    assert not (tmp_path / "out/runs").exists()


def test_a_column_of_roles_is_told_to_be_of_no_use(tmp_path):
    """Folds are drawn whatever the manifest says, and the report says that."""
    rows = scored_cohort(tmp_path)
    write_manifest(tmp_path / "cohort.csv", [row | {"split": "train"} for row in rows])

    found = run(tmp_path, replace(OPTIONS, objectives=()))

    assert "column split is not used: folds are drawn" in found.notes


def test_shared_settings_are_the_evaluations():
    """Folds, their seed and the cache are set; nothing is held out for good."""
    own = changed(PRETRAINING, split={"test_share": 0.3, "folds": 9, "seed": 4})

    found = crossfit.shared_settings(replace(OPTIONS, seed=7), own, Path("out"))

    assert (found.split.folds, found.split.seed, found.split.test_share) == (2, 7, 0.0)
    assert Path(str(found.cache.folder)).parent == Path("out").absolute()


def test_settings_of_an_objective_hold_for_it_alone(tmp_path):
    """The others have none of theirs; weights are shared by all."""
    own = changed(PRETRAINING, objective={"name": "learner_weighted", "settings": {"gamma": 2.0}})
    fit = crossfit.CrossFit(tmp_path, tmp_path, OPTIONS, own, {}, 1, mock.Mock())

    found = {name: fit._options_of(name, seed=3) for name in OPTIONS.objectives}

    assert found["mse"].objective.settings == {}
    assert found["learner_weighted"].objective.settings == {"gamma": 2.0}
    assert {one.training.seed for one in found.values()} == {3}


def test_an_objective_that_diverges_loses_and_is_named(tmp_path):
    """The others are measured; the one all are compared with cannot be done without."""
    scored_cohort(tmp_path)
    train = crossfit.pretrain

    def diverging(manifest, folder, options, **more):
        if options.objective.name == doomed:
            raise DivergedError("the loss is nan at step 3")
        return train(manifest, folder, options, **more)

    with mock.patch.object(crossfit, "pretrain", diverging):
        doomed = "learner_weighted"
        found = run(tmp_path)
        doomed = "mse"
        with pytest.raises(DivergedError, match="mse, seed 0: the loss is nan"):
            run(tmp_path)

    assert [one.name for one in found.outcomes if one.kind == "trained"] == ["mse"]
    assert any("learner_weighted is left out, it DIVERGED" in note for note in found.notes)
