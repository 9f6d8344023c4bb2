"""The page of a figure: size, words, and bytes that never differ."""

import re

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.path import Path
from matplotlib.transforms import IdentityTransform

from learner_index.analysis.plots.files import picture_of, write_figure
from learner_index.analysis.plots.page import (
    COLUMN_MM,
    PAGE_MM,
    new_page,
    number,
    panel_grid,
    row_label,
    with_counts,
)
from learner_index.errors import RunWriteError, SettingsError
from tests.analysis.plots.tidy import caption, title, untidy

MAGIC = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}


def small_figure():
    """A figure with a line, words and a clip path, so that vector files hold ids."""
    figure = new_page(COLUMN_MM, 30, title="$not_math", caption="c")
    figure.add_subplot().plot([0, 1], [0, 1])
    return figure


@pytest.mark.parametrize("ending", MAGIC)
def test_the_ending_says_what_is_written(tmp_path, ending):
    """A path that ends in .png, .svg or .pdf gives such a file, and nothing else is left."""
    write_figure(small_figure(), tmp_path / f"f{ending}")

    assert (tmp_path / f"f{ending}").read_bytes().startswith(MAGIC[ending])
    assert len(list(tmp_path.iterdir())) == 1


def test_clip_paths_are_named_by_what_they_hold():
    """Matplotlib names those of curves by their place in memory; here they tell what they cut."""
    drawn, keep = [], []
    for width in (80, 80, 90):
        figure = small_figure()
        corner = Path([(0, 0), (width, 0), (0, 90)])
        figure.axes[0].lines[0].set_clip_path(corner, IdentityTransform())
        keep.append(figure)  # so that no two have one place
        drawn.append(picture_of(figure, "svg").decode())

    ids = [set(re.findall(r'clipPath id="(\w+)"', text)) for text in drawn]
    assert drawn[0] == drawn[1]
    assert ids[0] != ids[2]
    assert set(re.findall(r'clip-path="url\(#(\w+)\)"', drawn[0])) == ids[0]


@pytest.mark.parametrize("ending", MAGIC)
def test_equal_figures_give_equal_bytes(tmp_path, ending, monkeypatch):
    """Neither the date nor chance is in a file."""
    for i, epoch in enumerate(("0", "1000000000")):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)  # what matplotlib takes for now
        write_figure(small_figure(), tmp_path / f"{i}{ending}")

    assert (tmp_path / f"0{ending}").read_bytes() == (tmp_path / f"1{ending}").read_bytes()


def test_a_figure_saves_and_shows_itself(tmp_path):
    """`save` gives the file back; a notebook gets a PNG without pyplot."""
    figure = small_figure()

    assert figure.save(str(tmp_path / "f.svg")).read_bytes().startswith(MAGIC[".svg"])
    assert figure._repr_png_().startswith(MAGIC[".png"])


def test_refuses_an_unknown_ending(tmp_path):
    """A file that is no figure's is refused with the endings there are."""
    with pytest.raises(SettingsError, match=r"f\.jpg is no kind of figure: .*\.png, \.svg or"):
        write_figure(Figure(), tmp_path / "f.jpg")


def test_a_refused_write_is_named(tmp_path):
    """A folder where the figure should go is reported with its path, and no part is left."""
    (tmp_path / "f.png").mkdir()

    with pytest.raises(RunWriteError, match=r"f\.png cannot be written"):
        write_figure(small_figure(), tmp_path / "f.png")

    assert [file.name for file in tmp_path.iterdir()] == ["f.png"]


@pytest.mark.parametrize("width", [COLUMN_MM, PAGE_MM])
def test_a_figure_is_as_wide_as_its_column(width):
    """Widths are of the printed figure, whatever is written on it."""
    figure = new_page(width, 20, title="word " * 60, caption="word " * 60)

    assert figure.get_figwidth() * 25.4 == pytest.approx(width)
    assert untidy(figure) == []


def test_axes_keep_to_the_body():
    """A long title and caption make the page higher and leave the axes as they are."""
    heights = []
    for words in ("short", "many words " * 20):
        figure = new_page(COLUMN_MM, 30, title=words, caption=words)
        axis = figure.add_subplot()
        figure.draw_without_rendering()
        heights.append(axis.get_position().height * figure.get_figheight())

    np.testing.assert_allclose(heights[0], heights[1], rtol=1e-6)


def test_simulated_data_are_called_so_once():
    """The title says SIMULATED where it is told so and does not yet."""
    titles = [
        title(new_page(COLUMN_MM, 9, title=words, caption="", is_simulated=is_simulated))
        for words, is_simulated in (("t", False), ("t", True), ("SIMULATED t", True))
    ]

    assert titles == ["t", "SIMULATED DATA: t", "SIMULATED t"]


def test_counts_stay_together():
    """Neither "n = 60 patients" nor "1,200 pairs" is torn apart where a line ends."""
    for n in range(12):
        words = with_counts("letters " * n, [60], [1200])
        lines = new_page(COLUMN_MM, 9, title="", caption=words).texts[1].get_text()
        plain = lines.replace("\N{NO-BREAK SPACE}", " ")
        assert "n = 60 patients," in plain
        assert "1,200 pairs." in plain


def test_models_that_rest_on_different_numbers_give_a_range():
    """Fewest and most patients and pairs are both said."""
    figure = new_page(COLUMN_MM, 9, title="", caption=with_counts("", [60, 52], [300, 300]))

    assert caption(figure) == "n = 52 to 60 patients, 300 pairs."


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("learner_mse", "learner_mse"),
        ("difference of predicted scores", "difference of\npredicted scores"),
        ("a_name_without_any_space_in_it", "a_name_without_\nany_space_in_it"),
    ],
)
def test_long_names_break_at_spaces_and_underscores(name, label):
    """No letter of a name is lost."""
    assert row_label(name, 21, is_seen=False) == label


@pytest.mark.parametrize(
    ("given", "shown"),
    [("mine", "mine (SEEN BY ENCODER)"), ("SEEN BY ENCODER, all", "SEEN BY ENCODER, all")],
)
def test_no_title_hides_that_patients_were_seen(given, shown):
    """The words are put after a title that lacks them, and are not said twice."""
    figure = new_page(COLUMN_MM, 30, title=given, caption="c", is_seen=True)

    assert title(figure) == shown


def test_seen_patients_are_named_below_the_model():
    """The label of an encoder that knows these patients says so."""
    assert row_label("m", 21, is_seen=True) == "m\nSEEN BY ENCODER"


def test_numbers_have_a_true_minus_and_no_minus_zero():
    """-0.001 is 0.00; other negative numbers have a minus sign as wide as a plus."""
    assert (number(-0.001, 2), number(-0.31, 2), number(41.26, 1)) == ("0.00", "\u22120.31", "41.3")


@pytest.mark.parametrize(
    ("n", "width", "columns", "rows"),
    [(1, 85, 1, 1), (2, 85, 2, 1), (3, 170, 3, 1), (4, 170, 4, 1), (6, 170, 3, 2), (13, 170, 4, 4)],
)
def test_panels_wrap(n, width, columns, rows):
    """Two panels fit a column; more take the page, in rows that are about full."""
    grid = panel_grid(["m"] * n, 14)

    assert (grid.width_mm, grid.columns, grid.rows) == (width, columns, rows)
