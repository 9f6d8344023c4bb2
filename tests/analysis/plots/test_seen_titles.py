"""A user's own title never hides that the encoder knows the patients shown."""

import re

import pytest

from learner_index.analysis.plots.cohort_map import lay_out_cohort_map
from learner_index.analysis.plots.contact_sheet import Panel, lay_out_contact_sheet
from learner_index.analysis.plots.interactive import progression_figure, trajectory_figure
from learner_index.analysis.plots.interactive_map import cohort_map_figure
from learner_index.analysis.plots.progression import lay_out_progression
from learner_index.analysis.plots.trajectory import lay_out_trajectory
from tests.analysis.plots.changes_toy import found, path
from tests.analysis.plots.maps_toy import toy_map
from tests.analysis.plots.tidy import title, untidy

NOTES = ("SEEN BY ENCODER: the encoder was trained or tuned on 2 of 4 patients",)
STATIC = [(lay_out_trajectory, path), (lay_out_progression, found), (lay_out_cohort_map, toy_map)]
LIVE = [(trajectory_figure, path), (progression_figure, found), (cohort_map_figure, toy_map)]


@pytest.mark.parametrize(("draw", "record"), STATIC)
def test_a_picture_with_a_title_of_ones_own_says_seen(draw, record):
    """The title is kept, the words come after it; without such a note they do not."""
    figure = draw(record(notes=NOTES), title="mine")

    assert title(figure) == "mine (SEEN BY ENCODER)"
    assert untidy(figure) == []
    assert title(draw(record(), title="mine")) == "mine"


@pytest.mark.parametrize(("draw", "record"), LIVE)
def test_an_interactive_figure_with_a_title_of_ones_own_says_seen(draw, record):
    """As the static twin does."""
    shown = [draw(record(notes=notes), title="mine").layout.title.text for notes in (NOTES, ())]

    assert [re.sub("<.*?>", " ", words) for words in shown] == ["mine (SEEN BY ENCODER)", "mine"]


def test_a_contact_sheet_says_seen():
    """Its title is given by the layer above, with the flag."""
    figure = lay_out_contact_sheet(
        [[Panel(None, "query", missing="gone")]], title="mine", caption="c", is_seen=True
    )

    assert title(figure) == "mine (SEEN BY ENCODER)"
