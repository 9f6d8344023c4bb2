"""Near misses: which known name a person probably meant; used wherever a name is unknown."""

from collections.abc import Iterable
from difflib import get_close_matches


def close_names(wanted: str, known: Iterable[str]) -> str:
    """What to append to "no column 'agee'": " (did you mean 'age'?)", or "" when nothing is near.

    Args:
        wanted: the unknown name.
        known: the names that exist.

    Returns:
        A phrase with a leading space that names at most two candidates, the nearest first.

    Example:
        >>> close_names("patientid", ["scan_id", "patient_id"])
        " (did you mean 'patient_id'?)"
    """
    by_squashed = {squashed(name): name for name in known}
    near = get_close_matches(squashed(wanted), by_squashed, n=2, cutoff=0.75)
    if not near:
        return ""
    return f" (did you mean {' or '.join(repr(by_squashed[key]) for key in near)}?)"


def squashed(name: str) -> str:
    """A name without case, blanks and punctuation: 'Patient ID' and 'patient_id' become equal."""
    letters = "".join(letter for letter in name.casefold() if letter.isalnum())
    return letters or name.casefold()
