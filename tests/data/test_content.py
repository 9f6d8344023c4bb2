"""Content hashes and the memory of them."""

import hashlib
import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from learner_index.data import content
from learner_index.data.content import HashCache, content_hash
from learner_index.errors import ScanError, ScanNotFoundError

LONG_AGO_NS = 1_600_000_000 * 10**9


def old_file(path: Path, data: bytes, age: int = 0) -> Path:
    """A file whose time stamp is settled."""
    path.write_bytes(data)
    os.utime(path, ns=(LONG_AGO_NS + age, LONG_AGO_NS + age))
    return path


@pytest.fixture
def reads(monkeypatch):
    """Paths whose content was really read."""
    seen = []
    real = content.content_hash
    monkeypatch.setattr(content, "content_hash", lambda path: (seen.append(path), real(path))[1])
    return seen


def test_hash_of_a_file_is_blake2b_of_its_bytes(tmp_path):
    """Anyone can recompute it: `b2sum --length 128 FILE`."""
    data = b"x" * 3_000_000
    (tmp_path / "a").write_bytes(data)

    assert content_hash(tmp_path / "a") == hashlib.blake2b(data, digest_size=16).hexdigest()


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(one=st.binary(max_size=8), other=st.binary(max_size=8))
def test_hashes_are_equal_just_when_bytes_are(tmp_path, one, other):
    """Equal bytes have one hash, different bytes two, for files and for folders of one file."""
    for name, data in (("one", one), ("other", other)):
        folder = tmp_path / f"{name}_dir"
        folder.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
        (folder / "f").write_bytes(data)

    is_equal = one == other
    assert (content_hash(tmp_path / "one") == content_hash(tmp_path / "other")) == is_equal
    assert (content_hash(tmp_path / "one_dir") == content_hash(tmp_path / "other_dir")) == is_equal
    assert content_hash(tmp_path / "one") != content_hash(tmp_path / "one_dir")


def test_folder_hash_covers_names_but_not_hidden_files(tmp_path):
    """Renaming a file changes a folder's hash; hidden files, folders and the order do not."""
    for name, files in (("a", ["x/1", "2"]), ("b", ["2", "x/1"]), ("c", ["x1", "2"])):
        for file in files:
            (tmp_path / name / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / file).write_text(file[-1])
    (tmp_path / "b/.hidden").write_text("h")
    (tmp_path / "b/.git").mkdir()
    (tmp_path / "b/.git/z").write_text("h")

    assert content_hash(tmp_path / "a") == content_hash(tmp_path / "b")
    assert content_hash(tmp_path / "a") != content_hash(tmp_path / "c")


def test_folder_with_a_loop_is_hashed(tmp_path):
    """A link back to the folder is neither followed nor hashed; a link to a file is read."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a/f").write_text("f")
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain/f").write_text("f")
    (tmp_path / "a/loop").symlink_to(tmp_path / "a")

    assert content_hash(tmp_path / "a") == content_hash(tmp_path / "plain")


def test_missing_scan_is_told(tmp_path):
    """Nothing at the path is a scan not found, by hash and by cache, the latter with its id."""
    with pytest.raises(ScanNotFoundError, match="no file or folder"):
        content_hash(tmp_path / "a")
    with pytest.raises(ScanNotFoundError, match="no file or folder"):
        HashCache(tmp_path / "c").hash("s1", tmp_path / "a")


def test_unreadable_scan_is_told(tmp_path, monkeypatch):
    """A refusal of the operating system becomes an error of the scan."""
    old_file(tmp_path / "a", b"a")

    def refuse(*_args, **_more):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(ScanError, match=r"cannot be read \(Permission denied\)"):
        content_hash(tmp_path / "a")
    monkeypatch.setattr("os.stat", refuse)
    with pytest.raises(ScanError, match=r"cannot be read \(Permission denied\)"):
        HashCache(tmp_path / "c").hash("s1", tmp_path / "a")


def test_unchanged_files_are_not_read_again(tmp_path, reads):
    """A second run with the saved cache reads no file and gives the same hashes."""
    path = old_file(tmp_path / "a", b"a")
    folder = tmp_path / "series"
    folder.mkdir()
    old_file(folder / "1.dcm", b"1")
    first = HashCache.load(tmp_path / "sub/hashes.json")
    found = [first.hash("s1", path), first.hash("s2", folder)]
    first.save()
    reads.clear()

    again = HashCache.load(tmp_path / "sub/hashes.json")

    assert [again.hash("s1", path), again.hash("s2", folder)] == found
    assert reads == []


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=st.binary(max_size=4), after=st.binary(max_size=4), age=st.integers(0, 1))
def test_changed_files_are_noticed(tmp_path, before, after, age):
    """A file with another size or time is hashed anew."""
    cache = HashCache(tmp_path / "c")
    cache.hash("s", old_file(tmp_path / "a", before))

    old_file(tmp_path / "a", after, age)

    if len(before) != len(after) or age:
        assert cache.hash("s", tmp_path / "a") == content_hash(tmp_path / "a")


def test_changed_file_in_a_folder_is_noticed(tmp_path):
    """A series with an added or altered file is hashed anew."""
    folder = tmp_path / "series"
    folder.mkdir()
    old_file(folder / "1", b"1")
    cache = HashCache(tmp_path / "c")
    seen = {cache.hash("s", folder)}

    old_file(folder / "2", b"2")
    seen.add(cache.hash("s", folder))
    old_file(folder / "2", b"3", age=1)
    seen.add(cache.hash("s", folder))

    assert len(seen) == 3


def test_other_file_under_the_same_id_is_noticed(tmp_path):
    """The stamp holds the inode, so another file of the same size and time is hashed anew."""
    cache = HashCache(tmp_path / "c")
    one, other = old_file(tmp_path / "a", b"a"), old_file(tmp_path / "b", b"b")

    assert cache.hash("s", one) != cache.hash("s", other)


def test_moved_folders_stay_known(tmp_path, reads):
    """After the cohort's folder got another name, neither files nor folders are read again."""
    (tmp_path / "before/series").mkdir(parents=True)
    old_file(tmp_path / "before/a", b"a")
    old_file(tmp_path / "before/series/1.dcm", b"1")
    cache = HashCache(tmp_path / "c")
    found = [cache.hash(name, tmp_path / "before" / name) for name in ("a", "series")]
    reads.clear()

    (tmp_path / "before").rename(tmp_path / "after")

    assert [cache.hash(name, f"{tmp_path}/after/{name}") for name in ("a", "series")] == found
    assert reads == []


