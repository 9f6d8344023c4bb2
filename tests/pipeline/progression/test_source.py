"""What a question about change sees: one modality, one pairing, nothing later than a day."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from learner_index.analysis.transitions import MODES
from learner_index.errors import QueryError
from learner_index.pipeline.progression.reference import fit_whole_reference
from learner_index.pipeline.progression.source import ChangeSource
from learner_index.pipeline.progression.visits import patient_numbers, visit_arrays
from learner_index.search.reference import fit_reference
from tests.pipeline.progression.changes_toy import (
    assert_same,
    cohort,
    followed_cohort,
    scans,
    table_of,
)

CUT = 60.0
X, OBS = followed_cohort()


@pytest.fixture(autouse=True, scope="module")
def no_flushing():
    """A test's disk need not survive a power cut."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda handle: None)
        yield


@pytest.fixture
def ask(tmp_path):
    """Makes the source of some rows, with their reference and a folder to keep visits beside."""
    folder = tmp_path / "cohort.zarr"
    (folder / "uns" / "reference").mkdir(parents=True)
    (folder / "uns" / "reference" / "zarr.json").write_text("{}")

    def make(x=X, obs=OBS, *, clock="cohort", patients=None, reference=None):
        found = reference or fit_whole_reference(x, obs, patients)
        return ChangeSource(folder, 1, table_of(x, obs, clock), lambda: found)

    return make


def with_modalities(*names):
    """The cohort, every scan once in each modality."""
    parts = [OBS.assign(modality=pd.array([name] * len(OBS), "string")) for name in names]
    x = np.concatenate([X + 10 * number for number in range(len(names))])
    return x, pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("mode", MODES)
def test_visits_of_everything(ask, mode):
    """One modality, nothing hidden: all rows, paired as asked, less the reference's means."""
    found = ask().followed(mode)

    known = fit_whole_reference(X, OBS).changes[""]
    expected = visit_arrays(X, OBS, patient_numbers(OBS)[0], known, mode)
    assert_same(found.visits, expected)
    assert (found.modality, found.clock, found.notes) == ("", "cohort", ())
    assert found.fingerprint == fit_whole_reference(X, OBS).fingerprint
    assert found.patients == tuple(f"p{i}" for i in range(8))
    assert len(found.of_visits) == len(expected.patient)
    assert len(found.of_transitions) == len(found.table) == len(expected.earlier)
    assert found.table.start_bandwidth == known.start_bandwidth


def test_several_modalities_need_a_choice(ask):
    """They are listed; an unnamed one as well."""
    x, obs = with_modalities("US", None)

    with pytest.raises(
        QueryError,
        match=r"the store has modalities \(none\), US, and a change is seen in one: choose it with "
        "--modality",
    ):
        ask(x, obs).followed("consecutive")


def test_an_unknown_modality_suggests_a_name(ask):
    """What there is, and which was probably meant."""
    source = ask(*with_modalities("US", "CT"))

    with pytest.raises(
        QueryError, match=r"no modality 'us ' \(did you mean 'US'\?\): there is CT, US"
    ):
        source.followed("consecutive", "us ")


def test_a_chosen_modality_is_seen_alone(ask):
    """Its rows, its means, its reference; the same as a store that has nothing else."""
    x, obs = with_modalities("US", "CT")
    is_ct = (obs["modality"] == "CT").to_numpy(bool)

    found = ask(x, obs).followed("all", "CT")
    alone = ask(x[is_ct], obs[is_ct].reset_index(drop=True)).followed("all")

    assert_same(found.visits, alone.visits)
    np.testing.assert_array_equal(found.embeddings, x[is_ct])
    pd.testing.assert_frame_equal(found.of_transitions, alone.of_transitions)
    assert found.modality == alone.modality == "CT"
    assert found.known.start_bandwidth == alone.known.start_bandwidth


def test_an_unnamed_modality_can_be_chosen(ask):
    """It is called ""."""
    found = ask(*with_modalities("US", None)).followed("consecutive", "")

    np.testing.assert_array_equal(found.embeddings, X + 10)


