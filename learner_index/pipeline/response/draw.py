"""Three pictures of a head on patients left out: confusion, reliability, decision curves."""

from pathlib import Path

import numpy as np

from learner_index.analysis.classes import confusion
from learner_index.analysis.decision_curve import net_benefit, treat_all
from learner_index.analysis.plots.confusions import Confusion, draw_confusions
from learner_index.analysis.plots.decision import DecisionCurve, draw_decision_curve
from learner_index.analysis.plots.reliability import Reliability, draw_reliability
from learner_index.analysis.resample import draw_weights
from learner_index.pipeline.response.cohort import ResponseCohort
from learner_index.pipeline.response.crossfit import HEAD, CrossFit, Tried
from learner_index.pipeline.response.features import patient_weights
from learner_index.pipeline.response.figures import predicted

CONFUSION, RELIABILITY, DECISION = "confusion.png", "reliability.png", "decision.png"
LEFT_OUT = "Each patient was left out of the fit once."
LIKELIER = "Predicted: the class whose probability exceeds its average most."
_RIVALS = ("single scans", "score alone", "clinical", "nearest vote", "majority")
_THRESHOLDS = np.arange(2, 96, 2) / 100
_DRAWS = 500
_MOST = 20_000_000  # draws times examples


def draw_figures(
    found: ResponseCohort, crossfit: CrossFit, folder: Path, *, is_simulated: bool, seed: int
) -> None:
    """Draw the head beside its first baseline that can be had.

    Args:
        found: the cohort.
        crossfit: what each model said of patients left out.
        folder: where to.
        is_simulated: puts the word SIMULATED into the titles.
        seed: of the draws of patients.

    Raises:
        RunWriteError: the disk refused.
    """
    shown, outcome = shown_models(crossfit), found.targets.name
    confusions = [confusion_of(found, one) for one in shown]
    curves = [reliability_of(found, one) for one in shown]
    draw_confusions(
        confusions,
        folder / CONFUSION,
        title=outcome,
        caption=f"{LEFT_OUT} {LIKELIER}",
        is_simulated=is_simulated,
    )
    draw_reliability(
        curves,
        folder / RELIABILITY,
        title=outcome,
        caption=LEFT_OUT,
        is_simulated=is_simulated,
    )
    draw_decision_curve(
        _decision_curves(found, shown, seed),
        folder / DECISION,
        title=outcome,
        caption=LEFT_OUT,
        is_simulated=is_simulated,
    )


def confusion_of(found: ResponseCohort, one: Tried) -> Confusion:
    """A model's confusion matrix on patients left out."""
    rows = np.arange(len(found.pool.code))
    owners = np.unique(found.pool.patient)
    return Confusion(
        one.name,
        confusion(predicted(found.pool, one, rows, is_balanced=True)),
        n_patients=len(owners),
        n_pairs=len(rows),
        is_seen=bool(found.is_seen[owners].any()),
        classes=found.pool.classes,
    )


def reliability_of(found: ResponseCohort, one: Tried) -> Reliability:
    """How sure a model is of patients left out, and how right."""
    owners = np.unique(found.pool.patient)
    return Reliability(
        one.name,
        one.probability[np.arange(len(found.pool.code)), one.label],
        one.label == found.pool.code,
        patient_weights(found.pool.patient),
        len(owners),
        bool(found.is_seen[owners].any()),
    )


def shown_models(crossfit: CrossFit) -> list[Tried]:
    """The head, and the first baseline that there is."""
    by_name = {one.name: one for one in crossfit.tried}
    rival = next(by_name[name] for name in _RIVALS if name in by_name)
    return [by_name[HEAD], rival]


def _decision_curves(found: ResponseCohort, shown: list[Tried], seed: int) -> list[DecisionCurve]:
    """One a model and class, with intervals over patients."""
    pool = found.pool
    owners, patient = np.unique(pool.patient, return_inverse=True)
    n_draws = max(50, min(_DRAWS, _MOST // (len(patient) * len(_THRESHOLDS))))
    weights = np.vstack([np.ones(len(owners)), draw_weights(len(owners), n_draws, seed)])
    curves = []
    for number, name in enumerate(pool.classes):
        is_event = pool.code == number
        everybody = treat_all(is_event, patient, _THRESHOLDS, weights[:1])[0]
        for one in shown:
            drawn = net_benefit(one.probability[:, number], is_event, patient, _THRESHOLDS, weights)
            low, high = np.nanquantile(drawn[1:], [0.025, 0.975], axis=0)
            curves.append(
                DecisionCurve(
                    model=one.name,
                    outcome=name,
                    threshold=_THRESHOLDS,
                    benefit=drawn[0],
                    low=low,
                    high=high,
                    treat_all=everybody,
                    n_patients=len(owners),
                    n_pairs=len(patient),
                    is_seen=bool(found.is_seen[owners].any()),
                )
            )
    return curves
