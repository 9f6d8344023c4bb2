"""Visits kept in a store's cache: read again where they still hold, made anew where they do not."""

import io
import json
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner_index.analysis.transitions import MODES
from learner_index.pipeline.progression import cache as module
from learner_index.pipeline.progression.cache import VisitCache
from learner_index.pipeline.progression.visits import patient_numbers, visit_arrays
from tests.pipeline.progression.changes_toy import (
    assert_same,
    cohort,
    embeddings_of,
    known,
    scans,
)

REFERENCE = "uns/reference/zarr.json"
SEEDS = st.integers(0, 2**32 - 1)
X, OBS = cohort(3, patients=4)


@pytest.fixture(autouse=True, scope="module")
def no_flushing():
    """A test's disk need not survive a power cut."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda handle: None)
        yield


@pytest.fixture
def store(tmp_path):
    """All of a store that the cache looks at."""
    return make_folder(tmp_path)


def make_folder(folder):
    path = folder / "cohort.zarr"
    (path / "uns" / "reference").mkdir(parents=True)
    (path / "uns" / "reference" / "zarr.json").write_text("{}")
    return path


def ask(store, x=X, obs=OBS, *, generation=1, fingerprint="f", modality="", mode="consecutive"):
    cache = VisitCache(store, generation, fingerprint)
    return cache.visits(x, obs, known(x.shape[1]), modality=modality, mode=mode)


def full(x=X, obs=OBS, mode="consecutive"):
    return visit_arrays(x, obs, patient_numbers(obs)[0], known(x.shape[1]), mode)


def kept(store):
    """Every file in the cache."""
    return sorted(file for file in store.with_suffix(".cache").rglob("*") if file.is_file())


@pytest.fixture
def made(monkeypatch):
    """How many scans visits were made of, each time they were."""
    calls = []

    def counting(embeddings, *rest):
        calls.append(len(embeddings))
        return visit_arrays(embeddings, *rest)

    monkeypatch.setattr(module, "visit_arrays", counting)
    return calls


@settings(max_examples=25, deadline=None)
@given(
    seed=SEEDS,
    mode=st.sampled_from(MODES),
    shares=st.lists(st.floats(0, 1), min_size=1, max_size=3),
)
def test_growing_in_any_steps_equals_a_full_pass(seed, mode, shares):
    """Whatever rows came when, the kept visits are those of all rows, to the last bit."""
    x, obs = cohort(seed)
    with tempfile.TemporaryDirectory() as folder:
        store = make_folder(Path(folder))

        for n in sorted(round(share * len(x)) for share in shares):
            found = ask(store, x[:n], obs.iloc[:n], mode=mode)
            assert_same(found, full(x[:n], obs.iloc[:n], mode))
        found = ask(store, x, obs, mode=mode)

    assert_same(found, full(x, obs, mode))


def test_a_second_opening_reads_the_file(store, made):
    """Nothing is made again, and the file is not written again."""
    first = ask(store)
    before = kept(store)[0].stat().st_mtime_ns

    second = ask(store)

    assert made == [len(X)]
    assert_same(second, first)
    assert [file.stat().st_mtime_ns for file in kept(store)] == [before]


def test_appended_rows_remake_their_patients_alone(store, made):
    """One scan more of a patient: that patient's visits are made again, no others."""
    obs = scans(("a", 0.0), ("b", 0.0), ("b", 5.0), ("c", 0.0), ("a", 9.0))
    x = embeddings_of(5, 3, 0)

    ask(store, x[:4], obs.iloc[:4])
    ask(store, x, obs)
    ask(store, x, obs)

    assert made == [4, 2]


def test_modalities_and_pairings_are_kept_apart(store, made):
    """One file each, under names that any modality may have."""
    asked = [("", "all"), ("", "baseline"), ("a/b", "all"), ("../x", "all"), ("µ", "all")]

    for modality, mode in asked * 2:
        assert_same(ask(store, modality=modality, mode=mode), full(mode=mode))

    assert len(made) == len(kept(store)) == len(asked)
    assert {file.parent for file in kept(store)} == {store.with_suffix(".cache") / "changes"}


@pytest.mark.parametrize("other", [{"generation": 2}, {"fingerprint": "g"}])
def test_another_state_is_made_anew(store, other):
    """A rewritten store or another reference: kept visits of the former are no use."""
    ask(store, X + 1)

    assert_same(ask(store, **other), full())
    assert_same(ask(store, **other), full())


def test_a_store_built_again_in_the_same_place_is_another(store, made):
    """Same generation, same fingerprint, even the same file: the folder itself is a new one."""
    ask(store, X + 1)
    old = store.rename(store.with_name("old.zarr"))
    make_folder(store.parent)
    (store / REFERENCE).unlink()
    os.link(old / REFERENCE, store / REFERENCE)

    found = ask(store)

    assert made == [len(X)] * 2
    assert_same(found, full())


def test_a_folder_with_the_number_of_a_deleted_one_is_another(store, made):
    """File systems give numbers again; then the reference's time tells."""
    ask(store, X + 1)
    reference = store / REFERENCE
    os.utime(reference, ns=(0, reference.stat().st_mtime_ns + 1))

    assert_same(ask(store), full())
    assert len(made) == 2


def test_a_store_deleted_and_built_again_is_another(store):
    """What a person does who starts over, the cache left where it was."""
    ask(store, X + 1)
    shutil.rmtree(store)
    make_folder(store.parent)

    assert_same(ask(store), full())


def test_what_another_version_kept_is_made_anew(store, monkeypatch):
    """Its arrays may mean something else."""
    ask(store, X + 1)
    monkeypatch.setattr(module, "_VERSION", module._VERSION + 1)

    assert_same(ask(store), full())


