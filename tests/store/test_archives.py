"""Stores of every layout that was ever released can be read, verified, changed and compacted."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import store_toy

from learner_index.store.layout import LAYOUT
from learner_index.store.reader import StoreReader
from learner_index.store.verify import verify_store
from learner_index.store.writer import open_writer

ARCHIVES = Path(__file__).parents[1] / "archives"
LAYOUTS = range(1, LAYOUT + 1)


@pytest.fixture
def archive(tmp_path, request):
    shutil.unpack_archive(ARCHIVES / f"layout-{request.param}.zip", tmp_path)
    return tmp_path / "archive.zarr"


@pytest.mark.parametrize("archive", LAYOUTS, indirect=True)
def test_an_old_store_is_read(archive):
    """Every value of an archived store comes back, and nothing in it is called damaged."""
    reader = StoreReader(archive)
    embeddings, obs = store_toy.rows(0, 7)

    np.testing.assert_array_equal(reader.embeddings(), embeddings)
    pd.testing.assert_frame_equal(reader.obs(), obs, check_dtype=False)
    assert reader.settings()["encoder"] == {"size": 4, "space": "toy"}
    assert reader.reference().patients == ("patient0", "patient1")
    assert verify_store(archive) == ()


@pytest.mark.parametrize("archive", LAYOUTS, indirect=True)
def test_an_old_store_can_be_changed(archive):
    """An archived store takes new rows and can be compacted into the present layout."""
    with open_writer(archive) as writer:
        writer.append(*store_toy.rows(7, 9))
        writer.compact()

    np.testing.assert_array_equal(StoreReader(archive).embeddings(), store_toy.rows(0, 9)[0])
    assert verify_store(archive) == ()


def test_archives_are_small():
    """No archive is over 60 kB."""
    assert all(file.stat().st_size < 60_000 for file in ARCHIVES.glob("*.zip"))
