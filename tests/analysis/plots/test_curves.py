"""Learning curves as a figure: what is drawn, marked and left out."""

import numpy as np
import pytest
from PIL import Image

from learner_index.analysis.plots.curves import Curves, draw_curves, lay_out_curves
from learner_index.errors import NotEnoughDataError, RunWriteError

NAN = float("nan")


def history(n, **columns):
    """Rows of epochs 1 to n with the columns that are given."""
    return [
        {"epoch": i + 1, **{name: values[i] for name, values in columns.items()}} for i in range(n)
    ]


FULL = history(
    3,
    loss=[3, 2, 1.5],
    regression=[2, 1, 0.7],
    contrastive=[1, 1, 0.8],
    val_spearman=[0.1, 0.4, 0.3],
    val_mae=[50, 40, 42],
)


def laid_out(epochs, best_epoch=None):
    """The figure of one training."""
    return lay_out_curves([Curves(epochs, best_epoch)], title="t")


def curve(axis, row=0):
    """The drawn points of one line."""
    return np.asarray(axis.lines[row].get_ydata()).tolist()


def test_losses_left_validation_right():
    """Every column is drawn in its panel, with its unit, against the epoch."""
    left, rho, mae = laid_out(FULL).axes

    assert [curve(left, i) for i in range(3)] == [[3, 2, 1.5], [2, 1, 0.7], [1, 1, 0.8]]
    assert (curve(rho), curve(mae)) == ([0.1, 0.4, 0.3], [50, 40, 42])
    assert left.get_ylabel() == "loss (no unit)"
    assert "score units" in mae.get_ylabel()
    assert {left.get_xlabel(), mae.get_xlabel()} == {"epoch"}
    assert [text.get_text() for text in left.get_legend().get_texts()] == [
        "total",
        "regression",
        "contrastive",
    ]


def test_the_best_epoch_is_marked():
    """A line at the best epoch in every panel, and a ring on what validation gave there."""
    left, rho, mae = laid_out(FULL, 2).axes

    for axis in (left, rho, mae):
        assert list(axis.lines[-1].get_xdata()) == [2, 2]
    assert [(rho.lines[-2].get_xdata()[0], curve(rho, -2)), curve(mae, -2)] == [(2, [0.4]), [40]]
    assert "best epoch 2" in rho.get_title(loc="left")


def test_no_error_column_no_error_panel():
    """Without val_mae the right side is one panel."""
    assert len(laid_out(history(2, val_spearman=[0.1, 0.2])).axes) == 2


def test_gaps_stay_gaps_and_lone_points_show():
    """NaN and infinity are not drawn; a value between two gaps gets a marker."""
    values = [0.1, NAN, 0.3, float("inf"), *([0.2] * 10)]

    rho = laid_out(history(14, val_spearman=values)).axes[1]

    np.testing.assert_array_equal(curve(rho), [0.1, NAN, 0.3, NAN, *([0.2] * 10)])
    assert rho.lines[0].get_markevery() == [0, 2]


@pytest.mark.parametrize(
    ("epochs", "best"),
    [
        (history(1, loss=[1.0], val_spearman=[0.2], val_mae=[3.0]), 1),
        (history(2, loss=[NAN, NAN], val_spearman=[NAN, NAN]), 2),
        (history(2), None),
        (FULL, 99),
    ],
    ids=["one epoch", "all NaN", "nothing measured", "best epoch elsewhere"],
)
def test_thin_histories_are_drawn(tmp_path, epochs, best):
    """One epoch, no figures at all and a best epoch outside still give a picture."""
    output = draw_curves(epochs, tmp_path / "c.png", title="$not_math", best_epoch=best)

    with Image.open(output) as picture:
        assert picture.width > 1000
        assert np.asarray(picture.convert("L")).std() > 5


def test_empty_panels_say_so():
    """A panel without figures holds words rather than an empty frame."""
    left, right = laid_out(history(1)).axes

    assert [text.get_text() for text in (*left.texts, *right.texts)] == [
        "no losses recorded",
        "none recorded",
    ]


def test_refuses_no_epochs(tmp_path):
    """Nothing trained, nothing drawn."""
    with pytest.raises(NotEnoughDataError, match="no epochs to draw"):
        draw_curves([], tmp_path / "c.png", title="t", best_epoch=None)


def test_a_refused_write_is_named(tmp_path):
    """A folder where the figure should go is reported with its path, and no part is left."""
    (tmp_path / "c.png").mkdir()

    with pytest.raises(RunWriteError, match=r"c\.png cannot be written"):
        draw_curves(FULL, tmp_path / "c.png", title="t", best_epoch=None)

    assert [file.name for file in tmp_path.iterdir()] == ["c.png"]


def test_equal_histories_give_equal_bytes(tmp_path):
    """A figure is a function of its history."""
    one, other = (
        draw_curves(FULL, tmp_path / name, title="t", best_epoch=2).read_bytes()
        for name in ("a.png", "b.png")
    )

    assert one == other
