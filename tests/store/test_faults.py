"""Full disks, read-only folders, interrupts and second writers: one clear line, nothing lost."""

import errno
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import store_toy

from learner_index.errors import (
    StoreDamagedError,
    StoreError,
    StoreExistsError,
    StoreFormatError,
    StoreLockedError,
    StoreNotFoundError,
    StoreWriteError,
)
from learner_index.store import chunks, paths
from learner_index.store.reader import StoreReader
from learner_index.store.verify import verify_store
from learner_index.store.writer import open_writer

HOLDER = """
import sys, time
from pathlib import Path
from learner_index.store.writer import open_writer
with open_writer(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def undisturbed(tmp_path, stop):
    return store_toy.snapshot(store_toy.make(tmp_path / "undisturbed/cohort.zarr", stop))


def interrupt_at(part, error):
    """A step hook that raises at the first step whose name contains the part."""
    seen = []

    def step(name):
        if part in name and not seen:
            seen.append(name)
            raise error

    return step


@pytest.mark.parametrize("part", ["X written", "obs/site/values grown", "flushed", "before the"])
def test_ctrl_c_leaves_a_valid_store(path, tmp_path, part):
    """An interrupt in the middle of an append loses that append only, and a rerun completes it."""
    store_toy.make(path, 5)

    with (
        pytest.raises(KeyboardInterrupt, match="now"),
        open_writer(path, step=interrupt_at(part, KeyboardInterrupt("now"))) as writer,
    ):
        writer.append(*store_toy.rows(5, 12))

    assert StoreReader(path).n_rows == 5
    assert verify_store(path) == ()
    with open_writer(path) as writer:
        writer.append(*store_toy.rows(5, 12))
    assert store_toy.snapshot(path) == undisturbed(tmp_path, 12)


@pytest.mark.parametrize("part", ["X written", "obs/site/values written", "flushed"])
def test_the_same_writer_can_go_on(path, tmp_path, part):
    """After a failed append the same writer appends fewer rows, and no ghost of it is left."""
    store_toy.make(path, 5)

    with open_writer(path, step=interrupt_at(part, OSError(errno.ENOSPC, "full"))) as writer:
        with pytest.raises(StoreWriteError, match="the disk is full: free some space"):
            writer.append(*store_toy.rows(5, 13))
        writer.append(*store_toy.rows(5, 6))

    assert store_toy.snapshot(path) == undisturbed(tmp_path, 6)


def test_a_failed_rewrite_changes_nothing(path):
    """A rewrite that fails half way leaves the present generation and can be tried again."""
    store_toy.make(path, 7)
    before = store_toy.snapshot(path)
    embeddings, obs = store_toy.rows(0, 7, generation=2)
    new = obs, store_toy.KINDS, np.arange(7)

    step = interrupt_at("block copied", OSError(errno.EDQUOT, "quota"))
    with open_writer(path, step=step) as writer:
        with pytest.raises(StoreWriteError, match="quota is used up"):
            writer.rewrite(*new, replaced=dict(enumerate(embeddings)))
        assert store_toy.snapshot(path) == before
        writer.rewrite(*new, replaced=dict(enumerate(embeddings)))

    np.testing.assert_array_equal(StoreReader(path).embeddings(), embeddings)
    assert sorted(file.name for file in paths.cache_folder(path).iterdir()) == ["lock"]


def test_a_disk_that_fills_up(path, tmp_path, monkeypatch):
    """When a chunk cannot be written, the message says why and the rerun is complete."""
    store_toy.make(path, 5)
    real = chunks.replace_file

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with open_writer(path) as writer:
        monkeypatch.setattr(chunks, "replace_file", full)
        with pytest.raises(StoreWriteError, match=r"cannot write cohort\.zarr: the disk is full"):
            writer.append(*store_toy.rows(5, 9))
        monkeypatch.setattr(chunks, "replace_file", real)
    with open_writer(path) as writer:
        writer.append(*store_toy.rows(5, 9))

    assert store_toy.snapshot(path) == undisturbed(tmp_path, 9)


def in_child(action):
    """What a fork's action says it raised: "Name: message", or "" when all went well."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        said = ""
        try:
            action()
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(child, 0)
    return said


