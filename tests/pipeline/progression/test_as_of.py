"""Asking as of a day: whatever is added later leaves every answer identical."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner_index.config import SimilarOptions
from learner_index.errors import LearnerIndexError, QueryError
from learner_index.pipeline.progression.source import ChangeSource
from learner_index.search.query import patient_query
from learner_index.search.reference import fit_reference
from learner_index.search.similar import similar
from learner_index.search.table import SearchTable
from tests.pipeline.progression.store_of import NOWHERE, ask, frame, path_of, planted, source_of

AS_OF = 22.0
TIMES = ("elapsed_ms", "search_ms")


def later_rows(seed, obs):
    """Rows after the day: old patients, new ones, and the query's, with other values."""
    x, more = planted(seed + 1, 6, views=("L1", "R1", "NEW"))
    rng = np.random.default_rng(seed)
    names = obs["patient_id"].unique().tolist()
    renamed = {f"P{i}": name for i, name in enumerate([*rng.permutation(names)[:3], "P3"])}
    return 5 * x, more.assign(
        day=AS_OF + 0.5 + more["day"],
        scan_id="later-" + more["scan_id"],
        patient_id=more["patient_id"].map(lambda name: renamed.get(name, f"NEW{name}")),
        health_score=rng.uniform(-1000, 1000, len(more)),
        treatment="Z",
        site="Z",
        age=-5.0,
    ).astype({"patient_id": "string", "treatment": "string", "site": "string"})


def mixed(x, obs, more_x, more, seed):
    """Two cohorts' rows shuffled together, each keeping its own order."""
    rng = np.random.default_rng(seed)
    places = [np.sort(rng.random(len(some))) for some in (x, more_x)]
    order = np.argsort(np.concatenate(places), kind="stable")
    both = pd.concat([obs, more], ignore_index=True)
    return np.vstack([x, more_x])[order], both.iloc[order].reset_index(drop=True)


def known_later(obs, seed):
    """The same rows with what only the future tells changed."""
    rng = np.random.default_rng(seed)
    outcomes = rng.permutation(["better", "worse", "who knows"])[rng.integers(0, 3, len(obs))]
    return obs.assign(
        response=pd.array(outcomes, dtype="string"),
        event=pd.array(rng.random(len(obs)) < 0.5, dtype="boolean"),
        event_day=rng.uniform(0, 99, len(obs)),
    )


def unfitted(x, obs):
    """A cohort whose reference knows its patients; as of a day all else is fitted again."""
    reference = fit_reference(x, obs["patient_id"], obs["view"])
    table = SearchTable(x, obs, clock="cohort", reference=reference)
    return ChangeSource(NOWHERE, 0, table, lambda: reference)


def answer(source, what, patient):
    """An answer's JSON without the time it took, or the refusal."""
    asked = {"as_of": AS_OF}
    try:
        if what == "trajectory":
            found = path_of(source, patient, **asked).to_dict()
        elif what == "similar":
            options = SimilarOptions(k=4, **asked)
            query = patient_query(source.table, patient)
            found = similar(source.table, query, options).to_dict()
        elif what == "direction":
            found = ask(source, patient, direction="improving", **asked).to_dict()
        elif what == "groups":
            conditions = {"from_where": ("age < 34",), "to_where": ("age >= 34",)}
            found = ask(source, **conditions, n_draws=9, **asked).to_dict()
        else:
            found = ask(
                source,
                patient,
                n_draws=9,
                transitions=what,
                match=("site",),
                **asked,
            ).to_dict()
    except LearnerIndexError as refusal:
        return str(refusal)
    assert set(TIMES) & set(found)
    kept = {name: value for name, value in found.items() if name not in TIMES}
    return json.dumps(kept, allow_nan=False)


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**20),
    what=st.sampled_from(
        ["consecutive", "all", "baseline", "direction", "groups", "trajectory", "similar"]
    ),
    is_mixed=st.booleans(),
)
def test_later_rows_change_nothing(seed, what, is_mixed):
    """Later visits, patients, scores, treatments and outcomes leave the answer identical."""
    x, obs = planted(seed, 9, views=("L1", "R1"))
    more_x, more = later_rows(seed, obs)
    before = unfitted(x, obs)
    grown = known_later(obs, seed)
    if is_mixed:
        after = unfitted(*mixed(x, grown, more_x, more, seed))
    else:
        together = pd.concat([grown, more], ignore_index=True)
        after = unfitted(np.vstack([x, more_x]), together)

    answers = [answer(source, what, "P3") for source in (before, after)]

    assert answers[0] == answers[1]
    refusals = ("patient 'P3'", "severity axis tells nothing", "no severity axis")
    assert answers[0].startswith("{") or any(some in answers[0] for some in refusals)


