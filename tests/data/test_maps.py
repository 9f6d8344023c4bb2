"""The record of a cohort's map."""

import json

import pytest

from learner_index.data.maps import kept_words
from tests.analysis.plots.maps_toy import toy_map


def test_it_counts_what_is_drawn():
    """Scans, patients, and scans that were placed without being fitted on."""
    found = toy_map()

    assert (len(found), found.n_patients, found.n_placed) == (8, 4, 2)


def test_json_holds_every_scan_and_null_for_what_is_missing():
    """The text can be read back, with places and arrows."""
    told = json.loads(toy_map().to_json())

    assert told["scans"][5]["health_score"] is None
    assert told["scans"][1] == {
        "scan_id": "s1", "patient_id": "p0", "day": 2.0, "view": "L2", "health_score": 250.0,
        "site": "A", "icu": 0.0, "rescan": False, "age": 61.0, "x": 4.0, "y": 1.0,
        "is_fitted": True,
    }  # fmt: skip
    assert told["arrows"][0]["dx"] == 2
    assert told["axes"] == ["UMAP 1 (no unit)", "UMAP 2 (no unit)"]


def test_it_shows_itself_with_its_trust():
    """A shell sees kind, n, how much is kept, and the notes; simulated is called so."""
    shown = repr(toy_map(is_simulated=True))

    assert shown.startswith("SIMULATED: UMAP map of 8 scans of 4 patients")
    assert "1.5 of a fitted scan's 3 nearest are kept" in shown
    assert "note: 2 scans were placed" in shown
    assert "SIMULATED" in toy_map(is_simulated=True)._repr_html_()


def test_the_frame_is_a_copy():
    """Changing it changes no map."""
    found = toy_map()

    found.to_frame()["x"] = 9.0

    assert found.scans["x"].tolist()[1] == 4


@pytest.mark.parametrize("quality", [{}, {"n_nearest": 0}])
def test_too_few_scans_have_no_figure(quality):
    """Nothing is claimed where nothing could be compared."""
    assert "too few scans" in kept_words(quality)


def test_scans_that_were_placed_have_a_figure_of_their_own():
    """They keep fewer neighbours than those fitted on, and the words say so."""
    quality = {"n_kept": 5.2, "n_nearest": 10, "n_kept_by_chance": 0.05, "n_kept_placed": 3.3}

    assert kept_words(quality) == (
        "5.2 of a fitted scan's 10 nearest are kept (by chance 0.05), "
        "3.3 of a placed one's nearest fitted"
    )
