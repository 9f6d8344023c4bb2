"""Patterns of scan paths."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from learner_index.data.pattern import parse_pattern
from learner_index.errors import ManifestError


@pytest.mark.parametrize(
    ("pattern", "path", "values"),
    [
        (
            "{patient_id}/{day}_{view}.mp4",
            "P1/3_L1.mp4",
            {"patient_id": "P1", "day": "3", "view": "L1"},
        ),
        ("{patient_id}/{day}_{view}.mp4", "P1/3_L1.avi", None),
        ("{patient_id}/{day}_{view}.mp4", "x/P1/3_L1.mp4", None),
        ("{patient_id}.png", "a+b.png", {"patient_id": "a+b"}),
        ("a.b/{patient_id}", "axb/p", None),
        ("*/{patient_id}.png", "any/p.png", {"patient_id": "p"}),
        ("{patient_id}/*_*.png", "p/a_b_c.png", {"patient_id": "p"}),
        ("{patient_id}/x*/", "p/x", {"patient_id": "p"}),
        ("{patient_id}/{patient_id}_{day}.png", "p/p_1.png", {"patient_id": "p", "day": "1"}),
        ("{patient_id}/{patient_id}_{day}.png", "p/q_1.png", None),
        ("./{patient_id}.png", "p.png", {"patient_id": "p"}),
    ],
)
def test_paths_fit_or_do_not(pattern, path, values):
    """Placeholders and stars stay inside one path part; the rest is literal."""
    assert parse_pattern(pattern).match(path) == values


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("{day}.png", r"has no \{patient_id\}"),
        ("{patient_id}{day}.png", "nothing separates the placeholders"),
        ("{patient_id}*.png", "nothing separates the placeholders"),
        ("{patient_id}/**/a.png", "is not understood"),
        ("{patient_id", "is not understood"),
        ("patient_id}", "is not understood"),
        ("{patient_id}/{}.png", "is not understood"),
        ("{patient_id}/{day:d}.png", r"\{day:d\} is no column name"),
        ("{patient_id}/{path}.png", r"\{path\} has another meaning"),
        ("{patient_id}/{rank}.png", r"\{rank\} has another meaning"),
        ("{patient_id}/{surname}.png", r"\{surname\} looks like a name.*use \* to leave it out"),
        ("{patient_id}/{day}_{date}.png", r"both \{day\} and \{date\}"),
        ("../{patient_id}.png", "write a path below the folder"),
        ("/{patient_id}.png", "write a path below the folder"),
        ("", "write a path below the folder"),
    ],
)
def test_impossible_patterns_are_refused(pattern, message):
    """What cannot be a pattern is refused with its reason."""
    with pytest.raises(ManifestError, match=message):
        parse_pattern(pattern)


def test_path_that_fits_in_two_ways_is_refused():
    """Rather than guess, both readings of an ambiguous path are shown."""
    pattern = parse_pattern("{patient_id}_{view}.png")

    with pytest.raises(
        ManifestError, match=r"two ways \(patient_id='a', view='b_c'; or patient_id='a_b'"
    ):
        pattern.match("a_b_c.png")


def test_star_beside_a_placeholder_must_be_unambiguous_too():
    """A wildcard that could move a placeholder's borders makes a path ambiguous."""
    with pytest.raises(ManifestError, match="two ways"):
        parse_pattern("*_{patient_id}_*").match("x_y_x_y_x")


words = st.text("abc_", min_size=1, max_size=5)


@given(patient=words, view=words)
def test_values_come_back_unless_ambiguous(patient, view):
    """Filling a pattern and matching it gives the values back, or says it is ambiguous."""
    pattern = parse_pattern("{patient_id}-{view}.png")
    assert pattern.match(f"{patient}-{view}.png") == {"patient_id": patient, "view": view}

    unclear = parse_pattern("{patient_id}_{view}.png")
    path = f"{patient}_{view}.png"
    ways = sum(0 < cut < len(path) - 5 for cut, sign in enumerate(path) if sign == "_")
    assume(ways > 1)
    with pytest.raises(ManifestError, match="two ways"):
        unclear.match(path)
