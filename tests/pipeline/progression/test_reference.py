"""The whole reference: whom it rests on, what its fingerprint tells, its way through a store."""

from dataclasses import fields, is_dataclass, replace

import numpy as np
import pandas as pd
import pytest

from learner_index.errors import NotEnoughDataError
from learner_index.pipeline.progression.reference import (
    column_or,
    fit_whole_reference,
    rows_by_modality,
)
from learner_index.search.reference import fit_reference
from learner_index.store.reader import StoreReader
from learner_index.store.writer import open_writer
from tests.pipeline.progression.changes_toy import followed_cohort, make_store, scans

X, OBS = followed_cohort()
FITTED = ["p0", "p1", "p2", "p3", "p4", "p5"]


@pytest.fixture(autouse=True, scope="module")
def no_flushing():
    """A test's disk need not survive a power cut."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda handle: None)
        yield


@pytest.fixture(scope="module")
def whole():
    """The reference of everyone."""
    return fit_whole_reference(X, OBS)


def require_equal(found, expected, where="reference"):
    """Every field of two records, to the last bit."""
    assert type(found) is type(expected), where
    if is_dataclass(expected):
        for field in fields(expected):
            name = field.name
            require_equal(getattr(found, name), getattr(expected, name), f"{where}.{name}")
    elif isinstance(expected, dict):
        assert list(found) == list(expected), where
        for key in expected:
            require_equal(found[key], expected[key], f"{where}[{key!r}]")
    elif isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype, where
        np.testing.assert_array_equal(found, expected, err_msg=where)
    else:
        assert found == expected or (found != found and expected != expected), where


def changed(column, row, value):
    """The columns with one cell changed."""
    obs = OBS.copy()
    obs.loc[row, column] = value
    return obs


def row_of(patient):
    return int(np.flatnonzero(OBS["patient_id"] == patient)[0])


def test_all_that_is_known_is_fitted(whole):
    """Means as a search has them; visits, repeats and an axis of the one modality there is."""
    known = whole.changes[""]

    assert list(whole.changes) == [""]
    np.testing.assert_array_equal(whole.mean, fit_reference(X, OBS["patient_id"], None).mean)
    assert (known.n_visits, known.n_transitions, known.n_patients) == (24, 16, 8)
    assert (known.noise.n_patients, known.noise.is_independent) == (8, True)
    assert known.axis.direction[0] > 0.8


def test_others_change_nothing():
    """It rests on named patients alone: whatever others' rows hold, or whether there are any."""
    is_fitted = OBS["patient_id"].isin(FITTED).to_numpy(bool)
    expected = fit_whole_reference(X[is_fitted], OBS[is_fitted].reset_index(drop=True))
    x, obs = X.copy(), OBS.copy()
    x[~is_fitted] = 1e6
    obs.loc[~is_fitted, "health_score"] = -99.0
    obs.loc[~is_fitted, "day"] = 0.0
    obs.loc[~is_fitted, "view"] = "R9"

    found = fit_whole_reference(x, obs, FITTED)

    require_equal(found, expected)
    assert found.patients == tuple(FITTED)


def test_patients_without_a_row_of_a_modality_add_none():
    """A modality that only others have is not known."""
    obs = OBS.assign(modality=np.where(OBS["patient_id"] == "p7", "CT", "US"))

    found = fit_whole_reference(X, obs, FITTED)

    assert list(found.changes) == ["US"]


def test_the_same_rows_give_the_same_bytes(whole):
    """Draws and folds are seeded."""
    require_equal(fit_whole_reference(X, OBS), whole)


@pytest.mark.parametrize(
    ("column", "value"), [("health_score", 1.0), ("day", 400.0), ("rescan", False), ("view", "R1")]
)
def test_a_cell_of_a_reference_patient_counts(whole, column, value):
    """A score, a day, a repeat's mark or a view: another fingerprint."""
    found = fit_whole_reference(X, changed(column, row_of("p1") + 1, value))

    np.testing.assert_array_equal(found.mean, whole.mean)
    assert found.fingerprint != whole.fingerprint


