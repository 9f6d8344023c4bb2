"""What every report says of the store it was made from."""

from hashlib import blake2b
from importlib.metadata import version

import numpy as np

from learner_index.pipeline.cohort import Cohort
from learner_index.pipeline.info import store_info
from learner_index.pipeline.progression.drift import changes_in_words
from learner_index.pipeline.reports.page import RESEARCH, SIMULATED, Section, sentence
from learner_index.pipeline.reports.records import Base
from learner_index.pipeline.roles import MARK

_ALIKE = (
    "What is found alike is alike to this encoder, and need not be alike to a physician. Outcomes "
    "of other patients tell what went with what, not what a treatment does."
)


def base_of(cohort: Cohort) -> Base:
    """The store in figures, with a fingerprint of its content."""
    reference = cohort.reference
    return Base(
        name=cohort.path.name,
        info=store_info(cohort.path),
        is_simulated=bool(cohort.settings.get("is_simulated")),
        fingerprint=_fingerprint(cohort),
        reference="" if reference is None else reference.fingerprint,
        version=version("learner-index"),
    )


def warnings_of(base: Base) -> tuple[str, ...]:
    """What stands above the whole report."""
    return (SIMULATED,) if base.is_simulated else ()


def footer_of(base: Base) -> str:
    """What the page was made from; no clock."""
    return (
        f"Made by learner-index {base.version} from {base.name}: generation "
        f"{base.info.generation}, content {base.fingerprint}, space {base.info.space}, reference "
        f"{base.reference or 'none'}. {RESEARCH}"
    )


def limits(base: Base, facts: tuple[tuple[str, str], ...] = ()) -> Section:
    """What all answers rest on.

    Args:
        base: the store.
        facts: what the report's own answers add.
    """
    info = base.info
    seen = (f"{MARK}: {info.roles}",) if info.is_seen else ()
    return Section(
        "limits",
        "What this rests on, and its limits",
        warnings=(*warnings_of(base), *seen),
        said=(RESEARCH, _ALIKE),
        facts=(
            ("store", f"{base.name}, {info.n_scans:,} scans of {info.n_patients:,} patients"),
            ("encoder", info.encoder),
            ("seen by encoder", info.roles),
            ("space", info.space),
            ("reference", info.reference),
            *((label, text) for label, text in changes_in_words(info.changes)),
            ("health score", info.score),
            (
                "clock",
                "days count within one patient"
                if info.clock == "patient"
                else "days of two patients can be compared",
            ),
            *facts,
        ),
        notes=tuple(map(sentence, info.notes)),
    )


def _fingerprint(cohort: Cohort) -> str:
    """Hash of ids, embeddings and columns, row by row."""
    digest = blake2b(digest_size=8)
    digest.update(np.ascontiguousarray(cohort.embeddings).tobytes())
    obs = cohort.table.obs
    digest.update(obs.to_csv(index=False, lineterminator="\n").encode())
    return digest.hexdigest()