@pytest.mark.parametrize("what", ["consecutive", "trajectory"])
def test_without_as_of_later_rows_matter(what, monkeypatch):
    """The comparison can fail: asked without a day, the later rows show."""
    x, obs = planted(1, 9, views=("L1", "R1"))
    more_x, more = later_rows(1, obs)
    together = pd.concat([obs, more], ignore_index=True)
    sources = source_of(x, obs, "cohort"), source_of(np.vstack([x, more_x]), together, "cohort")
    monkeypatch.setattr(f"{__name__}.AS_OF", None)

    answers = [answer(source, what, "P3") for source in sources]

    assert answers[0] != answers[1]


def test_an_answer_as_of_a_day_is_that_of_a_cohort_cut_there():
    """What is not there yet might as well not be: all but the reference's name is the same."""
    x, obs = planted(2, 9)
    is_past = (obs["day"] <= AS_OF).to_numpy(bool)
    past = obs[is_past].reset_index(drop=True)

    found = ask(source_of(x, obs, "cohort"), "P3", as_of=AS_OF)
    expected = ask(source_of(x[is_past], past, "cohort"), "P3")

    assert [hit.change for hit in found] == [hit.change for hit in expected]
    assert [hit.similarity for hit in found] == [hit.similarity for hit in expected]
    assert (found.support, found.outcome) == (expected.support, expected.outcome)
    assert found.reference == f"{expected.reference}, refitted as of day 22"
    assert "everything after day 22 is hidden, and what tells what came later" in found.notes


def test_outcomes_are_hidden():
    """Columns that tell what came later are None in hits and likes."""
    source = source_of(*planted(2, 9), "cohort")

    hits = ask(source, "P3", as_of=AS_OF, k=99).hits
    likes = path_of(source, "P3", as_of=AS_OF, k=99).likes

    for some in (hits, likes):
        assert len(some) > 0
        told = {tuple(one.columns[n] for n in ("response", "event", "event_day")) for one in some}
        assert told == {(None, None, None)}
        assert {one.columns["site"] for one in some} == {"X", "Y"}


def test_nothing_later_is_told():
    """No hit, stop or like lies after the day."""
    source = source_of(*planted(2, 9), "cohort")

    hits = ask(source, "P3", as_of=AS_OF, k=99).hits
    path = path_of(source, "P3", as_of=AS_OF, k=99)

    days = [hit.change.to_day for hit in hits] + [like.to_day for like in path.likes]
    days += [stop.day for stop in path.stops]
    assert len(days) > 10
    assert max(days) <= AS_OF


def test_a_modality_that_came_later_is_unknown():
    """A second modality whose scans are all later asks for no choice, and cannot be chosen."""
    x, obs = planted(2, 9)
    obs["modality"] = pd.array(["us"] * len(obs), dtype="string")
    ct = obs.assign(modality="ct", day=99.0, scan_id="ct-" + obs["scan_id"])
    both = frame(pd.concat([obs, ct]).to_dict("list"))
    before, after = source_of(x, obs, "cohort"), source_of(np.vstack([x, x]), both, "cohort")

    answers = [answer(source, "consecutive", "P3") for source in (before, after)]

    assert answers[0] == answers[1]
    with pytest.raises(QueryError, match="no modality 'ct': there is us"):
        ask(after, "P3", as_of=AS_OF, modality="ct")


def test_a_patient_who_came_later_is_unknown():
    """Somebody first seen after the day is refused as if never heard of."""
    x, obs = planted(2, 9)
    is_p8 = (obs["patient_id"] == "P8").to_numpy(bool)
    source = source_of(x, obs.assign(day=obs["day"] + np.where(is_p8, 50.0, 0.0)), "cohort")

    for question in (ask, path_of):
        with pytest.raises(QueryError, match="no patient 'P8' among 8"):
            question(source, "P8", as_of=AS_OF)


def test_undated_scans_are_hidden_and_counted():
    """Nobody knows whether a scan without a day was there: it is not, and a note counts them."""
    x, obs = planted(2, 9)
    obs.loc[:2, "day"] = np.nan
    source = source_of(x, obs, "cohort")

    for found in (ask(source, "P3", as_of=AS_OF), path_of(source, "P3", as_of=AS_OF)):
        assert "3 scans without a day are hidden too" in found.notes


def test_too_early_a_day_is_refused():
    """Before two patients were seen there is no reference."""
    source = source_of(*planted(2, 9), "cohort")

    for question in (ask, path_of):
        with pytest.raises(QueryError, match="until day -1: choose a later day"):
            question(source, "P3", as_of=-1.0)
