"""What is worth seeing of a store."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from learner_index.data.show import Card, plural
from learner_index.data.visits import visit_codes
from learner_index.pipeline.info import encoder_words, role_words, score_words
from learner_index.pipeline.roles import MARK, SEEN, count_roles


def cohort_card(name: str, obs: pd.DataFrame, settings: Mapping[str, Any]) -> Card:
    """Patients, scans, views, health score and encoder, and who was seen by it.

    Args:
        name: of the store.
        obs: its columns.
        settings: what it remembers.
    """
    card, roles = settings["encoder"], count_roles(obs)
    visits = visit_codes(obs)
    per_patient = pd.Series(visits[visits >= 0]).groupby(
        obs["patient_id"].to_numpy(dtype=object)[visits >= 0]
    )
    n_visits = per_patient.nunique()
    views = obs["view"].value_counts().sort_index()
    rows = [
        ("patients", f"{obs['patient_id'].nunique():,} ({int((n_visits > 1).sum()):,} followed)"),
        ("visits", f"{int(n_visits.sum()):,}"),
        ("scans", f"{len(obs):,}"),
        ("views", ", ".join(f"{view} {n:,}" for view, n in views.items()) or "none named"),
        ("health score", score_words(obs["health_score"], settings.get("score", {}))),
        ("encoder", encoder_words(card)),
        ("seen by encoder", role_words(roles)),
        ("space", str(card["space"])),
        ("days", f"count within one {settings['clock']}"),
    ]
    n_seen = sum(roles[role]["patients"] for role in SEEN)
    notes = (f"{MARK}: {plural(n_seen, 'patient')}",) if n_seen else ()
    is_simulated = bool(settings.get("is_simulated", False))
    return Card(f"Store {name}", (), rows, notes=notes, is_simulated=is_simulated)
