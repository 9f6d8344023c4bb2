"""What a store holds, whether it is whole, and how to tidy it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.data.limits import limits_of
from learner_index.data.reference import Reference
from learner_index.data.visits import visit_codes
from learner_index.pipeline.progression.drift import change_figures
from learner_index.pipeline.roles import MARK, SEEN, TRAINED_OR_TUNED, count_roles
from learner_index.search.reference import drift
from learner_index.store.paths import check_store_path
from learner_index.store.reader import StoreReader
from learner_index.store.verify import leftovers, store_size, verify_store
from learner_index.store.writer import open_writer


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """A store in figures and words.

    Attributes:
        n_patients_followed: patients with two visits or more.
        score: where the health score comes from, how many scans have one, and its range.
        encoder: the encoder in words.
        space: fingerprint of the encoder with its preprocessing.
        roles: how many scans come from patients the encoder was trained on, in words.
        encoder_roles: scans and patients by role: train, val and unseen.
        reference: what searches rest on, and how far the cohort has drifted from it.
        changes: per modality what the reference knows of changes: noise floor, severity axis,
            bandwidths, and how far they have drifted.
        n_bytes: size on disk.
        notes: what a person should know.
        example_patient: one to ask about: with two visits or more, where there is such a one.
    """

    path: str
    n_scans: int
    n_visits: int
    n_patients: int
    n_patients_followed: int
    views: Mapping[str, int]
    clock: str
    score: str
    encoder: str
    space: str
    roles: str
    encoder_roles: Mapping[str, Mapping[str, int]]
    reference: str
    changes: Mapping[str, Mapping[str, Any]]
    generation: int
    layout: int
    n_bytes: int
    columns: tuple[str, ...]
    card: Mapping[str, Any]
    notes: tuple[str, ...]
    example_patient: str | None = None

    @property
    def is_seen(self) -> bool:
        """Whether the encoder was trained or tuned on any of these patients."""
        return any(self.encoder_roles[role]["scans"] for role in SEEN)

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON-ready values."""
        return dict(_plain(asdict(self)))


def store_info(path: Path) -> StoreInfo:
    """What a store holds.

    Raises:
        StoreNotFoundError: nothing is there.
        StoreFormatError: it is no store.
    """
    reader = StoreReader(check_store_path(path))
    obs, settings, reference = reader.obs(), reader.settings(), reader.reference()
    card, embeddings = settings["encoder"], reader.embeddings()
    visits = visit_codes(obs)
    known, roles = visits >= 0, count_roles(obs)
    owners = obs["patient_id"].to_numpy(dtype=object)[known]
    per_patient = pd.Series(visits[known]).groupby(owners).nunique()
    return StoreInfo(
        path=str(path),
        n_scans=len(obs),
        n_visits=int(per_patient.sum()),
        n_patients=int(obs["patient_id"].nunique()),
        n_patients_followed=int((per_patient > 1).sum()),
        views={str(k): int(v) for k, v in obs["view"].value_counts().sort_index().items()},
        clock=str(settings["clock"]),
        score=score_words(obs["health_score"], settings.get("score", {})),
        encoder=encoder_words(card),
        space=str(card["space"]),
        roles=role_words(roles),
        encoder_roles=roles,
        reference=_reference(reference, embeddings, obs),
        changes=change_figures(reference, embeddings, obs) if reference and len(obs) else {},
        generation=reader.generation,
        layout=reader.layout,
        n_bytes=store_size(path),
        columns=tuple(name for name in reader.kinds),
        card=card,
        notes=(
            *_seen(roles),
            *_notes(path, reference, set(obs["patient_id"])),
            *limits_of(obs),
        ),
        example_patient=_example(per_patient, obs),
    )


def _example(n_visits: "pd.Series[int]", obs: pd.DataFrame) -> str | None:
    """The first patient with two visits or more, else the first of all."""
    followed = set(n_visits.index[n_visits > 1])
    names = [str(name) for name in pd.unique(obs["patient_id"])]
    return next((name for name in names if name in followed), names[0] if names else None)