def test_an_older_state_than_the_kept_one(store):
    """Opened before an append that another process already keeps: its own rows are answered."""
    ask(store)

    assert_same(ask(store, X[:9], OBS.iloc[:9]), full(X[:9], OBS.iloc[:9]))
    assert_same(ask(store), full())


def _arrays(file):
    with np.load(file) as found:
        return dict(found)


def _rewritten(file, **changes):
    arrays = _arrays(file) | changes
    np.savez(file, **{name: value for name, value in arrays.items() if value is not None})


def _about(file, **changes):
    about = json.loads(str(_arrays(file)["about"])) | changes
    _rewritten(file, about=np.array(json.dumps(about)))


BROKEN = {
    "empty": lambda file: file.write_bytes(b""),
    "garbage": lambda file: file.write_bytes(b"PK\x03\x04" + bytes(range(256)) * 9),
    "text": lambda file: file.write_text("hello"),
    "one array": lambda file: file.write_bytes(_npy()),
    "foreign archive": lambda file: np.savez(file, about=np.array("[]"), other=np.arange(3)),
    "about no text": lambda file: _rewritten(file, about=np.arange(3)),
    "about no mapping": lambda file: _rewritten(file, about=np.array("7")),
    "an array too few": lambda file: _rewritten(file, score=None),
    "an array too many": lambda file: _rewritten(file, more=np.arange(2)),
    "pickled": lambda file: _rewritten(file, score=np.array([{}, None], object)),
    "another pairing": lambda file: _about(file, mode="all"),
    "another modality": lambda file: _about(file, modality="CT"),
    "folder": lambda file: (file.unlink(), file.mkdir()),
}


def _npy():
    held = io.BytesIO()
    np.save(held, np.arange(3))
    return held.getvalue()


@pytest.mark.parametrize("how", BROKEN)
def test_what_cannot_be_used_is_made_anew(store, made, how):
    """Torn, foreign or unsafe: no error, and the right answer, of the present scans."""
    ask(store, X + 1)
    BROKEN[how](kept(store)[0])

    assert_same(ask(store), full())

    assert made == [len(X)] * 2


def test_a_file_cut_short_is_made_anew(store):
    """Wherever it ends; nothing is left open either."""
    ask(store)
    file = kept(store)[0]
    content = file.read_bytes()

    for stop in range(len(content) - 1, 0, -61):
        file.write_bytes(content[:stop])
        assert VisitCache(store, 1, "f")._read(file, "", "consecutive", len(X)) is None

    assert_same(ask(store), full())


def test_a_flipped_bit_never_stops_an_answer(store):
    """Any bit of the archive's own bytes: read as it was, or made anew, never an error."""
    ask(store)
    file, expected = kept(store)[0], full()
    content, rng = file.read_bytes(), np.random.default_rng(0)
    directory = content.index(b"PK\x01\x02")
    places = np.concatenate(
        [rng.integers(0, len(content), 150), rng.integers(directory, len(content), 150)]
    )

    for place in places:
        torn = bytearray(content)
        torn[place] ^= 1 << int(rng.integers(8))
        file.write_bytes(torn)
        found = VisitCache(store, 1, "f")._read(file, "", "consecutive", len(X))
        if found is not None:
            assert_same(found, expected)


@pytest.mark.parametrize(
    ("field", "value"),
    [(6, 99), (8, 1), (8, 32), (10, 8), (10, 99)],
    ids=["later version", "encrypted", "patched", "packed", "unknown packing"],
)
def test_an_archive_of_another_kind_is_made_anew(store, made, field, value):
    """Entries that say they are what this program never writes."""
    ask(store)
    file = kept(store)[0]
    content = bytearray(file.read_bytes())
    content[content.index(b"PK\x01\x02") + field] = value
    file.write_bytes(content)

    assert_same(ask(store), full())

    assert made == [len(X)] * 2


def test_a_cache_that_cannot_be_made_is_done_without(store, made):
    """A file lies where the cache's folder should be."""
    store.with_suffix(".cache").write_text("in the way")

    assert_same(ask(store), full())
    assert_same(ask(store), full())

    assert len(made) == 2


@pytest.mark.parametrize("error", [PermissionError, OSError], ids=["read-only", "disk full"])
def test_a_cache_that_cannot_be_written_is_done_without(store, monkeypatch, error):
    """The answer comes all the same, and no half of a file stays."""

    def refuse(handle):
        raise error("no")

    monkeypatch.setattr("os.fsync", refuse)

    assert_same(ask(store), full())
    assert kept(store) == []


def test_a_store_without_a_reference_keeps_nothing(store):
    """Nothing says whose means were subtracted."""
    (store / REFERENCE).unlink()

    assert_same(ask(store), full())
    assert kept(store) == []


def test_no_temporary_file_stays(store):
    """After writing, growing and replacing there is one file."""
    ask(store, X[:9], OBS.iloc[:9])
    ask(store)
    ask(store, generation=2)

    assert [file.suffix for file in kept(store)] == [".npz"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-32-le"])
def test_no_id_is_kept(store, encoding):
    """Neither patients nor scans are named in the file or its name."""
    obs = scans(("SECRET-ANNA", 0.0), ("SECRET-ANNA", 1.0), ("SECRET-BOB", 0.0))
    obs["scan_id"] = ["SECRET-1", "SECRET-2", "SECRET-3"]

    ask(store, embeddings_of(3, 3, 0), obs)

    (file,) = kept(store)
    assert "SECRET" not in file.name
    assert "consecutive".encode("utf-32-le") in file.read_bytes()  # text would be found
    assert "SECRET".encode(encoding) not in file.read_bytes()
