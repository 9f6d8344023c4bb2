"""Decision curves: lines, bands and panels, and what is refused."""

import dataclasses

import numpy as np
import pytest

from learner_index.analysis.decision_curve import net_benefit, treat_all
from learner_index.analysis.plots.decision import (
    STYLES,
    DecisionCurve,
    draw_decision_curve,
    lay_out_decision_curve,
)
from learner_index.errors import NotEnoughDataError, QueryError, SettingsError
from tests.analysis.plots.tidy import caption, title, untidy

ASKED = {"title": "t", "caption": "Cross-fitted."}
MODELS = (
    "multinomial logistic",
    "clinical columns and embedding",
    "clinical_columns_alone",
    "difference of single-scan predictions",
)
CUTS = np.arange(0, 100, 4) / 100


def planted(model="m", outcome="improved", t=60, seed=0, **other):
    """A model that follows the events, with a band of a tenth around it."""
    rng = np.random.default_rng(seed)
    is_event, patient, ones = rng.random(t) < 0.4, np.arange(t) % 20, np.ones((1, 20))
    sure = np.clip(0.3 + 0.3 * is_event + rng.normal(0, 0.2, t), 0, 1)
    benefit = net_benefit(sure, is_event, patient, CUTS, ones)[0]
    everybody = treat_all(is_event, patient, CUTS, ones)[0]
    return DecisionCurve(
        model, outcome, CUTS, benefit, benefit - 0.1, benefit + 0.1, everybody, 20, t, **other
    )


def grid(n_models, outcomes):
    """Models of each class; the second has seen its patients."""
    return [
        planted(model, outcome, seed=seed, is_seen=number == 1)
        for seed, outcome in enumerate(outcomes)
        for number, model in enumerate(MODELS[:n_models])
    ]


def key(figure):
    """Words and line colours of the legend, in order."""
    legend = figure.axes[-1].get_legend()
    return {
        text.get_text(): line.get_color()
        for text, line in zip(legend.get_texts(), legend.get_lines(), strict=True)
    }


def test_lines_are_the_net_benefits():
    """Nobody at 0, everybody dashed, and the model, each at the thresholds."""
    curve = planted()

    nobody, everybody, model = lay_out_decision_curve([curve], **ASKED).axes[0].lines

    assert np.asarray(nobody.get_ydata()).tolist() == [0, 0]
    assert not nobody.is_dashed()
    assert everybody.is_dashed()
    for line, values in ((everybody, curve.treat_all), (model, curve.benefit)):
        np.testing.assert_allclose(line.get_xdata(), CUTS)
        np.testing.assert_allclose(line.get_ydata(), values)


def test_bands_reach_from_low_to_high():
    """The band's lower and upper end at a threshold are those given."""
    curve = planted()

    (band,) = lay_out_decision_curve([curve], **ASKED).axes[0].collections

    corners = band.get_paths()[0].vertices
    at = corners[np.isclose(corners[:, 0], CUTS[5])][:, 1]
    assert (at.min(), at.max()) == pytest.approx((curve.low[5], curve.high[5]))


def test_no_interval_no_band():
    """NaN ends draw nothing, and the caption does not speak of bands."""
    nothing = np.full(len(CUTS), np.nan)
    curve = dataclasses.replace(planted(), low=nothing, high=nothing)

    bare, banded = (lay_out_decision_curve([one], **ASKED) for one in (curve, planted()))

    assert not any(len(path.vertices) for c in bare.axes[0].collections for path in c.get_paths())
    assert "Bands" not in caption(bare)
    assert "Bands: 95 % intervals over patients." in caption(banded)


def test_each_class_has_its_panel():
    """Panels are titled in the given order and hold all models of their class."""
    figure = lay_out_decision_curve(grid(2, ("worse", "same", "better")), **ASKED)

    assert [axis.get_title() for axis in figure.axes[:-1]] == ["worse", "same", "better"]
    assert [len(axis.lines) for axis in figure.axes[:-1]] == [4, 4, 4]


def test_the_legend_names_every_line():
    """Models in order with colours of their own; the one that has seen its patients says so."""
    figure = lay_out_decision_curve(grid(2, ("worse", "better")), **ASKED)

    found = key(figure)

    assert list(found) == [
        "multinomial logistic",
        "clinical columns and\nembedding\nSEEN BY ENCODER",
        "act on everybody",
        "act on nobody",
    ]
    assert list(found.values())[:2] == [color for color, _ in STYLES[:2]]
    for axis in figure.axes[:-1]:
        assert [line.get_color() for line in axis.lines[2:]] == list(found.values())[:2]


def test_a_long_legend_takes_nothing_from_the_panels():
    """They are as high beside eight lines of names as beside two."""
    heights = []
    for n_models in (1, 4):
        figure = lay_out_decision_curve(grid(n_models, ("worse", "better")), **ASKED)
        figure.draw_without_rendering()
        heights.append(figure.axes[0].bbox.height)

    assert heights[1] == pytest.approx(heights[0], rel=0.03)


