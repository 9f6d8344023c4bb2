"""A response head's card in words and figures, as a section of a cohort's report."""

from collections.abc import Mapping
from typing import Any

from learner_index.pipeline.reports.page import Section, by_weight, percent, sentence, table
from learner_index.pipeline.reports.prediction_page import TASKS
from learner_index.pipeline.response.figures import Figure, Figures
from learner_index.pipeline.response.report import gain_table, model_table, set_words
from learner_index.pipeline.roles import MARK

KEY, TITLE = "head", "Response head"
NO_HEAD = (
    "No response head was named: `learner-index response fit` fits one; name its folder with "
    "--head."
)
Card = Mapping[str, Any]


def head_section(card: Card | None) -> Section:
    """What a head is for, how well it does on patients left out, and what beats it.

    Args:
        card: as `head.json` has it; None where none was named.
    """
    if card is None:
        return Section(KEY, TITLE, missing=NO_HEAD)
    told = figures_of(card)
    seen = (
        f"{MARK}: {percent(card['seen_by_encoder']['share'])} of the head's own patients are those "
        "the encoder was trained or tuned on"
    )
    marks = [seen] if card["seen_by_encoder"]["n_patients"] else []
    if card["is_simulated"]:
        marks.insert(0, "SIMULATED patients: the head was fitted on these")
    said = (*card.get("leaks", ()), *card.get("notes", ()), *card["limits"])
    heavy, notes = by_weight(said)
    return Section(
        KEY,
        TITLE,
        warnings=(*map(sentence, marks), *heavy),
        said=tuple(map(sentence, set_words(card, told))),
        facts=_facts(card),
        blocks=(
            table("Patients left out of the fit; 95 % intervals by patient", *model_table(told)),
            table("Head minus each baseline, in the same draws of patients", *gain_table(told)),
        ),
        notes=notes,
    )


def figures_of(card: Card) -> Figures:
    """The figures a card keeps, as they were measured."""
    kept = card["figures"]
    tables = ({k: _figures(v) for k, v in kept[name].items()} for name in ("models", "gains"))
    models, gains = tables
    return Figures(
        models=models,
        gains=gains,
        sets=_figures(kept["sets"]),
        groups=(),
        n_patients=kept["n_patients"],
        n_examples=kept["n_examples"],
        n_seen=kept["n_seen"],
        n_draws=kept["n_draws"],
    )


def _figures(kept: Mapping[str, Mapping[str, float | None]]) -> dict[str, Figure]:
    """Values with their intervals."""
    return {name: Figure(**each) for name, each in kept.items()}


def _facts(card: Card) -> tuple[tuple[str, str], ...]:
    """What the head is for and was fitted on."""
    data, sets = card["data"], card["figures"]["sets"]
    classes = ", ".join(
        f"{name} {n['examples']:,} of {n['patients']:,} patients"
        for name, n in data["classes"].items()
    )
    facts = [
        ("head", f"{card['head']}, {card['title']}; it {TASKS.get(card['task'], card['task'])}"),
        ("outcome", f"{card['target']['name']}: {classes}"),
        ("fitted on", f"{data['n_patients']:,} patients, {data['n_examples']:,} examples"),
    ]
    silent = sets.get("abstaining", {}).get("value")
    if silent is not None:
        facts.append(("abstains", f"in {percent(silent)} of patients left out"))
    return tuple(facts)
