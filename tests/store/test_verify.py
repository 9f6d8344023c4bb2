"""`verify` names what is lost or wrong, and calls nothing damage that is none."""

import json

import pytest
import store_toy

from learner_index.errors import StoreChangedError, StoreDamagedError, StoreFormatError
from learner_index.store import verify
from learner_index.store.reader import StoreReader
from learner_index.store.rows import append_rows
from learner_index.store.verify import leftovers, store_size, verify_store
from learner_index.store.writer import open_writer


def change_root(path, change):
    root = json.loads((path / "zarr.json").read_text())
    change(root)
    (path / "zarr.json").write_text(json.dumps(root))


def members(root):
    return root["consolidated_metadata"]["metadata"]


def test_lost_metadata_is_named_and_mended(path):
    """An array's own lost metadata is reported; readers do not need it and a writer restores it."""
    store_toy.make(path, 5)
    before = store_toy.snapshot(path)
    for name in ("obs/site", "obs/day", "X"):
        (path / name / "zarr.json").unlink()

    assert len(verify_store(path)) == 3
    assert StoreReader(path).obs()["day"].tolist() == store_toy.rows(0, 5)[1]["day"].tolist()
    assert leftovers(path) == 2
    with open_writer(path):
        pass

    assert verify_store(path) == ()
    assert {name: json.loads(text) for name, text in store_toy.snapshot(path).items()
            if name.endswith("zarr.json")} == {
        name: json.loads(text) for name, text in before.items() if name.endswith("zarr.json")
    }  # fmt: skip


def test_uneven_rows_are_named(path):
    """A column with fewer rows than X is reported."""
    store_toy.make(path, 5)
    change_root(path, lambda root: members(root)["obs/day"].update(shape=[4]))

    assert verify_store(path) == ("obs/day: 4 rows where X has 5",)


def test_a_doubled_scan_is_named(path):
    """Two rows with the same scan_id, which no writer makes, are reported."""
    store_toy.make(path, 5)
    with open_writer(path) as writer:
        append_rows(path, *store_toy.rows(3, 6), writer.cache)

    assert verify_store(path) == ("obs/scan_id: 2 ids stand twice, the first is scan3",)


def test_values_that_are_not_finite_are_named(path):
    """Embeddings that are no numbers are reported with their rows."""
    store_toy.make(path, 2)
    embeddings, obs = store_toy.rows(2, 4)
    embeddings[1, 2] = float("nan")
    with open_writer(path) as writer:
        append_rows(path, embeddings, obs, writer.cache)

    assert verify_store(path) == ("X: rows 0 to 3 hold values that are not finite",)


def test_empty_ids_and_a_wrong_generation_are_named(path):
    """An empty patient_id and a generation that contradicts itself are reported."""
    store_toy.make(path, 2)
    embeddings, obs = store_toy.rows(2, 3)
    with open_writer(path) as writer:
        append_rows(path, embeddings, obs.assign(patient_id=""), writer.cache)
    change_root(path, lambda root: root["attributes"].update(generation=7))

    assert verify_store(path) == (
        "obs/patient_id: 1 empty values",
        "uns/generation: differs from the root's generation",
    )


def test_uncommitted_rows_are_no_damage(path):
    """What a killed writer left is counted as leftovers and is no damage."""
    store_toy.make(path, 5)

    def stop(name):
        if name == "append: flushed":
            raise KeyboardInterrupt("now")

    with pytest.raises(KeyboardInterrupt, match="now"), open_writer(path, step=stop) as writer:
        writer.append(*store_toy.rows(5, 9))

    assert verify_store(path) == ()
    assert leftovers(path) == 11
    with open_writer(path):
        pass
    assert leftovers(path) == 0


def test_a_swap_meanwhile_is_no_damage(path, monkeypatch):
    """A store rewritten while it is verified is not called damaged."""
    store_toy.make(path, 5)
    opened = verify.StoreReader

    def open_then_swap(where):
        reader = opened(where)
        with open_writer(path) as writer:
            writer.compact()
        return reader

    monkeypatch.setattr(verify, "StoreReader", open_then_swap)

    with pytest.raises(StoreChangedError, match="was rewritten"):
        verify_store(path)


def test_a_later_layout_is_refused(path):
    """A store of a later version says which layout it has and what to do."""
    store_toy.make(path, 2)
    change_root(path, lambda root: root["attributes"].update(layout=99))

    with pytest.raises(StoreFormatError, match=r"layout 99 .* update learner-index"):
        StoreReader(path)
    with pytest.raises(StoreFormatError, match="layout 99"), open_writer(path):
        pass


@pytest.mark.parametrize("name", ["X", "obs", "obs/day", "obs/scan_id"])
def test_metadata_that_contradicts_itself(path, name):
    """A root that promises a column and does not have it is damage that names it."""
    store_toy.make(path, 2)
    change_root(path, lambda root: members(root).pop(name))

    with pytest.raises(StoreDamagedError, match=f"has no .*{name}"):
        StoreReader(path)


def test_a_path_out_of_the_store_is_refused(path):
    """Metadata that names files outside the store is refused before any is touched."""
    store_toy.make(path, 2)
    change_root(path, lambda root: members(root).update({"../x": members(root)["X"]}))

    with pytest.raises(StoreFormatError, match="outside itself"), open_writer(path):
        pass


@pytest.mark.parametrize(
    "spoil",
    [
        lambda root: root.update(attributes=None),
        lambda root: root.update(consolidated_metadata=None),
        lambda root: root["attributes"].update(generation="first"),
        lambda root: members(root)["X"].update(chunk_grid={}),
        lambda root: members(root)["X"].pop("shape"),
        lambda root: members(root).update(X=[]),
    ],
)
def test_metadata_of_another_kind(path, spoil):
    """Root metadata that lacks what every store has is refused in one line."""
    store_toy.make(path, 2)
    change_root(path, spoil)

    with pytest.raises(StoreFormatError, match="is no store of this program"):
        StoreReader(path)


def test_an_unknown_encoding_is_refused(path):
    """A column in an encoding that this version does not know is refused by its name."""
    store_toy.make(path, 2)
    encoding = {"encoding-type": "categorical"}
    change_root(path, lambda root: members(root)["obs/day"].update(attributes=encoding))

    with pytest.raises(StoreFormatError, match="encoded as 'categorical'"):
        StoreReader(path)


def test_the_size_counts_every_file(path):
    """The size of a store is that of its files."""
    store_toy.make(path, 2)

    assert store_size(path) == sum(len(b) for b in store_toy.snapshot(path).values() if b != b"/")
