"""How far a store has moved from its reference: nothing where it is the same, and by plan else."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from learner_index.pipeline.progression.drift import (
    change_drift,
    change_figures,
    changes_in_words,
)
from learner_index.pipeline.progression.reference import fit_whole_reference
from tests.pipeline.progression.store_of import one_scan_visits, planted

VIEWS = ("L1", "R1")


@pytest.fixture(scope="module")
def cohort():
    return planted(0, 14, views=VIEWS)


@pytest.fixture(scope="module")
def known(cohort):
    return fit_whole_reference(*cohort).changes[""]


def more(cohort, *, by=0.0, seed=1, **columns):
    """The cohort with ten patients more, their embeddings moved."""
    x, obs = planted(seed, 10, first=100, views=VIEWS)
    both = pd.concat([cohort[1], obs.assign(**columns)], ignore_index=True)
    return np.vstack([cohort[0], x + np.float32(by)]), both


def test_an_unchanged_cohort_has_not_moved(cohort, known):
    """On the reference's own rows every drift is 0, and noise is as it was."""
    found = change_drift(known, *cohort)

    assert found.n_new_visits == 0
    assert found.shift == pytest.approx(0, abs=1e-9)
    assert found.axis_turned_deg == pytest.approx(0, abs=1e-4)
    assert found.noise_ratio == pytest.approx(1)


def test_rows_in_another_order_have_not_moved(cohort, known):
    """The order of rows is no drift."""
    order = np.random.default_rng(0).permutation(len(cohort[0]))

    found = change_drift(known, cohort[0][order], cohort[1].iloc[order].reset_index(drop=True))

    assert found.shift == pytest.approx(0, abs=1e-6)
    assert found.axis_turned_deg == pytest.approx(0, abs=1e-3)


def test_shift_grows_with_new_patients_who_lie_elsewhere(cohort, known):
    """The further away the new patients, the larger the shift; the visits are counted."""
    grown = [more(cohort, by=by) for by in (0.0, 2.0, 4.0)]

    found = [change_drift(known, *some) for some in grown]

    shifts = [some.shift for some in found]
    assert shifts[0] < 0.5 < 2 * shifts[1] < 3 * shifts[2]
    assert shifts[0] < shifts[1] < shifts[2]
    n_new = len(grown[0][1][["patient_id", "day"]].drop_duplicates()) - known.n_visits
    assert {some.n_new_visits for some in found} == {n_new}


def test_shift_by_the_formula(cohort, known):
    """Distance of the mean visit, patients weighted equally, from the center, over h_u."""
    x, obs = more(cohort, by=3.0)
    means = {}
    for patient in set(obs["patient_id"]):
        days = []
        for day in set(obs["day"][obs["patient_id"] == patient]):
            is_in = (obs["patient_id"] == patient) & (obs["day"] == day)
            of_views = [
                x[(is_in & (obs["view"] == view)).to_numpy(bool)].astype(float).mean(axis=0)
                - known.view_means[view]
                for view in VIEWS
            ]
            days.append(sum(of_views) / 2)
        means[patient] = sum(days) / len(days)
    mean = sum(means.values()) / len(means)

    found = change_drift(known, x, obs)

    expected = np.linalg.norm(mean - known.center) / known.start_bandwidth
    assert found.shift == pytest.approx(expected, rel=1e-6)


def test_the_axis_turns_where_new_scores_contradict(cohort, known):
    """New patients with scores the other way around turn the axis, those alike do not."""
    x, obs = more(cohort)
    is_new = (obs["age"] >= 130).to_numpy(bool)
    turned = obs["health_score"].where(~is_new, 400 - 6 * obs["health_score"])

    alike, other = (
        change_drift(known, x, some).axis_turned_deg
        for some in (obs, obs.assign(health_score=turned))
    )

    assert alike < 30 < 90 < other <= 180


def test_noise_that_doubles_is_told(cohort, known):
    """Repeats twice as far apart give a ratio of 2."""
    x, obs = cohort
    first = x[~obs["rescan"].to_numpy(bool)]
    again = x[obs["rescan"].to_numpy(bool)]
    louder = x.copy()
    louder[obs["rescan"].to_numpy(bool)] = first + 2 * (again - first)

    assert change_drift(known, louder, obs).noise_ratio == pytest.approx(2, rel=1e-5)


def test_what_the_reference_lacks_has_no_drift(cohort, known):
    """No axis, no repeats, no bandwidth: None, never a number."""
    without = replace(known, axis=None, noise=None, start_bandwidth=0.0)

    found = change_drift(without, *cohort)

    assert (found.shift, found.axis_turned_deg, found.noise_ratio) == (None, None, None)


def test_scores_that_are_gone_cannot_turn_the_axis(cohort, known):
    """Where none can be fitted now, the angle is None; without repeats now, so is the ratio."""
    x, obs = cohort
    one = ~obs["rescan"].to_numpy(bool)

    found = change_drift(known, x[one], obs[one].assign(health_score=np.nan))

    assert (found.axis_turned_deg, found.noise_ratio) == (None, None)


def test_figures_are_json_per_modality(cohort):
    """What is known and how it drifted, for each modality the reference knows."""
    x, obs = cohort
    is_ct = (obs["age"] >= 36).to_numpy(bool)
    obs = obs.assign(modality=pd.array(np.where(is_ct, "ct", "us"), dtype="string"))
    reference = fit_whole_reference(x, obs)
    later = obs.assign(modality=obs["modality"].where(obs["day"] > 0, "new"))

    found = json.loads(json.dumps(change_figures(reference, x, later), allow_nan=False))

    assert set(found) == {"ct", "us"}
    assert found["ct"]["n_patients"] == 8
    assert set(found["ct"]["drift"]) == {"n_new_visits", "shift", "axis_turned_deg", "noise_ratio"}
    assert found["ct"]["drift"]["n_new_visits"] < 0
    assert found["us"]["noise"]["is_independent"] is True


def test_words_name_the_modality_only_where_there_are_several(cohort):
    """Lines for a terminal: changes, severity axis and noise floor of each modality."""
    figures = change_figures(fit_whole_reference(*cohort), *cohort)

    one = changes_in_words(figures)
    two = changes_in_words({"ct": figures[""], "us": figures[""]})

    assert [label for label, _ in one] == ["changes", "severity axis", "noise floor"]
    assert [label for label, _ in two][:3] == ["changes ct", "severity axis ct", "noise floor ct"]
    text = dict(one)
    assert "between 44 visits of 14 patients" in text["changes"]
    assert "drift 0.00 of h_u, +0 visits" in text["changes"]
    assert "drift 0°" in text["severity axis"]
    assert "independent repeats of 14 patients; drift ×1.00" in text["noise floor"]


def test_words_where_little_is_known():
    """Without axis, repeats and bandwidths the lines say what there is."""
    paths = {n: [(0, np.arange(3.0) + i, 1.0)] for i, n in enumerate("AB")}
    x, obs = one_scan_visits(paths)

    words = changes_in_words(change_figures(fit_whole_reference(x, obs), x, obs))

    assert words == [
        ("changes", "none between 2 visits: nobody was seen twice in one view"),
        ("noise floor", "none: no visit has two scans of one view"),
    ]
