"""Figure one: points, running quartiles and ρ, three ways for each model."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner_index.analysis.plots.figure_one import (
    DistancePanel,
    draw_figure_one,
    lay_out_figure_one,
    running_quartiles,
)
from learner_index.errors import NotEnoughDataError
from tests.analysis.plots.tidy import caption, title, untidy

NAN = float("nan")
ASKED = {"unit": "mmHg", "title": "t", "caption": "Pairs."}
RHO = {"raw": (0.31, 0.22, 0.4), "centered": (-0.05, -0.1, 0.07), "whitened": (0.3, NAN, NAN)}


def pairs(n, scale=1.0, patients=20):
    """Pairs whose distances grow with the change of score, each look on its own scale."""
    change = np.linspace(0, 200, n)
    return pd.DataFrame(
        {
            "patient": [f"p{i % patients}" for i in range(n)],
            "abs_delta_score": change,
            "distance_raw": scale * change / 4000,
            "distance_centered": scale * change / 200,
            "distance_whitened": scale * (0.5 + change / 400),
        }
    )


def panels_of(*models, **asked):
    """Figure, and its axes as rows of three."""
    figure = lay_out_figure_one(models, **(ASKED | asked))
    return figure, np.array(figure.axes).reshape(len(models), 3)


def points(axis):
    """(t, 2) the pairs of a panel."""
    return np.asarray(axis.collections[0].get_offsets())


def test_each_look_has_its_column():
    """The columns are raw, centred and whitened cosine, each with its own distances."""
    frame = pairs(60)

    _, axes = panels_of(DistancePanel("m", frame, RHO))

    assert [axis.get_title() for axis in axes[0]] == [
        "raw cosine",
        "centred cosine",
        "whitened cosine",
    ]
    for axis, look in zip(axes[0], ("raw", "centered", "whitened"), strict=True):
        np.testing.assert_allclose(
            points(axis), frame[["abs_delta_score", f"distance_{look}"]].to_numpy()
        )


def test_distances_are_shared_down_a_column_only():
    """Models can be compared in a column; columns have scales of their own."""
    _, axes = panels_of(
        DistancePanel("a", pairs(60), RHO), DistancePanel("b", pairs(60, scale=0.5), RHO)
    )

    limits = np.array([[axis.get_ylim() for axis in line] for line in axes])
    np.testing.assert_array_equal(limits[0], limits[1])
    assert len({tuple(limit) for limit in limits[0]}) == 3


def test_rho_stands_in_its_panel():
    """Spearman's ρ with its interval, alone, or said to be missing."""
    _, axes = panels_of(
        DistancePanel("m", pairs(60), RHO), DistancePanel("n", pairs(60), {"raw": (NAN,) * 3})
    )

    assert [[axis.texts[0].get_text() for axis in line] for line in axes] == [
        ["ρ = 0.31 (0.22 to 0.40)", "ρ = \u22120.05 (\u22120.10 to 0.07)", "ρ = 0.30"],
        ["ρ not measured"] * 3,
    ]


def test_no_point_lies_behind_rho():
    """The axis has room above the highest point."""
    figure, axes = panels_of(DistancePanel("m", pairs(60).iloc[::-1], RHO))
    figure.draw_without_rendering()

    for axis in axes[0]:
        top = axis.transData.transform(points(axis))[:, 1].max()
        assert axis.texts[0].get_window_extent().y0 > top


def test_axes_are_named_with_units():
    """Below: change of score with its unit; left: the model, and distance without unit."""
    _, axes = panels_of(
        DistancePanel("a", pairs(60), RHO, is_seen=True), DistancePanel("b", pairs(60), RHO)
    )

    assert {axis.get_xlabel() for axis in axes[1]} == {"|Δ health score| (mmHg)"}
    assert {axis.get_xlabel() for axis in axes[0]} == {""}
    assert [line[0].get_ylabel() for line in axes] == [
        "a\nSEEN BY ENCODER\ndistance (no unit)",
        "b\ndistance (no unit)",
    ]


