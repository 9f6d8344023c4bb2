"""Which figures an evaluation is drawn as; how they look is the job of `analysis.plots`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from learner_index.analysis.classes import confusion
from learner_index.analysis.plots.confusions import Confusion, draw_confusions
from learner_index.analysis.plots.figure_one import DistancePanel, draw_figure_one
from learner_index.analysis.plots.forest import ForestRow, draw_forest
from learner_index.analysis.plots.reliability import Reliability, draw_reliability
from learner_index.analysis.predicted import CLASSES, patient_counts
from learner_index.analysis.space import LOOKS
from learner_index.pipeline.evaluation.measures import MEASURES, PRIMARY, Outcome
from learner_index.pipeline.evaluation.result import Evaluation

FORESTS = (PRIMARY, "score_spearman", "within_centered", "within_true_centered")
PANELS = 6  # models a figure shows at most: the one compared with first, constants never


def draw_figures(found: Evaluation, folder: Path) -> list[Path]:
    """Draw everything there is something to draw of.

    Args:
        found: the evaluation.
        folder: made if absent; figures of these names are replaced.

    Returns:
        The files, in the order of the report.
    """
    drawn = [_forest(found, name, folder) for name in FORESTS if _has(found, name)]
    shown = shown_outcomes(found)
    title, is_simulated = _cohort(found), found.material.is_simulated
    panels = [_panel(one) for one in shown if one.distances is not None]
    if panels:
        drawn.append(folder / "distance_and_change.png")
        draw_figure_one(
            panels,
            drawn[-1],
            unit=found.material.about.unit or found.material.about.title,
            title=f"Embedding distance and score change within patients, {title}",
            caption="Unseen patients of all folds, first seed; line and band: median, quartiles.",
            is_simulated=is_simulated,
        )
    predicted = [one for one in shown if one.predicted]
    if predicted:
        drawn += [folder / "confusion.png", folder / "reliability.png"]
        words = "Unseen patients of all folds, first seed."
        draw_confusions(
            [confusion_of(one) for one in predicted],
            drawn[-2],
            title=f"Health changes, {title}",
            caption=words,
            is_simulated=is_simulated,
        )
        draw_reliability(
            [reliability_of(one) for one in predicted],
            drawn[-1],
            title=f"How sure, how right, {title}",
            caption=words,
            is_simulated=is_simulated,
        )
    return drawn


def _forest(found: Evaluation, name: str, folder: Path) -> Path:
    """One measure of all models."""
    measure, path = MEASURES[name], folder / f"{name}.png"
    own = [one for one in found.outcomes if name in one.figures]
    rows = [
        ForestRow(
            one.name,
            one.kind,
            one.figures[name].value,
            *one.intervals[name],
            one.figures[name].n_patients,
            one.figures[name].n_pairs,
            bool(one.n_seen),
        )
        for one in own
    ]
    draw_forest(
        rows,
        path,
        title=f"{measure.title}, {_cohort(found)}",
        measure=measure.title,
        good="lower" if measure.good == "lower" else "higher",
        chance=own[0].figures[name].chance,
        caption=f"95 % intervals by patient{_seeds(own)}.",
        is_simulated=found.material.is_simulated,
    )
    return path


def _seeds(outcomes: Sequence[Outcome]) -> str:
    """Over how many trainings the figures are means, where there are several."""
    n = max(len(one.seeds) for one in outcomes)
    return f", means over {n} seeds" if n > 1 else ""


def _has(found: Evaluation, name: str) -> bool:
    return any(name in one.figures for one in found.outcomes)


def _cohort(found: Evaluation) -> str:
    """The cohort's name; that it is simulated is told by the figure itself."""
    return found.material.name.removeprefix("SIMULATED ")


def shown_outcomes(found: Evaluation) -> Sequence[Outcome]:
    """The model compared with, then the others in their order, as many as fit."""
    own = [one for one in found.outcomes if one.kind != "constant"]
    return sorted(own, key=lambda one: one.name != found.against)[:PANELS]


def _panel(one: Outcome) -> DistancePanel:
    rho: dict[str, tuple[float, float, float]] = {
        how: (one.figures[f"within_{how}"].value, *one.intervals[f"within_{how}"])
        for how in LOOKS
        if f"within_{how}" in one.figures
    }
    frame = one.distances
    if frame is None:  # asked for only where there is one
        raise ValueError(one.name)
    return DistancePanel(one.name, frame, rho, bool(one.n_seen))


def confusion_of(one: Outcome) -> Confusion:
    """A model's confusion matrix, of its first seed."""
    first = one.predicted[0]
    return Confusion(
        one.name, confusion(first), first.n_patients, len(first.true), bool(one.n_seen)
    )


def reliability_of(one: Outcome) -> Reliability:
    """How sure a model is and how right, of its first seed."""
    first = one.predicted[0]
    places = np.searchsorted(CLASSES, first.label)
    return Reliability(
        one.name,
        first.probability[np.arange(len(places)), places],
        first.label == first.true,
        1.0 / patient_counts(first.patient)[first.patient],
        first.n_patients,
        bool(one.n_seen),
    )