def test_a_file_size_limit(path):
    """A file that may not grow (RLIMIT_FSIZE) is one clear line, and the store stays whole."""
    store_toy.make(path, 5)
    before = store_toy.snapshot(path)

    def append():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        with open_writer(path) as writer:
            writer.append(*store_toy.rows(5, 9))

    assert "StoreWriteError: cannot write cohort.zarr: a file grew past" in in_child(append)
    assert StoreReader(path).n_rows == 5
    with open_writer(path):
        pass
    assert store_toy.snapshot(path) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_read_only_folder(tmp_path):
    """Without the right to write, reading works and writing is refused in one line."""
    for folder in (tmp_path, *tmp_path.parents):
        mode = folder.stat().st_mode
        if mode & 0o005 != 0o005:  # pytest's own folders, as many as there are
            folder.chmod(mode | 0o055)
    path = store_toy.make(tmp_path / "cohort.zarr", 3)

    def read_then_write():
        os.setuid(65534)
        assert StoreReader(path).embeddings().shape == (3, store_toy.WIDTH)
        with open_writer(path):
            pass

    said = in_child(read_then_write)
    assert said.startswith("StoreWriteError: cannot write cohort.zarr: no permission")


def start_holder(path):
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, path], stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    return holder


def test_a_second_writer_is_told_who_writes(path):
    """A second writer gets the first one's process and host; a killed one leaves no lock."""
    store_toy.make(path, 2)
    holder = start_holder(path)
    try:
        with (
            pytest.raises(
                StoreLockedError, match=rf"process {holder.pid} on {os.uname().nodename}"
            ),
            open_writer(path),
        ):
            pass
        assert StoreReader(path).n_rows == 2
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()

    with open_writer(path) as writer:
        writer.append(*store_toy.rows(2, 3))
    assert StoreReader(path).n_rows == 3


def test_two_writers_in_one_process(path):
    """The lock also holds inside one process."""
    with (
        open_writer(path),
        pytest.raises(StoreLockedError, match=f"process {os.getpid()}"),
        open_writer(path),
    ):
        pass


def test_two_names_of_one_store_share_the_lock(path, tmp_path):
    """A link to a store is the store: same lock, and a swap leaves the link a link."""
    store_toy.make(path, 2)
    link = tmp_path / "elsewhere/link.zarr"
    link.parent.mkdir()
    link.symlink_to(path)

    with open_writer(link) as writer:
        with pytest.raises(StoreLockedError, match="is being written"), open_writer(path):
            pass
        writer.compact()

    assert link.is_symlink()
    assert StoreReader(link).generation == 2
    assert sorted(file.name for file in link.parent.iterdir()) == ["link.zarr"]


def test_nothing_there(path):
    """A store that is not there is said to be missing, with the command that makes it there."""
    command = re.escape(f"learner-index build MANIFEST -o {path}")
    with pytest.raises(StoreNotFoundError, match=command):
        StoreReader(path)
    with pytest.raises(FileNotFoundError, match=r"no store cohort\.zarr"):
        verify_store(path)


