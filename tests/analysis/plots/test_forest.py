"""Forests: what each row shows, and the lines at chance and at the ceiling."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from learner_index.analysis.plots.forest import KINDS, ForestRow, draw_forest, lay_out_forest
from learner_index.errors import NotEnoughDataError, SettingsError
from tests.analysis.plots.tidy import caption, title, untidy

NAN = float("nan")
ASKED = {"title": "t", "measure": "macro-F1", "good": "higher", "chance": 0.33, "caption": "Bars."}
ROWS = [
    ForestRow("mse", "trained", 0.47, 0.41, 0.53, 60, 300),
    ForestRow("bare", "frozen", 0.40, NAN, NAN, 60, 300),
    ForestRow("lost", "constant", NAN, NAN, NAN, 52, 280),
    ForestRow("truth", "oracle", 0.62, 0.56, 0.68, 60, 300),
]
NAMES = {
    "learner_contrastive": "trained",
    "antisymmetric_delta": "trained",
    "difference of predicted scores": "trained",
    "imagenet efficientnet_lite0": "frozen",
    "a_very_long_name_of_a_model_without_any_space": "frozen",
    "lung ultrasound features": "handcrafted",
    "my_clinic_encoder": "store",
    "most frequent class": "constant",
    "oracle on the true state": "oracle",
}
MANY = [
    ForestRow(name, kind, v, v - 0.06, v + 0.05, 60, 300, is_seen=kind == "store")
    for (name, kind), v in zip(NAMES.items(), np.linspace(0.2, 0.6, 9), strict=True)
]


def forest(rows, **asked):
    """Figure and axis of these rows."""
    figure = lay_out_forest(rows, **(ASKED | asked))
    return figure, figure.axes[0]


def points(axis):
    """(value, place, marker) of each model drawn."""
    return [
        (line.get_xdata()[0], line.get_ydata()[0], line.get_marker())
        for line in axis.lines
        if line.get_marker() != "None"
    ]


def lines_at(axis):
    """(value, whether dashed) of each line across all rows."""
    return [
        (line.get_xdata()[0], line.is_dashed())
        for line in axis.lines
        if line.get_marker() == "None"
    ]


def test_models_keep_their_order_from_the_top():
    """Rows are labelled in the given order, the first at the top."""
    _, axis = forest(ROWS)

    labels = [label.get_text() for label in axis.get_yticklabels()]
    heights = axis.transData.transform([(0, place) for place in axis.get_yticks()])[:, 1]
    assert labels == ["mse", "bare", "lost", "truth"]
    assert (np.diff(heights) < 0).all()


def test_values_and_intervals_stand_at_the_right():
    """Each row says its value and interval, the value alone, or that there is none."""
    _, axis = forest(ROWS)

    assert [text.get_text() for text in axis.texts] == [
        "0.47 (0.41 to 0.53)",
        "0.40",
        "not measured",
        "0.62 (0.56 to 0.68)",
    ]


def test_points_and_bars_are_where_the_numbers_are():
    """A point at each finite value, with its kind's marker, a bar where an interval is known."""
    _, axis = forest(ROWS)

    places = axis.get_yticks()
    assert points(axis) == [
        (0.47, places[0], "o"),
        (0.40, places[1], "s"),
        (0.62, places[3], "*"),
    ]
    bars = [segment for drawn in axis.collections for segment in drawn.get_segments()]
    assert [bar[:, 0].tolist() for bar in bars] == [[0.41, 0.53], [0.56, 0.68]]


def test_chance_is_a_line_inside_the_axis():
    """The line stands at chance, and the axis reaches there, however far the models are."""
    _, axis = forest(ROWS, chance=0.1)

    assert (0.1, False) in lines_at(axis)
    assert axis.get_xlim()[0] < 0.1


@pytest.mark.parametrize("chance", [None, NAN])
def test_without_chance_no_line(chance):
    """Nothing is drawn or explained where chance is not known."""
    figure, axis = forest(ROWS[:1], chance=chance)

    assert lines_at(axis) == []
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["trained"]


