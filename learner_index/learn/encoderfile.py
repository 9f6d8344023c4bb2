"""Encoders on disk: `encoder.safetensors` with `encoder.json` beside it, no pickle.

Both are replaced whole, the weights first. Should a crash fall between the two, the fingerprint
in the old card does not fit the new weights and the folder is refused.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from learner_index.data.replace import replace_file
from learner_index.errors import EncoderError, SpaceMismatchError
from learner_index.learn.card import FORMAT, space_fingerprint, weights_fingerprint

WEIGHTS_NAME = "encoder.safetensors"
CARD_NAME = "encoder.json"


def write_encoder(folder: Path, state: Mapping[str, Tensor], card: Mapping[str, Any]) -> None:
    """Write weights and card into a folder, made if absent; what is there is replaced.

    Raises:
        EncoderError: the folder cannot be written.
    """
    from safetensors.torch import save

    text = json.dumps(card, indent=2, allow_nan=False, ensure_ascii=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        content = save({key: tensor.contiguous() for key, tensor in state.items()})
        replace_file(folder / WEIGHTS_NAME, [content])
        replace_file(folder / CARD_NAME, [text.encode()])
    except OSError as problem:
        raise EncoderError(f"cannot write the encoder to {str(folder)!r}: {problem}") from problem


def read_encoder(folder: Path) -> tuple[dict[str, Tensor], Mapping[str, Any]]:
    """Weights and card that were written to a folder, if they belong together.

    Raises:
        EncoderError: files are missing or unreadable.
        SpaceMismatchError: the weights, or the card, are not those that were written.
    """
    card = _read_card(folder / CARD_NAME)
    state = _read_state(folder / WEIGHTS_NAME)
    if weights_fingerprint(state) != card.get("weights"):
        raise SpaceMismatchError(
            f"{WEIGHTS_NAME} in {str(folder)!r} are not the weights its {CARD_NAME} describes: "
            "restore both files from the same copy"
        )
    try:
        space = space_fingerprint(card)
    except KeyError as problem:
        raise EncoderError(f"{CARD_NAME} in {str(folder)!r} lacks {problem}") from problem
    if space != card.get("space"):
        raise SpaceMismatchError(
            f"{CARD_NAME} in {str(folder)!r} was altered: it describes space {space} and claims "
            f"{card.get('space')}; restore it from a copy"
        )
    return state, card


def _read_card(path: Path) -> Mapping[str, Any]:
    """The card, if this version can read it."""
    try:
        card = json.loads(path.read_bytes())
    except FileNotFoundError as problem:
        raise EncoderError(
            f"no encoder in {str(path.parent)!r}: {path.name} is missing"
        ) from problem
    except (OSError, ValueError) as problem:
        raise EncoderError(f"{str(path)!r} cannot be read: {problem}") from problem
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise EncoderError(f"{str(path)!r} is no encoder card of format {FORMAT}")
    return card


def _read_state(path: Path) -> dict[str, Tensor]:
    """The saved tensors by name."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        state: dict[str, Tensor] = load(path.read_bytes())
    except FileNotFoundError as problem:
        raise EncoderError(
            f"no encoder in {str(path.parent)!r}: {path.name} is missing"
        ) from problem
    except (SafetensorError, OSError, ValueError) as problem:
        raise EncoderError(f"{str(path)!r} cannot be read, it may be truncated") from problem
    return state
