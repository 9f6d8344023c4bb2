"""A cohort's report as a page: what the data hold, what the space is worth, what may mislead."""

from collections.abc import Mapping

from learner_index.analysis.confounders import DRAWS
from learner_index.analysis.plots.drawing import Drawing
from learner_index.data.show import plural
from learner_index.pipeline import plot
from learner_index.pipeline.cohort import Cohort
from learner_index.pipeline.progression.drift import changes_in_words
from learner_index.pipeline.reports.base import footer_of, limits, warnings_of
from learner_index.pipeline.reports.confounder_page import confounder_section
from learner_index.pipeline.reports.evaluation_page import evaluation_section
from learner_index.pipeline.reports.head_page import head_section
from learner_index.pipeline.reports.page import (
    Bars,
    Block,
    Page,
    Section,
    brief,
    figure_or_reason,
    interval,
    number,
    percent,
    table,
)
from learner_index.pipeline.reports.records import CohortReport, Confounders, Quality, SpaceQuality
from learner_index.pipeline.roles import MARK, TRAINED_OR_TUNED

_TITLES = {
    "effective rank": "Effective rank",
    "within": "Agreement within patients",
    "across": "Agreement across patients",
    "gain": "Gain of the nearest patients",
    "identity": "Patient identity",
}


def cohort_page(found: CohortReport, cohort: Cohort) -> Page:
    """The whole page about a cohort.

    Args:
        found: what was gathered.
        cohort: the store, for its figures.
    """
    base, info = found.base, found.base.info
    roles = info.encoder_roles
    n_seen = sum(roles[role]["patients"] for role in ("train", "val"))
    seen = (
        f"{MARK}: {n_seen:,} of {info.n_patients:,} patients are those {TRAINED_OR_TUNED}; figures "
        "that rest on them flatter."
    )
    word = "SIMULATED cohort" if base.is_simulated else "Cohort"
    return Page(
        title=f"{word} {base.name}",
        subtitle=(
            f"{info.n_scans:,} scans, {info.n_visits:,} visits, {info.n_patients:,} patients. "
            "For research, not a medical device."
        ),
        warnings=(*warnings_of(base), *((seen,) if info.is_seen else ())),
        sections=(
            _data(found),
            _space(found, cohort),
            confounder_section(found.confounders),
            evaluation_section(found.evaluation, is_simulated=base.is_simulated),
            head_section(found.head),
            limits(base, _left_out(found)),
        ),
        footer=footer_of(base),
    )


def _data(found: CohortReport) -> Section:
    """What the columns hold, and what they lack."""
    info, quality = found.base.info, found.quality
    facts = [
        ("scans", f"{info.n_scans:,} of {plural(info.n_patients, 'patient')}"),
        ("visits", _visits(found)),
        ("days between", _days(quality)),
        ("views", _counts(info.views)),
        ("modalities", _counts(quality.modalities)),
        ("repeats", _repeats(quality)),
        ("same content", _shared(quality)),
        ("health score", info.score),
        ("skipped scans", "not kept in a store: `learner-index build` names them"),
    ]
    blocks: list[Block] = [_missing(found)] if quality.missing else []
    if quality.score is not None:
        blocks.insert(0, _scores(quality, info.n_scans))
    said = () if quality.missing else ("No column lacks a value.",)
    return Section("data", "Data quality", said=said, facts=tuple(facts), blocks=tuple(blocks))


def _visits(found: CohortReport) -> str:
    """How many visits, and how many patients cannot be followed."""
    low, middle, high = (brief(value) for value in found.quality.visits)
    n = found.quality.n_single
    single = (
        f"{plural(n, 'patient')} with one visit only, in no change" if n else "none has one only"
    )
    return f"{found.base.info.n_visits:,}; {low} to {high} a patient, median {middle}; {single}"


def _days(quality: Quality) -> str:
    """Days from one visit to the next."""
    undated = f"; {plural(quality.n_undated, 'scan')} without a day" if quality.n_undated else ""
    if quality.days_between is None:
        return f"no patient has two visits whose days are known{undated}"
    low, middle, high = (brief(value) for value in quality.days_between)
    return f"{low} to {high}, median {middle}{undated}"


def _repeats(quality: Quality) -> str:
    """Second scans of one visit and view."""
    if not quality.n_repeats:
        return "none: no visit has two scans of one view, so there is no noise floor"
    return (
        f"{plural(quality.n_repeats, 'second scan')} of one patient, visit, view and modality; "
        f"{quality.n_independent:,} marked as independent (rescan)"
    )


def _shared(quality: Quality) -> str:
    """Scans with equal bytes."""
    if not quality.n_shared:
        return "no two scans have the same bytes"
    return f"{plural(quality.n_shared, 'scan')} with the same bytes as another: look for copies"


def _missing(found: CohortReport) -> Block:
    """Missing values, column by column."""
    n_scans, n_patients = found.base.info.n_scans, found.base.info.n_patients
    rows = [
        (name, scans, percent(scans / n_scans), patients, percent(patients / n_patients))
        for name, (scans, patients) in found.quality.missing.items()
    ]
    header = ("column", "scans without", "share", "patients without any", "share")
    return table("Missing values; columns that are not listed have none", header, rows)


def _scores(quality: Quality, n_scans: int) -> Block:
    """The health score's distribution as bars."""
    low, first, middle, third, high = (brief(value) for value in quality.score or ())
    most = max(n for _, _, n in quality.histogram)
    rows = tuple(
        (
            brief(start) if start == end else f"{brief(start)} to {brief(end)}",
            n / most,
            f"{n:,}",
        )
        for start, end, n in quality.histogram
    )
    n_scored = sum(n for _, _, n in quality.histogram)
    return Bars(
        f"Health scores of {n_scored:,} of {n_scans:,} scans: {low} to {high}, median {middle} "
        f"(quartiles {first} to {third}); higher is healthier",
        rows,
    )


