"""What a response head says of a patient, as a section: probabilities, set, doubt, and why."""

from typing import TYPE_CHECKING

from learner_index.data.response import part_words
from learner_index.data.show import plural
from learner_index.pipeline.reports.page import (
    Bars,
    Block,
    Section,
    brief,
    by_weight,
    number,
    percent,
    table,
)
from learner_index.pipeline.reports.records import PatientReport

if TYPE_CHECKING:
    from learner_index.data.response import Prediction, Predictions

KEY, TITLE = "response", "Predicted response"
TASKS = {
    "detect": "detects: both scans are given, did it come about?",
    "predict": "predicts: nothing after one visit is given, will it come about?",
}


def prediction_section(found: PatientReport) -> Section:
    """What the head says, the latest example in full."""
    told = found.predictions
    if told is None:
        return Section(KEY, TITLE, missing=found.missing["predictions"])
    if not len(told):
        return Section(KEY, TITLE, missing="The head has no example of this patient to speak of.")
    last = told[-1]
    abstains = f"ABSTAINS: {'; '.join(last.reasons)}. Do not rely on what follows."
    blocks: list[Block] = [_probabilities(last), _parts(told, last)]
    if last.nearest:
        blocks.append(_nearest(last))
    if len(told) > 1:
        blocks.append(_all(told))
    heavy, notes = by_weight((*told.notes, *told.limits))
    return Section(
        KEY,
        TITLE,
        warnings=(abstains, *heavy) if last.is_abstaining else heavy,
        said=(
            f"The head {TASKS.get(told.task, told.task)} Outcome: {told.target}.",
            *_doubt(told, last),
        ),
        blocks=tuple(blocks),
        notes=notes,
    )


def _doubt(told: "Predictions", last: "Prediction") -> list[str]:
    """What cannot be ruled out, and how the nearest voted."""
    lines = [f"Below, the latest example: {_days(last)}, treatment {last.treatment or 'unknown'}."]
    if last.set is None:
        lines.append("The head has no sets: too few patients could calibrate them.")
    else:
        share = "" if told.set_share is None else f"{percent(told.set_share)} of "
        lines.append(
            f"Cannot be ruled out: {', '.join(last.set) or 'nothing'}. Such sets hold the outcome "
            f"of {share}patients like those the head was calibrated on."
        )
    if last.votes:
        votes = ", ".join(f"{name} {n}" for name, n in last.votes.items())
        lines.append(f"Of the {plural(sum(last.votes.values()), 'nearest patient')}: {votes}.")
    if last.outcome is not None:
        lines.append(f"What came about, as the store knows: {last.outcome}.")
    return lines


def _probabilities(last: "Prediction") -> Bars:
    """The probability of each class."""
    held = last.set or ()
    rows = tuple(
        (f"{name}{' (in the set)' if name in held else ''}", share, f"{share:.2f}")
        for name, share in last.probabilities.items()
    )
    return Bars(f"Probability of each outcome, {_days(last)}", rows)


def _parts(told: "Predictions", last: "Prediction") -> Block:
    """What adds up to the log odds, on and off the severity axis."""
    rows = [(part_words(name), number(value, is_signed=True)) for name, value in last.parts.items()]
    total = f"{number(last.log_odds, is_signed=True)} for {last.likeliest} against the others"
    exact = "the parts add up exactly" if told.adds_up else "the parts are what each alone tells"
    caption = f"Why: log odds of {total}; {exact}"
    return table(caption, ("part", "adds"), rows)


def _nearest(last: "Prediction") -> Block:
    """Patients who speak for the answer."""
    rows = [
        (each.rank, each.patient_id, each.from_day, each.to_day, each.outcome, each.distance)
        for each in last.nearest
    ]
    return table(
        f"Nearest examples of other patients that ended {last.likeliest}: smaller is more alike",
        ("rank", "patient", "from day", "to day", "outcome", "distance"),
        rows,
        decimals=2,
    )


def _all(told: "Predictions") -> Block:
    """Every example of the patient, a row each."""
    rows = [
        (
            one.from_day,
            one.to_day,
            one.likeliest,
            f"{one.probabilities[one.likeliest]:.2f}",
            None if one.set is None else ", ".join(one.set),
            "; ".join(one.reasons) or "no",
            one.outcome,
        )
        for one in told
    ]
    header = ("from day", "to day", "likeliest", "probability", "set", "abstains", "came about")
    return table("Every example of this patient", header, rows)


def _days(one: "Prediction") -> str:
    """From which visit, to which."""
    start = f"day {brief(one.from_day)}"
    return start if one.to_day is None else f"{start} to {brief(one.to_day)}"
