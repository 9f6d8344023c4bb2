"""The severity axis of a store: its figures, and where every scan lies on it."""

import json

import numpy as np
import pytest

from learner_index.errors import NotEnoughDataError, QueryError
from learner_index.pipeline.progression.axis import severity_axis
from tests.pipeline.progression.store_of import path_of, planted, source_of


@pytest.fixture(scope="module")
def source():
    return source_of(*planted(0, 14, views=("L1", "R1")))


def test_one_row_a_scan(source):
    """Every scan has its place with its interval, in the order of the store."""
    found = severity_axis(source)

    frame = found.to_frame()
    obs = source.table.obs
    assert frame["scan_id"].tolist() == obs["scan_id"].tolist()
    assert list(frame.columns) == [
        *("scan_id", "patient_id", "day", "view", "health_score", "position", "low", "high"),
    ]
    assert (frame["low"] <= frame["position"]).all()
    assert (frame["position"] <= frame["high"]).all()
    assert np.corrcoef(frame["position"], frame["health_score"])[0, 1] < -0.6
    assert (found.reference, found.modality) == (source.reference.fingerprint, "")


def test_a_scans_place_by_the_formula(source):
    """g·W(x - view mean - center), written out."""
    known = source.reference.changes[""]
    x, obs = source.table.embeddings, source.table.obs

    found = severity_axis(source)

    for row in (0, 1, 2, 3, 40):
        moved = x[row].astype(float) - known.view_means[obs["view"][row]] - known.center
        place = sum(
            known.axis.direction[i] * known.whitening[i, j] * moved[j]
            for i in range(len(moved))
            for j in range(len(moved))
        )
        assert found.scans["position"][row] == pytest.approx(place, abs=1e-9)


def test_a_visit_of_one_scan_lies_where_its_trajectory_has_it():
    """Scan and visit agree where the visit has no other scan."""
    source = source_of(*planted(1, repeats=False))

    scans = severity_axis(source).to_frame().set_index("scan_id")

    for stop in path_of(source, "P3", k=0).stops:
        scan = scans.loc[stop.scan_ids[0]]
        assert stop.position == pytest.approx(scan["position"], abs=1e-3)
        assert stop.low == pytest.approx(scan["low"], abs=1e-3)
        assert stop.high == pytest.approx(scan["high"], abs=1e-3)


def test_figures_are_json_with_their_numbers(source):
    """R², angles, slopes, counts and the unit; no arrays, no NaN."""
    found = severity_axis(source).figures

    told = json.loads(json.dumps(found, allow_nan=False))
    axis = source.reference.changes[""].axis
    assert told["r2"] == axis.r2
    assert told["r2"] > 0.3
    assert told["n_patients"] == told["n_followed"] == 14
    assert told["n_visits"] == len(source.table.obs[["patient_id", "day"]].drop_duplicates())
    assert told["n_draws"] == len(axis.draws)
    assert told["slope_between"] < 0 > told["slope_within"]
    assert set(told).isdisjoint({"direction", "draws", "pattern"})


@pytest.mark.parametrize(
    ("repeats", "unit"), [(True, "SD of a repeat scan"), (False, "SD of visits")]
)
def test_the_unit_is_told(repeats, unit):
    """Positions are in SDs of a repeat scan where there are repeats."""
    found = severity_axis(source_of(*planted(1, repeats=repeats)))

    assert found.figures["unit"] == unit


def test_the_frame_is_a_copy(source):
    """Changing the frame changes nothing else."""
    found = severity_axis(source)

    found.to_frame()["position"] = 0.0

    assert found.scans["position"].std() > 0


def test_columns_that_are_missing_are_left_out():
    """Without views and days the report has the rest."""
    x, obs = planted(0)
    source = source_of(x, obs.drop(columns=["view"]))

    assert "view" not in severity_axis(source).to_frame()


def test_a_modality_is_chosen():
    """Of two modalities one is reported, with its own scans alone."""
    x, obs = planted(0)
    is_ct = (obs["age"] >= 36).to_numpy(bool)
    obs["modality"] = obs["patient_id"].mask(is_ct, "ct").mask(~is_ct, "us")
    source = source_of(x, obs)

    assert len(severity_axis(source, "ct").scans) == is_ct.sum()
    with pytest.raises(QueryError, match=r"modalities ct, us, .*choose it with --modality"):
        severity_axis(source)


def test_no_axis_is_refused_with_the_reason():
    """Without scores there is none, and the message says what to add."""
    source = source_of(*planted(1, scored=False))

    with pytest.raises(NotEnoughDataError, match="add patients with a health score, 5 at least"):
        severity_axis(source)


def test_an_axis_that_tells_nothing_is_noted():
    """R² at 0 or below: places are given, and a note says that they mean nothing."""
    x, obs = planted(3, patients=14)
    rng = np.random.default_rng(0)
    source = source_of(x, obs.assign(health_score=rng.standard_normal(len(obs))))

    assert "places on it mean nothing" in severity_axis(source).notes[0]
