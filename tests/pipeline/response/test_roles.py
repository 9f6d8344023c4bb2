"""Who fits, who sets the temperature, and who calibrates."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner_index.pipeline.response.roles import draw_head_roles


def drawn(roles):
    return [set(np.flatnonzero(mask)) for mask in (roles.fit, roles.temper, roles.calibrate)]


@given(st.sets(st.integers(0, 199), min_size=1), st.floats(0.02, 0.6), st.integers(0, 99))
def test_each_patient_has_one_part_and_others_none(patients, alpha, seed):
    """Parts are disjoint and cover those who may be used; counts are their sizes."""
    roles = draw_head_roles(np.array(sorted(patients)), 200, alpha, seed)

    fit, temper, calibrate = drawn(roles)
    assert len(fit) + len(temper) + len(calibrate) == len(patients)
    assert fit | temper | calibrate == patients
    assert roles.counts() == {
        "fit": len(fit),
        "temper": len(temper),
        "calibrate": len(calibrate),
    }
    assert fit


@pytest.mark.parametrize(
    ("n_patients", "alpha", "n_calibrate", "n_temper"),
    [
        (30, 0.1, 9, 0),  # 9 may and 9 must
        (39, 0.1, 9, 0),
        (133, 0.1, 39, 0),  # 19 would set a temperature
        (63, 0.1, 9, 0),  # 18 may, but with 19 alone is alpha exact again
        (64, 0.1, 19, 0),
        (134, 0.1, 39, 20),
        (140, 0.05, 39, 21),
        (10, 0.4, 3, 0),
        (20, 0.25, 3, 0),
        (17, 0.2, 4, 0),
    ],
)
def test_as_many_calibrate_as_make_alpha_exact(n_patients, alpha, n_calibrate, n_temper):
    """The largest n up to 0.3 of the patients with alpha (n + 1) a whole number."""
    roles = draw_head_roles(np.arange(n_patients), n_patients, alpha, 0)

    fit = n_patients - n_calibrate - n_temper
    assert roles.counts() == {"fit": fit, "temper": n_temper, "calibrate": n_calibrate}


def test_too_few_patients_make_no_sets():
    """Nobody calibrates, and a note says how many could and how many would have to."""
    roles = draw_head_roles(np.arange(29), 29, 0.1, 0)

    assert roles.counts()["calibrate"] == 0
    assert roles.note.startswith("no sets: 29 patients to learn from, of whom 8 could calibrate")
    assert "alpha 0.1 needs 9: add patients, or raise --alpha" in roles.note
    assert draw_head_roles(np.arange(30), 30, 0.1, 0).note == ""


def test_the_draw_is_by_the_seed_alone():
    """One seed gives one draw, in whatever order patients are named; another seed another."""
    patients = np.random.default_rng(0).permutation(80)

    first, again = draw_head_roles(patients, 90, 0.1, 3), draw_head_roles(np.arange(80), 90, 0.1, 3)
    other = draw_head_roles(patients, 90, 0.1, 4)

    assert drawn(first) == drawn(again)
    assert drawn(first) != drawn(other)


def test_parts_are_drawn_at_random():
    """Over many seeds every patient calibrates as often as any other."""
    times = sum(draw_head_roles(np.arange(30), 30, 0.1, seed).calibrate for seed in range(400))

    assert times.sum() == 400 * 9
    assert times.min() > 80
    assert times.max() < 160
