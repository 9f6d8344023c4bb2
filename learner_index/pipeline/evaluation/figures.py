"""Which figures an evaluation is drawn as; how they look is the job of `analysis.plots`."""

from pathlib import Path

from learner_index.pipeline.evaluation.result import Evaluation


def draw_figures(found: Evaluation, folder: Path) -> list[Path]:
    """Draw everything there is something to draw of.

    Returns:
        The files, in the order of the report.
    """
    return []
