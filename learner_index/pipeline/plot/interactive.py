"""Interactive twins of the figures: plotly figures that a notebook shows and `write_html` keeps."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from learner_index.analysis.plots.interactive import progression_figure as progression
from learner_index.analysis.plots.interactive import trajectory_figure as trajectory
from learner_index.analysis.plots.interactive_distances import distances_figure
from learner_index.analysis.plots.interactive_page import write_html
from learner_index.pipeline.cohort import Cohort
from learner_index.pipeline.plot.maps import interactive_cohort_map as cohort_map
from learner_index.pipeline.plot.space import measured_distances

if TYPE_CHECKING:
    from learner_index.analysis.plots.interactive_page import Figure

__all__ = ["cohort_map", "distances", "progression", "trajectory", "write_html"]


def distances(
    cohort: Cohort,
    *,
    where: str | Sequence[str] = (),
    unit: str | None = None,
    title: str | None = None,
) -> "Figure":
    """Embedding distance against the change of the health score, whose pair under the pointer.

    Args:
        cohort: an open store.
        where: conditions on scans.
        unit: of the health score; "score units" when None.
        title: stands above; None: what is shown.

    Raises:
        NotEnoughDataError, QueryError: as in `li.plot.distances`.
    """
    found = measured_distances(cohort, where=where, title=title)
    return distances_figure(
        found.panel,
        unit=unit or "score units",
        title=found.title,
        caption=found.caption,
        is_simulated=found.is_simulated,
    )
