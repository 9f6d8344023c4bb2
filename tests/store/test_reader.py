"""Readers see what was committed, never a mixture, whatever a writer does meanwhile."""

import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import anndata
import numpy as np
import pytest
import store_toy
import zarr

from learner_index.errors import StoreChangedError, StoreDamagedError, StoreError
from learner_index.store.reader import StoreReader
from learner_index.store.verify import verify_store
from learner_index.store.writer import open_writer

WRITING = Path(__file__).with_name("writing.py")


def require_one_state(embeddings, days):
    """Rows 0, 1, 2 … of one generation, the same in the embeddings and the columns."""
    number = np.asarray(days) - np.arange(len(days))
    assert len(set(number)) <= 1, days
    np.testing.assert_array_equal(embeddings, np.repeat(np.asarray(days)[:, None], 4, axis=1))


def look_with_ours(path):
    """Open, read, look again: an append stays unseen, a swap is told."""
    reader = StoreReader(path)
    days = reader.obs()["day"].to_numpy()
    require_one_state(reader.embeddings(), days)
    assert days[0] == reader.generation * store_toy.SHIFT
    assert len(days) == reader.n_rows
    require_one_state(reader.embeddings(np.array([0])), days[:1])


def look_with_anndata(path):
    found = anndata.read_zarr(path)
    assert found.X.shape[0] == len(found.obs)


def look_with_zarr(path):
    group = zarr.open_group(path, mode="r")
    rows = group["X"].shape[0]
    days = group["obs/day"][:]
    assert len(days) == rows
    assert group["X"][:].shape == (rows, 4)


def poll(path, writer):
    """Look until the writer is done; how often something was seen and how often it had changed."""
    ends = Counter()
    while writer.poll() is None:
        try:
            look_with_ours(path)
            ends["seen"] += 1
        except StoreChangedError:
            ends["changed"] += 1
    return ends


def start_writing(path, *how):
    command = [sys.executable, "-W", "error", WRITING, path, "2.5", *how]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("how", [[], ["renames"]])
def test_readers_during_appends_and_swaps(path, how):
    """While a writer appends and swaps, our reader sees one state or is told of the swap."""
    store_toy.make(path, 4)

    writer = start_writing(path, *how)
    ends = poll(path, writer)

    assert writer.communicate()[1] == ""
    assert ends["seen"] > 2
    assert StoreReader(path).generation > 1
    assert verify_store(path) == ()


def test_other_readers_during_appends(path):
    """While a writer only appends, anndata and zarr read a committed prefix each time."""
    store_toy.make(path, 1)

    with open_writer(path) as writer:
        for start in range(1, 10, 3):

            def look(name):
                if name.endswith("grown") and ("X" in name or "site" in name):
                    look_with_anndata(path)
                    group = zarr.open_group(path, mode="r")
                    require_one_state(group["X"][:], group["obs/day"][:])

            writer._step = look
            writer.append(*store_toy.rows(start, start + 3))

    look_with_zarr(path)
    assert StoreReader(path).n_rows == 10


def test_an_open_reader_does_not_see_appends(path):
    """Rows appended after opening stay unseen, also when asked for from the end."""
    store_toy.make(path, 4)
    reader = StoreReader(path)
    with open_writer(path) as writer:
        writer.append(*store_toy.rows(4, 9))
        writer.add_reference(store_toy.reference())

    embeddings, obs = store_toy.rows(0, 4)

    np.testing.assert_array_equal(reader.embeddings(), embeddings)
    np.testing.assert_array_equal(reader.embeddings(np.array([-1])), embeddings[-1:])
    assert reader.obs()["scan_id"].tolist() == obs["scan_id"].tolist()
    assert reader.reference() is None
    assert "reference" not in reader.settings()
    with pytest.raises(IndexError, match="out of bounds"):
        reader.embeddings(np.array([4]))


@pytest.mark.parametrize(
    "rows",
    [
        None,
        slice(2, 9),
        slice(-4, None),
        slice(None, None, 3),
        slice(8, 2, -1),
        slice(5, 5),
        np.array([], int),
        np.array([9, 0, 0, 4, 3, 9]),
        np.arange(12) % 2 == 0,
    ],
)
def test_any_choice_of_rows(path, rows):
    """Slices, indices in any order, repeats and masks choose rows as NumPy does."""
    store_toy.make(path, 12)
    everything = store_toy.rows(0, 12)[0]

    found = StoreReader(path).embeddings(rows)

    np.testing.assert_array_equal(found, everything if rows is None else everything[rows])


