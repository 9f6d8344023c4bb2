"""Pretraining settings from a TOML file and from what was typed, checked as one."""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from learner_index.config import PretrainOptions
from learner_index.data.suggest import close_names
from learner_index.errors import SettingsError

SECTIONS = tuple(field.name for field in fields(PretrainOptions))


def read_pretrain_options(
    path: Path | None = None, changes: Mapping[str, Any] | None = None
) -> PretrainOptions:
    """Settings of a run: the file's, with some changed, and defaults for the rest.

    Args:
        path: a TOML file whose sections are the fields of `PretrainOptions`.
        changes: "section.name" -> value; these win over the file.

    Raises:
        SettingsError: the file cannot be read, or a setting is unknown or of the wrong type.
    """
    where = "the settings" if path is None else path.name
    found = {} if path is None else _read(path)
    for name, value in (changes or {}).items():
        section, _, rest = name.partition(".")
        if not rest or not isinstance(found.setdefault(section, {}), dict):
            raise SettingsError(f"setting {name!r}: give it as section.name=value")
        names = rest.split(".")
        target = found[section]
        for part in names[:-1]:
            target = target.setdefault(part, {})
        target[names[-1]] = value
    return options_from(found, where)


def options_from(found: Mapping[str, Any], where: str) -> PretrainOptions:
    """Settings as plain values, checked and typed.

    Args:
        found: section -> name -> value.
        where: what to call their origin in messages.

    Raises:
        SettingsError: one is unknown or of the wrong type.
    """
    defaults = asdict(PretrainOptions())
    for section, values in found.items():
        if section not in defaults:
            hint = close_names(section, SECTIONS)
            raise SettingsError(f"{where}: no section [{section}]{hint}: {', '.join(SECTIONS)}")
        if not isinstance(values, Mapping):
            raise SettingsError(f"{where}: {section} is a section, not a value")
        for name in values:
            if name not in defaults[section]:
                hint = close_names(name, defaults[section])
                known = ", ".join(defaults[section])
                raise SettingsError(f"{where}: [{section}] has no {name!r}{hint}; it has {known}")
    try:
        return TypeAdapter(PretrainOptions).validate_python(found)
    except ValidationError as problem:
        first = problem.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        text = str(first["msg"]).removeprefix("Input should be ")
        raise SettingsError(
            f"{where}: {place} is {first['input']!r}, and should be {text}"
        ) from None


def toml_value(text: str) -> Any:
    """A typed value as TOML reads it, or the text itself: 3, 0.5, true, [1, 2], cosine."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise SettingsError(f"cannot read {path}: {problem.strerror}") from problem
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise SettingsError(f"{path} is no TOML file: {problem}") from problem
