"""What a store's columns hold and lack, against counts by hand."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner_index.pipeline.reports.quality import _histogram, quality_of
from tests.pipeline.progression.store_of import frame

ROWS = [
    ("a", "A", 0.0, "L1", 10.0, False, "x"),
    ("b", "A", 0.0, "L1", 10.0, True, "y"),
    ("c", "A", 4.0, "L1", 30.0, False, "x"),
    ("d", "B", 1.0, "L1", np.nan, False, "z"),
    ("e", "B", 1.0, "R1", np.nan, False, "w"),
    ("f", "C", np.nan, "L1", 20.0, False, "v"),
]
NAMES = ("scan_id", "patient_id", "day", "view", "health_score", "rescan", "content_hash")


def obs_of(rows=ROWS, **more):
    """Columns of six scans: A twice, with a repeat; B once; C on no known day."""
    return frame([{**dict(zip(NAMES, row, strict=True)), **more} for row in rows])


def test_counts_by_hand():
    """One visit, no day, repeats, copies and days between, as one counts them."""
    found = quality_of(obs_of(modality="lus"))

    assert (found.n_single, found.n_undated) == (1, 1)
    assert found.days_between == (4.0, 4.0, 4.0)
    assert found.visits == (1.0, 1.5, 2.0)
    assert found.modalities == {"lus": 6}
    assert (found.n_repeats, found.n_independent, found.n_shared) == (1, 1, 1)


def test_missing_values_by_scan_and_patient():
    """B has no score at all, C no day; complete columns are left out."""
    found = quality_of(obs_of()).missing

    assert found == {"day": (1, 1), "health_score": (2, 1)}


def test_scores_have_quartiles_and_bins():
    """Four scored scans of three values: a bin each."""
    found = quality_of(obs_of())

    assert found.score == (10.0, 10.0, 15.0, 22.5, 30.0)
    assert found.histogram == ((10.0, 10.0, 2), (20.0, 20.0, 1), (30.0, 30.0, 1))


def test_stores_without_scores_days_or_repeats():
    """Nothing known: None and nothing, not a number."""
    obs = obs_of().drop(columns=["day", "rescan", "content_hash"])
    obs["health_score"] = np.nan

    found = quality_of(obs)

    assert (found.days_between, found.score, found.histogram) == (None, None, ())
    assert (found.n_undated, found.visits, found.n_repeats) == (6, (0.0, 0.0, 0.0), 0)
    assert (found.n_independent, found.n_shared, found.modalities) == (0, 0, {})


@given(st.lists(st.floats(-1e4, 1e4).map(lambda x: round(x, 3)), min_size=1, max_size=200))
def test_bins_hold_every_score_once(scores):
    """All scans are in a bin, bins touch, and there are few of them with round ends."""
    found = _histogram(np.array(scores))

    assert sum(n for _, _, n in found) == len(scores)
    assert len(found) <= 13
    assert found[0][0] <= min(scores)
    assert found[-1][1] >= max(scores)
    if found[0][0] != found[0][1]:
        assert all(a[1] == pytest.approx(b[0]) for a, b in pairwise(found))