def test_an_embedding_of_a_reference_patient_counts(whole):
    """By as little as float32 can tell, in what only the changes see: two scans swap."""
    x, row = X.copy(), row_of("p1")
    x[[row, row + 2]] = x[[row + 2, row]]

    found = fit_whole_reference(x, OBS)

    np.testing.assert_allclose(found.mean, whole.mean)
    assert found.fingerprint != whole.fingerprint


@pytest.mark.parametrize(("column", "value"), [("health_score", 1.0), ("day", 400.0)])
def test_a_cell_of_another_patient_does_not_count(column, value):
    """The fingerprint is that of the patients it names."""
    found = fit_whole_reference(X, changed(column, row_of("p7"), value), FITTED)

    assert found.fingerprint == fit_whole_reference(X, OBS, FITTED).fingerprint


def _leaves(record, path=()):
    """Where each field lies, inner records' included."""
    for field in fields(record):
        value = getattr(record, field.name)
        if is_dataclass(value):
            yield from _leaves(value, (*path, field.name))
        else:
            yield (*path, field.name)


def _altered(record, path):
    """The record with one field another."""
    value = getattr(record, path[0])
    if len(path) > 1:
        return replace(record, **{path[0]: _altered(value, path[1:])})
    if isinstance(value, dict):
        other = {key: array + 1 for key, array in value.items()}
    elif isinstance(value, tuple):
        other = (*value, "more")
    elif isinstance(value, bool):
        other = not value
    elif value is None:
        other = 0.5
    else:
        other = value + 1
    return replace(record, **{path[0]: other})


def test_every_field_counts_into_the_fingerprint(whole, monkeypatch):
    """Whatever differs in what is known of changes, the fingerprint does."""
    known = whole.changes[""]
    module = "learner_index.pipeline.progression.reference._fit_changes"
    paths = [*_leaves(known)]

    seen = {whole.fingerprint}
    for path in paths:
        monkeypatch.setattr(module, lambda *rows, path=path: _altered(known, path))
        seen.add(fit_whole_reference(X, OBS).fingerprint)

    assert len(paths) > 25
    assert len(seen) == len(paths) + 1


def test_the_name_of_a_modality_counts(whole):
    """The same scans under another name."""
    found = fit_whole_reference(X, OBS.assign(modality="US"))

    assert found.fingerprint != whole.fingerprint


def test_nothing_known_of_changes_leaves_the_means_fingerprint():
    """One patient: a search's reference as it always was."""
    obs = scans(("a", 0.0), ("a", 1.0))
    x = X[:2]

    found = fit_whole_reference(x, obs)

    assert found.changes == {}
    assert found.fingerprint == fit_reference(x, obs["patient_id"], None).fingerprint


def test_refuses_patients_without_scans():
    """Nobody to fit on."""
    with pytest.raises(NotEnoughDataError, match="no scans to fit a reference on"):
        fit_whole_reference(X, OBS, ["nobody"])


def test_rows_of_each_modality():
    """In alphabetical order; a missing one, or a missing column, is ""."""
    obs = pd.DataFrame({"modality": pd.array(["US", None, "CT", "US"], "string")})

    found = {name: rows.tolist() for name, rows in rows_by_modality(obs).items()}

    assert list(found.items()) == [("", [1]), ("CT", [2]), ("US", [0, 3])]
    assert rows_by_modality(obs[[]])[""].tolist() == [0, 1, 2, 3]


def test_columns_that_may_be_missing():
    """Numbers and flags, cell by cell or as a whole."""
    obs = pd.DataFrame({"day": [1.0, np.nan], "rescan": pd.array([True, None], "boolean")})

    assert column_or(obs, "day", 7.0).tolist() == [1, 7]
    assert column_or(obs, "rescan", False).tolist() == [True, False]
    assert column_or(obs, "score", 7.0).tolist() == [7, 7]
    assert column_or(obs, "other", False).dtype == bool


@pytest.mark.parametrize("refit", [False, True], ids=["first", "refitted"])
def test_a_store_gives_it_back(tmp_path, whole, refit):
    """Written when the first build ends, or in place of another: every field to the last bit."""
    obs = OBS.assign(content_hash="0")
    first = fit_whole_reference(X, OBS, FITTED) if refit else whole
    path = make_store(tmp_path / "cohort.zarr", X, obs, first)
    if refit:
        with open_writer(path) as writer:
            writer.add_reference(whole)

    require_equal(StoreReader(path).reference(), whole)
