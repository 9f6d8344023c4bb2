"""What is worth seeing of the records that answer questions about change."""

from collections.abc import Mapping
from typing import Any

from learner_index.data.show import Card, plural

_PARTS = ("rank", "patient_id", "S", "direction", "start", "days")


def progressions_card(found: Any) -> Card:
    """Hits with the parts of their similarity and their outcomes.

    Args:
        found: a `Progressions`.
    """
    rows = [
        (
            hit.rank,
            hit.patient_id,
            *(round(part, 2) for part in (hit.similarity, hit.direction, hit.start, hit.days)),
            None if hit.change.delta_score is None else round(hit.change.delta_score, 2),
            hit.change.verdict,
            hit.change.from_day,
            hit.change.to_day,
        )
        for hit in found.hits
    ]
    caption = (
        f"{plural(found.n_eligible, 'eligible transition')} of "
        f"{plural(found.n_eligible_patients, 'patient')}; "
        f"{'exact' if found.exact else 'approximate'}; {noise_floor_words(found.noise)}. "
        "S = direction + start + days: larger is more alike; delta_score above 0 is improvement"
    )
    return Card(
        f"{plural(len(rows), 'progression')} {_asked(found.query)}",
        (*_PARTS, "delta_score", "verdict", "from_day", "to_day"),
        rows,
        caption,
        (*_outcome(found), *found.notes),
        found.is_simulated,
    )


def trajectory_card(found: Any) -> Card:
    """Visits with their positions, and what changed since the visit before.

    Args:
        found: a `Trajectory`.
    """
    step_to = {step.to_day: step for step in found.steps}
    rows = []
    for stop in found.stops:
        step = step_to.get(stop.day)
        places = (stop.position, stop.low, stop.high, step.on_axis if step else None)
        rows.append(
            (
                stop.day,
                stop.health_score,
                *(None if place is None else round(place, 2) for place in places),
                step.verdict if step else None,
                len(stop.scan_ids),
            )
        )
    caption = "no severity axis"
    if found.axis is not None:
        caption = (
            f"position rises as health falls, in {found.axis['unit']}; low to high: 95 % by "
            f"{found.axis['n_draws']} draws of {plural(found.axis['n_patients'], 'patient')}; "
            f"{noise_floor_words(found.noise)}"
        )
    if found.likes:
        caption += f". Paths most alike: {', '.join(like.patient_id for like in found.likes)}"
    names = ("day", "health_score", "position", "low", "high", "change", "verdict", "scans")
    title = f"Trajectory of {found.patient_id}, {plural(len(rows), 'visit')}"
    return Card(title, names, rows, caption, found.notes, found.is_simulated)


def axis_card(report: Any) -> Card:
    """What the axis is worth, in words.

    Args:
        report: an `AxisReport`.
    """
    one = report.figures
    rows: list[tuple[str, str]] = []
    if one:
        slopes = f"{one['slope_within_low']:.1f} to {one['slope_within_high']:.1f}"
        rows = [
            ("R², patients left out", f"{one['r2']:.2f}"),
            ("health score per unit, between patients", f"{one['slope_between']:.1f}"),
            ("the same within patients", f"{one['slope_within']:.1f} (95 % {slopes})"),
            ("turned by another draw of patients, median", f"{one['angle_deg']:.0f}°"),
            ("unit", str(one["unit"])),
        ]
    seen = f"; {one['n_seen']} patients SEEN BY ENCODER" if one.get("n_seen") else ""
    caption = (
        f"{plural(one.get('n_visits', 0), 'visit')} of "
        f"{plural(one.get('n_patients', 0), 'patient')} with a health score{seen}. Positions rise "
        f"as health falls; {plural(len(report.scans), 'scan')} in to_frame()"
    )
    return Card("Severity axis", (), rows, caption, report.notes, report.is_simulated)


def noise_floor_words(noise: Mapping[str, Any] | None) -> str:
    """What the noise floor rests on."""
    if noise is None:
        return "no noise floor"
    kind = "independent" if noise["is_independent"] else "same-session"
    return (
        f"noise floor from {plural(noise['n_repeats'], kind + ' repeat')} of "
        f"{plural(noise['n_patients'], 'patient')}"
    )


def _asked(query: Mapping[str, Any]) -> str:
    """Whose change, or which direction."""
    if query["kind"] == "direction":
        return f"towards {query['direction']}"
    if query["kind"] != "patient":
        return f"along a direction by {query['kind']}"
    days = [query.get(name) for name in ("from_day", "to_day")]
    span = f", day {days[0]:g} to {days[1]:g}" if None not in days else ""
    return f"like {query.get('patient_id', 'a patient')}{span}"


def _outcome(found: Any) -> list[str]:
    """What became of the hits, and whether they have more in common than chance."""
    lines, outcome, chance = [], found.outcome, found.chance
    if outcome is not None and outcome.median_delta_score is not None:
        lines.append(
            f"median change of health score {outcome.median_delta_score:+.3g} (quartiles "
            f"{outcome.low_delta_score:+.3g} to {outcome.high_delta_score:+.3g}) in "
            f"{outcome.n_scored} of {plural(outcome.n_hits, 'hit')}"
        )
    if chance is not None:
        lines.append(
            f"mean similarity of the hits {chance['statistic']:.2f}, by chance "
            f"{chance['null_mean']:.2f}: p = {chance['p_value']:.3f}, {chance['n_draws']} draws"
        )
    return lines
