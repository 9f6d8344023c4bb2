"""Pretraining settings from a TOML file and from what was typed, checked as one."""

import tomllib
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict, fields
from datetime import date, time
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from learner_index.config import PretrainOptions
from learner_index.data.suggest import close_names
from learner_index.errors import SettingsError

SECTIONS = tuple(field.name for field in fields(PretrainOptions))


def read_pretrain_options(
    path: Path | None = None,
    changes: Mapping[str, Any] | None = None,
    *,
    base: Mapping[str, Any] | None = None,
) -> PretrainOptions:
    """Settings of a run: what was typed, else the file's, else the base's, else the defaults.

    Args:
        path: a TOML file whose sections are the fields of `PretrainOptions`.
        changes: "section.name" -> value; "objective.settings.name" for an objective's own.
        base: section -> name -> value, such as the settings of a run that goes on.

    Raises:
        SettingsError: the file cannot be read, or a setting is unknown or of the wrong type.
    """
    found = deepcopy(dict(base or {}))
    if path is not None:
        read = _read(path)
        options_from(read, path.name)
        for section, values in read.items():
            found.setdefault(section, {}).update(values)
    for name, value in (changes or {}).items():
        _put(found, name, value)
    return options_from(found, "the settings")


def _put(found: dict[str, Any], name: str, value: Any) -> None:
    """Sets one setting by its dotted name."""
    *sections, last = name.split(".")
    target: Any = found
    for part in sections:
        target = target.setdefault(part, {}) if isinstance(target, dict) else None
    if not sections or not last or not isinstance(target, dict):
        raise SettingsError(f"setting {name!r}: give it as section.name=value")
    target[last] = value


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
    _refuse_flags(found, defaults, where)
    try:
        return TypeAdapter(PretrainOptions).validate_python(found)
    except ValidationError as problem:
        first = problem.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        text = str(first["msg"]).removeprefix("Input should be ").partition(",")[0]
        raise SettingsError(f"{where}: {place} is {first['input']!r}, give {text}") from None


def _refuse_flags(found: Mapping[str, Any], defaults: Mapping[str, Any], where: str) -> None:
    """Yes and no are no numbers, although Python can count with them."""
    for section, values in found.items():
        for name, value in values.items():
            if isinstance(value, bool) and not isinstance(defaults[section][name], bool):
                raise SettingsError(
                    f"{where}: {section}.{name} is {str(value).lower()}, which it cannot be"
                )


def toml_value(text: str) -> Any:
    """A typed value as TOML reads it, or the text itself: 3, 0.5, true, [1, 2], cosine.

    "none" is no value, which leaves a choice open; TOML has no word for it.
    """
    if text == "none":
        return None
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    return text if isinstance(value, date | time) else value


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise SettingsError(
            f"--config {path} cannot be read ({problem.strerror}): name a file of settings in TOML"
        ) from problem
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise SettingsError(
            f"--config {path} is no TOML file: {problem}: write [section] and name = value lines"
        ) from problem