def test_refuses_a_day_on_patients_own_clocks(ask):
    """Days of two patients cannot be compared."""
    with pytest.raises(QueryError, match="--as-of needs days that can be compared"):
        ask(clock="patient").followed("consecutive", as_of=3.0)


def later_hidden(x, obs, day):
    """The rows there were on a day."""
    is_past = (obs["day"] <= day).to_numpy(bool)
    return x[is_past], obs[is_past].reset_index(drop=True)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", [1, 2])
def test_what_came_later_changes_nothing(ask, mode, seed):
    """As of a day: what a store without the later rows gives, and its reference."""
    x, obs = cohort(seed, patients=9)
    past_x, past = later_hidden(x, obs, 20.0)
    assert len(past) < len(obs)

    found = ask(x, obs).followed(mode, as_of=20.0)
    cut = ask(past_x, past).followed(mode)

    assert_same(found.visits, cut.visits)
    np.testing.assert_array_equal(found.embeddings, past_x)
    shown = [name for name in obs if name != "response"]
    pd.testing.assert_frame_equal(found.obs[shown], past[shown])
    assert found.fingerprint == f"{cut.fingerprint}, refitted as of day 20"
    assert found.known.start_bandwidth == cut.known.start_bandwidth


def test_later_rows_leave_the_answer_of_an_earlier_day(ask):
    """The same day asked of a store before and after it grew, patients of the fit named."""
    patients = [f"p{i}" for i in range(6)]
    reference = fit_whole_reference(*later_hidden(X, OBS, 2 * CUT), patients)

    before = ask(*later_hidden(X, OBS, 2 * CUT), reference=reference)
    after = ask(reference=reference)
    one, other = (source.followed("all", as_of=CUT) for source in (before, after))

    assert_same(one.visits, other.visits)
    pd.testing.assert_frame_equal(one.of_transitions, other.of_transitions)
    assert (one.fingerprint, one.notes) == (other.fingerprint, other.notes)
    assert one.known.n_patients == 6


def test_the_day_itself_is_seen(ask):
    """Hidden is what came after it."""
    obs = scans(("a", 0.0), ("a", 5.0), ("a", 6.0), ("b", 0.0), ("b", 5.0))

    found = ask(X[:5], obs).followed("consecutive", as_of=5.0)

    assert found.obs["scan_id"].tolist() == ["s0", "s1", "s3", "s4"]


def test_outcomes_are_hidden_as_of_a_day(ask):
    """They tell what came later, whichever row they stand in; without a day they are shown."""
    obs = OBS.assign(
        response=pd.array(["yes"] * len(OBS), "string"), event=True, event_day=9.0, last_seen_day=99
    )
    source = ask(obs=obs)

    then, now = source.followed("all", as_of=CUT), source.followed("all")

    for name in ("response", "event", "event_day", "last_seen_day"):
        assert then.obs[name].isna().all()
        assert then.of_transitions[name].isna().all()
        assert now.of_transitions[name].notna().all()
        assert source.table.obs[name].notna().all()


def test_undated_scans_are_counted(ask):
    """Nobody knows whether they were there; without any nothing is said."""
    obs = OBS.copy()
    obs.loc[[0, 5], "day"] = np.nan

    some, none = (ask(obs=each).followed("all", as_of=CUT).notes for each in (obs, OBS))

    assert some[1:] == ("2 scans without a day are hidden too",)
    assert none == ("everything after day 60 is hidden, and what tells what came later",)


def test_refuses_a_day_before_the_reference(ask):
    """Fewer than two patients it was fitted on had been seen."""
    with pytest.raises(
        QueryError,
        match="fewer than two of the reference's 8 patients were seen until day -1: choose",
    ):
        ask().followed("all", as_of=-1.0)


def test_refuses_a_day_when_one_patient_was_known(ask):
    """One is not enough; others than the reference's do not count."""
    obs = OBS.copy()
    obs.loc[OBS["patient_id"].isin(["p0", "p7"]).to_numpy(bool), "day"] -= 1000
    patients = [f"p{i}" for i in range(6)]

    with pytest.raises(QueryError, match="fewer than two of the reference's 6 patients"):
        ask(obs=obs, patients=patients).followed("all", as_of=-500.0)


