"""Queries: what each kind stands for, and what is refused."""

import numpy as np
import pandas as pd
import pytest

from learner_index.data.reference import Reference
from learner_index.errors import QueryError
from learner_index.search.query import cut, patient_query, scan_query, vector_query, visit_query
from learner_index.search.table import SearchTable

OBS = pd.DataFrame(
    {
        "scan_id": pd.array(list("abcdef"), dtype="string"),
        "patient_id": pd.array(["P017"] * 4 + ["P018"] * 2, dtype="string"),
        "day": [0.0, 0.0, 7.0, np.nan, 3.0, np.nan],
        "visit": pd.array(["v1", "v1", None, None, "v1", None], dtype="string"),
        "view": pd.array(["L1", "R1", "L1", None, "L1", "R1"], dtype="string"),
        "content_hash": pd.array(list("123456"), dtype="string"),
    }
)
X = np.arange(12, dtype=np.float32).reshape(6, 2)
TABLE = SearchTable(X, OBS)


def test_scan_query_is_one_scan():
    """A scan query holds the scan's embedding and leaves its patient out."""
    query = scan_query(TABLE, "c")

    assert query.vectors.tolist() == [[4, 5]]
    assert (query.scan_ids, query.views, query.modalities) == (("c",), ("L1",), (None,))
    assert query.patient_id == "P017"
    assert query.description == {"scan_id": "c"}


def test_patient_query_is_all_scans():
    """A patient query holds all scans, or those until a day; undated ones are cut."""
    assert patient_query(TABLE, "P017").scan_ids == ("a", "b", "c", "d")
    assert patient_query(TABLE, "P017", until_day=7).scan_ids == ("a", "b", "c")
    assert patient_query(TABLE, "P017", until_day=6).views == ("L1", "R1")


def test_visit_query_is_one_visit():
    """A visit is named by its day or its visit id."""
    assert visit_query(TABLE, "P017", day=0).scan_ids == ("a", "b")
    assert visit_query(TABLE, "P017", visit="v1").scan_ids == ("a", "b")
    assert visit_query(TABLE, "P018", day=3).description == {"patient_id": "P018", "day": 3.0}


def test_content_hash_finds_the_patient():
    """A file whose bytes are in the store belongs to that patient; other bytes to nobody."""
    assert vector_query(TABLE, [1, 2], content_hash="5").patient_id == "P018"
    assert vector_query(TABLE, [1, 2], content_hash="9").patient_id is None
    assert vector_query(TABLE, [1, 2], content_hash="5", patient_id="P017").patient_id == "P017"


@pytest.mark.parametrize(
    ("stored", "asked", "expected"),
    [
        (list("121212"), "1", ("P017", "P018")),
        (["", None, "", None, "", None], "", ()),
        (["", None, "", None, "", None], None, ()),
        (None, "1", ()),
    ],
)
def test_bytes_belong_to_everyone_who_has_them(stored, asked, expected):
    """All patients with the same bytes own them; missing and empty hashes are nobody's."""
    obs = OBS.drop(columns="content_hash")
    if stored is not None:
        obs["content_hash"] = pd.array(stored, dtype="string")
    table = SearchTable(X, obs)

    assert vector_query(table, [1, 2], content_hash=asked).patient_ids == expected
    assert patient_query(table, "P018").patient_ids == ("P018", *expected[:1])


