"""Rewriting, compacting, and any order of changes and crashes against a plain table."""

import numpy as np
import pandas as pd
import pytest
import store_toy

from learner_index.errors import StoreFormatError
from learner_index.store import paths, recover
from learner_index.store.reader import StoreReader
from learner_index.store.verify import verify_store
from learner_index.store.writer import open_writer


class CrashError(Exception):
    """Stands for a kill: whatever was going on is left as it is."""


def assert_equals(path, embeddings, obs):
    reader = StoreReader(path)
    np.testing.assert_array_equal(reader.embeddings(), embeddings)
    pd.testing.assert_frame_equal(reader.obs(), obs.reset_index(drop=True), check_dtype=False)


def test_rows_can_leave_move_and_change(path, monkeypatch):
    """A rewrite drops, reorders and replaces rows and swaps columns, block by block."""
    monkeypatch.setattr("learner_index.store.writer.COPY_BYTES", 5 * 4 * store_toy.WIDTH)
    store_toy.make(path, 12)
    embeddings, obs = store_toy.rows(0, 12)
    kept = np.array([11, 3, 7, 0, 1, 2, 10, 9])
    kinds = {**{k: v for k, v in store_toy.KINDS.items() if k != "site"}, "age": "number"}
    new = obs.iloc[kept].drop(columns="site").assign(age=50.0)
    replaced = {1: np.full(4, 7, np.float32), 6: np.full(4, 8, np.float32)}

    with open_writer(path) as writer:
        writer.rewrite(new, kinds, kept, replaced=replaced)

    expected = embeddings[kept]
    expected[1], expected[6] = 7, 8
    assert_equals(path, expected, new)
    assert StoreReader(path).generation == 2
    assert StoreReader(path).settings()["encoder"]["space"] == "toy"
    assert verify_store(path) == ()


def test_a_rewrite_may_leave_nothing(path):
    """All rows can be taken away."""
    store_toy.make(path, 3)

    with open_writer(path) as writer:
        writer.rewrite(store_toy.rows(0, 0)[1], store_toy.KINDS, np.array([], np.intp))

    assert StoreReader(path).n_rows == 0
    assert verify_store(path) == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda obs: obs.iloc[:2], "needs each row's source"),
        (lambda obs: obs.drop(columns="day"), "each column's kind"),
        (lambda obs: obs.assign(scan_id="same"), "scan_ids twice"),
        (lambda obs: obs.assign(patient_id=None), "patient_id has rows without a value"),
    ],
)
def test_a_rewrite_that_does_not_fit(path, change, said):
    """Rows without source, kind, id or patient are refused, and the store stays."""
    store_toy.make(path, 3)
    before = store_toy.snapshot(path)

    with open_writer(path) as writer, pytest.raises(StoreFormatError, match=said):
        writer.rewrite(change(store_toy.rows(0, 3)[1]), store_toy.KINDS, np.arange(3))

    assert store_toy.snapshot(path) == before


def test_compact_keeps_every_row(path, tmp_path, monkeypatch):
    """Compacting brings old chunk sizes up to date and rids of strange files, rows unchanged."""
    store_toy.make(path, 12, piece=5, with_reference=True)
    (path / "obsm/mine.txt").write_text("a file of mine")
    monkeypatch.setattr("learner_index.store.layout.COLUMN_ROWS", 64)

    with open_writer(path) as writer:
        freed = writer.compact()

    assert freed > 0
    assert_equals(path, *store_toy.rows(0, 12))
    assert StoreReader(path).generation == 2
    assert StoreReader(path).reference().fingerprint == "f" * 8
    assert [file.name for file in (path / "obs/day/c").iterdir()] == ["0"]
    assert not (path / "obsm/mine.txt").exists()
    assert sorted(file.name for file in paths.cache_folder(path).iterdir()) == ["lock"]


def test_files_of_others_survive_recovery(path):
    """Opening a writer deletes what it may have left itself, and no file of anybody else."""
    store_toy.make(path, 5)
    for name in ("notes.txt", "obsm/X_umap/zarr.json", "obsm/X_umap/c/0/0"):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text("{}")
    for name in ("X/c/9/0", "obs/day/zarr.abc.partial", "uns/reference/zarr.json", "x.partial"):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text("{}")

    with open_writer(path):
        pass

    assert (path / "notes.txt").exists()
    assert (path / "obsm/X_umap/c/0/0").exists()
    assert not (path / "X/c/9").exists()
    assert not (path / "obs/day/zarr.abc.partial").exists()
    assert not (path / "x.partial").exists()
    assert not (path / "uns/reference").exists()


@pytest.mark.parametrize("seed", range(4))
def test_any_order_of_changes_and_crashes(path, seed):
    """After random appends, rewrites, references and crashes the store is what a table says."""
    chance = np.random.default_rng(seed)
    store_toy.make(path, 0)
    embeddings, obs, next_id = *store_toy.rows(0, 0), 0
    crashed = 0

    for _ in range(12):
        left = int(chance.integers(0, 60))

        def step(name):
            nonlocal left
            left -= 1
            if left == 0:
                raise CrashError(name)

        action, size = chance.integers(0, 5), int(chance.integers(0, 6))
        added = store_toy.rows(next_id, next_id + size)
        kept = chance.permutation(len(obs))[: max(len(obs) - 1, 0)]
        try:
            with open_writer(path, step=step) as writer:
                if action <= 2:
                    after = (
                        np.concatenate([embeddings, added[0]]),
                        pd.concat([obs, added[1]], ignore_index=True) if len(obs) else added[1],
                    )
                    writer.append(*added)
                elif action == 3:
                    after = embeddings[kept], obs.iloc[kept].reset_index(drop=True)
                    writer.rewrite(after[1], store_toy.KINDS, kept)
                else:
                    after = embeddings, obs
                    writer.add_reference(store_toy.reference())
        except CrashError:
            crashed += 1
            found = StoreReader(path).obs(["scan_id"])["scan_id"].tolist()
            is_done = found == after[1]["scan_id"].tolist()
            after = after if is_done else (embeddings, obs)
        embeddings, obs = after
        next_id += size
        assert_equals(path, embeddings, obs)

    assert crashed > 0
    with open_writer(path):
        pass
    assert verify_store(path) == ()


def test_the_fallback_leaves_the_same_store(path, tmp_path, monkeypatch):
    """Two renames end in the same bytes as the kernel's swap, and leave nothing in the cache."""
    other = store_toy.make(tmp_path / "other.zarr", 5)
    store_toy.make(path, 5)
    with open_writer(other) as writer:
        writer.compact()
    monkeypatch.setattr(recover, "exchange_folders", lambda one, two: False)

    with open_writer(path) as writer:
        writer.compact()

    assert store_toy.snapshot(path) == store_toy.snapshot(other)
    assert sorted(file.name for file in paths.cache_folder(path).iterdir()) == ["lock"]
