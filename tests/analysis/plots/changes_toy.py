"""Small records of change to draw: a path of three visits, and a query's hits."""

from dataclasses import replace

import numpy as np

from learner_index.data.progression import (
    Change,
    ProgressionHit,
    Progressions,
    Stop,
    Support,
    Trajectory,
)

AXIS = {"unit": "SD of a repeat scan", "n_patients": 30, "n_draws": 200, "r2": 0.5}
NOISE = {"n_repeats": 12, "n_patients": 6, "is_independent": True, "axis_band": 1.0}


def stop(day, position=0.0, score=300.0, noise=0.5, *, doubt=1.0):
    """A visit, its scan named after the day."""
    known = position is not None
    return Stop(
        day=day,
        scan_ids=(f"scan-{day}",),
        health_score=score,
        position=position,
        low=position - doubt if known else None,
        high=position + 2 * doubt if known else None,
        noise=noise if known else None,
    )


def step(from_day, to_day, verdict="steady", **changed):
    """A change between the visits of two days."""
    made = Change(
        patient_id="P1",
        from_day=from_day,
        to_day=to_day,
        delta_day=to_day - from_day,
        from_scans=(f"scan-{from_day}",),
        to_scans=(f"scan-{to_day}",),
        views="L1",
        length=2.0,
        length_p=0.05,
        on_axis=1.0,
        off_share=0.5,
        verdict=verdict,
        health_score=300.0,
        later_health_score=310.0,
        delta_score=10.0,
        treatment=None,
    )
    return replace(made, **changed)


def path(**changed):
    """A path of three visits: better, then worse."""
    made = Trajectory(
        query={"patient_id": "P1"},
        patient_id="P1",
        stops=(stop(0.0, 2.0, 300.0), stop(3.0, -1.0, 350.0), stop(7.0, 1.0, 320.0)),
        steps=(step(0.0, 3.0, "improving"), step(3.0, 7.0, "worsening")),
        likes=(),
        path=np.zeros((3, 4)),
        alpha=0.1,
        reference="abc",
        n_eligible_patients=5,
        n_single=0,
        noise=NOISE,
        axis=AXIS,
        elapsed_ms=1.0,
    )
    return replace(made, **changed)


def hit(rank, *, direction=0.5, start=-0.2, days=-0.1, verdict="steady", score=10.0, patient=None):
    """A hit whose parts add up to S."""
    change = step(0.0, 3.0, verdict, delta_score=score, patient_id=patient or f"P{rank + 1}")
    return ProgressionHit(
        rank=rank,
        similarity=direction + start + days,
        direction=direction,
        start=start,
        days=days,
        cosine=direction,
        change=change,
        cosine_p=None,
        length_q=None,
        cosine_q=None,
        columns={},
    )


CHANCE = {
    "statistic": 0.25, "p_value": 0.012, "n_draws": 999, "seed": 0, "null_mean": -0.5,
    "null_high": 0.1, "method": "flip",
}  # fmt: skip


def found(*hits, **changed):
    """The answer to a progression query."""
    made = Progressions(
        query={"kind": "patient", "patient_id": "P1", "from_day": 0.0, "to_day": 3.0},
        change=step(0.0, 3.0),
        hits=hits or (hit(1), hit(2, start=-0.4, verdict="worsening", score=-20.0)),
        exact=True,
        backend="numpy",
        reference="abc",
        weights=(1.0, 1.0, 1.0),
        bandwidths=(2.0, 0.5),
        n_eligible=40,
        n_eligible_patients=20,
        n_scanned=40,
        support=Support(12.0, 5.0),
        chance=CHANCE,
        outcome=None,
        effective_rank=3.0,
        noise=NOISE,
        axis=AXIS,
        elapsed_ms=1.0,
        search_ms=0.5,
    )
    return replace(made, **changed)
