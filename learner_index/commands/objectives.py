"""`learner-index objectives`: what an encoder can be trained for, and where each comes from."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from learner_index.commands import complete
from learner_index.commands import options as shared
from learner_index.commands.nextstep import say_next
from learner_index.commands.show import labelled, print_json
from learner_index.commands.table import print_table


def objectives(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            autocompletion=complete.objectives,
            help="Show this one's formula and settings.",
        ),
    ] = None,
    json: shared.Json = False,
) -> None:
    """List what an encoder can be trained for: formula, source and settings of each.

    Example: learner-index objectives learner_weighted
    """
    from learner_index.pipeline.objectives import list_objectives

    cards = list_objectives(name)
    if json:
        print_json(cards if name is None else cards[0])
    elif name is None:
        _print_table(cards)
        say_next("objectives", next(card["name"] for card in cards if card["is_default"]))
    else:
        typer.echo(_card(cards[0]))
        say_next("pretrain", "MANIFEST", "--objective", cards[0]["name"])


def _print_table(cards: list[dict[str, Any]]) -> None:
    """One line an objective."""
    rows = [(_marked(card), card["kind"], card["status"], card["title"]) for card in cards]
    print_table(["objective", "kind", "status", "aim"], rows)


def _marked(card: Mapping[str, Any]) -> str:
    """An objective's name, and whether it is the one taken when nobody says."""
    return f"{card['name']} (default)" if card["is_default"] else str(card["name"])


def _card(card: Mapping[str, Any]) -> str:
    """All that is known of an objective, as labelled lines."""
    formula = card["formula"].splitlines()
    settings = [_setting(card, name) for name in card["settings"]] or ["none"]
    return labelled(
        [
            ("objective", _marked(card)),
            ("aim", card["title"]),
            ("kind", card["kind"]),
            ("status", card["status"]),
            *_block("formula", formula),
            ("source", card["citation"]),
            ("note", card["note"]),
            *([("assumes", f"that {card['assumes']}")] if card["assumes"] else []),
            *_block("settings", settings),
        ]
    )


def _block(label: str, lines: list[str]) -> list[tuple[str, str]]:
    """A label beside the first of several lines."""
    return [(label if n == 0 else "", line) for n, line in enumerate(lines)]


def _setting(card: Mapping[str, Any], name: str) -> str:
    """A setting with its default and, if it is a word, the others there are."""
    default = card["settings"][name]
    shown = f"{default:g}" if isinstance(default, float) else default
    others = [word for word in card["choices"].get(name, ()) if word != default]
    return f"{name} = {shown}" + (f"  (or {', '.join(others)})" if others else "")