def test_a_store_without_a_reference():
    """The message says what fits one."""
    source = ChangeSource(Path("cohort.zarr"), 1, table_of(X, OBS), lambda: None)

    with pytest.raises(QueryError, match=r"cohort\.zarr has no reference: `learner-index refit`"):
        source.followed("all")


@pytest.mark.parametrize(
    ("modality", "said"), [(None, "knows no changes:"), ("US", "no changes of modality 'US':")]
)
def test_a_reference_that_knows_no_changes(ask, modality, said):
    """One of an earlier version, or fitted before the modality came."""
    old = fit_reference(X, OBS["patient_id"], None)
    obs = OBS.assign(modality=pd.array([modality] * len(OBS), "string"))

    with pytest.raises(QueryError, match=f"{said} `learner-index refit "):
        ask(obs=obs, reference=old).followed("all", modality)


def test_one_patient_is_too_few(ask):
    """No refit would help, so none is advised."""
    obs = OBS[OBS["patient_id"] == "p0"].reset_index(drop=True)

    with pytest.raises(QueryError, match="1 patient is too few to ask who changed alike: build"):
        ask(X[: len(obs)], obs).followed("all")


def test_one_patient_of_a_modality_is_too_few(ask):
    """Others' scans of another modality do not help, and no refit would."""
    named = ["CT" if name == "p0" else "US" for name in OBS["patient_id"]]
    obs = OBS.assign(modality=pd.array(named, "string"))

    with pytest.raises(QueryError, match=r"1 patient is too few .* build more of modality 'CT'"):
        ask(obs=obs).followed("all", "CT")


def test_the_latest_three_views_are_kept_in_memory(ask):
    """Asked again they are the same objects; the one not used longest goes first."""
    source = ask()
    first, second, third = (source.followed(mode) for mode in MODES)

    assert source.followed(MODES[0]) is first
    source.followed("all", as_of=CUT)

    assert len(source._seen) == 3
    assert source.followed(MODES[0]) is first
    assert source.followed(MODES[2]) is third
    assert source.followed(MODES[1]) is not second
    assert len(source._seen) == 3


def test_the_reference_is_read_once():
    """However many views are asked for."""
    calls = []
    source = ChangeSource(None, 1, table_of(X, OBS), lambda: calls.append(1) or "it")

    assert (source.reference, source.reference, calls) == ("it", "it", [1])


@pytest.mark.parametrize("mode", MODES)
def test_one_patient_can_be_paired_otherwise(ask, mode):
    """Their rows alone, with the same means as everybody."""
    found = ask().followed("consecutive").of_patient("p3", mode)

    mine = (OBS["patient_id"] == "p3").to_numpy(bool)
    obs = OBS[mine].reset_index(drop=True)
    known = fit_whole_reference(X, OBS).changes[""]
    assert_same(found.visits, visit_arrays(X[mine], obs, np.zeros(6, np.int64), known, mode))
    assert found.patients == ("p3",)
    assert len(found.of_visits) == 3
    pd.testing.assert_frame_equal(found.obs, obs)


def test_a_patient_until_a_day(ask):
    """Scans after it, and those without a day, are left out."""
    rows = [("a", 0.0), ("a", 5.0), ("a", 9.0), ("a", np.nan), ("b", 0.0)]
    obs = scans(*rows, health_score=[1.0] * 5)

    found = ask(X[:5], obs).followed("all").of_patient("a", "all", 5.0)

    assert found.obs["scan_id"].tolist() == ["s0", "s1"]


def test_refuses_a_patient_it_does_not_know(ask):
    """A near miss is suggested; of several modalities the one looked through is named."""
    x, obs = with_modalities("US", "CT")
    source = ask(x, obs)

    with pytest.raises(
        QueryError, match=r"no patient 'P 3' among 8 of modality 'US' \(did you mean 'p3'\?\): ids"
    ):
        source.followed("all", "US").of_patient("P 3", "all")


def test_refuses_a_patient_not_seen_until_a_day(ask):
    """Patient and day are named."""
    with pytest.raises(
        QueryError, match=r"patient 'p3' has no scan until day -2: choose a later day"
    ):
        ask().followed("all").of_patient("p3", "all", -2.0)
