"""Static figures, each from an answer, a store or a folder of results.

What is drawn, and how, is the work of `analysis.plots`; where it comes from, of the other modules
here.
"""

from learner_index.analysis.plots.progression import lay_out_progression as progression
from learner_index.analysis.plots.trajectory import lay_out_trajectory as trajectory
from learner_index.pipeline.plot.judged import confusion, reliability
from learner_index.pipeline.plot.run import learning_curves
from learner_index.pipeline.plot.sheet import contact_sheet
from learner_index.pipeline.plot.space import distances

__all__ = [
    "confusion",
    "contact_sheet",
    "distances",
    "learning_curves",
    "progression",
    "reliability",
    "trajectory",
]