def _space(found: CohortReport, cohort: Cohort) -> Section:
    """What the embeddings are worth."""
    space = found.space
    alt = (
        f"{'SIMULATED. ' if found.base.is_simulated else ''}Embedding distance against size of the "
        "change of the health score, pairs of scans of one patient, raw, centred and whitened. "
        f"{_agreement_words(found)}"
    )
    figures, reason = figure_or_reason(lambda: _distances(found, cohort), alt)
    measures = _measures(space)
    blocks: list[Block] = [*figures]
    if measures:
        header = ("measure", "value (95 % by patient)", "chance", "patients", "pairs or scans")
        caption = "What the embeddings tell of health; centered cosine distance"
        blocks.insert(0, table(caption, header, measures))
    seen = () if space.gain is None or not space.gain.n_seen else (_seen_gain(found),)
    missing = [f"{_TITLES[name]}: {why[0].lower()}{why[1:]}" for name, why in space.missing.items()]
    return Section(
        "space",
        "Space quality",
        warnings=seen,
        said=(*((reason,) if reason else ()), *_meaning(space)),
        facts=(("encoder", found.base.info.encoder), *changes_in_words(found.base.info.changes)),
        blocks=tuple(blocks),
        notes=tuple(f"Not measured. {line}" for line in missing),
    )


def _distances(found: CohortReport, cohort: Cohort) -> Drawing:
    """The figure, of the patients that the table beside it was measured on."""
    return plot.distances(cohort, patients=found.measured if found.n_left_out else None)


def _measures(space: SpaceQuality) -> list[tuple[object, ...]]:
    """A row a measure that could be taken."""
    rows: list[tuple[object, ...]] = []
    seen = f" ({MARK}: {plural(space.n_seen, 'patient')} among them)" if space.n_seen else ""
    if space.effective_rank is not None:
        rank = number(space.effective_rank, 1)
        rows.append((f"effective rank{seen}", f"{rank} of {space.width}", None, None, None))
    for name, one in (("within", space.within), ("across", space.across)):
        if one is not None:
            title = f"Spearman ρ of distance and score change, {name} patients{seen}"
            value = interval(one.rho, one.low, one.high)
            rows.append((title, value, "0", one.n_patients, one.n_pairs))
    if space.gain is not None:
        gain = space.gain
        value = interval(gain.chance - gain.near, gain.low, gain.high, 1)
        title = "score of the 5 nearest patients closer than others' by"
        whose = " (unseen patients only)" if seen and not gain.n_seen else seen
        rows.append((f"{title}{whose}", value, "0", gain.n_patients, gain.n_scans))
    if space.identity is not None:
        hit, low, high, chance = space.identity
        title = "nearest scan of other visits is of the same patient"
        rows.append((f"{title}{seen}", interval(hit, low, high), number(chance), None, None))
    return rows


def _meaning(space: SpaceQuality) -> list[str]:
    """What the measures say, in sentences."""
    lines = []
    if space.gain is not None:
        gain, shows = space.gain, "closer than chance"
        if gain.low <= 0 <= gain.high:
            shows = "not shown to be closer than chance"
        elif gain.high < 0:
            shows = "FURTHER than chance"
        lines.append(
            f"Health scores of a scan and its nearest patients differ by {number(gain.near, 1)} on "
            f"average, of the same scan and others of that view by {number(gain.chance, 1)}: "
            f"{shows}."
        )
    if space.within is not None:
        shows = (
            "lie further apart" if space.within.low > 0 else "are not shown to lie further apart"
        )
        lines.append(f"Scans of one patient {shows} where the health score changed more.")
    if space.identity is not None and space.identity[1] > space.identity[3]:
        lines.append(
            "Scans of one patient lie closer to each other than chance gives: part of what the "
            "space holds is who the patient is."
        )
    return lines


def _seen_gain(found: CohortReport) -> str:
    """That the gain rests on patients the encoder knows."""
    gain = found.space.gain
    n, n_seen = (0, 0) if gain is None else (gain.n_patients, gain.n_seen)
    return f"{MARK}: the gain rests on {n_seen:,} of {n:,} patients {TRAINED_OR_TUNED}."


def _agreement_words(found: CohortReport) -> str:
    """The correlation, for those who cannot see the figure."""
    within = found.space.within
    if within is None:
        return ""
    return f"Centred: Spearman ρ {interval(within.rho, within.low, within.high)}."


def _left_out(found: CohortReport) -> tuple[tuple[str, str], ...]:
    """What this report's own answers add to the limits."""
    audit = found.confounders
    facts = [
        ("intervals", "95 %, from resampling patients"),
        ("confounder audit", f"{audit.k} nearest patients, {_shuffles(audit)} by patient"),
    ]
    if found.n_left_out:
        n = f"{found.n_left_out:,} of {found.base.info.n_patients:,} patients"
        facts.append(("left out by lot", f"{n}, from space quality and confounders: large store"))
    return tuple(facts)


def _shuffles(audit: Confounders) -> str:
    """How many, and that some columns needed fewer."""
    return f"{'up to ' if audit.n_draws > DRAWS else ''}{audit.n_draws:,} shuffles"


def _counts(counts: Mapping[str, int]) -> str:
    """Names with their numbers of scans."""
    return ", ".join(f"{name or '(none)'} {n:,}" for name, n in counts.items()) or "none named"
