"""What a person should know before relying on a head's answer, the worst first."""

from collections.abc import Mapping

from learner_index.config.response import ResponseOptions
from learner_index.pipeline.response.asked import Asked
from learner_index.pipeline.response.headfolder import SavedHead
from learner_index.pipeline.response.known import Identity
from learner_index.pipeline.roles import MARK, TRAINED_OR_TUNED

FITTED = "FITTED ON"


def remarks(
    saved: SavedHead,
    options: ResponseOptions,
    asked: Asked,
    identities: Mapping[str, Identity],
    at: str | None,
) -> tuple[str, ...]:
    """Notes on a head's answer.

    Args:
        saved: the head.
        options: it was fitted with.
        asked: the examples.
        identities: who their patients are.
        at: the visit predicted from; None where the head detects.
    """
    found = [
        _fitted_note(identities),
        _seen_note(identities),
        _seen_by_head_note(saved),
        _visit_note(options, at),
        _condition_note(options),
        *_missing_notes(saved, asked),
        _view_note(saved, asked),
    ]
    if saved.fitted.sets is None:
        found.append("the head has no sets of classes: too few patients could calibrate them")
    if not saved.fitted.model.kind.is_linear:
        found.append(
            "the head is not linear: each part is what the answer loses when its features are set "
            "to the average, and the parts add up only with what they add together"
        )
    found += [f"its report tells: {leak}" for leak in saved.card.get("leaks", ())]
    return tuple(filter(None, found))


def _fitted_note(identities: Mapping[str, Identity]) -> str:
    """That the head knows some patients and their outcomes."""
    n = sum(one.is_fitted_on for one in identities.values())
    if n == 0:
        return ""
    return (
        f"{FITTED}: {_of(n, len(identities))} helped to fit or calibrate the head, so its answers "
        "flatter: the report tells how it does on patients left out"
    )


def _seen_note(identities: Mapping[str, Identity]) -> str:
    """That the encoder knows some patients."""
    n = sum(one.is_seen for one in identities.values())
    if n == 0:
        return ""
    verb = "is one" if n == len(identities) == 1 else "are those"
    return f"{MARK}: {_of(n, len(identities))} {verb} {TRAINED_OR_TUNED}"


def _seen_by_head_note(saved: SavedHead) -> str:
    """That the head was fitted, and its sets calibrated, on patients the encoder knows."""
    seen = saved.card["seen_by_encoder"]
    if not seen["n_patients"]:
        return ""
    return (
        f"{MARK}: {seen['share']:.0%} of the head's own patients are those {TRAINED_OR_TUNED}, so "
        "its probabilities, and the share its sets hold, are not those of new patients"
    )


def _of(n: int, total: int) -> str:
    """How many of how many patients."""
    return "the patient" if n == total == 1 else f"{n} of {total} patients"


def _visit_note(options: ResponseOptions, at: str | None) -> str:
    """That the head is asked about other visits than it was fitted on."""
    if at is None or at == options.at:
        return ""
    return (
        f"asked about the visit --at {at}, fitted on --at {options.at}: its figures and the share "
        "its sets hold are of the latter"
    )


def _condition_note(options: ResponseOptions) -> str:
    """Which scans are used."""
    return f"only scans with {' and '.join(options.scans)}, as in the fit" if options.scans else ""


def _missing_notes(saved: SavedHead, asked: Asked) -> list[str]:
    """Which clinical numbers were filled in."""
    encoding, columns = saved.fitted.model.encoding, asked.examples.columns
    found = []
    for name in encoding.columns:
        n = int(columns[name].isna().sum()) if name in columns else len(columns)
        if n and name in encoding.fills:
            found.append(
                f"{name} is missing in {n} of {len(columns)} examples, and taken as the median "
                f"{encoding.fills[name]:g} of those fitted on"
            )
    return found


def _view_note(saved: SavedHead, asked: Asked) -> str:
    """Which views the head has never seen."""
    visits, known = asked.material.visits, saved.fitted.model.encoding.views
    has = visits.groups[asked.examples.earlier] >= 0
    new = [
        view or "(none)"
        for number, view in enumerate(visits.views)
        if view not in known and has[:, number].any()
    ]
    if not new:
        return ""
    return (
        f"nobody was fitted on with view {', '.join(new)}: the mean over other views stands in for "
        "theirs"
    )
