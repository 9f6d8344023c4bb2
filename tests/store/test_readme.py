"""The page about the on-disk contract is true."""

import re
from pathlib import Path

import pytest
import store_toy

from learner_index.store import layout

README = (Path(__file__).parents[2] / "stores/README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_its_readers_run(tmp_path, monkeypatch, capsys, block):
    """Each reader on the page is three lines and reads a store without us."""
    store_toy.make(tmp_path / "cohort.zarr", 5)
    monkeypatch.chdir(tmp_path)

    exec(compile(block, "stores/README.md", "exec"), {})

    assert capsys.readouterr().out == "(5, 4) patient0\n"
    assert len(block.splitlines()) == 3


def test_it_shows_both_readers():
    """The page shows anndata and zarr."""
    assert len(BLOCKS) == 2


def test_its_table_names_the_encodings(monkeypatch):
    """Layout number and encodings on the page are those that are written."""
    monkeypatch.undo()

    assert f"`layout` ({layout.LAYOUT})" in README
    for name, kind in (("site", "text"), ("rescan", "flag")):
        assert layout.group_attributes(name, kind)["encoding-type"] in README
    assert f"{layout.COLUMN_ROWS:,} values a chunk" in README
