"""A cohort's map as figures: for print, and for a notebook."""

from learner_index.analysis.plots.cohort_map import lay_out_cohort_map as cohort_map
from learner_index.analysis.plots.interactive_map import cohort_map_figure as interactive_cohort_map

__all__ = ["cohort_map", "interactive_cohort_map"]
