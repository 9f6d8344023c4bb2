"""Near misses: which known name a person probably meant; used wherever a name is unknown."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

_MOST = 2  # names proposed
_LONGEST_LIST = 12  # names listed where none is near
_LISTED = 30  # names of a list that must be given


def close_names(wanted: str, known: Iterable[str]) -> str:
    """What to append to "no column 'agee'": " (did you mean 'age'?)", or "" when nothing is near.

    Near are, in this order: names equal but for case, blanks, signs and zeros before a number;
    names that begin or end alike or hold the wanted one; the same letters in another order; and
    names a few letters away.

    Args:
        wanted: the unknown name.
        known: the names that exist.

    Returns:
        A phrase with a leading space that names at most two candidates, the nearest first.

    Example:
        >>> close_names("patientid", ["scan_id", "patient_id"])
        " (did you mean 'patient_id'?)"
        >>> close_names("P7", ["P070", "P007"])
        " (did you mean 'P007'?)"
    """
    near = near_names(wanted, known)
    return f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""


def near_or_all(wanted: str, known: Iterable[str]) -> str:
    """As `close_names`; where nothing is near and names are few, ": there are a, b and c"."""
    names = [str(name) for name in known]
    hint = close_names(wanted, names)
    if hint or not 0 < len(names) <= _LONGEST_LIST:
        return hint
    return f" (there {'is' if len(names) == 1 else 'are'} {', '.join(names)})"


def some_of(known: Iterable[str]) -> str:
    """Names in one line, the first 30: "a, b, c and 5 more"."""
    names = [str(name) for name in known]
    more = f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def squashed(name: str) -> str:
    """A name without case, blanks and punctuation: 'Patient ID' and 'patient_id' become equal."""
    letters = "".join(letter for letter in name.casefold() if letter.isalnum())
    return letters or name.casefold()


def near_names(wanted: str, known: Iterable[str]) -> list[str]:
    """At most two names, by the first way of being near that finds any; as in `close_names`."""
    short = _key(wanted)
    keys = {name: _key(name) for name in known}
    for is_near in (_is_same, _is_part, _is_shuffled):
        found = [name for name, key in keys.items() if is_near(short, key)]
        if 0 < len(found) <= _MOST:
            return found
    by_key = {key: name for name, key in reversed(keys.items())}
    return [by_key[key] for key in get_close_matches(short, by_key, n=_MOST, cutoff=0.75)]


def _key(name: str) -> str:
    """A squashed name without the zeros before a number."""
    return re.sub(r"(?<!\d)0+(?=\d)", "", squashed(name))


def _is_same(wanted: str, key: str) -> bool:
    return wanted == key


def _is_part(wanted: str, key: str) -> bool:
    """The wanted name is a part of the other, but no mere letter or two in its middle."""
    if wanted.isdecimal():
        return re.search(rf"(?<!\d){wanted}(?!\d)", key) is not None
    return len(wanted) > 1 and (key.startswith(wanted) or (len(wanted) > 2 and wanted in key))


def _is_shuffled(wanted: str, key: str) -> bool:
    return len(wanted) > 2 and sorted(wanted) == sorted(key)
