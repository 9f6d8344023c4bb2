"""Rows come back as they were given, whatever their kind, number and place among chunks."""

import json
import warnings

import anndata
import numpy as np
import pandas as pd
import pytest
import store_toy
import zarr

from learner_index.errors import StoreFormatError
from learner_index.store.reader import StoreReader
from learner_index.store.verify import verify_store
from learner_index.store.writer import open_writer

BORDERS = [0, 1, 3, 4, 5, 8, 12, 25]


def assert_rows(path, stop):
    reader = StoreReader(path)
    embeddings, obs = store_toy.rows(0, stop)
    assert reader.n_rows == stop
    np.testing.assert_array_equal(reader.embeddings(), embeddings)
    pd.testing.assert_frame_equal(reader.obs(), obs, check_dtype=False)


@pytest.mark.parametrize("stop", BORDERS)
def test_any_number_of_rows_comes_back(path, stop):
    """Rows before, on and after the borders of chunks come back unchanged."""
    store_toy.make(path, stop)

    assert_rows(path, stop)
    assert verify_store(path) == ()


@pytest.mark.parametrize("piece", [1, 2, 5])
def test_pieces_do_not_show(path, tmp_path, piece):
    """A store is the same bytes whether its rows came at once or in pieces."""
    store_toy.make(path, 13, piece=piece)
    whole = store_toy.make(tmp_path / "whole.zarr", 13)

    assert store_toy.snapshot(path) == store_toy.snapshot(whole)


@pytest.mark.parametrize("stop", [0, 1, 13])
def test_anndata_reads_the_same(path, stop):
    """The folder's root is an AnnData file with our rows, opened without any warning."""
    store_toy.make(path, stop, with_reference=True)
    ours = StoreReader(path)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = anndata.read_zarr(path)

    np.testing.assert_array_equal(found.X, ours.embeddings())
    obs = ours.obs()
    assert list(found.obs_names) == list(obs["scan_id"])
    assert list(found.obs.columns) == list(obs.columns[1:])
    for name in found.obs.columns:
        theirs = found.obs[name].reset_index(drop=True)
        pd.testing.assert_series_equal(theirs, obs[name], check_dtype=False)
    assert found.uns["encoder"]["space"] == "toy"
    assert found.uns["reference"]["n_scans"] == 4


def test_zarr_alone_opens_the_root(path):
    """Plain zarr finds X and the columns at the root, with consolidated metadata."""
    store_toy.make(path, 5)

    group = zarr.open_group(path, mode="r")

    assert group.metadata.consolidated_metadata is not None
    np.testing.assert_array_equal(group["X"][:], store_toy.rows(0, 5)[0])
    assert list(group["obs/patient_id"][:]) == [f"patient{i // 2}" for i in range(5)]


def test_what_zarr_writes_is_what_we_read(path):
    """X written by zarr itself is read by our shortcut, so both mean the same bytes."""
    store_toy.make(path, 7)
    before = store_toy.snapshot(path)

    array = zarr.open_group(path, mode="r+")["X"].with_config({"write_empty_chunks": True})
    array[:] = array[:]

    assert store_toy.snapshot(path) == before


def test_zeros_are_kept(path):
    """Embeddings of zeros have chunks like any others, so a missing chunk is always a loss."""
    embeddings, obs = store_toy.rows(0, 7)
    with open_writer(path) as writer:
        writer.create(store_toy.WIDTH, store_toy.KINDS, {})
        writer.append(embeddings * 0, obs.assign(day=0.0))

    assert sorted(p.name for p in (path / "X/c").iterdir()) == ["0", "1", "2"]
    assert sorted(p.name for p in (path / "obs/day/c").iterdir()) == ["0", "1"]
    assert verify_store(path) == ()


def test_missing_text_is_never_a_word(path):
    """A missing text comes back missing, and the words nan, None and NA come back as words."""
    embeddings, obs = store_toy.rows(0, 5)
    site = ["nan", None, "None", "", "NA"]
    with open_writer(path) as writer:
        writer.create(store_toy.WIDTH, store_toy.KINDS, {})
        writer.append(embeddings, obs.assign(site=pd.Series(site, dtype=object)))

    found = StoreReader(path).obs()["site"]

    assert found.isna().tolist() == [False, True, False, False, False]
    assert found.dropna().tolist() == ["nan", "None", "", "NA"]
    assert anndata.read_zarr(path).obs["site"].isna().tolist() == [False, True, *[False] * 3]


