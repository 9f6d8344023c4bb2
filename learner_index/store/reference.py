"""The reference as `uns/reference` holds it, and back.

What is known of changes is a few arrays and one JSON text for each modality: every entry of a
store is a folder of its own, and a number a folder would be many.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from learner_index.data.reference import ChangeReference, NoiseFloor, Reference, SeverityAxis

_AXIS_ARRAYS = ("direction", "draws", "pattern")


def reference_mapping(reference: Reference) -> dict[str, Any]:
    """A reference as nested values that a store can hold."""
    views = sorted(reference.view_means)
    found: dict[str, Any] = {
        "mean": reference.mean,
        "views": views,
        "view_means": np.array([reference.view_means[view] for view in views]),
        "patients": list(reference.patients),
        "n_scans": reference.n_scans,
        "fingerprint": reference.fingerprint,
    }
    if reference.changes:
        modalities = sorted(reference.changes)
        found["modalities"] = modalities
        found["changes"] = {
            str(number): _change_mapping(reference.changes[name])
            for number, name in enumerate(modalities)
        }
    return found


def read_reference(found: Mapping[str, Any]) -> Reference:
    """The inverse of `reference_mapping`; "changes" may be left out."""
    means = np.asarray(found["view_means"], dtype=np.float64)
    changes = found.get("changes", {})
    return Reference(
        mean=np.asarray(found["mean"], dtype=np.float64),
        view_means=dict(zip(map(str, found["views"]), means, strict=True)),
        patients=tuple(map(str, found["patients"])),
        n_scans=int(found["n_scans"]),
        fingerprint=str(found["fingerprint"]),
        changes={
            str(name): _change(changes[str(number)])
            for number, name in enumerate(found.get("modalities", ()))
            if str(number) in changes
        },
    )


def _change_mapping(known: ChangeReference) -> dict[str, Any]:
    """What is known of one modality: arrays, and the rest as JSON."""
    axis, noise, views = known.axis, known.noise, sorted(known.view_means)
    facts = {
        "is_noise_whitened": known.is_noise_whitened,
        "start_bandwidth": known.start_bandwidth,
        "day_bandwidth": known.day_bandwidth,
        "effective_rank": known.effective_rank,
        "n_visits": known.n_visits,
        "n_transitions": known.n_transitions,
        "n_patients": known.n_patients,
        "placebo_share": known.placebo_share,
        "n_placebo": known.n_placebo,
        "notes": list(known.notes),
        "is_independent": None if noise is None else noise.is_independent,
        "axis": None if axis is None else _numbers(axis),
        "views": views,
    }
    found: dict[str, Any] = {
        "facts": json.dumps(facts),
        "center": known.center,
        "view_means": np.array([known.view_means[view] for view in views]),
        "whitening": known.whitening,
    }
    if axis is not None:
        found |= {f"axis_{name}": getattr(axis, name) for name in _AXIS_ARRAYS}
    if noise is not None:
        found |= {"repeats": noise.differences, "repeat_owners": noise.owners}
    return found


def _numbers(axis: SeverityAxis) -> dict[str, float | None]:
    """The axis without its arrays; NaN as null, which JSON knows."""
    found = {name: value for name, value in asdict(axis).items() if name not in _AXIS_ARRAYS}
    return {name: None if value != value else value for name, value in found.items()}


def _change(found: Mapping[str, Any]) -> ChangeReference:
    """What is known of one modality."""
    facts = json.loads(str(found["facts"]))
    axis, noise = facts.pop("axis"), None
    is_independent, views = facts.pop("is_independent"), facts.pop("views")
    means = np.asarray(found["view_means"], np.float64)
    if is_independent is not None:
        noise = NoiseFloor(
            np.asarray(found["repeats"], np.float32),
            np.asarray(found["repeat_owners"], np.int64),
            is_independent,
        )
    known = {name: facts[name] for name in facts if name in ChangeReference.__dataclass_fields__}
    return ChangeReference(
        **{**known, "notes": tuple(facts["notes"])},
        center=np.asarray(found["center"], np.float64),
        view_means=dict(zip(views, means, strict=True)),
        whitening=np.asarray(found["whitening"], np.float64),
        noise=noise,
        axis=None if axis is None else _axis(axis, found),
    )


def _axis(numbers: Mapping[str, Any], found: Mapping[str, Any]) -> SeverityAxis:
    """The axis, its numbers and arrays together."""
    known: dict[str, Any] = {
        name: float("nan") if value is None else value
        for name, value in numbers.items()
        if name in SeverityAxis.__dataclass_fields__  # a later version may know more
    }
    return SeverityAxis(
        direction=np.asarray(found["axis_direction"], np.float64),
        draws=np.asarray(found["axis_draws"], np.float32),
        pattern=np.asarray(found["axis_pattern"], np.float64),
        **known,
    )
