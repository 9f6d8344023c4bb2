"""Reliability diagrams: weighted bins, the diagonal and the histogram."""

import dataclasses

import numpy as np
import pytest

from learner_index.analysis.classes import measure
from learner_index.analysis.plots.reliability import (
    Reliability,
    draw_reliability,
    lay_out_reliability,
    reliability_bins,
)
from learner_index.analysis.predicted import Predicted
from learner_index.errors import NotEnoughDataError, QueryError
from tests.analysis.plots.tidy import caption, title, untidy

ASKED = {"title": "t", "caption": "Pooled."}


def planted(seed=0, t=300, name="m", **other):
    """A model that is right as often as it says, on patients of unequal weight."""
    rng = np.random.default_rng(seed)
    sure = rng.uniform(0.34, 1, t)
    return Reliability(name, sure, rng.random(t) < sure, rng.uniform(0.1, 1, t), 60, **other)


def panel(*curves, **asked):
    """Figure, upper and lower axis of the first model."""
    figure = lay_out_reliability(curves, **(ASKED | asked))
    return figure, figure.axes[0], figure.axes[1]


def test_bins_against_a_loop():
    """Means are weighted, bins are closed above, counts are of transitions."""
    curve = planted()
    curve = dataclasses.replace(curve, confidence=np.round(curve.confidence, 1))  # all on edges

    found = reliability_bins(curve)

    slow = np.full((10, 3), np.nan)
    for b in range(10):
        own = (curve.confidence > b / 10) & (curve.confidence <= (b + 1) / 10)
        slow[b, 2] = own.sum()
        if own.any():
            slow[b, 0] = np.average(curve.confidence[own], weights=curve.weight[own])
            slow[b, 1] = np.average(curve.is_right[own], weights=curve.weight[own])
    np.testing.assert_allclose(found, slow)


def test_gaps_add_up_to_the_calibration_error():
    """The drawn gaps, weighted, are the expected calibration error of `classes`."""
    rng = np.random.default_rng(1)
    probability = rng.dirichlet(np.ones(3), 200)
    patient = np.arange(200) % 40
    label = probability.argmax(axis=1) - 1
    predicted = Predicted(rng.integers(-1, 2, 200), probability, label, patient)
    sure, right = probability.max(axis=1), label == predicted.true

    sure_in, right_in, count = reliability_bins(
        Reliability("m", sure, right, np.full(200, 0.2), 40)
    ).T

    gaps = np.nansum(np.abs(sure_in - right_in) * count) / 200
    expected = measure(predicted, np.ones((1, 40)), ["ece"])["ece"]
    assert gaps == pytest.approx(expected[0])


def test_points_are_the_bins():
    """The line goes through each bin's mean probability and observed share; gaps hang on it."""
    curve = planted()
    sure, right, _ = reliability_bins(curve)[3:].T

    _, upper, _ = panel(curve)

    line = upper.lines[1]
    np.testing.assert_allclose(line.get_xdata(), sure)
    np.testing.assert_allclose(line.get_ydata(), right)
    gaps = upper.collections[0].get_segments()
    np.testing.assert_allclose([gap[:, 1] for gap in gaps], np.column_stack([sure, right]))


def test_the_diagonal_is_dashed():
    """What a calibrated model would show is drawn from corner to corner."""
    _, upper, _ = panel(planted())

    diagonal = upper.lines[0]
    assert diagonal.is_dashed()
    assert np.asarray(diagonal.get_data()).tolist() == [[0, 1], [0, 1]]


def test_bins_of_few_pairs_are_hollow():
    """A bin of 9 pairs has a white point, one of 10 a filled one."""
    sure = np.repeat([0.45, 0.85], [9, 10])
    curve = Reliability("m", sure, np.ones(19, bool), np.ones(19), 5)

    _, upper, _ = panel(curve)

    hollow, filled = upper.lines[2:]
    assert (len(hollow.get_xdata()), hollow.get_markerfacecolor()) == (1, "#ffffff")
    assert hollow.get_xdata() == pytest.approx([0.45])
    assert filled.get_xdata() == pytest.approx([0.85])


