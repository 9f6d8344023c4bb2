"""What a column's texts are: words, numbers or flags; and what counts as missing."""

import math
import re
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.data.problems import words

Kind = Literal["text", "number", "flag"]

REQUIRED = ("scan_id", "patient_id", "path")
TEXT_COLUMNS = words("scan_id patient_id path view visit modality site split treatment event")
NUMBER_COLUMNS = frozenset(("day", "health_score", "event_day", "last_seen_day"))
FLAG_COLUMNS = frozenset(("rescan",))
UNDERSTOOD = TEXT_COLUMNS | NUMBER_COLUMNS | FLAG_COLUMNS | {"date", "response"}

MISSING = frozenset(("", "NA", "N/A", "n/a", "NaN", "nan", "null", "None"))
_FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_TRUTH = frozenset(("true", "false"))
_NUMBER_CHARACTERS = frozenset("0123456789+-.eE")
_CODE = re.compile(r"^[+-]?(?:0[0-9]|[0-9]{16,}$)", re.MULTILINE)

Texts = Sequence[str | None]


def cleaned(cells: Sequence[str]) -> list[str | None]:
    """Texts without surrounding blanks; None where the cell is empty or says so."""
    texts: list[str | None] = list(map(str.strip, cells))
    if MISSING.isdisjoint(texts):
        return texts
    return [None if text in MISSING else text for text in texts]


def typed(name: str, texts: Texts, *, is_number: bool = False) -> tuple[Kind, Any, list[int]]:
    """A column's kind, its values in that kind, and the positions that are unreadable.

    The kind follows from the name where the name is understood, else from the values.
    """
    if is_number or name in NUMBER_COLUMNS:
        return "number", *numbers_of(texts)
    if name in FLAG_COLUMNS:
        return "flag", *flags_of(texts)
    kind, numbers = ("text", None) if name in TEXT_COLUMNS else inferred(texts)
    if kind == "flag":
        return kind, *flags_of(texts)
    return kind, texts if numbers is None else numbers, []


def inferred(texts: Texts) -> tuple[Kind, NDArray[np.float64] | None]:
    """Flag when every value is true or false, number when every value is one, else text.

    Codes stay text: a leading zero (007), or an integer of more than 15 digits, which a float
    would alter. A column without values is a number column.

    Returns:
        The kind, and (n,) numbers for a number column.
    """
    values = [text for text in texts if text is not None]
    if values and values[0].lower() in _TRUTH and {text.lower() for text in set(values)} <= _TRUTH:
        return "flag", None
    floats = _floats(values)
    if floats is None or _CODE.search("\n".join(values)):
        return "text", None
    return "number", _spread_out(texts, floats)


def _spread_out(texts: Texts, floats: Sequence[float]) -> NDArray[np.float64]:
    """(n,) the floats at the positions of the texts that are present, NaN elsewhere."""
    if len(floats) == len(texts):
        return np.asarray(floats, dtype=np.float64)
    numbers = np.full(len(texts), np.nan)
    numbers[[text is not None for text in texts]] = floats
    return numbers


def _floats(values: Sequence[str]) -> list[float] | None:
    """Finite floats, or None when any value is something else."""
    if not _NUMBER_CHARACTERS.issuperset("".join(values)):
        return None  # neither words, nor inf, nor Python's 1_000
    try:
        numbers = list(map(float, values))
    except ValueError:
        return None
    return numbers if all(map(math.isfinite, numbers)) else None


def numbers_of(texts: Texts) -> tuple[NDArray[np.float64], list[int]]:
    """(n,) floats, NaN where missing or unreadable, and the positions that are unreadable."""
    floats = _floats([text for text in texts if text is not None])
    if floats is not None:
        return _spread_out(texts, floats), []
    numbers, bad = np.full(len(texts), np.nan), []
    for row, text in enumerate(texts):
        one = _floats([] if text is None else [text])
        if one is None:
            bad.append(row)
        elif one:
            numbers[row] = one[0]
    return numbers, bad


def flags_of(texts: Texts) -> tuple[list[bool | None], list[int]]:
    """(n,) flags from true/false, yes/no or 1/0, None where missing, and unreadable positions."""
    lowered = [None if text is None else text.lower() for text in texts]
    bad = [row for row, text in enumerate(lowered) if text is not None and text not in _FLAGS]
    return [None if text is None else _FLAGS.get(text) for text in lowered], bad


def as_array(values: Sequence[Any] | NDArray[np.float64], kind: Kind) -> Any:
    """Values in the pandas type of their kind: "string", float64 or "boolean"."""
    if kind == "number":
        return np.asarray(values, dtype=np.float64) + 0.0  # no negative zero
    if kind == "flag":
        missing = np.asarray([value is None for value in values], dtype=bool)
        return pd.arrays.BooleanArray(np.asarray(values, dtype=object) == True, missing)  # noqa: E712
    return pd.array(list(values), dtype="string")
