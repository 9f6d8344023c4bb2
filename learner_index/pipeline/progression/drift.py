"""How far visits and changes of a store have moved from what its reference knows of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.analysis.distance import patient_mean
from learner_index.analysis.noise import fit_noise_floor
from learner_index.analysis.severity import axis_direction
from learner_index.analysis.transitions import Visits
from learner_index.data.reference import ChangeReference, NoiseFloor, Reference
from learner_index.data.visits import visit_codes
from learner_index.errors import NotEnoughDataError
from learner_index.pipeline.progression.measure import axis_figures, noise_figures
from learner_index.pipeline.progression.reference import column_or, rows_by_modality
from learner_index.pipeline.progression.visits import views_of


@dataclass(frozen=True, slots=True)
class ChangeDrift:
    """What has moved since the reference was fitted, in one modality.

    Attributes:
        n_new_visits: visits now, less those the reference was fitted on.
        shift: distance of the mean visit now from the reference's center, in h_u; None without.
        axis_turned_deg: angle between the reference's severity axis and one fitted on all visits
            now, behind the same whitening; None where either cannot be fitted.
        noise_ratio: median length of a repeat's difference now beside the reference's.
    """

    n_new_visits: int
    shift: float | None
    axis_turned_deg: float | None
    noise_ratio: float | None


def change_figures(
    reference: Reference, embeddings: NDArray[np.float32], obs: pd.DataFrame
) -> dict[str, dict[str, Any]]:
    """Per modality what the reference knows of changes, and its drift; JSON-ready.

    Args:
        reference: the store's.
        embeddings: (n, e) all rows now.
        obs: (n,) their columns.
    """
    found: dict[str, dict[str, Any]] = {}
    for modality, rows in rows_by_modality(obs).items():
        known = reference.changes.get(modality)
        if known is None:
            continue
        moved = change_drift(known, np.asarray(embeddings[rows]), obs.iloc[rows])
        found[modality] = {
            "n_visits": known.n_visits,
            "n_transitions": known.n_transitions,
            "n_patients": known.n_patients,
            "start_bandwidth": known.start_bandwidth,
            "day_bandwidth": known.day_bandwidth,
            "effective_rank": known.effective_rank,
            "placebo_share": known.placebo_share,
            "n_placebo": known.n_placebo,
            "noise": noise_figures(known),
            "axis": axis_figures(known),
            "drift": {name: getattr(moved, name) for name in moved.__dataclass_fields__},
            "notes": list(known.notes),
        }
    return found


def change_drift(
    known: ChangeReference, embeddings: NDArray[np.float32], obs: pd.DataFrame
) -> ChangeDrift:
    """How far the scans of one modality have moved from the reference.

    Args:
        known: what the reference knows.
        embeddings: (n, e) the modality's scans now, at least one.
        obs: (n,) their columns.
    """
    visits = Visits.of(
        obs["patient_id"].to_numpy(object),
        visit_codes(obs),
        views_of(obs),
        np.asarray(column_or(obs, "day", np.nan), np.float64),
        np.asarray(column_or(obs, "health_score", np.nan), np.float64),
    )
    pooled = visits.pool(embeddings, view_means=known.means_of(visits.views)) - known.center
    mean = patient_mean(pooled, visits.patient)
    owners = visits.patient[visits.scan_visit]
    is_rescan = np.asarray(column_or(obs, "rescan", False), bool)
    noise = fit_noise_floor(embeddings, visits.scan_group, owners, is_rescan)
    return ChangeDrift(
        n_new_visits=len(visits) - known.n_visits,
        shift=float(np.linalg.norm(mean) / known.start_bandwidth)
        if known.start_bandwidth
        else None,
        axis_turned_deg=_turned(known, pooled - mean, visits),
        noise_ratio=_ratio(known.noise, noise),
    )


def changes_in_words(figures: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Lines for a terminal: what the reference knows of changes, label and text."""
    lines = []
    for modality, known in figures.items():
        of = f" {modality}" if modality and len(figures) > 1 else ""
        lines.append((f"changes{of}", _transitions(known)))
        if known["axis"] is not None:
            lines.append((f"severity axis{of}", _axis(known["axis"], known["drift"])))
        lines.append((f"noise floor{of}", _noise(known["noise"], known["drift"])))
    return lines


def _turned(known: ChangeReference, moved: NDArray[np.float64], visits: Visits) -> float | None:
    """Angle between the axis and one fitted now with the same penalty, in degrees."""
    if known.axis is None:
        return None
    try:
        now = axis_direction(
            moved, known.whitening, visits.score, visits.patient, known.axis.penalty
        )
    except NotEnoughDataError:
        return None
    cosine = float(np.clip(now @ known.axis.direction, -1.0, 1.0))
    return float(np.degrees(np.arccos(cosine)))


def _ratio(before: NoiseFloor | None, now: NoiseFloor | None) -> float | None:
    """Median length of repeats' differences now, over that before."""
    if before is None or now is None:
        return None
    lengths = [
        float(np.median(np.linalg.norm(np.asarray(noise.differences, np.float64), axis=1)))
        for noise in (now, before)
    ]
    return lengths[0] / lengths[1] if lengths[1] > 0 else None


def _transitions(known: Mapping[str, Any]) -> str:
    """What changes there are, in words."""
    drift, new = known["drift"], known["drift"]["n_new_visits"]
    if not known["n_transitions"]:
        return f"none between {known['n_visits']:,} visits: nobody was seen twice in one view"
    words = (
        f"{known['n_transitions']:,} between {known['n_visits']:,} visits of "
        f"{known['n_patients']:,} patients, in {known['effective_rank']:.1f} directions"
    )
    if drift["shift"] is not None:
        words += f"; drift {drift['shift']:.2f} of h_u, {new:+,} visits"
    return words


def _axis(axis: Mapping[str, Any], drift: Mapping[str, Any]) -> str:
    """The severity axis in words."""
    slopes = ""
    if axis["slope_between"] is not None:
        slopes = f"; score per {axis['unit']}: {axis['slope_between']:.3g} between patients"
    if axis["slope_within"] is not None:
        slopes += (
            f", {axis['slope_within']:.3g} ({axis['slope_within_low']:.3g} to "
            f"{axis['slope_within_high']:.3g}) within"
        )
    turned = drift["axis_turned_deg"]
    told = "" if turned is None else f"; drift {turned:.0f}°"
    return (
        f"R² {axis['r2']:.2f} for patients left out, {axis['n_visits']:,} visits of "
        f"{axis['n_patients']:,} patients; bootstrap turns it by {axis['angle_deg']:.0f}°"
        f"{slopes}{told}"
    )


def _noise(noise: Mapping[str, Any] | None, drift: Mapping[str, Any]) -> str:
    """The noise floor in words."""
    if noise is None:
        return "none: no visit has two scans of one view"
    kind = "independent" if noise["is_independent"] else "same-session (a lower bound)"
    ratio, width = drift["noise_ratio"], noise["axis_band"]
    told = "" if ratio is None else f"; drift ×{ratio:.2f}"
    told += "" if width is None else f"; 90 % of repeats within ±{width:.2f} on the axis"
    return f"{noise['n_repeats']:,} {kind} repeats of {noise['n_patients']:,} patients{told}"