def test_the_histogram_counts_pairs():
    """Bars below stand at their bins and are as high as the bins have pairs."""
    curve = planted()

    _, upper, lower = panel(curve)

    assert [bar.get_height() for bar in lower.patches] == reliability_bins(curve)[:, 2].tolist()
    assert [bar.get_x() for bar in lower.patches] == pytest.approx(np.arange(10) / 10)
    assert lower.get_xlim() == upper.get_xlim()


@pytest.mark.parametrize(("least", "left"), [(0.34, 0.3), (0.2, 0.0)])
def test_the_axis_begins_at_a_third_unless_something_lies_below(least, left):
    """Three health changes leave the lowest third empty; other predictions get all of it."""
    _, upper, _ = panel(Reliability("m", np.array([least, 0.9]), np.ones(2, bool), np.ones(2), 2))

    assert upper.get_xlim()[0] == left


def test_axes_are_named():
    """Observed share against predicted probability; pairs below."""
    _, upper, lower = panel(planted(name="m", is_seen=True))

    assert upper.get_title() == "m\nSEEN BY ENCODER"
    assert upper.get_ylabel() == "observed share"
    assert (lower.get_ylabel(), lower.get_xlabel()) == ("pairs", "predicted probability")


def test_nan_and_weightless_transitions_do_not_count():
    """They change no point; NaN is in no bar either."""
    curve = planted()
    worse = Reliability(
        "m",
        np.append(curve.confidence, [np.nan, 0.95]),
        np.append(curve.is_right, [True, False]),
        np.append(curve.weight, [1, 0]),
        60,
    )

    found, clean = reliability_bins(worse), reliability_bins(curve)

    np.testing.assert_allclose(found[:, :2], clean[:, :2])
    assert found[:, 2].sum() == 301


@pytest.mark.parametrize("t", [0, 3])
def test_nothing_measured_is_said(t):
    """No transitions, or NaN throughout, give words and an empty histogram."""
    curve = Reliability("m", np.full(t, np.nan), np.ones(t, bool), np.ones(t), 0)

    figure, upper, lower = panel(curve)

    assert [text.get_text() for text in upper.texts] == ["not measured"]
    assert lower.get_ylim() == (0, 1)
    assert caption(figure).endswith("n = 0 patients, 0 pairs.")
    assert untidy(figure) == []


def test_a_model_that_is_always_certain_is_drawn_whole():
    """A point at probability 1 is not cut by the axis."""
    _, upper, _ = panel(Reliability("m", np.ones(50), np.arange(50) % 2 == 0, np.ones(50), 9))

    assert upper.lines[-1].get_xdata().tolist() == [1]
    assert upper.get_xlim()[1] > 1


def test_title_and_caption_say_what_is_shown():
    """SIMULATED above; the signs, patients and pairs below."""
    figure, *_ = panel(planted(), planted(t=200), is_simulated=True)

    assert title(figure) == "SIMULATED DATA: t"
    assert caption(figure) == (
        "Pooled. Dashed: as often as predicted; hollow: fewer than 10 pairs. "
        "n = 60 patients, 200 to 300 pairs."
    )


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6])
def test_all_words_can_be_read(n):
    """No label is cut off or lies on another, however many panels there are."""
    names = ("difference of predicted scores", "antisymmetric_delta", "oracle on the true state")
    curves = [planted(i, name=names[i % 3], is_seen=i == 1) for i in range(n)]

    assert untidy(lay_out_reliability(curves, **ASKED)) == []


def test_a_file_is_written(tmp_path):
    """The figure is on the disk as a vector file, too."""
    draw_reliability([planted()], tmp_path / "f.pdf", **ASKED)

    assert (tmp_path / "f.pdf").read_bytes().startswith(b"%PDF")


def test_refuses_no_models(tmp_path):
    """Nothing evaluated, nothing drawn."""
    with pytest.raises(NotEnoughDataError, match="no models to draw"):
        draw_reliability([], tmp_path / "f.png", **ASKED)


def test_refuses_columns_of_different_length():
    """The model and all three lengths are named."""
    curve = dataclasses.replace(planted(), weight=np.ones(4))

    with pytest.raises(QueryError, match="m: 300 confidences, 300 outcomes, 4 weights"):
        lay_out_reliability([curve], **ASKED)
