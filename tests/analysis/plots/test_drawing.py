"""A drawing shows itself in a notebook and writes itself in three kinds of file."""

import io

import pytest
from PIL import Image

from learner_index.analysis.plots.page import COLUMN_MM, new_page
from learner_index.errors import SettingsError


@pytest.fixture
def page():
    return new_page(COLUMN_MM, 20, title="t", caption="c")


def test_a_notebook_shows_a_picture(page):
    """Its PNG is as wide as the column at 150 dots an inch."""
    with Image.open(io.BytesIO(page._repr_png_())) as picture:
        assert picture.size[0] == pytest.approx(COLUMN_MM / 25.4 * 150, abs=1)


@pytest.mark.parametrize(
    ("ending", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")]
)
def test_files_are_what_their_ending_says(page, tmp_path, ending, start):
    """Saving gives the path back, from text or path, without a date."""
    file = page.save(str(tmp_path / f"p.{ending}"))

    assert file == tmp_path / f"p.{ending}"
    assert file.read_bytes().startswith(start)
    assert b"CreationDate" not in file.read_bytes()


def test_refuses_other_endings(page, tmp_path):
    """A kind of file that no printer takes is named with the three that are."""
    with pytest.raises(SettingsError, match=r"p\.gif is no kind of figure"):
        page.save(tmp_path / "p.gif")
