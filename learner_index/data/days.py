"""Calendar dates become days at the door; no date goes further than this module."""

import re
from collections.abc import Sequence
from datetime import date

import numpy as np
from numpy.typing import NDArray

_ISO = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)


def iso_date(text: str) -> date | None:
    """The date of YYYY-MM-DD, with or without a time of day; None for anything else."""
    match = _ISO.fullmatch(text)
    if match is None:
        return None
    try:
        return date.fromisoformat(match.group(1))
    except ValueError:
        return None


def days_since_first(texts: Sequence[str | None]) -> tuple[NDArray[np.float64], list[int]]:
    """Whole days since the earliest date, NaN where missing, and positions that are no ISO date.

    The time of day is not used, so that all scans of one date share their day.
    """
    dates = {text: iso_date(text) for text in set(texts) if text is not None}
    bad = [row for row, text in enumerate(texts) if text is not None and dates[text] is None]
    first = min((day for day in dates.values() if day is not None), default=None)
    numbers = {
        text: float((day - first).days)
        for text, day in dates.items()
        if day is not None and first is not None
    }
    days = [np.nan if text is None else numbers.get(text, np.nan) for text in texts]
    return np.asarray(days, dtype=np.float64), bad


def masked(text: str) -> str:
    """A date's shape without the date, for messages: '##/##/####'."""
    return re.sub(r"[0-9]", "#", text)
