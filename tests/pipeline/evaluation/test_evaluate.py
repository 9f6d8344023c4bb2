"""The use case's door: what is refused before anything is read."""

from dataclasses import replace
from pathlib import Path

import pytest

from learner_index.config import EvaluateOptions, PretrainOptions, ScoreOptions
from learner_index.errors import ManifestError, RunWriteError, SettingsError
from learner_index.pipeline.evaluation.evaluate import evaluate

COHORT = [Path("cohort.csv")]
NOTHING = EvaluateOptions(objectives=(), baselines=())


@pytest.mark.parametrize(
    ("sources", "options", "message"),
    [
        ([], EvaluateOptions(), "nothing to evaluate: name a manifest, or one or more stores"),
        ([*COHORT, Path("c.zarr")], EvaluateOptions(), r"cohort\.csv, c\.zarr: name one manifest"),
        ([*COHORT, *COHORT], EvaluateOptions(), "name one manifest"),
        (COHORT, NOTHING, "name an --objective or a --baseline"),
        (COHORT, EvaluateOptions(seeds=0), "seeds 0: give 1 or more"),
        (COHORT, EvaluateOptions(folds=1), "folds 1: give 2 or more"),
        (COHORT, EvaluateOptions(n_bootstraps=9), "n_bootstraps 9: give 100 or more"),
        (COHORT, EvaluateOptions(n_permutations=9), "n_permutations 9: give 99 or more"),
        (COHORT, EvaluateOptions(objectives=("mse", "mse")), "objective mse is named twice"),
        (COHORT, EvaluateOptions(baselines=("a", "b", "b")), "baseline b is named twice"),
    ],
)
def test_what_no_evaluation_could_use_is_refused(tmp_path, sources, options, message):
    """One line with the setting, and nothing is made."""
    with pytest.raises(SettingsError, match=message):
        evaluate(sources, tmp_path / "out", options)

    assert not (tmp_path / "out").exists()


def test_classes_are_no_scores(tmp_path):
    """An encoder trained on classes could not be compared on scores."""
    classes = PretrainOptions(score=ScoreOptions(class_column="grade"))

    with pytest.raises(SettingsError, match=r"score.class_column 'grade' holds classes"):
        evaluate(COHORT, tmp_path / "out", pretraining=classes)


def test_the_folder_is_made_before_anything_is_read(tmp_path):
    """A file in its place is told at once: the manifest is not even looked for."""
    (tmp_path / "out").write_text("", encoding="utf-8")

    with pytest.raises(RunWriteError, match=r"cannot make .*out' \(File exists\): -o NAME takes"):
        evaluate(COHORT, tmp_path / "out", replace(NOTHING, baselines=("handcrafted",)))


def test_a_hopeless_manifest_leaves_no_folder(tmp_path):
    """Nothing was written, so nothing is left behind."""
    with pytest.raises(ManifestError, match="no manifest"):
        evaluate([tmp_path / "nope.csv"], tmp_path / "out")

    assert not (tmp_path / "out").exists()
