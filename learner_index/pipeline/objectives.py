"""`objectives`: what an encoder can be trained for, each with the card of where it comes from."""

from dataclasses import asdict
from typing import Any

from learner_index.config import ObjectiveOptions
from learner_index.learn.objectives.registry import objective, objectives


def list_objectives(name: str | None = None) -> list[dict[str, Any]]:
    """The cards of all objectives, ready for JSON.

    Args:
        name: this one only.

    Returns:
        A card each, with the fields of `Card` and `is_default`; regression first.

    Raises:
        SettingsError: no objective has this name.
    """
    found = list(objectives().values()) if name is None else [objective(name)]
    default = ObjectiveOptions().name
    return [{**asdict(one.card), "is_default": one.card.name == default} for one in found]
