"""Which columns are audited, of which patients, and what the page says of them."""

import numpy as np
import pandas as pd
import pytest

from learner_index.analysis.confounders import Shared
from learner_index.pipeline.reports.confounder_page import confounder_section
from learner_index.pipeline.reports.confounders import confounders_of, sample_patients
from learner_index.pipeline.reports.records import Confounders
from tests.pipeline.reports.report_toy import rows_of


def shared(column="site", kind="category", p=0.001, health=0.1):
    """A column's record."""
    return Shared(column, kind, "patient", 0.6, 0.4, 0.3, 0.5, p, p, health, 20, 40, 3)


def test_small_stores_are_measured_whole():
    """All patients, in the order of rows."""
    x, obs = rows_of(5)

    found = sample_patients(obs, x)

    assert found.n_left_out == 0
    assert found.obs["scan_id"].tolist() == obs["scan_id"].tolist()


@pytest.mark.parametrize("most", [1, 20, 60])
def test_large_stores_are_measured_on_whole_patients(most):
    """As many whole patients as fit, one at least; the lot is the seed's."""
    x, obs = rows_of(12)

    found = sample_patients(obs, x, most_scans=most, seed=1)
    again = sample_patients(obs, x, most_scans=most, seed=1)
    other = sample_patients(obs, x, most_scans=most, seed=2)

    kept = set(found.obs["patient_id"])
    assert found.n_left_out == 12 - len(kept)
    assert len(found.obs) <= most or len(kept) == 1
    for name in kept:
        assert (found.obs["patient_id"] == name).sum() == (obs["patient_id"] == name).sum()
    assert (found.embeddings == x[obs["scan_id"].isin(found.obs["scan_id"])]).all()
    assert found.obs["scan_id"].tolist() == again.obs["scan_id"].tolist()
    assert found.obs["scan_id"].tolist() != other.obs["scan_id"].tolist()


def test_a_planted_site_is_flagged_and_ids_and_outcomes_are_not_asked():
    """Site moves embeddings; treatment by lot does not; ids, scores and outcomes are left out."""
    x, obs = rows_of(24, repeats=False, views=("L1",))
    x = x + np.where(obs["site"] == "X", 4.0, 0.0)[:, None].astype(np.float32)

    found = confounders_of(sample_patients(obs, x), n_draws=199)

    names = {one.column: one for one in found.shared}
    assert {"site", "age", "treatment", "day"} <= set(names)
    assert not {"patient_id", "health_score", "response", "event_day", "rescan"} & set(names)
    assert names["site"] in found.flagged
    assert names["treatment"].p_value > 0.05
    assert (names["age"].kind, names["site"].kind) == ("number", "category")
    assert found.n_patients == 24


def test_numbers_of_two_values_are_categories_and_empty_columns_are_skipped():
    """0 and 1 are a yes and a no; a column without a value is no column."""
    x, obs = rows_of(8)
    number = obs["patient_id"].str.removeprefix("P").astype(int)
    obs = obs.assign(icu=(number % 2).astype(float), nothing=pd.array([pd.NA] * len(obs), "string"))

    found = confounders_of(sample_patients(obs, x), n_draws=9)

    assert {one.column: one.kind for one in found.shared}["icu"] == "category"
    assert "nothing" not in {*found.refused, *(one.column for one in found.shared)}


def test_flagged_columns_are_warned_of_and_marked():
    """The warning names them, the table marks them, and the notes say what to ask."""
    found = Confounders(
        (shared("age", "number", 0.9, -0.2), shared(), shared("fio2", "number", 0.01, -0.9)),
        {"id": "why"},
        5,
        99,
        20,
    )

    told = confounder_section(found)

    assert "share site, fio2 more than chance" in told.warnings[0]
    assert told.blocks[0].marked == (1, 2)
    assert told.blocks[0].rows[0][0] == "age"
    assert told.blocks[0].rows[1][1:3] == ("60 %", "40 % (30 % to 50 %)")
    assert told.notes == (
        "Of these, fio2 may be shared since health is.",
        "To see who is alike in spite of it: `similar` with --match 'site!='.",
        "id was left out: why.",
    )


def test_nothing_flagged_is_no_proof():
    """Without a flag, few patients are named as the reason it may be missed."""
    told = confounder_section(Confounders((shared(p=0.5, health=None),), {}, 5, 99, 20))

    assert told.warnings == ()
    assert "does not show that there is none" in told.notes[0]
    assert told.blocks[0].rows[0][5] == "-"


def test_flagged_numbers_alone_have_no_match():
    """A number that has nothing to do with health is flagged without a condition to type."""
    told = confounder_section(Confounders((shared("age", "number", 0.01, 0.0),), {}, 5, 99, 20))

    assert told.notes == ()


def test_a_view_that_is_told_needs_no_condition():
    """Searches stay within view already: nothing is to be typed."""
    told = confounder_section(Confounders((shared("view"),), {}, 5, 99, 20))

    assert told.notes == ("Searches stay within view and modality, unless told otherwise.",)


def test_nothing_to_audit_is_said():
    """No column that differs: a sentence, not an empty table."""
    told = confounder_section(Confounders((), {"site": "the same everywhere"}, 5, 99, 20))

    assert told.missing.startswith("No column can be audited")
    assert told.notes == ("site was left out: the same everywhere.",)


def test_a_device_of_each_modality_is_no_alarm():
    """Ultrasound and films lie apart and have a device each; they are never compared."""
    x, obs = rows_of(24, repeats=False, views=("ap",))
    twice = pd.concat([obs.assign(modality=name) for name in ("us", "film")], ignore_index=True)
    twice["scan_id"] += twice["modality"]
    twice["device"] = "of " + twice["modality"]
    apart = np.where(twice["modality"] == "us", 9.0, -9.0)[:, None].astype(np.float32)

    found = confounders_of(sample_patients(twice, np.vstack([x, x]) + apart), n_draws=99)

    device = next(one for one in found.shared if one.column == "device")
    assert (device.observed, device.expected) == pytest.approx((1.0, 1.0))
    assert "device" not in [one.column for one in found.flagged]
