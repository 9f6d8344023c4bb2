"""The reference: patient-balanced means, a fingerprint of everything, and the drift from it."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner_index.errors import NotEnoughDataError
from learner_index.search import reference as module
from learner_index.search.reference import drift, fit_reference


def slow_mean(x, patients):
    """Mean over patients of patient means, one scan at a time."""
    rows = {}
    for row, patient in zip(x.astype(np.float64), patients, strict=True):
        rows.setdefault(patient, []).append(row)
    return sum(sum(some) / len(some) for some in rows.values()) / len(rows)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), block=st.sampled_from([1, 3, 2048]))
def test_means_equal_the_definition(lab, seed, block):
    """Overall and view means are means over patients of patient means, missing views under ""."""
    x, obs = lab.cohort(seed)
    views = obs["view"].fillna("")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK", block)
        reference = fit_reference(x, obs["patient_id"], obs["view"])

    np.testing.assert_allclose(reference.mean, slow_mean(x, obs["patient_id"]), atol=1e-12)
    assert list(reference.view_means) == sorted(set(views))
    for view, mean in reference.view_means.items():
        chosen = (views == view).to_numpy(bool)
        slow = slow_mean(x[chosen], obs["patient_id"][chosen])
        np.testing.assert_allclose(mean, slow, atol=1e-12)


def test_named_patients_only(lab):
    """Only the named patients' scans count; the rest of the cohort changes nothing."""
    x, obs = lab.cohort(1)
    chosen = obs["patient_id"].isin(["P1", "P2"]).to_numpy(bool)

    named = fit_reference(x, obs["patient_id"], obs["view"], ["P2", "P1", "P99"])
    alone = fit_reference(x[chosen], obs["patient_id"][chosen], obs["view"][chosen])

    assert named.patients == ("P1", "P2")
    assert named.n_scans == chosen.sum()
    assert named.fingerprint == alone.fingerprint


def test_fingerprint_covers_everything():
    """Another value, view, patient or number of scans gives another fingerprint."""
    x = np.arange(6, dtype=np.float32).reshape(3, 2)
    ids = ["P", "P", "Q"]
    changed = x.copy()
    changed[0, 0] += 1e-3

    prints = [
        fit_reference(x, ids, ["L", "L", "R"]).fingerprint,
        fit_reference(x, ids, ["L", "R", "R"]).fingerprint,
        fit_reference(x, ids, None).fingerprint,
        fit_reference(x, ["P", "P", "S"], None).fingerprint,
        fit_reference(changed, ids, None).fingerprint,
        fit_reference(x[[0, 1, 0, 1, 2]], ["P", "P", "P", "P", "Q"], None).fingerprint,
    ]

    assert len(set(prints)) == len(prints)
    assert fit_reference(x, pd.Series(ids, dtype="string"), None).fingerprint == prints[2]


def test_no_scans_no_reference(lab):
    """Patients without scans are refused."""
    x, obs = lab.cohort(1)

    with pytest.raises(NotEnoughDataError, match="no scans to fit a reference on"):
        fit_reference(x, obs["patient_id"], None, ["nobody"])


def test_no_drift_from_itself(lab):
    """The rows a reference was fitted on lie where it says."""
    x, obs = lab.cohort(2)
    reference = fit_reference(x, obs["patient_id"], None)

    found = drift(reference, x, obs["patient_id"])

    assert found.shift == 0
    assert found.spread > 0
    assert (found.n_new_patients, found.n_new_scans, found.n_missing_patients) == (0, 0, 0)


def test_drift_counts_and_measures_newcomers():
    """A second patient one spread away moves the mean by a known share of the spread."""
    x = np.array([[0.0], [0.0], [2.0], [2.0], [2.0]], np.float32)
    ids = ["P", "P", "Q", "Q", "Q"]
    reference = fit_reference(x[:2], ids[:2], None)

    found = drift(reference, x, ids)
    gone = drift(reference, x[2:], ids[2:])

    assert (found.shift, found.spread) == pytest.approx((1, 1))
    assert (found.n_new_patients, found.n_new_scans) == (1, 3)
    assert gone.n_missing_patients == 1
    assert gone.shift == float("inf")


def test_drift_needs_rows(lab):
    """An empty store has no drift."""
    x, obs = lab.cohort(2)
    reference = fit_reference(x, obs["patient_id"], None)

    with pytest.raises(NotEnoughDataError, match="the store is empty"):
        drift(reference, x[:0], [])
