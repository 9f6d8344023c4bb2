"""Whom an encoder has seen: read from its pretraining run, kept in the cache, told in answers.

A role belongs to a patient, never to a picture: train, val, or unseen for everybody else.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from learner_index.data.records import Hits
from learner_index.data.split import ROLES, PatientSplit
from learner_index.data.suggest import close_names
from learner_index.errors import EncoderError, RunFormatError, SplitError
from learner_index.pipeline.runs import (
    RUN_NAME,
    finished_encoder,
    is_run,
    read_run,
    split_of,
    write_run,
)
from learner_index.pipeline.sync import Difference, plain_list
from learner_index.search.table import SearchTable

SEEN = ("train", "val")
MARK = "SEEN BY ENCODER"
TRAINED_OR_TUNED = "the encoder was trained or tuned on"
SPLIT_KEY = "encoder_split"
"""Entry of a store's settings: fingerprint of the roles, where a pretraining run made them."""
NOBODY = PatientSplit(())
_CARD_NAME = "encoder.json"
_CARD_NEEDS = ("space", "preprocessing", "embedding_width", "projection")


@dataclass(frozen=True, slots=True)
class RunEncoder:
    """The encoder of a finished pretraining run, known from its JSON files alone.

    Attributes:
        folder: where it lies.
        card: the encoder's description.
        split: the patients by role.
    """

    folder: Path
    card: Mapping[str, Any]
    split: PatientSplit


def run_encoder(spec: str | None) -> RunEncoder | None:
    """The pretraining run an encoder spec names; None for networks, and when nothing is named.

    Raises:
        EncoderError: it is neither a network nor a folder, or the run's files do not fit.
        RunFormatError: the folder holds no run, an unfinished one, or one of several folds.
    """
    if not spec or spec == "imagenet" or spec.startswith("timm:"):
        return None
    folder = Path(spec)
    if folder.is_file():
        raise EncoderError(
            f"encoder {spec!r} is a file: name the folder of its pretraining run, or "
            "timm:NAME@FILE for weights of a network"
        )
    if not folder.exists() and len(folder.parts) == 1:
        raise EncoderError(
            f"unknown encoder {spec!r}{close_names(spec, ('imagenet',))}: take imagenet, "
            "timm:NAME, timm:NAME@FILE, timm:NAME@pretrained or the folder of a pretraining run"
        )
    run, card = read_run(finished_encoder(folder)), _read_card(folder / _CARD_NAME)
    if run.get("space") not in (None, card["space"]):
        raise EncoderError(
            f"{_CARD_NAME} in {spec!r} is not of the encoder its {RUN_NAME} speaks of: "
            "restore both files from the same copy"
        )
    return RunEncoder(folder, card, _sound_split(run, folder))


def keep_roles(split: PatientSplit | None, cache: Path) -> None:
    """Let a store's cache say whom its encoder has seen; None: it comes from no run.

    Raises:
        RunWriteError: the cache cannot be written.
    """
    folder = cache / "encoder"
    if split is None:
        (folder / RUN_NAME).unlink(missing_ok=True)
        return
    known = {"kind": "run", "state": "done", "patients": split.to_dict()}
    write_run(folder, {**known, "split": split.fingerprint})


def kept_roles(settings: Mapping[str, Any], cache: Path) -> PatientSplit:
    """Whom the encoder of a store has seen; nobody when it comes from no pretraining run.

    Args:
        settings: what the store remembers.
        cache: its cache.

    Raises:
        EncoderError: it comes from a run, and the cache does not say, or not rightly, from which.
    """
    folder, wanted = cache / "encoder", settings.get(SPLIT_KEY)
    if not is_run(folder):
        if wanted is None and not is_from_run(settings["encoder"]):
            return NOBODY
        raise _unknown(f"{RUN_NAME} is gone from {cache.name}")
    try:
        split = _sound_split(read_run(folder), folder)
    except (RunFormatError, SplitError) as problem:
        raise _unknown(str(problem)) from problem
    if wanted not in (None, split.fingerprint):
        raise _unknown(f"{RUN_NAME} in {cache.name} names other patients")
    return split


def is_kept(run: RunEncoder, cache: Path) -> bool:
    """Whether a store's cache says already whom a run's encoder has seen."""
    try:
        kept_roles({"encoder": run.card, SPLIT_KEY: run.split.fingerprint}, cache)
    except EncoderError:
        return False
    return True


