"""What an evaluation found, as tables: one row a model and measure, or a comparison."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.pipeline.evaluation.compare import Comparison
from learner_index.pipeline.evaluation.material import NAMES
from learner_index.pipeline.evaluation.measures import MEASURES, Outcome
from learner_index.pipeline.evaluation.result import Evaluation
from learner_index.pipeline.roles import MARK

BETTER, WORSE, OPEN = "+", "−", "·"
_COMPARED = (
    *("model", "against", "measure", "difference", "low", "high", "verdict"),
    *("p_swap", "p_holm", "p_fold", "n_patients", "n_pairs", "seen"),
)


def measure_table(found: Evaluation) -> pd.DataFrame:
    """Every measure of every model.

    Returns:
        A row a model and measure: its value and 95 % interval, what chance would give, how many
        patients and pairs it rests on, how many seeds it is a mean of, and whether the encoder
        has seen patients it was measured on.
    """
    rows = []
    for outcome in found.outcomes:
        for name, figure in outcome.figures.items():
            low, high = outcome.intervals[name]
            rows.append(
                {
                    "section": MEASURES[name].section,
                    "measure": name,
                    "title": MEASURES[name].title,
                    "good": MEASURES[name].good,
                    "model": outcome.name,
                    "kind": outcome.kind,
                    "value": figure.value,
                    "low": low,
                    "high": high,
                    "chance": np.nan if figure.chance is None else figure.chance,
                    "n_patients": figure.n_patients,
                    "n_pairs": figure.n_pairs,
                    "n_seeds": len(outcome.seeds),
                    "seen": seen_words(outcome),
                }
            )
    return pd.DataFrame(rows)


def comparison_table(found: Evaluation) -> pd.DataFrame:
    """Every comparison; `verdict` says who is better, where the interval leaves 0 out."""
    seen = {one.name: seen_words(one) for one in found.outcomes}
    rows = [
        {
            "model": one.model,
            "against": one.against,
            "measure": one.measure,
            "difference": one.difference,
            "low": one.low,
            "high": one.high,
            "verdict": verdict(one),
            "p_swap": one.p_swap,
            "p_holm": one.p_holm,
            "p_fold": one.p_fold,
            "n_patients": one.n_patients,
            "n_pairs": one.n_pairs,
            "seen": seen[one.model] or seen[one.against],
        }
        for one in found.comparisons
    ]
    return pd.DataFrame(rows, columns=_COMPARED)


def prediction_table(found: Evaluation) -> pd.DataFrame:
    """Every predicted health change, out of fold: a row a model, seed and transition.

    There are no rows where health changes are not measured.
    """
    material = found.material
    order = np.concatenate([_of_fold(found, number) for number in range(len(found.splits))])
    fold = np.concatenate(
        [np.full(len(_of_fold(found, n)), n + 1) for n in range(len(found.splits))]
    )[np.argsort(order, kind="stable")]
    transitions, visits = material.transitions, material.visits
    base = {
        "patient_id": [material.patients[code] for code in transitions.patient],
        "fold": fold,
        "earlier_day": visits.day[transitions.earlier],
        "later_day": visits.day[transitions.later],
        "delta_score": transitions.delta_score,
        "health_change": [NAMES[int(code)] for code in material.changes],
    }
    guesses = ["predicted", *(f"p_{name}" for name in NAMES.values())]
    columns = ["model", "seed", *base, *guesses, "seen"]
    frames = []
    for outcome in found.outcomes if len(material.changes) else ():
        for seed, predicted in zip(outcome.seeds, outcome.predicted, strict=True):
            frame = pd.DataFrame({"model": outcome.name, "seed": seed, **base})
            frame["predicted"] = [NAMES[int(code)] for code in predicted.label]
            frame[guesses[1:]] = predicted.probability
            frame["seen"] = seen_words(outcome)
            frames.append(frame)
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def _of_fold(found: Evaluation, number: int) -> NDArray[np.intp]:
    """Transitions of the patients that are unseen in a fold."""
    is_own = found.material.is_of(found.splits[number].unseen)
    return np.flatnonzero(is_own[found.material.transitions.patient])


def verdict(one: Comparison) -> str:
    """Who is better, as far as the interval shows it."""
    good = MEASURES[one.measure].good
    if good == "none" or np.isnan(one.low) or one.low <= 0 <= one.high:
        return OPEN
    return BETTER if (one.difference > 0) == (good == "higher") else WORSE


def seen_words(outcome: Outcome) -> str:
    """That the encoder was trained on patients it is measured on; "" where it was not."""
    if not outcome.n_seen:
        return ""
    return f"{MARK} ({outcome.n_seen} of {outcome.n_measured} patients)"


def sections(found: Evaluation) -> Iterator[tuple[str, list[str]]]:
    """Sections of the report with the measures any model has in them."""
    present = {name for outcome in found.outcomes for name in outcome.figures}
    for section in dict.fromkeys(measure.section for measure in MEASURES.values()):
        names = [n for n, one in MEASURES.items() if one.section == section and n in present]
        if names:
            yield section, names


def figure_text(outcome: Outcome, name: str) -> str:
    """A value with its interval; "-" where a model has none."""
    if name not in outcome.figures or np.isnan(outcome.figures[name].value):
        return "-"
    value, (low, high) = outcome.figures[name].value, outcome.intervals[name]
    digits = 1 if MEASURES[name].unit == "score" and abs(value) >= 10 else 3
    text, ends = _rounded(value, digits), (_rounded(low, digits), _rounded(high, digits))
    return text if np.isnan(low) else f"{text} ({ends[0]} to {ends[1]})"


def _rounded(value: float, digits: int) -> str:
    """A number with so many digits; what rounds to 0 has no sign."""
    return f"{round(value, digits) + 0.0:.{digits}f}"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; bars inside cells are kept from ending them."""
    lines = [header, ["---"] * len(header), *rows]
    cells = [[str(cell).replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)
