"""Which objectives there are, and whether settings fit one; a new objective is one new file."""

import importlib
import pkgutil
from collections.abc import Mapping
from math import isfinite
from types import ModuleType

import learner_index.learn.objectives
from learner_index.data.suggest import close_names
from learner_index.errors import SettingsError
from learner_index.learn.objectives.record import Card, Objective, Setting


def objectives(package: ModuleType = learner_index.learn.objectives) -> dict[str, Objective]:
    """All objectives by name: those of regression first, each kind in alphabetical order.

    Args:
        package: every module in its folder that has a `CARD` and a `loss` is one.

    Raises:
        SettingsError: a file and the card in it have different names.
    """
    names = sorted(found.name for found in pkgutil.iter_modules(package.__path__))
    modules = [importlib.import_module(f"{package.__name__}.{name}") for name in names]
    found = [_objective_of(m) for m in modules if hasattr(m, "CARD") and hasattr(m, "loss")]
    found.sort(key=lambda one: one.card.kind != "regression")
    return {one.card.name: one for one in found}


def _objective_of(module: ModuleType) -> Objective:
    """The objective in a module."""
    card: Card = module.CARD
    file = module.__name__.rpartition(".")[2]
    if card.name != file:
        raise SettingsError(
            f"the objective in {file}.py calls itself {card.name!r}: give both the same name"
        )
    return Objective(card, module.loss)


def objective(name: str) -> Objective:
    """The objective of this name.

    Raises:
        SettingsError: there is none.
    """
    known = objectives()
    if name not in known:
        raise SettingsError(
            f"no objective {name!r}{close_names(name, known)}: choose one of {', '.join(known)}"
        )
    return known[name]


def checked_settings(card: Card, given: Mapping[str, Setting]) -> dict[str, Setting]:
    """All settings of an objective: those given, once they are found to fit, and its defaults.

    Args:
        card: of the objective.
        given: settings that differ from the defaults; whole numbers become floats.

    Raises:
        SettingsError: one is unknown, of the wrong type, out of range, or no such choice.
    """
    checked = {name: _checked(card, name, value) for name, value in given.items()}
    return {**card.settings, **checked}


def _checked(card: Card, name: str, value: Setting) -> Setting:
    """One setting that fits its card."""
    if name not in card.settings:
        known = f"it has {', '.join(card.settings)}" if card.settings else "it has none"
        raise SettingsError(
            f"{card.name} has no setting {name!r}{close_names(name, card.settings)}: {known}"
        )
    if name in card.choices:
        allowed = card.choices[name]
        if value not in allowed:
            near = close_names(str(value), allowed)
            raise SettingsError(
                f"{name} of {card.name} is one of {', '.join(allowed)}, not {value!r}{near}"
            )
        return value
    return _checked_number(card, name, value)


def _checked_number(card: Card, name: str, value: Setting) -> float:
    """A setting that is a number, as a float."""
    may_be_zero = name in card.may_be_zero
    if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value):
        number = float(value)
        if number > 0 or (number == 0 and may_be_zero):
            return number
    least = "from 0 up" if may_be_zero else "above 0"
    raise SettingsError(f"{name} of {card.name} is a number {least}, not {value!r}")