def test_remembers_by_stamp_without_a_look(tmp_path):
    """A known id with its stamp gives the hash though the file is gone; all else gives ""."""
    path = old_file(tmp_path / "a", b"a")
    stamp = content.file_stamp(path.stat())
    cache = HashCache(tmp_path / "c")
    found = cache.hash("s", path)
    path.unlink()

    stamps = [stamp, "1:2:3", "", stamp]
    assert cache.remembered(["s", "s", "s", "t"], stamps) == [found, "", "", ""]


def test_young_files_are_not_trusted(tmp_path, reads):
    """A file written just now may change within the clock's grain, so it is read again."""
    (tmp_path / "a").write_bytes(b"a")
    cache = HashCache(tmp_path / "c")

    cache.hash("s", tmp_path / "a")
    cache.hash("s", tmp_path / "a")

    assert len(reads) == 2


def test_cache_holds_no_path(tmp_path):
    """The saved file has scan ids and hashes only."""
    cache = HashCache(tmp_path / "c")
    cache.hash("s1", old_file(tmp_path / "meyer.png", b"a"))
    cache.save()

    text = (tmp_path / "c").read_text()
    assert "meyer" not in text
    assert "s1" in text
    assert [path.name for path in tmp_path.iterdir() if "tmp" in path.name] == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "7",
        '{"version": 1, "hashes": {"s": ["a", "b"]}}',
        '{"version": 2}',
        '{"version": 2, "scan_ids": ["s"], "stamps": ["a"], "hashes": []}',
        '{"version": 2, "scan_ids": ["s"], "stamps": [1], "hashes": [2]}',
        '{"version": 2, "scan_ids": "s", "stamps": "a", "hashes": "b"}',
        '{"version": 2, "scan_ids": [["s"]], "stamps": ["a"], "hashes": ["b"]}',
        "\xff",
    ],
)
def test_corrupt_cache_is_discarded(tmp_path, text):
    """Whatever the cache's file holds, loading starts afresh and saving mends it."""
    file = tmp_path / "c"
    file.write_bytes(text.encode("latin-1"))
    path = old_file(tmp_path / "a", b"a")

    cache = HashCache.load(file)
    assert cache.hash("s", path) == content_hash(path)
    cache.save()

    assert json.loads(file.read_text())["scan_ids"] == ["s"]


def test_nothing_new_writes_nothing(tmp_path):
    """A cache without changes leaves its file alone."""
    HashCache.load(tmp_path / "c").save()

    assert not (tmp_path / "c").exists()


def test_settled_time_is_measured_from_the_reading(tmp_path, monkeypatch, reads):
    """Once two seconds have passed since a file's change, it is remembered."""
    path = tmp_path / "a"
    path.write_bytes(b"a")
    now = time.time_ns()
    monkeypatch.setattr("time.time_ns", lambda: now + 5 * 10**9)
    cache = HashCache(tmp_path / "c")

    cache.hash("s", path)
    cache.hash("s", path)

    assert len(reads) == 1