def test_quartiles_against_a_loop():
    """Bins hold equally many pairs, and median and quartiles are theirs."""
    rng = np.random.default_rng(0)
    x, y = rng.permutation(100).astype(float), rng.random(100)

    found = running_quartiles(x, y)

    order = np.argsort(x)
    bins = np.searchsorted(np.quantile(x, np.arange(1, 6) / 6), x[order])
    slow = [
        [np.median(x[order][bins == i]), *np.percentile(y[order][bins == i], [25, 50, 75])]
        for i in range(6)
    ]
    np.testing.assert_allclose(found, slow)


@given(
    st.lists(st.tuples(st.integers(0, 5), st.floats(0, 2)), min_size=1, max_size=200),
)
def test_quartiles_are_in_order(rows):
    """Ties or not, bins rise, quartiles do not cross, and no more than ten bins are made."""
    x, y = np.array(rows, float).T

    found = running_quartiles(x, y)

    assert 1 <= len(found) <= max(1, min(10, len(x) // 15))
    assert (np.diff(found[:, 0]) > 0).all()
    assert (np.diff(found[:, 1:], axis=1) >= 0).all()


def test_few_pairs_have_no_running_median():
    """One bin is no course: points are drawn alone."""
    _, axes = panels_of(DistancePanel("m", pairs(20), RHO))

    assert [len(axis.lines) for axis in axes[0]] == [0, 0, 0]
    assert len(points(axes[0, 0])) == 20


def test_many_points_are_a_picture_in_vector_files():
    """Points above a thousand are rasterised, so that a page opens at once."""
    _, axes = panels_of(DistancePanel("a", pairs(1000), RHO), DistancePanel("b", pairs(1001), RHO))

    assert [line[0].collections[0].get_rasterized() for line in axes] == [False, True]


def test_pairs_without_distance_are_left_out():
    """NaN in a score or a distance costs that pair; nothing left is said in words."""
    frame = pairs(60)
    frame.loc[3, "abs_delta_score"] = NAN
    frame.loc[4, "distance_centered"] = NAN
    frame["distance_whitened"] = NAN

    figure, axes = panels_of(DistancePanel("m", frame, RHO))

    assert [len(points(axis)) for axis in axes[0, :2]] == [59, 58]
    assert caption(figure).endswith("59 pairs.")
    assert [text.get_text() for text in axes[0, 2].texts] == ["no pairs"]


def test_title_and_caption_say_what_is_shown():
    """SIMULATED above; patients and pairs below."""
    figure, _ = panels_of(DistancePanel("m", pairs(60), RHO), is_simulated=True)

    assert title(figure) == "SIMULATED DATA: t"
    assert caption(figure) == "Pairs. n = 20 patients, 60 pairs."


@pytest.mark.parametrize("n", [1, 2, 3])
def test_all_words_can_be_read(n):
    """No label is cut off or lies on another, with one model or three."""
    names = ("difference of predicted scores", "antisymmetric_delta", "m")
    models = [DistancePanel(name, pairs(400), RHO, is_seen=True) for name in names[:n]]

    figure, _ = panels_of(*models, caption="A caption of some length. " * 8)

    assert untidy(figure) == []


@pytest.mark.parametrize(
    ("panels", "match"),
    [([], "no models to draw"), ([DistancePanel("m", pairs(0), RHO)], "no pairs to draw")],
)
def test_refuses_nothing_to_draw(tmp_path, panels, match):
    """No model, or no pair of any, is refused."""
    with pytest.raises(NotEnoughDataError, match=match):
        draw_figure_one(panels, tmp_path / "f.png", **ASKED)


def test_a_model_without_pairs_is_drawn_beside_others(tmp_path):
    """An empty group costs its row, not the figure, which is written."""
    models = [DistancePanel("m", pairs(60), RHO), DistancePanel("none", pairs(0), {})]

    draw_figure_one(models, tmp_path / "f.png", **ASKED)

    _, axes = panels_of(*models)
    assert [axis.texts[0].get_text() for axis in axes[1]] == ["no pairs"] * 3
    assert (tmp_path / "f.png").exists()
