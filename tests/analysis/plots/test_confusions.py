"""Confusion matrices: shares of rows, shares of all, and where they are written."""

import dataclasses

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap

from learner_index.analysis.plots.confusions import (
    CHANGES,
    SHADES,
    Confusion,
    draw_confusions,
    lay_out_confusions,
)
from learner_index.errors import NotEnoughDataError, QueryError
from tests.analysis.plots.tidy import caption, title, untidy

SHARE = np.array([[0.10, 0.05, 0.05], [0.10, 0.30, 0.0], [0.0, 0.2, 0.2]])
ASKED = {"title": "t", "caption": "Mean."}
NAMES = {
    2: ("in the ICU", "left the ICU"),
    4: ("died", *CHANGES),
    5: ("dead", "worse", "same", "better", "well"),
    6: ("died before the next visit", "lost to follow-up", *CHANGES, "$x$ wholly well for good"),
    8: tuple(f"stage {k}" for k in range(8)),
    9: tuple(f"stage {k}" for k in range(9)),
}


def tables(n, share=SHARE):
    """Models with the same matrix; the second has seen its patients."""
    names = ("difference of predicted scores", "antisymmetric_delta", "oracle on the true state")
    return [Confusion(names[i % 3], share, 60, 300, is_seen=i == 1) for i in range(n)]


def named(n, c, **other):
    """Models of c named classes."""
    share = np.random.default_rng(c).dirichlet(np.ones(c * c)).reshape(c, c)
    return [dataclasses.replace(table, classes=NAMES[c], **other) for table in tables(n, share)]


def cells(axis, c=3):
    """(c, c) list of (large, small) words of the cells, by row."""
    found = {}
    for text in axis.texts:
        found.setdefault(text.xy[::-1], []).append(text.get_text())
    return [[tuple(found[row, column]) for column in range(c)] for row in range(c)]


def test_cells_hold_the_share_of_the_row_and_of_all():
    """Rows came about and sum to 1; in brackets stands the share of all transitions."""
    axis = lay_out_confusions(tables(1), **ASKED).axes[0]

    assert cells(axis) == [
        [("0.50", "(0.10)"), ("0.25", "(0.05)"), ("0.25", "(0.05)")],
        [("0.25", "(0.10)"), ("0.75", "(0.30)"), ("0.00", "(0.00)")],
        [("0.00", "(0.00)"), ("0.50", "(0.20)"), ("0.50", "(0.20)")],
    ]


def test_shades_follow_the_share_of_the_row():
    """White is 0 and the darkest 1 in every panel, so that panels can be compared."""
    image = lay_out_confusions(tables(1), **ASKED).axes[0].images[0]

    np.testing.assert_allclose(
        image.get_array(), [[0.5, 0.25, 0.25], [0.25, 0.75, 0], [0, 0.5, 0.5]]
    )
    assert image.get_clim() == (0, 1)


def test_equal_steps_look_equal():
    """Lightness (CIE L*) falls evenly along the map, to within a tenth."""
    shades = LinearSegmentedColormap.from_list("shares", SHADES)(np.linspace(0, 1, 11))[:, :3]
    linear = np.where(shades <= 0.04045, shades / 12.92, ((shades + 0.055) / 1.055) ** 2.4)

    steps = np.diff(116 * np.cbrt(linear @ [0.2126, 0.7152, 0.0722]) - 16)

    assert np.ptp(steps) < 0.1 * abs(steps.mean())


@pytest.mark.parametrize("recall", np.linspace(0, 1, 21))
def test_words_stand_out_from_their_shade(recall):
    """Contrast is at least 4 to 1 in every cell, whatever its share."""
    share = np.array([[recall, 1 - recall, 0], [0, 1, 0], [0, 0, 1]]) / 3

    axis = lay_out_confusions(tables(1, share), **ASKED).axes[0]

    shade = np.array(axis.images[0].cmap(recall)[:3])
    linear = np.where(shade <= 0.04045, shade / 12.92, ((shade + 0.055) / 1.055) ** 2.4)
    light = linear @ [0.2126, 0.7152, 0.0722]
    words = {"#000000": 0.0, "#ffffff": 1.0}[axis.texts[0].get_color()]
    assert (max(light, words) + 0.05) / (min(light, words) + 0.05) > 4


def test_axes_are_named():
    """Down came about, across predicted, from worsened to improved from the top left."""
    axis = lay_out_confusions(tables(1), **ASKED).axes[0]

    assert (axis.get_ylabel(), axis.get_xlabel()) == ("came about", "predicted")
    assert tuple(label.get_text() for label in axis.get_xticklabels()) == CHANGES
    assert tuple(label.get_text() for label in axis.get_yticklabels()) == CHANGES
    assert axis.yaxis_inverted()


def test_each_model_has_its_panel():
    """Panels are titled in the given order; one that has seen its patients says so."""
    axes = lay_out_confusions(tables(3), **ASKED).axes

    assert [axis.get_title() for axis in axes] == [
        "difference of\npredicted scores",
        "antisymmetric_delta\nSEEN BY ENCODER",
        "oracle on the true\nstate",
    ]


def test_a_change_that_never_came_about_has_no_share():
    """An empty row gets dashes, not a division by zero."""
    share = SHARE.copy()
    share[2] = 0

    axis = lay_out_confusions(tables(1, share / share.sum()), **ASKED).axes[0]

    assert cells(axis)[2] == [("–", "(0.00)")] * 3


