"""The cohort as a map, for print."""

import pytest
from matplotlib.text import Annotation

from learner_index.analysis.plots.cohort_map import lay_out_cohort_map
from learner_index.analysis.plots.files import picture_of
from learner_index.analysis.plots.map_colors import MISSING
from learner_index.errors import NotEnoughDataError, QueryError
from tests.analysis.plots.maps_toy import PATIENTS, toy_map
from tests.analysis.plots.tidy import caption, title, untidy


def arrows_of(figure):
    """Where each arrow begins and ends."""
    marks = [text for text in figure.axes[0].texts if isinstance(text, Annotation)]
    return [(mark.xyann, mark.xy) for mark in marks if mark.arrowprops]


@pytest.mark.parametrize("method", ["pca", "umap"])
@pytest.mark.parametrize("color", ["health_score", "site", "rescan", "patient_id", "day"])
@pytest.mark.parametrize("patients", [(), PATIENTS])
def test_its_words_can_be_read(method, color, patients):
    """Nothing is cut, nothing lies on something else, at the width of a column."""
    figure = lay_out_cohort_map(toy_map(method), color=color, patients=patients, unit="u")

    assert untidy(figure) == []
    assert figure.get_figwidth() * 25.4 == pytest.approx(85)


def test_the_caption_says_what_it_rests_on():
    """n, what was fitted, what was placed, and how many neighbours are kept."""
    found = caption(lay_out_cohort_map(toy_map()))

    assert "n = 8 scans of 4 patients" in found
    assert "fitted on 6 scans of 3 patients, 2 of those drawn placed on it" in found
    assert "1.5 of a fitted scan's 3 nearest are kept (by chance 1.2)" in found
    assert "Distances between groups mean little" in found


def test_axes_say_what_they_are():
    """A projection has numbers and its share of variance; a UMAP has no unit and no numbers."""
    pca, umap = (lay_out_cohort_map(toy_map(method)).axes[0] for method in ("pca", "umap"))

    assert pca.get_xlabel() == "PC 1 (61 % of variance)"
    assert umap.get_ylabel() == "UMAP 2 (no unit)"
    assert len(pca.get_xticks())
    assert not len(umap.get_xticks())


def test_dollars_in_a_unit_or_a_name_are_dollars():
    """A scale's words are no mathematics: neither a unit nor a column's name is set as such."""
    scans = toy_map().scans.rename(columns={"age": "a $\\frac$ b"})

    for column, unit in (("day", r"$\frac$"), (r"a $\frac$ b", None)):
        figure = lay_out_cohort_map(toy_map(scans=scans), color=column, unit=unit)
        assert picture_of(figure, "png")
        assert r"$\frac$" in figure.axes[1].get_ylabel()


def test_simulated_scans_and_seen_patients_are_called_so():
    """Both words stand in the title."""
    notes = ("SEEN BY ENCODER: 2 of 4 patients drawn",)

    found = title(lay_out_cohort_map(toy_map(is_simulated=True, notes=notes)))

    assert "SIMULATED" in found
    assert "SEEN BY ENCODER" in found


def test_every_scan_is_drawn_once():
    """Points lie at their places; a scan without a value is hollow and grey."""
    figure = lay_out_cohort_map(toy_map(), color="health_score")

    missing, known = figure.axes[0].collections
    assert known.get_offsets().tolist()[0] == [0, 0]
    assert len(known.get_offsets()) == 7
    assert missing.get_offsets().tolist() == [[6, 3]]
    assert missing.get_edgecolor()[0][0] == pytest.approx(int(MISSING[1:3], 16) / 255)


def test_an_arrow_is_the_projected_change_not_the_way_between_places():
    """Arrows end where (dx, dy) says, wherever the later visit lies; dots lead there."""
    figure = lay_out_cohort_map(toy_map(), patients=["p0", "p2"])

    assert arrows_of(figure) == [
        ((0, 0), (2, 0.5)),
        ((5, 3), (5.5, 3)),
        ((6, 3), (7, 2)),
    ]
    assert "A p0, B p2" in caption(figure)
    assert "from the directions to 30 neighbors, computed in the embedding space" in caption(figure)
    linear = lay_out_cohort_map(toy_map("pca"), patients=["p0"])
    assert "computed in the embedding space and projected" in caption(linear)


def test_a_patient_seen_once_has_a_place_and_no_arrow():
    """Their scans are marked."""
    assert arrows_of(lay_out_cohort_map(toy_map(), patients=["p3"])) == []


def test_refuses_who_is_not_there():
    """A patient who is not drawn is named with a near miss; nine are too many."""
    with pytest.raises(QueryError, match=r"no patient 'P-0' among 4 drawn \(did you mean 'p0'"):
        lay_out_cohort_map(toy_map(), patients=["P-0"])
    with pytest.raises(QueryError, match="9 patients' paths are too many: choose up to 8"):
        lay_out_cohort_map(toy_map(), patients=["p0"] * 9)


def test_refuses_a_map_of_nothing():
    """Without a scan there is no picture."""
    empty = toy_map()
    with pytest.raises(NotEnoughDataError, match="no scans to draw"):
        lay_out_cohort_map(toy_map(scans=empty.scans.iloc[:0]))
