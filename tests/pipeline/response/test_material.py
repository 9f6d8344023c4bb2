"""A cohort's visits are pooled as loops would, and chosen as asked."""

import numpy as np
import pytest

from learner_index.errors import QueryError
from tests.pipeline.response.response_toy import (
    material_of,
    mixed_rows,
    scan,
    slow_group,
    slow_views,
    slow_visits,
)

WARD = [
    scan("P0", 1.0, 1.0, 0.0, view="L1", modality="us", gain=3.0),
    scan("P0", 1.0, 3.0, 0.0, view="R1", modality="us", gain=9.0),
    scan("P0", 5.0, 2.0, 2.0, view="R1", modality="us", gain=3.0),
    scan("P1", 1.0, 0.0, 9.0, view="L1", modality="ct", gain=3.0),
]


@pytest.mark.parametrize("seed", range(4))
def test_visits_are_means_over_repeats_then_views(seed):
    """Pooled embeddings, shares and states are those of a loop over visits, views and repeats."""
    rows = mixed_rows(seed)
    means = {"L1": np.array([1.0, 0, 0]), "L2": np.array([0, 2.0, 0]), "R1": np.array([3.0, 3, 3])}
    visits = slow_visits(rows)

    found = material_of(rows)

    expected = [visit for patient in found.patients for visit in visits[patient]]
    pooled = [np.mean([slow_group(v, w) for w in sorted(slow_views(v))], axis=0) for v in expected]
    less = [
        np.mean([slow_group(v, w) - means[w] for w in sorted(slow_views(v))], axis=0)
        for v in expected
    ]
    shares = [
        [(w in slow_views(v)) / len(slow_views(v)) for w in found.visits.views] for v in expected
    ]
    by_view = np.array([means[view] for view in found.visits.views])
    np.testing.assert_allclose(found.pooled, pooled, atol=1e-6)
    np.testing.assert_allclose(found.view_shares, shares, atol=1e-6)
    np.testing.assert_allclose(found.states(np.arange(len(expected)), by_view), less, atol=1e-5)
    assert found.of_visits["view"].tolist() == [" + ".join(sorted(slow_views(v))) for v in expected]


def test_view_means_weigh_patients_the_same():
    """A patient with ten visits counts like one with a single visit; others are not looked at."""
    rows = [scan("P0", float(day), 2.0) for day in range(10)]
    rows += [scan("P1", 0.0, 4.0), scan("P2", 0.0, 900.0)]
    material = material_of(rows)

    means = material.fit_view_means(np.array([True, True, False]))

    assert means.tolist() == [[3.0]]


def test_one_modality_is_spoken_of():
    """A named one is taken alone; several without a name are refused, so is one that is not."""
    assert material_of(WARD, modality="us").patients == ("P0",)
    assert material_of(WARD, modality="ct").modality == "ct"
    with pytest.raises(QueryError, match=r"there are modalities ct, us, .*--modality"):
        material_of(WARD)
    with pytest.raises(QueryError, match=r"no modality 'uss' \(did you mean 'us'\?\): there is"):
        material_of(WARD, modality="uss")


def test_conditions_choose_scans():
    """A scan left out is no part of its visit's embedding, views or columns."""
    found = material_of(WARD, modality="us", scans=("gain < 5",))

    assert found.pooled.tolist() == [[1.0, 0.0], [2.0, 2.0]]
    assert found.of_visits["view"].tolist() == ["L1", "R1"]


def test_conditions_that_nothing_fulfils():
    """They are named; those that are not understood are refused as in a search."""
    with pytest.raises(QueryError, match="no scan fulfils gain > 99 and view == L1: loosen it"):
        material_of(WARD, modality="us", scans=("gain > 99", "view == L1"))
    with pytest.raises(QueryError, match="no column 'gian' in 'gian > 1'"):
        material_of(WARD, modality="us", scans=("gian > 1",))


def test_views_without_a_name():
    """A store without views has one, which no column names."""
    rows = [scan("P0", float(day), 1.0) for day in range(2)]
    for row in rows:
        row.pop("view")

    found = material_of(rows)

    assert found.of_visits["view"].isna().all()
    assert not found.is_scored
