"""Which scans make one visit, and which are compared."""

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from learner_index.data.visits import strata, visit_codes


def frame(rows):
    return pd.DataFrame(
        {
            "patient_id": pd.array([row[0] for row in rows], dtype="string"),
            "visit": pd.array([row[1] for row in rows], dtype="string"),
            "day": np.array([np.nan if row[2] is None else row[2] for row in rows], dtype=float),
        }
    )


def test_visit_wins_over_day_and_missing_both_is_no_visit():
    """Rows with a visit id group by it, others by day, and rows with neither by nothing."""
    rows = [("p", "a", 0), ("p", "a", 5), ("p", None, 0), ("p", None, None), ("q", "a", 0)]

    assert visit_codes(frame(rows)).tolist() == [0, 0, 1, -1, 2]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["p", "q", None]),
            st.sampled_from(["a", "b", None]),
            st.sampled_from([0, 1.5, None]),
        )
    )
)
def test_codes_agree_with_a_plain_dictionary(rows):
    """Codes number the keys (patient, visit or day) in order of first appearance."""
    known: dict[object, int] = {}
    expected = []
    for patient, visit, day in rows:
        key = (patient, "visit", visit) if visit is not None else (patient, "day", day)
        missing = patient is None or key[2] is None
        expected.append(-1 if missing else known.setdefault(key, len(known)))

    assert visit_codes(frame(rows)).tolist() == expected


def test_table_without_visit_and_day_has_no_visits():
    """Without both columns no scan belongs to a visit."""
    assert visit_codes(pd.DataFrame({"patient_id": ["p", "q"]})).tolist() == [-1, -1]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ap", "a", "", "', '", "\0", "a\0", None]),
            st.sampled_from(["film", "p", "", "', '", "\0", None]),
        )
    )
)
def test_strata_are_equal_where_both_parts_are(rows):
    """Pandas numbers them as a dictionary of pairs does; what is missing is like ""."""
    table = pd.DataFrame(
        {
            "view": pd.array([row[0] for row in rows], dtype="string"),
            "modality": pd.array([row[1] for row in rows], dtype="string"),
        }
    )
    known: dict[object, int] = {}
    expected = [known.setdefault((a or "", b or ""), len(known)) for a, b in rows]

    assert pd.factorize(strata(table))[0].tolist() == expected


def test_strata_need_neither_column():
    """Without view and modality all scans are of one; one of both is enough to tell apart."""
    table = pd.DataFrame({"modality": ["film", "film", "us"]})

    assert len(set(strata(table[[]]))) == 1
    assert pd.factorize(strata(table))[0].tolist() == [0, 0, 1]
