"""Paths of stores, and what was meant by wrong ones."""

import pytest

from learner_index.errors import StoreError, StoreNotFoundError
from learner_index.store.paths import check_store_path, stores_near
from learner_index.store.reader import StoreReader


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with two folders that are called as stores are."""
    monkeypatch.chdir(tmp_path)
    for name in ("stores/cohort.zarr", "stores/after.zarr"):
        (tmp_path / name).mkdir(parents=True)
    return type(tmp_path)("stores")


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("cohort", " (did you mean 'stores/cohort.zarr'?)"),
        ("cohrt.zarr", " (did you mean 'stores/cohort.zarr'?)"),
        ("cohort.csv", " (did you mean 'stores/cohort.zarr'?)"),
        (".", " (did you mean 'stores/after.zarr' or 'stores/cohort.zarr'?)"),
        ("brain.zarr", ""),
        ("gone/cohort.zarr", ""),
    ],
)
def test_stores_of_similar_name_are_offered(folder, name, near):
    """Beside the path, or in the folder it names."""
    assert stores_near(folder / name) == near


def test_paths_of_the_machine_are_not_shown(folder):
    """An absolute path is met with names alone."""
    assert stores_near(folder.absolute() / "cohort") == " (did you mean 'cohort.zarr'?)"


def test_a_name_without_zarr_is_refused_with_what_was_meant(folder):
    """Its cache could be another store's."""
    with pytest.raises(StoreError, match=r"end it in .zarr.*did you mean 'stores/cohort.zarr'"):
        check_store_path(folder / "cohort")


def test_a_store_that_is_not_there_names_its_neighbor(folder):
    """A misspelt store is met with the one that is."""
    with pytest.raises(StoreNotFoundError, match=r"no store cohrt.zarr \(did you mean"):
        StoreReader(folder / "cohrt.zarr")