def test_names_are_no_formulas():
    """A dollar in a name is a dollar, in panel and legend."""
    figure = lay_out_decision_curve([planted("$m$", "$x$")], **ASKED)

    texts = [figure.axes[0].title, *figure.axes[-1].get_legend().get_texts()]
    assert not any(text.get_parse_math() for text in texts)


def test_a_model_keeps_its_style_in_every_panel():
    """Also where a class lacks the first model."""
    curves = [planted("a", "worse"), planted("b", "worse"), planted("b", "better")]

    figure = lay_out_decision_curve(curves, **ASKED)

    worse, better = figure.axes[:2]
    assert better.lines[2].get_color() == worse.lines[3].get_color() == key(figure)["b"]


def test_styles_differ_in_colour_and_dashes():
    """Told apart in grey print, too."""
    colors, dashes = zip(*STYLES, strict=True)

    assert len(set(colors)) == len(set(dashes)) == len(STYLES) == 4


def test_the_axis_shows_what_is_above_zero():
    """From a little below 0 to a little above the highest band; thresholds from 0 to 1."""
    curve = planted()

    axis = lay_out_decision_curve([curve], **ASKED).axes[0]

    low, high = axis.get_ylim()
    assert high == pytest.approx(1.06 * curve.high.max())
    assert -0.25 * high < low < 0
    assert axis.get_xlim() == (0, 1)


def test_axes_are_named():
    """Net benefit with its unit against threshold probability."""
    axis = lay_out_decision_curve([planted()], **ASKED).axes[0]

    assert axis.get_ylabel() == "net benefit\n(events per pair)"
    assert axis.get_xlabel() == "threshold probability"


def test_nothing_measured_is_said():
    """A class without a benefit gets words beside acting on everybody."""
    nothing = np.full(len(CUTS), np.nan)
    curve = dataclasses.replace(
        planted(), benefit=nothing, low=nothing, high=nothing, treat_all=nothing
    )

    axis = lay_out_decision_curve([curve], **ASKED).axes[0]

    assert [text.get_text() for text in axis.texts] == ["not measured"]
    assert axis.get_ylim()[1] > 0


def test_title_and_caption_say_what_is_shown():
    """SIMULATED above; how patients weigh, patients and pairs below."""
    figure = lay_out_decision_curve(
        [planted(), planted(outcome="stable", t=80)], **ASKED, is_simulated=True
    )

    assert title(figure) == "SIMULATED DATA: t"
    assert caption(figure) == (
        "Cross-fitted. Patients weigh the same; what lies far below 0 is cut. "
        "Bands: 95 % intervals over patients. n = 20 patients, 60 to 80 pairs."
    )


@pytest.mark.parametrize(("n_models", "n_classes"), [(1, 1), (4, 2), (2, 3), (4, 5), (3, 8)])
def test_all_words_can_be_read(n_models, n_classes):
    """No label is cut off or lies on another, the legend included."""
    outcomes = ["died before the next visit", *(f"stage_{k} of $n$" for k in range(1, n_classes))]

    figure = lay_out_decision_curve(grid(n_models, outcomes), **ASKED)

    assert untidy(figure) == []
    canvas, legend = figure.canvas, figure.axes[-1].get_legend()
    boxes = [text.get_window_extent(canvas.get_renderer()) for text in legend.get_texts()]
    names = [axis.xaxis.label.get_window_extent(canvas.get_renderer()) for axis in figure.axes]
    page, foot = figure.bbox, figure.texts[1].get_window_extent(canvas.get_renderer())
    for number, box in enumerate(boxes):
        assert page.x0 <= box.x0 <= box.x1 <= page.x1
        assert not any(box.overlaps(other) for other in [*boxes[:number], *names[:-1], foot])


def test_a_file_is_written(tmp_path):
    """The figure is on the disk as a vector file, too."""
    draw_decision_curve([planted()], tmp_path / "f.svg", **ASKED)

    assert b"<svg" in (tmp_path / "f.svg").read_bytes()


def test_refuses_no_models(tmp_path):
    """Nothing evaluated, nothing drawn."""
    with pytest.raises(NotEnoughDataError, match="no models to draw"):
        draw_decision_curve([], tmp_path / "f.png", **ASKED)


def test_refuses_more_models_than_can_be_told_apart():
    """Five lines and two rules are a tangle."""
    curves = [planted(f"m{number}") for number in range(5)]

    with pytest.raises(SettingsError, match="5 models are too many to tell apart: choose up to 4"):
        lay_out_decision_curve(curves, **ASKED)


def test_refuses_columns_of_different_length():
    """The model and all five lengths are named."""
    curve = dataclasses.replace(planted(), low=np.zeros(3))

    with pytest.raises(QueryError, match=r"m: threshold, .* have lengths 25, 25, 3, 25, 25"):
        lay_out_decision_curve([curve], **ASKED)


@pytest.mark.parametrize(
    "change", [{"threshold": CUTS + 0.001}, {"treat_all": np.zeros(len(CUTS))}]
)
def test_refuses_models_of_other_transitions(change):
    """Acting on everybody is one line a panel, and so it must be the same for all models."""
    other = dataclasses.replace(planted("other"), **change)

    with pytest.raises(QueryError, match=r"other and m differ .* for improved: compare them"):
        lay_out_decision_curve([planted(), other], **ASKED)
