"""Patterns of scan paths, such as '{patient_id}/{day}_{view}.mp4'.

A placeholder names a column and stands for one or more characters of one path part; `*` stands
for any characters of one part; everything else is literal, an ending such as .png in capitals or
not; a trailing '/' means that folders are the scans.
"""

import re
from dataclasses import dataclass

from learner_index.data.privacy import identifying_header
from learner_index.data.understand import STORE_NAMES
from learner_index.errors import ManifestError

_TOKEN = re.compile(r"\{([^{}]*)\}|(\*+)|([{}])|([^{}*]+)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class PathPattern:
    """A compiled pattern.

    Attributes:
        text: as it was given.
        names: its placeholders, in order of first appearance.
        depth: number of path parts.
        is_folder: whether folders, not files, are the scans.
    """

    text: str
    names: tuple[str, ...]
    depth: int
    is_folder: bool
    _shortest: re.Pattern[str]
    _longest: re.Pattern[str]

    def match(self, relative: str) -> dict[str, str] | None:
        """The placeholders' values in a relative path; None when the path does not fit.

        Raises:
            ManifestError: the path fits in more than one way.
        """
        short, long = self._shortest.fullmatch(relative), self._longest.fullmatch(relative)
        if short is None or long is None:
            return None
        if short.groups() != long.groups():  # equal extremes leave room for no third way
            ways = [_shown(match.groupdict()) for match in (short, long)]
            raise ManifestError(
                f"{relative!r} fits the pattern {self.text!r} in two ways ({ways[0]}; or "
                f"{ways[1]}): rename it, or choose a pattern that separates them"
            )
        return {name: short.group(name) for name in self.names}


def parse_pattern(text: str) -> PathPattern:
    """The pattern that a text describes.

    Raises:
        ManifestError: it has no {patient_id}, an unknown sign, a placeholder that no column may
            be called, or placeholders that nothing separates.
    """
    is_folder = text.endswith("/")
    parts = text.removeprefix("./").rstrip("/").split("/")
    if "" in parts or ".." in parts:
        raise ManifestError(f"pattern {text!r}: write a path below the folder, such as 'a/b.png'")
    tokens = [_tokens(text, part) for part in parts]
    names = tuple(dict.fromkeys(value for part in tokens for kind, value in part if kind == "name"))
    for name in names:
        _check_name(text, name)
    if "patient_id" not in names:
        raise ManifestError(f"pattern {text!r} has no {{patient_id}}: every scan needs a patient")
    if "day" in names and "date" in names:
        raise ManifestError(f"pattern {text!r} has both {{day}} and {{date}}: leave one out")
    shortest, longest = _compiled(tokens, lazy="?"), _compiled(tokens, lazy="")
    return PathPattern(text, names, len(parts), is_folder, shortest, longest)


def _tokens(text: str, part: str) -> list[tuple[str, str]]:
    """A part as ("name" | "any" | "literal", value) pairs."""
    tokens: list[tuple[str, str]] = []
    for name, stars, brace, literal in _TOKEN.findall(part):
        if brace or len(stars) > 1 or not (name or stars or literal):
            raise ManifestError(
                f"pattern {text!r}: {part!r} is not understood; use {{column}} for a value "
                "and one * for any characters"
            )
        kind = "name" if name else "any" if stars else "literal"
        if tokens and kind != "literal" and tokens[-1][0] != "literal":
            raise ManifestError(
                f"pattern {text!r}: nothing separates the placeholders in {part!r}, "
                "so they cannot be told apart"
            )
        tokens.append((kind, name or stars or literal))
    return tokens


def _check_name(text: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ManifestError(
            f"pattern {text!r}: {{{name}}} is no column name; use letters, digits and _"
        )
    if name == "path" or name in STORE_NAMES:
        raise ManifestError(f"pattern {text!r}: {{{name}}} has another meaning, use another name")
    reason = identifying_header(name) if name != "date" else ""
    if reason:
        raise ManifestError(f"pattern {text!r}: {{{name}}} {reason}: use * to leave it out")


def _compiled(tokens: list[list[tuple[str, str]]], lazy: str) -> re.Pattern[str]:
    """A regular expression; wildcards are captured where a placeholder shares their part."""
    seen: set[str] = set()
    parts = []
    for part in tokens:
        has_name = any(kind == "name" for kind, _ in part)
        parts.append("".join(_expression(token, seen, lazy, has_name) for token in part))
    return re.compile(_any_case("/".join(parts), tokens[-1][-1]), re.DOTALL)


def _any_case(expression: str, last: tuple[str, str]) -> str:
    """The expression with a literal ending such as .png taken in capitals, too."""
    kind, value = last
    ending = re.escape(value[value.rfind(".") :])
    if kind != "literal" or "." not in value:
        return expression
    return f"{expression.removesuffix(ending)}(?i:{ending})"


def _expression(token: tuple[str, str], seen: set[str], lazy: str, has_name: bool) -> str:
    kind, value = token
    if kind == "literal":
        return re.escape(value)
    if kind == "any":
        return f"([^/]*{lazy})" if has_name else "[^/]*"
    if value in seen:
        return f"(?P={value})"
    seen.add(value)
    return f"(?P<{value}>[^/]+{lazy})"


def _shown(values: dict[str, str]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in values.items())
