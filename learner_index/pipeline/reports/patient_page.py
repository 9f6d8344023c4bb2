"""A patient's report as a page: the answers in sentences, tables and figures."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from learner_index.data.show import plural
from learner_index.pipeline import plot
from learner_index.pipeline.reports.base import footer_of, limits, warnings_of
from learner_index.pipeline.reports.page import (
    Block,
    Page,
    Section,
    brief,
    by_weight,
    figure,
    figure_or_reason,
    number,
    p_words,
    percent,
    table,
)
from learner_index.pipeline.reports.prediction_page import prediction_section
from learner_index.pipeline.reports.records import PatientReport
from learner_index.pipeline.roles import MARK, TRAINED_OR_TUNED

if TYPE_CHECKING:
    from learner_index.data.progression import Change, Outcome, Progressions, Trajectory

_NO_AXIS = (
    "There is no severity axis: places along it, and whether a change is for the better or the "
    "worse, cannot be told."
)
_NULLS = {
    "flip": "if no direction were common",
    "permute": "if those who start alike changed no more alike than others",
}
_STEP_COLUMNS = (
    *("from day", "to day", "change of health score", "change along the axis"),
    *("share off the axis", "p among repeats", "verdict"),
)
_LOOK = (
    "The pictures were asked for: look at each before you share the report, as a scan can show "
    "what the pseudonym hides."
)


def patient_page(found: PatientReport) -> Page:
    """The whole page about one patient."""
    base = found.base
    word = "SIMULATED patient" if base.is_simulated else "Patient"
    seen = f"{MARK}: this patient is one {TRAINED_OR_TUNED}; answers about them flatter."
    return Page(
        title=f"{word} {found.patient_id}",
        subtitle=(
            f"Store {base.name}: {base.info.n_scans:,} scans of "
            f"{base.info.n_patients:,} patients. For research, not a medical device."
        ),
        warnings=(*warnings_of(base), *((seen,) if found.is_seen else ())),
        sections=(
            _who(found),
            _trajectory(found),
            _similar(found),
            _progression(found),
            prediction_section(found),
            limits(base, _rests_on(found)),
        ),
        footer=footer_of(base),
    )


def _who(found: PatientReport) -> Section:
    """Visits and columns, as the store has them."""
    days = [visit.day for visit in found.visits if visit.day is not None]
    scores = [v.health_score for v in found.visits if v.health_score is not None]
    facts = [
        ("patient", found.patient_id),
        ("visits", plural(len(found.visits), "visit") + (f", {_span(days)}" if days else "")),
        ("scans", plural(sum(visit.n_scans for visit in found.visits), "scan")),
        ("seen by encoder", "YES" if found.is_seen else "no"),
        *((name, _values(values)) for name, values in found.columns.items()),
    ]
    rows = [(v.day, v.views, v.n_scans, v.health_score, v.treatment) for v in found.visits]
    score = "no visit has a health score"
    if scores:
        score = f"health score from {brief(scores[0])} to {brief(scores[-1])}, higher is healthier"
    return Section(
        "who",
        "Who",
        facts=tuple(facts),
        blocks=(
            table(
                f"Visits of {found.patient_id}: {score}",
                ("day", "views", "scans", "health score", "treatment"),
                rows,
                decimals=1,
            ),
        ),
    )


def _trajectory(found: PatientReport) -> Section:
    """The path along the severity axis, step by step."""
    key, title, path = "trajectory", "Trajectory", found.trajectory
    if path is None:
        return Section(key, title, missing=found.missing["trajectory"])
    figures, reason = figure_or_reason(lambda: plot.trajectory(path), _path_in_words(path))
    blocks: list[Block] = [*figures]
    if path.axis is not None:
        rows = [(s.day, s.health_score, s.position, s.low, s.high, s.noise) for s in path.stops]
        header = ("day", "health score", "position", "low", "high", "SD of a repeat")
        caption = f"Place on the severity axis, in {path.axis['unit']}: higher is sicker"
        blocks.append(table(caption, header, rows, decimals=2))
    if path.steps:
        steps = [_step(step) for step in path.steps]
        blocks.append(table("Steps between visits", _STEP_COLUMNS, steps, decimals=2))
    if path.likes:
        blocks.append(_paths(path))
    heavy, notes = by_weight(path.notes)
    return Section(
        key,
        title,
        warnings=heavy,
        missing="" if path.axis is not None else _NO_AXIS,
        said=tuple(line for line in (reason, *_about_path(path)) if line),
        blocks=tuple(blocks),
        notes=notes,
    )


def _about_path(path: "Trajectory") -> list[str]:
    """What positions and verdicts mean."""
    lines = []
    if len(path.stops) == 1:
        lines.append("There is one visit: nothing can be said of a change.")
    elif not path.steps:
        lines.append("No two visits share a view, or their days are unknown: there are no steps.")
    if path.axis is not None:
        lines.append(
            f"Low to high is the 95 % interval by {path.axis['n_draws']} bootstrap draws of "
            f"{plural(path.axis['n_patients'], 'patient')}; the axis explains "
            f"{number(path.axis['r2'])} (R²) of the health scores of patients left out."
        )
    if path.steps:
        lines.append(
            "A step is called improving or worsening when repeats of one visit lie as far apart "
            f"along the axis in at most {percent(path.alpha)} of cases, uncertain where draws of "
            "the axis disagree which way, and steady otherwise."
        )
    return lines


def _paths(path: "Trajectory") -> Block:
    """Patients with the most similar paths."""
    header = (
        *("rank", "patient", "distance", "days later", "visits", "from day", "to day"),
        "change of health score",
    )
    rows = [
        (
            like.rank,
            like.patient_id,
            like.distance,
            like.day_shift,
            like.n_visits,
            like.from_day,
            like.to_day,
            _rounded(like.delta_score),
        )
        for like in path.likes
    ]
    caption = (
        f"Most similar paths among {plural(path.n_eligible_patients, 'patient')} seen twice or "
        "more: smaller distance is more alike"
    )
    return table(caption, header, rows, decimals=2)


def _similar(found: PatientReport) -> Section:
    """Who looks alike."""
    key, title, hits = "similar", "Who looks like this patient", found.similar
    if hits is None:
        return Section(key, title, missing=found.missing["similar"])
    shown = ("view", "treatment", "site")
    names = [name for name in shown if any(hit.columns.get(name) is not None for hit in hits)]
    rows = [
        (
            hit.rank,
            hit.patient_id,
            hit.day,
            hit.scan_id,
            hit.similarity,
            hit.health_score,
            *(hit.columns.get(name) for name in names),
            hit.query_scan_id,
        )
        for hit in hits
    ]
    header = (
        *("rank", "patient", "day", "scan", "similarity", "health score"),
        *names,
        "compared with",
    )
    caption = (
        f"The {plural(len(hits), 'patient')} most alike among {hits.n_eligible:,} scans of "
        f"{plural(hits.n_eligible_patients, 'other patient')}: larger similarity is closer"
    )
    blocks: list[Block] = [table(caption, header, rows)] if rows else []
    missing = "" if rows else "No other patient has a scan that can be compared."
    heavy, notes = by_weight(hits.notes)
    return Section(
        key,
        title,
        missing=missing,
        warnings=heavy,
        said=(_LOOK if found.sheet else found.missing["sheet"],),
        blocks=(*blocks, *_pictures(found)),
        notes=notes,
    )


def _pictures(found: PatientReport) -> tuple[Block, ...]:
    """The scans themselves, where they were asked for."""
    if found.sheet is None or found.similar is None:
        return ()
    scans = ", ".join(hit.scan_id for hit in found.similar)
    kind = "SIMULATED scans" if found.base.is_simulated else "Scans"
    return (figure(found.sheet, f"{kind} of the patient, and of those most alike: {scans}."),)


def _progression(found: PatientReport) -> Section:
    """Who changed alike, and what became of them."""
    key, title, like = "progression", "Who changed like this patient", found.progression
    if like is None:
        return Section(key, title, missing=found.missing["progression"])
    unsupported = (
        f"UNSUPPORTED: {number(like.support.n_similar, 1)} patients started from a similar state, "
        f"{brief(like.support.minimum)} are needed: no outcome is told, and the hits below may be "
        "far from this patient."
    )
    blocks: list[Block] = []
    reason = "No other patient has a change that can be compared."
    if len(like):
        figures, reason = figure_or_reason(lambda: plot.progression(like), _hits_in_words(like))
        blocks = [*figures, _hit_table(like)]
    said = [*([_asked(like.change)] if like.change else []), reason, *_sure(like)]
    heavy, notes = by_weight(like.notes)
    return Section(
        key,
        title,
        warnings=heavy if like.support.is_supported else (unsupported, *heavy),
        said=tuple(line for line in said if line),
        blocks=tuple(blocks),
        notes=notes,
    )


def _hit_table(like: "Progressions") -> Block:
    """Hits with the parts of their similarity and their outcomes."""
    header = (
        *("rank", "patient", "from day", "to day", "S", "direction", "start", "days"),
        *("change of health score", "treatment", "verdict"),
    )
    rows = [
        (
            hit.rank,
            hit.patient_id,
            hit.change.from_day,
            hit.change.to_day,
            hit.similarity,
            hit.direction,
            hit.start,
            hit.days,
            _rounded(hit.change.delta_score),
            hit.change.treatment,
            hit.change.verdict,
        )
        for hit in like
    ]
    caption = (
        f"The {plural(len(like), 'change')} most alike among {like.n_eligible:,} of "
        f"{plural(like.n_eligible_patients, 'other patient')}: S = direction + start + days, "
        "larger is more alike"
    )
    return table(caption, header, rows, decimals=2)


def _sure(like: "Progressions") -> list[str]:
    """Outcome, chance and support, a sentence each."""
    chance, lines = like.chance, []
    if like.outcome is not None:
        lines.append(_outcome(like.outcome))
    if chance is not None:
        lines.append(
            f"Chance: the hits' mean similarity is {number(chance['statistic'])}; "
            f"{_NULLS[chance['method']]} it would be {number(chance['null_mean'])} (95 % below "
            f"{number(chance['null_high'])}): p = {p_words(chance['p_value'])}, "
            f"{chance['n_draws']:,} draws."
        )
    elif like.support.is_supported:
        lines.append("Chance: no p-value is given for the set of hits; the notes say why.")
    lines.append(
        f"Support: {number(like.support.n_similar, 1)} patients started alike "
        f"({brief(like.support.minimum)} are needed); changes spread in "
        f"{number(like.effective_rank, 1)} directions: with few, high cosines are common."
    )
    return lines


def _outcome(told: "Outcome") -> str:
    """What became of the hits."""
    words = f"Outcome of {plural(told.n_hits, 'hit')}: "
    if told.median_delta_score is None:
        words += "too few have a health score at both visits"
    else:
        ends = (told.median_delta_score, told.low_delta_score, told.high_delta_score)
        middle, low, high = (number(value, 1, is_signed=True) for value in ends)
        words += (
            f"median change of health score {middle} (quartiles {low} to {high}) in "
            f"{told.n_scored} of them"
        )
    if told.n_improving is None:
        return f"{words}; no verdict can be given."
    counts = f"{told.n_improving} improving, {told.n_steady} steady, {told.n_worsening} worsening"
    uncertain = f", {told.n_uncertain} uncertain" if told.n_uncertain else ""
    return f"{words}; {counts}{uncertain}."


def _asked(change: "Change") -> str:
    """The patient's own change, in a sentence."""
    days, views = (change.from_day, change.to_day), change.views or "no view named"
    parts = [f"Asked about the change from day {brief(days[0])} to {brief(days[1])} ({views})"]
    if change.health_score is not None and change.later_health_score is not None:
        parts.append(
            f"health score {brief(change.health_score)} to {brief(change.later_health_score)}"
        )
    if change.on_axis is not None:
        parts.append(f"{number(change.on_axis, is_signed=True)} along the severity axis")
    return f"{', '.join(parts)}: {change.verdict}."