def test_the_oracle_is_the_ceiling():
    """A dashed line at the oracle's value, and a band over its interval, across all rows."""
    _, axis = forest(ROWS)

    (band,) = axis.patches
    box = band.get_window_extent()
    assert (0.62, True) in lines_at(axis)
    assert [band.get_x(), band.get_x() + band.get_width()] == pytest.approx([0.56, 0.68])
    assert box.height == pytest.approx(axis.bbox.height)


def test_the_legend_names_the_kinds_that_are_there():
    """Kinds without a model are left out; chance is given with its value."""
    figure, _ = forest(ROWS)

    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "trained",
        "frozen",
        "constant",
        "oracle: ceiling",
        "chance, 0.33",
    ]


def test_kinds_differ_in_color_and_in_marker():
    """Grey print and colour-blind eyes tell kinds apart."""
    colors, markers = zip(*KINDS.values(), strict=True)

    assert len(set(colors)) == len(set(markers)) == 6


@pytest.mark.parametrize("good", ["higher", "lower"])
def test_the_axis_says_which_way_is_good(good):
    """Measure and direction are below the axis."""
    _, axis = forest(ROWS, good=good, measure="error (mmHg)")

    assert axis.get_xlabel() == f"error (mmHg)\n{good} is better"


@pytest.mark.parametrize(
    ("scale", "words"),
    [(0.1, "0.047 (0.041 to 0.053)"), (100, "47.0 (41.0 to 53.0)"), (1000, "470 (410 to 530)")],
)
def test_decimals_follow_the_size_of_the_values(scale, words):
    """Two or three figures are printed of each value, whatever its unit."""
    row = dataclasses.replace(ROWS[0], value=0.47 * scale, low=0.41 * scale, high=0.53 * scale)

    _, axis = forest([row], chance=None)

    assert axis.texts[0].get_text() == words


def test_an_interval_beside_its_value_is_drawn():
    """A percentile interval need not hold the value; both are drawn as they are."""
    _, axis = forest([ForestRow("m", "trained", 0.2, 0.3, 0.4, 60, 300)])

    assert axis.collections[0].get_segments()[0][:, 0].tolist() == [0.3, 0.4]
    assert axis.get_xlim()[0] < 0.2


def test_title_and_caption_say_what_the_rows_rest_on():
    """SIMULATED above; patients and pairs below, as a range where rows differ."""
    figure, _ = forest(ROWS, is_simulated=True)

    assert title(figure) == "SIMULATED DATA: t"
    assert caption(figure) == "Bars. n = 52 to 60 patients, 280 to 300 pairs."


def test_nothing_measured_is_said():
    """Rows without any value give words and no numbers on the axis."""
    _, axis = forest([ROWS[2]])

    assert [text.get_text() for text in axis.texts] == ["not measured"]
    assert (len(axis.get_xticks()), axis.lines[:]) == (0, [])


@pytest.mark.parametrize("rows", [MANY, MANY[:1], MANY[:2], ROWS[2:3], MANY * 2], ids=len)
@pytest.mark.parametrize("measure", ["macro-F1", "mean absolute error of changes of S/F (mmHg)"])
def test_all_words_can_be_read(rows, measure):
    """No label is cut off or lies on another, with one model or many, long names or short."""
    figure, _ = forest(rows, measure=measure, title="A long title of a figure " * 3)

    assert untidy(figure) == []


def test_the_file_is_one_column_wide(tmp_path):
    """The picture is 85 mm at its resolution."""
    draw_forest(ROWS, tmp_path / "f.png", **ASKED)

    with Image.open(tmp_path / "f.png") as picture:
        assert picture.width / picture.info["dpi"][0] * 25.4 == pytest.approx(85, abs=0.2)


def test_refuses_no_models(tmp_path):
    """Nothing evaluated, nothing drawn."""
    with pytest.raises(NotEnoughDataError, match="no models to draw"):
        draw_forest([], tmp_path / "f.png", **ASKED)


def test_refuses_an_unknown_kind():
    """A kind without a colour is named with those there are."""
    row = dataclasses.replace(ROWS[0], kind="magic")

    with pytest.raises(SettingsError, match=r"model mse has kind 'magic': use one of trained, "):
        lay_out_forest([row], **ASKED)
