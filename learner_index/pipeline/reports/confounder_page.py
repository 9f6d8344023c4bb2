"""What nearest patients share besides health, as a section."""

from learner_index.analysis.confounders import Shared
from learner_index.data.show import plural
from learner_index.pipeline.reports.confounders import OF_SCANS
from learner_index.pipeline.reports.page import Section, number, p_words, percent, table
from learner_index.pipeline.reports.records import Confounders

KEY, TITLE = "confounders", "Confounders"
_WITH_HEALTH = 0.3  # share of variance, or size of ρ, above which health may be the reason
_HEADER = (
    *("column", "shared", "by chance (95 % of shuffles)", "p", "p (Holm)", "with health score"),
    *("of a", "values", "patients"),
)

_SHARED = (
    "Shared: for a category the share of nearest patients with the same value (more is more "
    "alike), for a number the mean difference (less is more alike). Scans are compared within "
    "view and modality, for these two themselves over all; patients weigh equally."
)
_HEALTH = (
    "With health score: the share of its variance that goes with a category, or Spearman's ρ with "
    "a number, between patients. What goes with health is shared by neighbours where the encoder "
    "sees health; what does not can pass for disease."
)


def confounder_section(found: Confounders) -> Section:
    """A row a column, those that neighbours share more than chance gives marked."""
    refused = tuple(f"{name} was left out: {why}." for name, why in found.refused.items())
    if not found.shared:
        missing = "No column can be audited: none differs between patients, or all are outcomes."
        return Section(KEY, TITLE, missing=missing, notes=refused)
    marked = [i for i, one in enumerate(found.shared) if one in found.flagged]
    caption = (
        f"What the {found.k} nearest patients of a scan share with it, beside shuffles by patient"
    )
    return Section(
        KEY,
        TITLE,
        warnings=_flags(found),
        said=(_SHARED, _HEALTH),
        blocks=(table(caption, _HEADER, [_row(one) for one in found.shared], marked=marked),),
        notes=(*_advice(found), *refused),
    )


def _flags(found: Confounders) -> tuple[str, ...]:
    """The columns shared more than chance gives."""
    if not found.flagged:
        return ()
    names = ", ".join(one.column for one in found.flagged)
    return (
        (
            f"Nearest patients share {names} more than chance gives (p after Holm at most "
            f"{found.alpha:g}, {plural(len(found.shared), 'column')} tested)."
        ),
    )


def _advice(found: Confounders) -> tuple[str, ...]:
    """What to do about it."""
    if not found.flagged:
        words = "No column is shared more than chance gives, after Holm."
        return (f"{words} That does not show that there is none: few patients cannot show much.",)
    lines = []
    healthy = [one.column for one in found.flagged if abs(one.health or 0.0) >= _WITH_HEALTH]
    if healthy:
        lines.append(f"Of these, {', '.join(healthy)} may be shared since health is.")
    flagged = {one.column for one in found.flagged}
    if flagged & {*OF_SCANS}:
        lines.append("Searches stay within view and modality, unless told otherwise.")
    asked = [
        f"--match '{one.column}!='"
        for one in found.flagged
        if one.kind == "category" and one.column not in OF_SCANS
    ]
    if asked:
        lines.append(f"To see who is alike in spite of it: `similar` with {' or '.join(asked)}.")
    return tuple(lines)


def _row(one: Shared) -> tuple[object, ...]:
    """One column's cells."""
    show = percent if one.kind == "category" else number
    chance = f"{show(one.expected)} ({show(one.low)} to {show(one.high)})"
    health = None
    if one.health is not None:
        health = percent(one.health) if one.kind == "category" else f"ρ {number(one.health)}"
    return (
        one.column,
        show(one.observed),
        chance,
        p_words(one.p_value),
        p_words(one.p_holm),
        health,
        one.level,
        one.n_values,
        one.n_patients,
    )
