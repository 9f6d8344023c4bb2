"""Conditions relative to the query's patient."""

import numpy as np
import pandas as pd
import pytest

from learner_index.config import SimilarOptions
from learner_index.errors import QueryError
from learner_index.search.filters import column_kinds, fulfils
from learner_index.search.matching import parse_match, relate
from learner_index.search.query import scan_query, vector_query
from learner_index.search.similar import similar
from learner_index.search.table import SearchTable

OBS = pd.DataFrame(
    {
        "scan_id": pd.array(list("abcde"), dtype="string"),
        "patient_id": pd.array(list("PPQRS"), dtype="string"),
        "site": pd.array(["A", None, "B", "A", None], dtype="string"),
        "age": [50.0, 52.0, 54.5, 60.0, np.nan],
        "sick": pd.array([True, True, False, None, True], dtype="boolean"),
    }
)
TABLE = SearchTable(np.eye(5, dtype=np.float32), OBS)
KINDS = column_kinds(OBS)


def found(text, rows):
    """Scan ids that are like the query's rows."""
    condition = relate(TABLE, parse_match(text, KINDS), np.array(rows, int))
    return "".join(OBS["scan_id"][fulfils(TABLE, condition)])


@pytest.mark.parametrize(
    ("text", "rows", "ids"),
    [
        ("site", [0], "ad"),
        ("site==", [0], "ad"),
        ("site!=", [0], "c"),
        ("site", [0, 1], "ad"),
        ("age±5", [0], "abc"),
        ("age ± 4.5", [0], "abc"),
        ("age+-2", [0], "ab"),
        ("age+/-0", [0], "a"),
        ("age", [3], "d"),
        ("sick", [0, 1], "abe"),
        ("sick!=", [0], "c"),
    ],
)
def test_finds_the_like(text, rows, ids):
    """Equal, different and near rows are found; a missing value is like nothing."""
    assert found(text, rows) == ids


@pytest.mark.parametrize(
    ("text", "rows", "message"),
    [
        ("sex", [0], "no column 'sex'"),
        ("site > 3", [0], "is no likeness: write column, column!= or column±N"),
        ("site±5", [0], "holds text, so ± means nothing"),
        ("age±five", [0], "'five' in 'age±five' is no tolerance"),
        ("age±-1", [0], "'-1' in 'age±-1' is no tolerance"),
        ("age±inf", [0], "is no tolerance"),
        ("age", [0, 1], "have age 50, 52: ask for one visit"),
        ("sick", [0, 2], "have sick true, false: ask for one visit"),
        ("site", [1], "the query has no site"),
        ("site", [], "the query's patient is not in the store"),
    ],
)
def test_refuses_what_the_query_does_not_settle(text, rows, message):
    """A likeness without one value to be like is refused, with the next step."""
    with pytest.raises(QueryError, match=message) as caught:
        found(text, rows)
    assert "\n" not in str(caught.value)


def test_search_applies_likenesses():
    """In a search the likeness holds for every hit, and an empty answer shows its value."""
    options = SimilarOptions(metric="cosine", match=("age±5", "site!="))

    hits = similar(TABLE, scan_query(TABLE, "a"), options)
    none = similar(TABLE, scan_query(TABLE, "d"), options)

    assert [hit.scan_id for hit in hits] == ["c"]
    assert "1 after age within 55..65, 0 after site != A" in none.notes[-1]


def test_vectors_match_through_their_patient():
    """A vector with a known patient is matched by that patient's rows, without one refused."""
    options = SimilarOptions(metric="cosine", match=("site",))

    hits = similar(TABLE, vector_query(TABLE, np.ones(5), patient_id="P"), options)

    assert [hit.scan_id for hit in hits] == ["d"]
    with pytest.raises(QueryError, match="not in the store"):
        similar(TABLE, vector_query(TABLE, np.ones(5)), options)
