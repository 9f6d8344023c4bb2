"""Dates become days."""

import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner_index.data.days import days_since_first, iso_date, masked


@pytest.mark.parametrize(
    "text",
    [
        "2021-03-04",
        "2021-03-04T05:06",
        "2021-03-04 05:06:07",
        "2021-03-04T05:06:07.123456Z",
        "2021-03-04 05:06:07+01:00",
    ],
)
def test_iso_dates_are_understood_with_or_without_time(text):
    """The date counts, whatever time follows it."""
    assert iso_date(text) == datetime.date(2021, 3, 4)


@pytest.mark.parametrize(
    "text", ["", "03/04/2021", "20210304", "2021-W01-1", "2021-02-30", "2021-03-04x", "٢٠٢١-03-04"]
)
def test_other_dates_are_not(text):
    """Anything that is not YYYY-MM-DD, or no day of the calendar, is refused."""
    assert iso_date(text) is None


@given(st.lists(st.dates(), min_size=1))
def test_days_keep_the_distances_of_dates(dates):
    """The earliest date is day 0 and differences are exact."""
    days, bad = days_since_first([day.isoformat() for day in dates])

    assert bad == []
    assert days.tolist() == [(day - min(dates)).days for day in dates]


def test_unreadable_dates_are_missing_and_named():
    """Bad dates are reported by position; without any good one all are missing."""
    days, bad = days_since_first(["4.3.2021", None])

    assert bad == [0]
    assert np.isnan(days).all()


def test_masked_dates_hide_their_digits():
    """Messages show the shape of a date, never the date."""
    assert masked("03/04/2021") == "##/##/####"
