"""Figures for papers and notebooks, each from an answer or a store: `li.plot`."""

from learner_index.pipeline.plot import interactive
from learner_index.pipeline.plot.figures import (
    confusion,
    contact_sheet,
    distances,
    learning_curves,
    progression,
    reliability,
    trajectory,
)
from learner_index.pipeline.plot.maps import cohort_map

__all__ = [
    "cohort_map",
    "confusion",
    "contact_sheet",
    "distances",
    "interactive",
    "learning_curves",
    "progression",
    "reliability",
    "trajectory",
]
