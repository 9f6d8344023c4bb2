"""A contact sheet: where pictures go, what frames them, and what stands where one is missing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex

from learner_index.analysis.plots.contact_sheet import Panel, lay_out_contact_sheet, small
from learner_index.analysis.plots.page import BLUE
from learner_index.errors import NotEnoughDataError
from tests.analysis.plots.tidy import title, untidy


def row(n_hits, name="q", **more):
    """A query and its hits; every picture is a ramp."""
    ramp = np.arange(64, dtype=np.uint8).reshape(8, 8)
    return [
        Panel(ramp, f"{name}\nday 0\nscore 1", is_query=True),
        *(
            Panel(ramp, f"{name}{i}\nday 0, sim 0.50\nscore 1", **more)
            for i in range(1, n_hits + 1)
        ),
    ]


def sheet(*rows, **more):
    """The figure of some rows."""
    return lay_out_contact_sheet(rows, **({"title": "t", "caption": "n = 1"} | more))


def places(figure):
    """Line and column of each picture, by the first line of its caption."""
    return {
        axis.get_title().split("\n")[0]: (
            axis.get_subplotspec().rowspan.start,
            axis.get_subplotspec().colspan.start,
        )
        for axis in figure.axes
    }


def test_a_long_row_goes_on_below_its_hits():
    """Seven hits: five beside the query, two below them, none below the query."""
    found = places(sheet(row(7)))

    assert found["q"] == (0, 0)
    assert [found[f"q{i}"] for i in (5, 6, 7)] == [(0, 5), (1, 1), (1, 2)]


def test_short_rows_share_a_line():
    """A second query follows the first one's hits where all of its row has room."""
    found = places(sheet(row(2, "a"), row(2, "b"), row(1, "c")))

    assert (found["a"], found["b"], found["c"]) == ((0, 0), (0, 3), (1, 0))


def test_queries_are_framed():
    """A thick blue frame is a query, a thin one a hit."""
    query, hit = sheet(row(1)).axes

    assert to_hex(query.spines["left"].get_edgecolor()) == BLUE
    assert query.spines["left"].get_linewidth() > hit.spines["left"].get_linewidth()


def test_a_missing_picture_says_why():
    """A grey panel with words, of the same place as a picture."""
    figure = sheet([*row(1), Panel(None, "gone", missing="file is\nmissing")])

    assert [text.get_text() for text in figure.axes[2].texts] == ["file is\nmissing"]
    assert not figure.axes[2].images
    assert len(figure.axes[1].images) == 1


def test_pixels_keep_their_shape():
    """A pixel twice as high as wide is drawn so."""
    assert sheet(row(1, aspect=2.0)).axes[1].get_aspect() == 2.0


@pytest.mark.parametrize("n_hits", [0, 1, 3, 12])
def test_every_sheet_can_be_read(n_hits):
    """Captions neither overlap nor leave the page; a few pictures take a column's width."""
    figure = sheet(row(n_hits))

    assert untidy(figure) == []
    assert (figure.get_size_inches()[0] < 4) == (n_hits < 3)


def test_constant_scans_and_simulated_ones():
    """A scan of one grey is drawn without a warning; SIMULATED stands in the title."""
    figure = sheet([Panel(np.zeros((4, 4)), "flat", is_query=True)], is_simulated=True)

    assert untidy(figure) == []
    assert title(figure).startswith("SIMULATED")


@given(st.integers(1, 700), st.integers(1, 700))
def test_small_pictures_keep_the_mean(h, w):
    """At most 256 pixels a side; of whole blocks, each is the mean of what it stands for."""
    pixels = np.random.default_rng(0).random((h, w))

    found = small(pixels)

    step = -(-max(h, w) // 256)
    assert max(found.shape) <= 256
    assert found.shape == (max(h // step, 1), max(w // step, 1))
    np.testing.assert_allclose(found[0, 0], pixels[:step, :step].mean(), rtol=1e-5)
    np.testing.assert_allclose(found.max() <= pixels.max() + 1e-6, True)


def test_refuses_a_sheet_of_nothing():
    """No row, no sheet."""
    with pytest.raises(NotEnoughDataError, match="no scans to draw"):
        sheet([])