def test_a_store_built_anew_is_another(path):
    """A store deleted and made again under the same name is told from the one that was opened."""
    store_toy.make(path, 4)
    reader = StoreReader(path)
    shutil.rmtree(path)
    store_toy.make(path, 8)

    for read in (reader.embeddings, reader.obs, reader.settings):
        with pytest.raises(StoreChangedError, match="was rewritten while it was read"):
            read()
    assert StoreReader(path).n_rows == 8


def test_a_store_copied_over_is_another(path, tmp_path):
    """Another generation copied into the same folder is noticed as well."""
    store_toy.make(path, 4)
    reader = StoreReader(path)
    other = shutil.copytree(path, tmp_path / "other.zarr")
    with open_writer(other) as writer:
        writer.compact()
    shutil.copytree(other, path, dirs_exist_ok=True)

    with pytest.raises(StoreChangedError, match="open it again"):
        reader.embeddings()


def test_a_store_that_is_gone_has_changed(path):
    """A reader whose store was deleted says so rather than calling it damaged."""
    store_toy.make(path, 4)
    reader = StoreReader(path)
    shutil.rmtree(path)

    with pytest.raises(StoreChangedError, match=r"cohort\.zarr was rewritten"):
        reader.obs(["day"])


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("X/c/1/0", lambda reader: reader.embeddings()),
        ("X/c/1/0", lambda reader: reader.embeddings(np.array([4]))),
        ("obs/day/c/1", lambda reader: reader.obs()),
        ("obs/site/mask/c/1", lambda reader: reader.obs(["site"])),
        ("uns/encoder/space/c", lambda reader: reader.settings()),
        ("uns/reference/mean/c/0", lambda reader: reader.reference()),
    ],
)
def test_a_lost_chunk_is_named(path, name, read):
    """A missing chunk is an error that names it, for every kind of element, never zeros."""
    store_toy.make(path, 7, with_reference=True)
    (path / name).unlink()
    reader = StoreReader(path)

    with pytest.raises(StoreDamagedError, match=name):
        read(reader)
    assert any(name.rpartition("/c")[0] in line for line in verify_store(path))


@pytest.mark.parametrize("spoil", ["flip", "cut", "empty", "longer"])
@pytest.mark.parametrize("name", ["X/c/1/0", "obs/day/c/1", "obs/site/values/c/0"])
def test_an_altered_chunk_is_noticed(path, name, spoil):
    """A flipped bit, a cut, an emptied and a lengthened chunk are errors, never values."""
    store_toy.make(path, 7)
    content = bytearray((path / name).read_bytes())
    content[len(content) // 2] ^= 4 * (spoil == "flip")
    content = {"cut": content[:-7], "empty": b"", "longer": content + b"0"}.get(spoil, content)
    (path / name).write_bytes(content)
    reader = StoreReader(path)

    with pytest.raises(StoreDamagedError, match=r"cohort\.zarr"):
        reader.embeddings() if name.startswith("X") else reader.obs()
    found = verify_store(path)
    assert len(found) == 1
    assert found[0].startswith(name.partition("/values")[0].partition("/c")[0])


def test_an_unknown_column(path):
    """Asking for a column that is not there is an error that names it."""
    store_toy.make(path, 2)

    with pytest.raises(StoreError, match="no column 'age'"):
        StoreReader(path).obs(["age"])


def test_settings_are_json_ready(path):
    """Settings come back as plain values: text, numbers, flags, lists and mappings."""
    given = {
        "text": "",
        "number": 1.5,
        "count": 2**40,
        "flag": False,
        "texts": ["a", ""],
        "nothing": [],
        "numbers": [1.0, 2.5],
        "flags": [True, False],
        "table": [[1, 2], [3, 4]],
        "inner": {"deeper": {"name": "ü"}, "empty": {}},
        "none": None,
    }
    with open_writer(path) as writer:
        writer.create(store_toy.WIDTH, store_toy.KINDS, given)

    found = StoreReader(path).settings()

    assert found.pop("generation") == 1
    assert found == {key: value for key, value in given.items() if value is not None}
    assert type(found["flag"]) is bool
    assert anndata.read_zarr(path).uns["inner"]["deeper"]["name"] == "ü"


def test_a_reference_comes_back(path):
    """The reference is the same after storing, and after storing another in its place."""
    store_toy.make(path, 4, with_reference=True)
    first = StoreReader(path).reference()
    with open_writer(path) as writer:
        writer.add_reference(store_toy.reference())
    again = StoreReader(path)

    for found in (first, again.reference()):
        assert found.patients == ("patient0", "patient1")
        assert found.fingerprint == "f" * 8
        assert found.n_scans == 4
        np.testing.assert_array_equal(found.mean, np.arange(4.0))
        assert sorted(found.view_means) == ["", "L1"]
        np.testing.assert_array_equal(found.view_means["L1"], np.ones(4))
    assert again.generation == 2
    assert again.n_rows == 4
