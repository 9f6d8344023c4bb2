"""The whole reference of a store: means for similarity, and what is known of changes."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.analysis.change_reference import fit_change_reference
from learner_index.data.reference import ChangeReference, NoiseFloor, Reference, SeverityAxis
from learner_index.data.visits import visit_codes
from learner_index.pipeline.roles import MARK, SEEN, TRAINED_OR_TUNED
from learner_index.search.reference import fit_reference


def fit_whole_reference(
    embeddings: NDArray[np.float32], obs: pd.DataFrame, patients: Sequence[str] | None = None
) -> Reference:
    """Everything answers rest on, fitted on named patients.

    Args:
        embeddings: (n, e).
        obs: (n,) rows of columns.
        patients: fitted on; None: all.

    Raises:
        NotEnoughDataError: none of the patients has a scan.
    """
    views = obs.get("view")
    base = fit_reference(embeddings, obs["patient_id"], views, patients)
    is_fitted = obs["patient_id"].isin(base.patients).to_numpy(bool)
    changes = {}
    for modality, rows in rows_by_modality(obs).items():
        rows = rows[is_fitted[rows]]
        known = _fit_changes(np.asarray(embeddings[rows]), obs.iloc[rows]) if len(rows) else None
        if known is not None:
            changes[modality] = known
    return replace(base, changes=changes, fingerprint=_fingerprint(base.fingerprint, changes))


def rows_by_modality(obs: pd.DataFrame) -> dict[str, NDArray[np.int64]]:
    """Rows of each modality, in alphabetical order; "" stands for a missing one."""
    if "modality" not in obs:
        return {"": np.arange(len(obs))}
    named = obs["modality"].astype(object).where(obs["modality"].notna(), "").to_numpy(object)
    return {str(name): np.flatnonzero(named == name) for name in sorted(set(named))}


def column_or(obs: pd.DataFrame, name: str, default: float | bool) -> NDArray[np.generic]:
    """A column of numbers or flags, the default where it is missing."""
    if name not in obs:
        return np.full(len(obs), default)
    kind = bool if isinstance(default, bool) else np.float64
    return obs[name].to_numpy(kind, na_value=default)


def _fit_changes(embeddings: NDArray[np.float32], obs: pd.DataFrame) -> ChangeReference | None:
    """What is known of changes in rows of one modality."""
    seen = np.zeros(len(obs), bool)
    if "encoder_role" in obs:
        seen = obs["encoder_role"].isin(SEEN).to_numpy(bool)
    known = fit_change_reference(
        embeddings,
        obs["patient_id"].to_numpy(object),
        visit=visit_codes(obs),
        view=obs["view"].to_numpy(object) if "view" in obs else None,
        day=np.asarray(column_or(obs, "day", np.nan), np.float64),
        score=np.asarray(column_or(obs, "health_score", np.nan), np.float64),
        is_rescan=np.asarray(column_or(obs, "rescan", False), bool),
        is_seen=seen,
    )
    if known is None or known.axis is None or not known.axis.n_seen:
        return known
    note = (
        f"{MARK}: the severity axis was fitted on {known.axis.n_patients} patients, of whom "
        f"{known.axis.n_seen} are those {TRAINED_OR_TUNED}, so its R² and all along it flatter"
    )
    return replace(known, notes=(note, *known.notes))


def _fingerprint(base: str, changes: Mapping[str, ChangeReference]) -> str:
    """Hash over the means' own and all that is known of changes; the former without any."""
    if not changes:
        return base
    digest = hashlib.blake2b(base.encode(), digest_size=16)
    for modality, known in changes.items():
        digest.update(f"\0modality {len(modality)}:{modality}".encode())
        _digest(digest, known)
    return digest.hexdigest()


def _digest(digest: "hashlib.blake2b", record: ChangeReference | NoiseFloor | SeverityAxis) -> None:
    """Every field of a record, in its order."""
    for name in record.__dataclass_fields__:
        value = getattr(record, name)
        digest.update(f"\0{name}\0".encode())
        if isinstance(value, NoiseFloor | SeverityAxis):
            _digest(digest, value)
        elif isinstance(value, Mapping):
            for key, array in value.items():
                digest.update(f"\0{len(key)}:{key}\0".encode() + array.tobytes())
        else:
            digest.update(value.tobytes() if hasattr(value, "tobytes") else repr(value).encode())