def test_vector_query_takes_one_or_many():
    """(e,) is one vector and (q, e) are several, as float32."""
    assert vector_query(TABLE, [1, 2]).vectors.shape == (1, 2)
    many = vector_query(TABLE, np.ones((3, 2)), kind="file", view="R1")
    assert (many.kind, many.vectors.dtype, many.views) == ("file", np.float32, ("R1",) * 3)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: scan_query(TABLE, "aa"), "no scan 'aa' among 6"),
        (lambda: patient_query(TABLE, "p17"), "no patient 'p17' among 2.*did you mean 'P017'"),
        (lambda: patient_query(TABLE, "P017", until_day=-1), "has no scan until day -1: .* 0, 7"),
        (lambda: visit_query(TABLE, "P017"), "give exactly one"),
        (lambda: visit_query(TABLE, "P017", day=0, visit="v1"), "give exactly one"),
        (lambda: visit_query(TABLE, "P017", day=5), "no visit on day 5: days are 0, 7"),
        (lambda: visit_query(TABLE, "P017", day=np.nan), "--day is nan: give a finite number"),
        (lambda: visit_query(TABLE, "P017", day=np.inf), "--day is inf: give a finite number"),
        (lambda: visit_query(TABLE, "P017", visit="v2"), "no visit 'v2': visits are v1"),
        (lambda: vector_query(TABLE, [1, 2, 3]), r"shape \(3,\) do not fit .* width 2"),
        (lambda: vector_query(TABLE, np.ones((0, 2))), r"shape \(0, 2\) do not fit"),
        (lambda: vector_query(TABLE, np.ones((1, 1, 2))), r"shape \(1, 1, 2\) do not fit"),
        (lambda: vector_query(TABLE, ["x", "y"]), "needs numbers"),
        (lambda: vector_query(TABLE, [1, np.nan]), "holds NaN or infinity"),
        (lambda: vector_query(TABLE, [1, 1e300]), "holds NaN or infinity"),
        (
            lambda: vector_query(TABLE, [1, 2], patient_id="P999"),
            "no patient 'P999' .*leave --patient out",
        ),
        (lambda: vector_query(TABLE, [1, 2], view="L2"), "no view 'L2' in the store"),
        (lambda: vector_query(TABLE, [1, 2], modality="US"), "no modality 'US' .* it has none"),
        (lambda: cut(TABLE, vector_query(TABLE, [1, 2]), 3), "a vector has no day to cut at"),
    ],
)
def test_refuses_what_is_not_there(ask, message):
    """Unknown ids and unfit vectors are refused on one line with what is known."""
    with pytest.raises(QueryError, match=message) as caught:
        ask()
    assert "\n" not in str(caught.value)


def test_table_without_optional_columns():
    """Day, visit, view and modality may be absent; messages then say so."""
    table = SearchTable(X, OBS[["scan_id", "patient_id"]])

    assert patient_query(table, "P018").views == (None, None)
    with pytest.raises(QueryError, match="days are missing"):
        visit_query(table, "P018", day=3)


def test_visits_follow_id_then_day():
    """A visit id wins over the day; a scan with neither is a visit of its own."""
    numbers, count = TABLE.groups("visit")

    assert count == 5
    assert numbers[0] == numbers[1]
    assert len(set(numbers[[0, 2, 3, 4, 5]])) == 5


def test_guesses_among_many_ids():
    """With very many ids, a near miss is looked for among those that begin alike."""
    ids = [f"scan-{i:05}" for i in range(5000)]
    obs = pd.DataFrame({"scan_id": ids, "patient_id": ids})
    table = SearchTable(np.zeros((5000, 1), np.float32), obs)

    with pytest.raises(QueryError, match=r"among 5000 .did you mean 'scan-0"):
        scan_query(table, "scan-0012")


@pytest.mark.parametrize("shape", [(5, 2), (6,), (6, 2, 1)])
def test_table_refuses_unaligned_embeddings(shape):
    """Embeddings and columns of different length are refused."""
    with pytest.raises(QueryError, match="do not fit 6 rows"):
        SearchTable(np.zeros(shape, np.float32), OBS)


def test_table_refuses_a_foreign_reference():
    """A reference of another width is refused."""
    reference = Reference(np.zeros(3), {}, (), 0, "")

    with pytest.raises(QueryError, match="width 3 and the embeddings of width 2"):
        SearchTable(X, OBS, reference=reference)


def test_table_keeps_two_prepared_copies():
    """Preparing for a third metric lets go of the copy that was used longest ago."""
    table = SearchTable(X, OBS)
    zero = np.zeros(2)
    first, second = table.prepared("cosine", zero), table.prepared("euclidean", zero)

    assert table.prepared("cosine", zero) is first
    table.prepared("centered", zero)

    assert table.prepared("cosine", zero) is first
    assert table.prepared("euclidean", zero) is not second
