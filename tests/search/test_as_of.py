"""Searching as of a day: what came later changes nothing."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner_index.config import SimilarOptions
from learner_index.errors import QueryError
from learner_index.search.query import patient_query, scan_query, vector_query
from learner_index.search.similar import similar

AS_OF = 14.0


def answer(hits):
    return replace(hits, elapsed_ms=0.0).to_dict()


def with_later_rows(lab, x, obs, seed, asked):
    """The cohort with rows after the day mixed in, of the same and of new patients."""
    rng = np.random.default_rng(seed)
    more_x, more = lab.cohort(seed + 1, patients=12, offset=-2.0)
    more["day"] = AS_OF + rng.integers(1, 50, len(more))
    more["scan_id"] = "T" + more["scan_id"]
    more["patient_id"] = more["patient_id"].where(rng.random(len(more)) < 0.7, "NEW")
    more["content_hash"] = asked  # the bytes that are asked about
    both = pd.concat([obs, more], ignore_index=True)
    # rows are shuffled together, each cohort keeping its own order
    places = [np.sort(rng.random(len(some))) for some in (x, more)]
    order = np.argsort(np.concatenate(places))
    return np.vstack([x, more_x])[order], both.iloc[order].reset_index(drop=True)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    kind=st.sampled_from(["patient", "vector", "file"]),
    metric=st.sampled_from(["centered", "cosine", "euclidean"]),
    level=st.sampled_from(["scan", "visit", "patient"]),
    is_known=st.booleans(),
)
def test_later_rows_change_nothing(lab, seed, kind, metric, level, is_known):
    """Adding rows after the day leaves the whole answer identical, the time apart."""
    x, obs = lab.cohort(seed, missing=0.1)
    obs.loc[0, "day"] = 0.0
    asked = obs["content_hash"][0] if is_known else "later"
    before = lab.table(x, obs)
    grown_x, grown_obs = with_later_rows(lab, x, obs, seed, asked)
    after = type(before)(grown_x, grown_obs, clock="cohort", reference=before.reference)
    options = SimilarOptions(k=4, as_of=AS_OF, metric=metric, level=level, where=("site != B",))

    answers = []
    for table in (before, after):
        query = {
            "patient": lambda table: patient_query(table, obs["patient_id"][0]),
            "vector": lambda table: vector_query(table, x[0], patient_id=obs["patient_id"][0]),
            "file": lambda table: vector_query(table, x[0], content_hash=asked),
        }[kind](table)
        answers.append(answer(similar(table, query, options)))

    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ({"view": "LATER"}, "no view 'LATER' in the store: it has"),
        ({"modality": "LATER"}, "no modality 'LATER' in the store: it has"),
        ({"patient_id": "LATER"}, "no patient 'LATER' among 8 until day 14: leave --patient out"),
    ],
)
def test_what_came_later_is_unknown(lab, known, message):
    """Patients, views and modalities that only later rows have are refused, as before they came."""
    x, obs = lab.cohort(7, missing=0)
    obs["day"] = 0.0
    later = obs.iloc[:1].assign(day=99.0, scan_id="T", **known)
    table = lab.table(np.vstack([x, x[:1]]), pd.concat([obs, later], ignore_index=True))
    query = vector_query(table, x[0], **known)

    with pytest.raises(QueryError, match=message):
        similar(table, query, SimilarOptions(as_of=AS_OF))


def test_returns_no_later_row(table):
    """Every hit lies on or before the day, and undated scans are hidden and counted."""
    query = patient_query(table, table.obs["patient_id"][int(np.nanargmin(table.days))])

    hits = similar(table, query, SimilarOptions(k=99, level="scan", as_of=7, any_view=True))

    assert len(hits) > 0
    assert all(hit.day is not None and hit.day <= 7 for hit in hits)
    assert f"{int(np.isnan(table.days).sum())} scans without a day are hidden too" in hits.notes


def test_refit_is_named(table):
    """The answer says that the reference was refitted as of the day."""
    query = patient_query(table, table.obs["patient_id"][int(np.nanargmin(table.days))])

    hits = similar(table, query, SimilarOptions(as_of=7))

    assert hits.reference.endswith("refitted as of day 7")
    assert table.reference.fingerprint not in hits.reference


def test_hides_what_came_later_in_columns(lab):
    """Outcome columns, which lie after the day, come back empty."""
    x, obs = lab.cohort(7, missing=0)
    table = lab.table(x, obs.assign(event_day=900.0))
    query = scan_query(table, obs["scan_id"][int(obs["day"].argmin())])

    hits = similar(table, query, SimilarOptions(as_of=30, any_view=True))

    assert {hit.columns["event_day"] for hit in hits} == {None}


def test_refuses_conditions_on_what_came_later(lab):
    """A condition on an outcome cannot be combined with an as-of day."""
    x, obs = lab.cohort(7, missing=0)
    table = lab.table(x, obs.assign(event_day=900.0))

    with pytest.raises(QueryError, match="'event_day > 3' asks what came later"):
        similar(table, scan_query(table, "S0"), SimilarOptions(as_of=30, where=("event_day > 3",)))


def test_refuses_the_patient_clock(lab):
    """Days of two patients that cannot be compared refuse --as-of and name --until-day."""
    table = lab.table(*lab.cohort(0), clock="patient")

    with pytest.raises(QueryError, match=r"clock 'patient'.*--until-day"):
        similar(table, scan_query(table, "S0"), SimilarOptions(as_of=7))


@pytest.mark.parametrize(
    ("as_of", "message"),
    [
        (-1.0, "no scan of the reference's 8 patients until day -1"),
        (float("nan"), "--as-of is nan: give a finite number"),
    ],
)
def test_refuses_days_without_reference(table, as_of, message):
    """A day before the first scan leaves nothing to centre on."""
    with pytest.raises(QueryError, match=message):
        similar(table, vector_query(table, np.ones(6)), SimilarOptions(as_of=as_of))


def test_refuses_a_query_that_came_later(lab):
    """A scan after the day cannot be asked for as of that day."""
    x, obs = lab.cohort(7, missing=0)
    table = lab.table(x, obs)
    latest = obs["scan_id"][int(obs["day"].argmax())]

    with pytest.raises(QueryError, match="has no scan until day 0: its days are"):
        similar(table, scan_query(table, latest), SimilarOptions(as_of=0))


def test_until_day_cuts_only_the_query(lab):
    """With --until-day the query loses its later scans and the hits keep theirs."""
    x, obs = lab.cohort(8, missing=0)
    table = lab.table(x, obs, clock="patient")
    patient = obs["patient_id"][int(obs["day"].argmin())]
    options = SimilarOptions(k=99, level="scan", until_day=0, any_view=True)

    hits = similar(table, patient_query(table, patient), options)

    days = obs.set_index("scan_id")["day"]
    assert {days[hit.query_scan_id] for hit in hits} == {0.0}
    assert max(hit.day for hit in hits) > 0
    assert pairs(hits) == pairs(
        similar(table, patient_query(table, patient, until_day=0), replace(options, until_day=None))
    )


def pairs(hits):
    return [(hit.scan_id, hit.similarity) for hit in hits]