@pytest.mark.parametrize("opened", [StoreReader, verify_store, open_writer])
def test_something_else_there(path, opened):
    """A folder or file that is no store is refused, and nothing in it is touched."""

    def use():
        found = opened(path)
        if opened is open_writer:
            with found:
                pass

    path.mkdir()
    (path / "thesis.txt").write_text("all my work")
    with pytest.raises(StoreFormatError, match="is a folder, but no store"):
        use()
    (path / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group", "attributes": {}}')
    with pytest.raises(StoreFormatError, match="is no store of this program"):
        use()
    (path / "zarr.json").write_text("{")
    with pytest.raises(StoreFormatError, match="is no store of this program"):
        use()
    assert (path / "thesis.txt").read_text() == "all my work"
    (path / "thesis.txt").unlink()
    (path / "zarr.json").unlink()
    path.rmdir()
    path.write_text("a file")
    with pytest.raises(StoreFormatError, match="is a file, but no store"):
        use()
    assert path.read_text() == "a file"


@pytest.mark.parametrize("name", ["cohort", "cohort.zip", ".zarr"])
def test_a_name_without_zarr_is_refused(tmp_path, name):
    """The folder's name must end in .zarr, so that its cache has a name of its own."""
    with pytest.raises(StoreError, match="is no store name"), open_writer(tmp_path / name):
        pass

    assert list(tmp_path.iterdir()) == []


def test_create_does_not_replace(path):
    """Creating over a store is refused."""
    store_toy.make(path, 2)

    with open_writer(path) as writer, pytest.raises(StoreExistsError, match="there already"):
        writer.create(store_toy.WIDTH, store_toy.KINDS, {})


def test_a_width_of_nothing(path):
    """Embeddings of no values are refused."""
    with open_writer(path) as writer, pytest.raises(StoreFormatError, match="at least one value"):
        writer.create(0, store_toy.KINDS, {})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda e, o: (e[:, :3], o), "do not fit 2 rows of width 4"),
        (lambda e, o: (e[:1], o), "do not fit 2 rows"),
        (lambda e, o: (e * np.nan, o), "must be finite"),
        (lambda e, o: (e, o.drop(columns="day")), "differ from the store's in day"),
        (lambda e, o: (e, o.assign(age=1)), "differ from the store's in age"),
        (lambda e, o: (e, o.assign(scan_id=["scan0", "new"])), "would hold scan scan0 twice"),
        (lambda e, o: (e, o.assign(scan_id="new")), "would hold scan new twice"),
    ],
)
def test_rows_that_do_not_fit(path, change, said):
    """Rows of another width, other columns, not finite or there already are refused."""
    store_toy.make(path, 2)
    before = store_toy.snapshot(path)

    with open_writer(path) as writer, pytest.raises(StoreFormatError, match=said):
        writer.append(*change(*store_toy.rows(2, 4)))

    assert store_toy.snapshot(path) == before


def test_a_stopped_writer_writes_no_more(path):
    """Once a block of writing was left, not even a task left running can write into the store."""
    from learner_index.store.durable import writable_group

    store_toy.make(path, 2)
    with writable_group(path) as group:
        array = group["obs/day"]

    with pytest.raises(RuntimeError, match="interrupted"):
        array[:] = 0

    assert StoreReader(path).obs()["day"].tolist() == [1000.0, 1001.0]


def test_files_are_flushed_before_they_get_their_names(path, monkeypatch):
    """No file takes the place of another before its bytes are on the disk; the root comes last."""
    store_toy.make(path, 2)
    flushed, renamed = set(), []
    real_sync, real_replace = os.fsync, Path.replace

    def sync(handle):
        flushed.add(str(Path(f"/proc/self/fd/{handle}").readlink()))
        real_sync(handle)

    def replace(self, target):
        assert str(self) in flushed
        renamed.append(Path(target).relative_to(path).as_posix())
        if target == path / "zarr.json":
            folders = {(path / name).parent for name in renamed[:-1]}
            assert {str(folder) for folder in folders} <= flushed
        return real_replace(self, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", replace)
    with open_writer(path) as writer:
        writer.append(*store_toy.rows(2, 4))

    assert renamed[-1] == "zarr.json"
    assert "X/c/0/0" in renamed
    assert "obs/day/c/0" in renamed
    assert str(path) in flushed


def test_a_swap_cut_in_two_is_waited_for(path, monkeypatch):
    """Between two renames a reader waits; when nobody comes, it says what finishes the swap."""
    monkeypatch.setattr("learner_index.store.commit.SWAP_WAIT_S", 0.05)
    store_toy.make(path, 2)
    cache = paths.cache_folder(path)
    path.rename(cache / "previous.zarr")

    started = time.monotonic()
    with pytest.raises(StoreNotFoundError, match="run `learner-index build` again, it finishes"):
        StoreReader(path)
    assert time.monotonic() - started >= 0.05

    with open_writer(path):
        pass
    assert StoreReader(path).n_rows == 2


def test_a_damaged_tail_chunk_is_named(path):
    """An append onto a chunk that was altered stops and names it."""
    store_toy.make(path, 2)
    chunk = path / "X/c/0/0"
    chunk.write_bytes(chunk.read_bytes()[:-9])

    with open_writer(path) as writer, pytest.raises(StoreDamagedError, match="X/c/0/0"):
        writer.append(*store_toy.rows(2, 3))

    assert StoreReader(path).n_rows == 2