def score_words(scores: "pd.Series[float]", rule: Mapping[str, Any]) -> str:
    """The health score in words."""
    known = scores.dropna()
    if known.empty:
        return "none: give --score-column to `build`"
    turned = ", turned so that higher is healthier" if rule.get("direction") == "lower" else ""
    return (
        f"{rule.get('column', 'health_score')}, {len(known)} of {len(scores)} scans, "
        f"{known.min():g} to {known.max():g}{turned}"
    )


def encoder_words(card: Mapping[str, Any]) -> str:
    """The encoder in words."""
    learned = card.get("trained_on", "unknown") if card.get("is_trained", True) else "nothing"
    return f"{card['spec']}, {card['embedding_width']} values, trained on {learned}"


def role_words(roles: Mapping[str, Mapping[str, int]]) -> str:
    """Scans and patients by what the encoder has seen of them."""
    if not any(roles[role]["scans"] for role in SEEN):
        n = roles["unseen"]["scans"]
        return f"unseen {n:,}" if n else "no scans"
    return ", ".join(
        f"{role} {n['scans']:,} (patients: {n['patients']:,})" for role, n in roles.items()
    )


def _seen(roles: Mapping[str, Mapping[str, int]]) -> tuple[str, ...]:
    """A warning, if the encoder has seen any of the patients."""
    n_seen = sum(roles[role]["patients"] for role in SEEN)
    n_all = n_seen + roles["unseen"]["patients"]
    note = (
        f"{MARK}: {n_seen} of {n_all} patients are those {TRAINED_OR_TUNED}; "
        "where 'encoder_role == unseen' leaves them out"
    )
    return (note,) if n_seen else ()


def _reference(
    reference: Reference | None, embeddings: NDArray[np.float32], obs: pd.DataFrame
) -> str:
    """The reference and its drift in words."""
    if reference is None:
        return "none yet"
    words = (
        f"{reference.fingerprint}: {reference.n_scans} scans of {len(reference.patients)} patients"
    )
    if not len(obs):
        return words
    found = drift(reference, embeddings, obs["patient_id"])
    return f"{words}; drift {found.shift:.2f} of the spread, {found.n_new_patients} new patients"


def _notes(path: Path, reference: Reference | None, patients: set[str]) -> tuple[str, ...]:
    """What a person should know about a store."""
    notes = []
    fitted = set(reference.patients) if reference else patients
    if fitted - patients:
        n_gone = len(fitted - patients)
        notes.append(f"{n_gone} of the reference's patients are no longer here: `refit {path}`")
    elif len(patients) > 1.2 * len(fitted):
        notes.append(f"the cohort has grown since the reference was fitted: `refit {path}`")
    elif reference and not reference.changes and len(patients) > 1:
        notes.append(f"the reference knows nothing of changes: `refit {path}`")
    if leftovers(path):
        notes.append("a writer is at work or was killed: uncommitted rows stay invisible")
    return tuple(notes)


def _plain(value: Any) -> Any:
    """Nested values as JSON knows them: arrays become lists."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value.tolist() if hasattr(value, "tolist") else value


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """Whether a store is whole: empty `problems` say yes."""

    path: str
    n_scans: int
    problems: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON-ready values."""
        return asdict(self)


def verify_report(path: Path) -> VerifyReport:
    """Check every promise a store makes, checksums included.

    Raises:
        StoreNotFoundError: nothing is there.
        StoreFormatError: it is no store.
    """
    problems = verify_store(check_store_path(path))
    return VerifyReport(str(path), StoreReader(path).n_rows, problems)


def compact_store(path: Path) -> tuple[int, int]:
    """Rewrite a store in this version's layout; bytes before and after.

    Raises:
        StoreNotFoundError: nothing is there.
        StoreLockedError: another process is writing.
    """
    StoreReader(check_store_path(path))
    before = store_size(path)
    with open_writer(path) as writer:
        writer.compact()
    return before, store_size(path)
