"""What an evaluation must find, and must not, where the truth was planted (METHOD 7.7).

Read-outs of handcrafted features of simulated lungs: real pictures with real nuisances, and no
training, so that every claim takes seconds.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from learner_index.analysis.by_patient import by_patient
from learner_index.analysis.handcrafted import handcrafted_features
from learner_index.analysis.ordering import retrieval_ndcg
from learner_index.analysis.probes import probe
from learner_index.analysis.resample import draw_weights, interval
from learner_index.config import EvaluateOptions, Preprocessing, PretrainOptions, ScoreOptions
from learner_index.data.manifest import read_manifest
from learner_index.data.preprocess import preprocess
from learner_index.data.readers import read_scan
from learner_index.data.simulate import simulate_lus
from learner_index.data.simulate.truth import read_truth
from learner_index.data.split import draw_folds
from learner_index.pipeline.evaluation.crossfit import Contest
from learner_index.pipeline.evaluation.judge import measured
from learner_index.pipeline.evaluation.material import Material
from learner_index.pipeline.evaluation.models import Fixed, oracle
from learner_index.pipeline.trainingset import read_training_set

pytestmark = pytest.mark.slow

OPTIONS = EvaluateOptions(folds=3, n_bootstraps=500, n_permutations=199)
PRETRAINING = PretrainOptions(score=ScoreOptions(kind="sf"))
FRAMES = Preprocessing(size=64, frames=2)


def world(folder, **settings):
    """A simulated cohort of 720 patients, and a model of its pixels."""
    cohort = simulate_lus(folder / "lus", tier="demo", **settings)
    manifest = read_manifest(cohort.manifest)
    scans = read_training_set(manifest, PRETRAINING, folder / "cache")
    truth = read_truth(manifest.folder, scans.scan_ids)
    rows = np.arange(manifest.n_scans)
    material = Material.from_training_set(scans, rows, truth, "consecutive")
    features = [handcrafted_features(preprocess(read_scan(p), FRAMES)) for p in manifest.paths]
    return material, Fixed("pixels", "handcrafted", "", np.array(features, np.float32))


@pytest.fixture(scope="module")
def lungs(tmp_path_factory):
    """Patients who change."""
    return world(tmp_path_factory.mktemp("lungs"), seed=3)


def evaluation(material, *models):
    """The models on three folds."""
    split = replace(PRETRAINING.split, folds=OPTIONS.folds)
    owners = [material.patients[code] for code in material.owners]
    splits = draw_folds(owners, material.score, split)
    contest = Contest(material, splits, models)
    return measured(contest, OPTIONS, PRETRAINING, lambda line: None)


def figure(found, model, name):
    """Value and interval of a measure."""
    one = next(outcome for outcome in found.outcomes if outcome.name == model)
    return one.figures[name].value, *one.intervals[name]


def test_pixels_beat_guessing_and_the_truth_beats_pixels(lungs):
    """7: handcrafted features find changes, the oracle finds more, and no leak is reported."""
    material, pixels = lungs

    found = evaluation(material, pixels, oracle(material.truth))

    guess = figure(found, "majority", "macro_f1")[0]
    _, low, high = figure(found, "pixels", "macro_f1")
    assert guess < low
    assert high < figure(found, "oracle", "macro_f1")[0]
    assert not any("LEAK" in note for note in found.notes)


def test_scores_of_other_patients_teach_nothing(lungs):
    """2: with scores shuffled between patients, changes are told at chance."""
    material, pixels = lungs
    rng = np.random.default_rng(0)
    changes = rng.permutation(material.changes)
    visits = replace(material.visits, score=rng.permutation(material.visits.score))
    shuffled = replace(material, changes=changes, visits=visits, truth=None)

    found = evaluation(shuffled, pixels)

    assert abs(figure(found, "pixels", "auroc")[0] - 0.5) < 0.04
    assert abs(figure(found, "pixels", "score_spearman")[0]) < 0.1


def test_new_nuisance_alone_is_not_called_change(lungs):
    """3: repeats of one state are called changed less often than observed changes are."""
    material, pixels = lungs
    rows = np.asarray(pixels.rows, np.float64)
    visits = material.visits
    features = visits.within_views(rows, np.ones(len(visits), bool))
    axis = np.linalg.lstsq(
        features - features.mean(0), material.score - material.score.mean(), rcond=None
    )[0]
    predicted = features @ axis

    repeats = _pairs_of(visits.scan_group)
    nuisance = np.abs(predicted[repeats[:, 0]] - predicted[repeats[:, 1]])
    limit = np.quantile(nuisance, 0.9)  # the 90 % band of unchanged patients
    changed = material.transitions.only(np.flatnonzero(material.changes != 0))
    moved = np.abs(changed.deltas(predicted[:, None])[:, 0])

    assert len(repeats) > 100
    assert np.mean(moved > limit) > 2 * 0.1


def _pairs_of(group):
    """(m, 2) the first two scans of each visit and view that has several."""
    order = np.argsort(group, kind="stable")
    firsts = np.flatnonzero(np.diff(group[order]) == 0)
    pairs = np.column_stack([order[firsts], order[firsts + 1]])
    return pairs[np.unique(group[pairs[:, 0]], return_index=True)[1]]


def test_arms_move_in_different_directions(lungs):
    """4: which of two treatments a responder had is told from the difference of embeddings."""
    material, pixels = lungs
    truth, transitions = material.truth, material.transitions
    first = pd.Series(np.arange(material.n_scans)).groupby(material.visits.scan_group).first()
    arm = truth["arm"].to_numpy(object)[first[material.visits.groups.max(axis=1)]]
    responds = truth["is_responder"].to_numpy(bool)[first[material.visits.groups.max(axis=1)]]
    treated = arm[transitions.earlier] != "supportive"
    own = np.flatnonzero(treated & responds[transitions.earlier])

    told = probe(
        transitions.only(own).deltas(pixels.rows),
        arm[transitions.earlier[own]],
        transitions.patient[own],
        n_permutations=0,
        n_bootstraps=500,
    )

    assert told.low > told.chance


def test_a_site_that_goes_with_severity_is_found(tmp_path):
    """6: where sites have devices of their own, the site probe finds them in the pixels."""
    material, pixels = world(tmp_path, seed=5, confounder=0.6)

    found = evaluation(material, pixels)

    _, low, _ = figure(found, "pixels", "site")
    assert low > 1 / 3 + 0.05


def test_alike_changes_of_state_are_retrieved(lungs):
    """10: transitions ranked by embedding beat random order, and beat those ranked by score."""
    material, pixels = lungs
    transitions = material.transitions
    own = np.flatnonzero(transitions.patient < 240)
    some = transitions.only(own)
    spread = np.asarray(pixels.rows).std(axis=0)
    states = some.deltas(material.truth[["e", "c"]].to_numpy(float))
    lengths = np.linalg.norm(states, axis=1, keepdims=True)
    unit = np.divide(states, lengths, out=np.zeros_like(states), where=lengths > 1e-9)
    relevance = np.clip(unit @ unit.T, 0, 1)

    by_pixels = retrieval_ndcg(some.deltas(pixels.rows / spread), relevance, some.patient)
    by_score = retrieval_ndcg(some.delta_score[:, None], relevance, some.patient)

    gain = by_patient(by_pixels.ndcg - by_pixels.chance, some.patient)
    beyond = by_patient(by_pixels.ndcg - by_score.ndcg, some.patient)
    weights = draw_weights(len(gain.patient), 500, 0)
    assert interval(gain.mean(weights)).low > 0
    assert interval(beyond.mean(weights)).low > 0