def test_odd_texts_survive(path):
    """Emoji, line ends, zero characters, quotes and very long texts come back as they were."""
    odd = ["🫁 ü 日本", "two\nlines\t\r", "a\0b", '"quoted", \\ and /', "long " * 20_000]
    embeddings, obs = store_toy.rows(0, 5)
    with open_writer(path) as writer:
        writer.create(store_toy.WIDTH, store_toy.KINDS, {})
        writer.append(embeddings, obs.assign(site=odd, scan_id=odd))

    found = StoreReader(path).obs()

    assert found["site"].tolist() == odd
    assert found["scan_id"].tolist() == odd


def test_odd_numbers_survive(path):
    """Infinities, minus zero and tiny numbers keep their bits; a gap is NaN."""
    odd = np.array([np.inf, -np.inf, -0.0, 5e-324, np.nan])
    embeddings, obs = store_toy.rows(0, 5)
    with open_writer(path) as writer:
        writer.create(store_toy.WIDTH, store_toy.KINDS, {})
        writer.append(embeddings, obs.assign(day=odd))

    assert StoreReader(path).obs()["day"].to_numpy().tobytes() == odd.tobytes()


def test_columns_of_other_dtypes_are_taken(path):
    """Integers with gaps, objects and categories are stored as what their kind says."""
    embeddings, obs = store_toy.rows(0, 3)
    given = obs.assign(
        day=pd.array([1, None, 3], "Int64"),
        site=pd.Categorical(["A", None, "B"]),
        rescan=pd.Series([True, None, False], dtype=object),
    )
    with open_writer(path) as writer:
        writer.create(store_toy.WIDTH, store_toy.KINDS, {})
        writer.append(embeddings, given)

    found = StoreReader(path).obs()

    assert found["day"].isna().tolist() == [False, True, False]
    assert found["site"].fillna("?").tolist() == ["A", "?", "B"]
    assert found["rescan"].astype(object).where(found["rescan"].notna(), None).tolist() == [
        True,
        None,
        False,
    ]


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("day", ["soon", "late"], "column day does not hold a number"),
        ("site", ["fine", "\ud800"], "column site does not hold a text"),
        ("rescan", ["perhaps", "no"], "column rescan does not hold a flag"),
        ("patient_id", ["p", None], "patient_id has rows without a value"),
        ("content_hash", ["p", ""], "content_hash has rows without a value"),
    ],
)
def test_a_column_that_does_not_fit_is_named(path, column, values, said):
    """Values that are not of their column's kind are refused before anything is written."""
    store_toy.make(path, 2)
    before = store_toy.snapshot(path)
    embeddings, obs = store_toy.rows(2, 4)

    with (
        open_writer(path) as writer,
        pytest.raises(StoreFormatError, match=said),
    ):
        writer.append(embeddings, obs.assign(**{column: values}))

    assert store_toy.snapshot(path) == before


@pytest.mark.parametrize(
    "name", ["", "a/b", "a\\b", ".hidden", "__x", "zarr.json", "_index", "a\nb", "x" * 201]
)
def test_a_name_that_is_no_path_is_refused(path, name):
    """A column whose name would be another file's is refused, and nothing is left behind."""
    with (
        open_writer(path) as writer,
        pytest.raises(StoreFormatError, match="rename"),
    ):
        writer.create(store_toy.WIDTH, {**store_toy.KINDS, name: "text"}, {})

    assert not path.exists()


def test_odd_column_names_work(path):
    """Names with blanks, umlauts, dots and the names of inner arrays are columns like others."""
    names = ["Größe in cm", "mask", "values", "c", "0", "a.b", "obs", "X"]
    kinds = {**store_toy.KINDS, **dict.fromkeys(names, "text")}
    embeddings, obs = store_toy.rows(0, 2)
    with open_writer(path) as writer:
        writer.create(store_toy.WIDTH, kinds, {})
        writer.append(embeddings, obs.assign(**dict.fromkeys(names, "x")))

    assert verify_store(path) == ()
    assert StoreReader(path).obs(names).to_numpy().tolist() == [["x"] * 8] * 2
    assert list(anndata.read_zarr(path).obs.columns)[-8:] == names


def test_root_metadata_is_plain_json(path):
    """The commit is one JSON file that any program can read."""
    store_toy.make(path, 2)

    root = json.loads((path / "zarr.json").read_text())

    assert root["attributes"]["encoding-type"] == "anndata"
    assert root["attributes"]["generation"] == 1