def is_from_run(card: Mapping[str, Any]) -> bool:
    """Whether a card says that a pretraining run made the encoder."""
    return card.get("projection") == "trained"


def role_column(patients: Iterable[str], split: PatientSplit) -> "pd.Series[str]":
    """(n,) role of each scan's patient."""
    names = list(patients)
    roles = {name: split.role_of(name) for name in set(names)}
    return pd.Series(pd.array([roles[name] for name in names], dtype="string"))


def with_roles(
    rows: pd.DataFrame, difference: Difference, split: PatientSplit
) -> tuple[pd.DataFrame, Difference]:
    """Stored rows whose roles follow their patients, and the difference with that told."""
    wanted = role_column(plain_list(rows["patient_id"]), split)
    before, after = plain_list(rows["encoder_role"]), plain_list(wanted)
    n_changed = sum(one != other for one, other in zip(before, after, strict=True))
    if n_changed == 0:
        return rows, difference
    corrected = {**difference.corrected, "encoder_role": n_changed}
    return rows.assign(encoder_role=wanted.array), replace(difference, corrected=corrected)


def count_roles(obs: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Scans and patients of each role; all three roles are there."""
    found: dict[str, dict[str, int]] = {}
    for role in ROLES:
        owners = obs["patient_id"][(obs["encoder_role"] == role).to_numpy(bool)]
        found[role] = {"scans": len(owners), "patients": int(owners.nunique())}
    return found


def n_seen(obs: pd.DataFrame) -> int:
    """How many patients the encoder was trained or tuned on."""
    return int(obs["patient_id"][obs["encoder_role"].isin(SEEN).to_numpy(bool)].nunique())


def with_seen_note(table: SearchTable, hits: Hits, owners: Iterable[str]) -> Hits:
    """The answer with a first note, if the encoder has seen the query's patients or the hits'.

    Args:
        table: what was searched.
        hits: the answer.
        owners: patients of the table the query belongs to.
    """
    roles = table.codes("encoder_role")
    seen = [roles.number(role) for role in SEEN]
    rows = [table.rows_of(owner) for owner in owners]
    is_query = any(bool(np.isin(roles.of_row[some], seen).any()) for some in rows)
    count = sum(hit.columns.get("encoder_role") in SEEN for hit in hits)
    return replace(hits, notes=seen_note(is_query, count, len(hits)) + hits.notes)


def seen_note(is_query: bool, n_seen: int, n_hits: int) -> tuple[str, ...]:
    """What to say first of an answer about patients the encoder has seen; empty if it has not."""
    if not is_query and n_seen == 0:
        return ()
    parts = ["the query"] if is_query else []
    parts += [f"{n_seen} of {n_hits} hits"] if n_seen else []
    verb = "belong to patients" if n_seen + is_query > 1 else "belongs to a patient"
    return (f"{MARK}: {' and '.join(parts)} {verb} {TRAINED_OR_TUNED}",)


def _unknown(reason: str) -> EncoderError:
    """The refusal to call patients unseen whom the encoder may have seen."""
    return EncoderError(
        f"it is not known who trained the store's encoder ({reason}): "
        "name its pretraining run again with --encoder RUN"
    )


def _sound_split(run: Mapping[str, Any], folder: Path) -> PatientSplit:
    """The patients of a run, if they are those it was made with.

    Raises:
        RunFormatError: they are missing, or were altered.
    """
    split = split_of(run)
    if run.get("split") not in (None, split.fingerprint):
        raise RunFormatError(
            f"{RUN_NAME} in {str(folder)!r} was altered: its patients are not those of its split"
        )
    return split


def _read_card(path: Path) -> dict[str, Any]:
    """An encoder's card, without its weights and without torch.

    Raises:
        EncoderError: it cannot be read, or says too little.
    """
    try:
        card = json.loads(path.read_bytes())
    except (OSError, ValueError) as problem:
        raise EncoderError(f"{str(path)!r} cannot be read: {problem}") from problem
    if not isinstance(card, dict) or not all(name in card for name in _CARD_NEEDS):
        raise EncoderError(f"{str(path)!r} is no encoder card: restore it from a copy of the run")
    return card