def _step(step: "Change") -> Sequence[object]:
    """One row of the steps."""
    return (
        *(step.from_day, step.to_day, _rounded(step.delta_score), step.on_axis),
        *(step.off_share, step.length_p, step.verdict),
    )


def _rounded(score: float | None) -> float | None:
    """A change of the health score as far as anybody reads it."""
    return None if score is None else round(score, 1)


def _rests_on(found: PatientReport) -> tuple[tuple[str, str], ...]:
    """What this report's own answers add to the limits."""
    path = found.trajectory
    facts = [("asked for", f"{plural(found.k, 'patient')} of each kind")]
    if path is not None:
        words = (
            f"{path.n_eligible_patients:,} with two visits or more; {path.n_single:,} with one "
            "are in no path and no change"
        )
        facts.append(("patients compared", words))
    return tuple(facts)


def _path_in_words(path: "Trajectory") -> str:
    """The figure of a trajectory, for those who cannot see it."""
    who = f"{'SIMULATED p' if path.is_simulated else 'P'}atient {path.patient_id}"
    if path.axis is None:
        return f"{who}: {plural(len(path.stops), 'visit')}, without a severity axis."
    places = "; ".join(f"day {brief(s.day)}: {number(s.position)}" for s in path.stops)
    verdicts = ", ".join(step.verdict for step in path.steps) or "none"
    return f"{who}, place on the severity axis at each visit. {places}. Steps: {verdicts}."


def _hits_in_words(like: "Progressions") -> str:
    """The figure of a progression's hits, for those who cannot see it."""
    hits = "; ".join(
        f"{hit.rank}. {hit.patient_id}, S {number(hit.similarity)}, {hit.change.verdict}"
        for hit in like
    )
    kind = "SIMULATED patients" if like.is_simulated else "Patients"
    return f"{kind} who changed alike, with the parts of their similarity. {hits}."


def _span(days: Sequence[float]) -> str:
    """First and last day."""
    low, high = min(days), max(days)
    return f"day {brief(low)}" if low == high else f"day {brief(low)} to {brief(high)}"


def _values(values: Sequence[str]) -> str:
    """A column's values: one, or how they vary."""
    return values[0] if len(values) == 1 else f"varies: {', '.join(values)}"