def test_nothing_measured_is_said():
    """A matrix of NaN gives words in place of numbers."""
    axis = lay_out_confusions(tables(1, np.full((3, 3), np.nan)), **ASKED).axes[0]

    assert [text.get_text() for text in axis.texts] == ["not measured"]


def test_title_and_caption_say_what_is_shown():
    """SIMULATED above; what the numbers are, patients and pairs below."""
    figure = lay_out_confusions(tables(2), **ASKED, is_simulated=True)

    assert title(figure) == "SIMULATED DATA: t"
    assert caption(figure) == (
        "Mean. Share of the row; in brackets, share of all. n = 60 patients, 300 pairs."
    )


@pytest.mark.parametrize("c", [2, 5])
def test_any_classes_are_named_and_counted(c):
    """Names in their order at both axes; every cell holds its two shares."""
    table = named(1, c)[0]

    axis = lay_out_confusions([table], **ASKED).axes[0]

    assert tuple(label.get_text() for label in axis.get_xticklabels()) == NAMES[c]
    assert tuple(label.get_text() for label in axis.get_yticklabels()) == NAMES[c]
    rows = table.share / table.share.sum(axis=1, keepdims=True)
    expected = [
        [(f"{rows[i, j]:.2f}", f"({table.share[i, j]:.2f})") for j in range(c)] for i in range(c)
    ]
    assert cells(axis, c) == expected


def test_more_than_eight_classes_get_shades_only():
    """Eight have numbers; nine have none, and the caption says what the shades are."""
    eight, nine = (lay_out_confusions(named(1, c), **ASKED) for c in (8, 9))

    assert len(eight.axes[0].texts) == 2 * 64
    assert len(nine.axes[0].texts) == 0
    assert caption(nine).startswith("Mean. Shade: share of the row, white 0 to dark 1. n = 60")


def test_long_names_are_turned_and_cut():
    """Across the axes, in two lines of 16 letters; short ones run along."""
    turned, along = (lay_out_confusions(named(1, c), **ASKED).axes[0] for c in (6, 5))

    assert {label.get_rotation() for label in turned.get_xticklabels()} == {90}
    assert {label.get_rotation() for label in turned.get_yticklabels()} == {0}
    assert {label.get_rotation() for label in along.get_xticklabels()} == {0}
    assert {label.get_rotation() for label in along.get_yticklabels()} == {90}
    assert turned.get_xticklabels()[0].get_text() == "died before the\nnext visit"
    assert turned.get_xticklabels()[5].get_text() == "$x$ wholly well\nfor good"
    assert not turned.get_xticklabels()[5].get_parse_math()


@pytest.mark.parametrize(("n", "c"), [(1, 2), (1, 8), (2, 5), (2, 6), (5, 6)])
def test_all_words_of_any_classes_can_be_read(n, c):
    """Nothing lies on anything else, and no number is smaller than 4.9 points."""
    figure = lay_out_confusions(named(n, c), **ASKED)

    assert untidy(figure) == []
    assert min(text.get_fontsize() for text in figure.axes[0].texts) > 4.9


def test_numbers_leave_white_in_their_cells():
    """Cells of eight classes and four models are 6 mm or more; a tenth of each stays free."""
    figure = lay_out_confusions(named(4, 8), **ASKED)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()

    for axis in figure.axes:
        cell = axis.bbox.width / 8
        assert cell >= 6 / 25.4 * figure.dpi
        for text in axis.texts:
            box = text.get_window_extent(canvas.get_renderer())
            told, came = axis.transData.inverted().transform([(box.x0, box.y0), (box.x1, box.y1)]).T
            assert np.ptp(told) < 0.9
            assert np.abs(told - text.xy[0]).max() < 0.5
            assert np.abs(came - text.xy[1]).max() < 0.55


def test_refuses_models_of_other_classes():
    """One figure, one set of names."""
    other = dataclasses.replace(tables(2)[1], classes=("a", "b", "c"))

    with pytest.raises(QueryError, match="antisymmetric_delta: its classes are a, b, c, not wors"):
        lay_out_confusions([tables(1)[0], other], **ASKED)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6, 13])
def test_all_words_can_be_read(n):
    """No label is cut off or lies on another, however many panels there are."""
    assert untidy(lay_out_confusions(tables(n), **ASKED)) == []


def test_a_file_is_written(tmp_path):
    """The figure is on the disk as a vector file, too."""
    draw_confusions(tables(2), tmp_path / "f.svg", **ASKED)

    assert b"<svg" in (tmp_path / "f.svg").read_bytes()


def test_refuses_no_models(tmp_path):
    """Nothing evaluated, nothing drawn."""
    with pytest.raises(NotEnoughDataError, match="no models to draw"):
        draw_confusions([], tmp_path / "f.png", **ASKED)


@pytest.mark.parametrize(
    ("share", "match"),
    [
        (np.full((2, 2), 0.25), r"shares have shape \(2, 2\): give a 3 by 3"),
        (SHARE * 300, "shares sum to 300"),
        (SHARE - 0.1 * np.eye(3, k=1) + 0.1 * np.eye(3, k=-1), "the least is -0.1"),
    ],
    ids=["shape", "counts", "negative"],
)
def test_refuses_what_is_no_share(share, match):
    """Counts, negative shares and other shapes are refused with the model's name."""
    with pytest.raises(QueryError, match=f"difference of predicted scores: .*{match}"):
        lay_out_confusions(tables(1, share), **ASKED)
