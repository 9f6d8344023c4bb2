"""The interactive twin of a cohort's map."""

import pytest

from learner_index.analysis.plots.interactive_map import cohort_map_figure
from learner_index.errors import QueryError
from tests.analysis.plots.maps_toy import toy_map


def test_every_scan_is_a_point_that_says_whose_it_is():
    """Groups are traces; under the pointer stand the scan's id, patient, day and column."""
    figure = cohort_map_figure(toy_map(is_simulated=True), color="site")

    names = [trace.name for trace in figure.data]
    assert names == ["not known (1)", "A (3)", "B (2)", "C (2)"]
    assert figure.data[1].hovertext[0].startswith("scan_id: s0<br>patient_id: p0<br>day: 0")
    assert "SIMULATED" in figure.layout.title.text


def test_numbers_have_a_scale_with_its_unit():
    """The bar carries the unit; a missing value is left out of what is told."""
    figure = cohort_map_figure(toy_map("pca"), unit="S/F ratio")

    assert figure.data[1].marker.colorbar.title.text == "health score (S/F ratio)"
    assert "health_score" not in figure.data[0].hovertext[0]


def test_arrows_are_the_projected_changes():
    """A chosen patient's arrows end where (dx, dy) says, and the caption says how they came."""
    figure = cohort_map_figure(toy_map(), patients=["p0"])

    (arrow,) = [mark for mark in figure.layout.annotations if mark.showarrow]
    assert (arrow.ax, arrow.ay, arrow.x, arrow.y) == (0, 0, 2, 0.5)
    words = " ".join(mark.text.replace("<br>", " ") for mark in figure.layout.annotations)
    assert "from the directions to 30 neighbors, computed in the embedding space" in words


def test_ids_are_text_and_never_markup():
    """A patient called <b> is shown as such."""
    scans = toy_map().scans
    scans["patient_id"] = "<b>"

    figure = cohort_map_figure(toy_map(scans=scans), color="patient_id")

    assert "&lt;b&gt;" in figure.data[0].name
    assert "<b>" not in figure.data[0].hovertext[0].replace("<br>", "")


def test_refuses_an_unknown_patient():
    """As the static figure does."""
    with pytest.raises(QueryError, match="no patient 'p9'"):
        cohort_map_figure(toy_map(), patients=["p9"])
