"""A head's report in Markdown: what was asked, how well it was answered, what beats it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from learner_index.analysis.classes import DIRECTION
from learner_index.analysis.classes import TITLES as LONG_TITLES
from learner_index.data.replace import replace_file
from learner_index.data.show import Card
from learner_index.pipeline.evaluation.tables import markdown
from learner_index.pipeline.response.crossfit import HEAD
from learner_index.pipeline.response.draw import CONFUSION, DECISION, RELIABILITY
from learner_index.pipeline.response.figures import ADDED, COMPARED, Figure, Figures, is_better
from learner_index.pipeline.roles import MARK

NAME = "report.md"
TITLES = {**LONG_TITLES, "nll": "log loss"}
TASKS = {
    "detect": "detect: both scans are given, did it come about?",
    "predict": "predict: nothing after one visit is given, will it come about?",
}
_SHOWN = ("auroc", "nll", "macro_f1", "balanced_accuracy", "accuracy", "rps")
_ADDED_WORDS = {True: "embedding adds", False: "embedding harms", None: "not shown to add"}
_WORDS = {True: "beaten", False: "BETTER THAN THE HEAD", None: "not shown to differ"}


def write_report(card: Mapping[str, Any], figures: Figures, folder: Path) -> None:
    """Write `report.md` beside the head.

    Raises:
        OSError: the disk refused.
    """
    replace_file(folder / NAME, ["\n\n".join(_sections(card, figures)).encode() + b"\n"])


def model_table(figures: Figures) -> tuple[list[str], list[list[str]]]:
    """Header and rows: each model with its figures, 95 % intervals over patients."""
    names = [name for name in _SHOWN if name in figures.models[HEAD]]
    header = ["model", *(f"{TITLES[name]} {_arrow(name)}" for name in names)]
    rows = [
        [model, *(figure_words(own.get(name)) for name in names)]
        for model, own in figures.models.items()
    ]
    return header, rows


def gain_table(figures: Figures) -> tuple[list[str], list[list[str]]]:
    """Header and rows: head minus each baseline, and whether it is beaten."""
    titles = [f"{TITLES[name]} {_arrow(name)}" for name in COMPARED]
    header = ["baseline", *titles, "verdict by log loss"]
    rows = []
    for baseline, gains in figures.gains.items():
        main = next(name for name in COMPARED if name in gains)
        words = _ADDED_WORDS if baseline == ADDED else _WORDS
        verdict = words[is_better(main, gains[main])]
        if main != COMPARED[0]:
            verdict += f" ({TITLES[main]})"
        rows.append([baseline, *(figure_words(gains.get(name)) for name in COMPARED), verdict])
    return header, rows


def fit_card(card: Mapping[str, Any], figures: Figures) -> Card:
    """What is worth seeing of a fit: each model, and what the head has over it."""
    verdicts = {row[0]: row[-1] for row in gain_table(figures)[1]}
    rows = [
        (model, *(own[m].value if m in own else None for m in COMPARED), verdicts.get(model))
        for model, own in figures.models.items()
    ]
    seen = f" ({figures.n_seen} {MARK})" if figures.n_seen else ""
    return Card(
        f"Response head ({card['head']}): {card['target']['name']}",
        ("model", *(f"{TITLES[m]} {_arrow(m)}" for m in COMPARED), "against the head"),
        rows,
        f"{TASKS[card['task']]} {figures.n_examples} examples of {figures.n_patients} patients"
        f"{seen}, each left out once; ↑ higher is better, ↓ lower is better",
        (*set_words(card, figures), *card["notes"]),
        bool(card["is_simulated"]),
        "figures",
    )


def figure_words(figure: Figure | None) -> str:
    """A value with its interval; "-" where there is none."""
    if figure is None or figure.value is None:
        return "-"
    if figure.low is None or figure.high is None:
        return f"{figure.value:.3f}"
    low, high = (round(x, 3) + 0.0 for x in (figure.low, figure.high))
    return f"{round(figure.value, 3) + 0.0:.3f} ({low:.3f} to {high:.3f})"


def set_words(card: Mapping[str, Any], figures: Figures) -> list[str]:
    """What is promised of the sets, and what was measured, a line each."""
    sets = card["sets"]
    if sets is None:
        return []
    low, high = sets["coverage_interval"]
    promise = (
        f"sets: promised to hold the outcome of {100 * (1 - sets['alpha']):.4g} % of patients; "
        f"this run's coverage lies between {low:.2f} and {high:.2f} in 95 % of draws of its "
        f"{sets['n_patients']} calibration patients (Beta)"
    )
    if figures.n_seen:
        promise += f"; not of new patients, as some of these are {MARK}"
    lines = [promise]
    if "coverage" not in figures.sets:
        lines.append("not measured on patients left out: too few could calibrate in some fold")
    else:
        by_class = ", ".join(
            f"{name.removeprefix('coverage: ')} {figure.value:.2f}"
            for name, figure in figures.sets.items()
            if name.startswith("coverage: ") and figure.value is not None
        )
        lines.append(
            f"measured on patients left out: {figure_words(figures.sets['coverage'])}; by class "
            f"{by_class}; {figure_words(figures.sets['set_size'])} classes in a set"
        )
    return lines


def _sections(card: Mapping[str, Any], figures: Figures) -> list[str]:
    """The report, a paragraph or table each."""
    title = "SIMULATED patients. " if card["is_simulated"] else ""
    seen = f" {MARK} ({figures.n_seen} of {figures.n_patients} patients)." if figures.n_seen else ""
    rests_on = (
        f"{figures.n_examples} examples of {figures.n_patients} patients; 95 % intervals from "
        f"{figures.n_draws} draws of patients. ↑ higher is better, ↓ lower is better. AUROC, "
        "macro-F1 and balanced accuracy are as if classes were equally common in training, all "
        "else as common as they are."
    )
    parts = [
        f"# {card['target']['name']}",
        f"{title}{TASKS[card['task']]}{seen}",
        _data_words(card),
        "## Patients left out of the fit",
        rests_on,
        markdown(*model_table(figures)),
        "## Gain over each baseline",
        "Head minus baseline, in the same draws of patients.",
        markdown(*gain_table(figures)),
        "## Sets, and when the head keeps silent",
        *set_words(card, figures),
        _silence_words(figures),
    ]
    if figures.groups:
        parts += ["## Parts of the cohort", markdown(*_group_table(figures))]
    parts += [f"![{name}]({name})" for name in (CONFUSION, RELIABILITY, DECISION)]
    if card["notes"]:
        parts += ["## Notes", _listed(card["notes"])]
    parts += ["## Limits", _listed(card["limits"])]
    return [part for part in parts if part]


def _data_words(card: Mapping[str, Any]) -> str:
    """Who came to what end."""
    data = card["data"]
    classes = ", ".join(
        f"{name} {n['examples']} ({n['patients']} patients)" for name, n in data["classes"].items()
    )
    gone = ", ".join(
        f"{data[key]} {words}"
        for key, words in (
            ("n_died", "died before"),
            ("n_lost", "have no later visit"),
            ("n_unknown", "have no outcome written or scored"),
        )
        if data[key]
    )
    return f"Outcomes: {classes}." + (f" Of others, {gone}." if gone else "")


def _silence_words(figures: Figures) -> str:
    """How often the head abstains, and how often it is right otherwise."""
    words = f"The head abstains in {figure_words(figures.sets['abstaining'])} of patients"
    if "accuracy_answered" in figures.sets:
        words += "; where it answers, it is right in "
        words += figure_words(figures.sets["accuracy_answered"])
    return f"{words}."


def _group_table(figures: Figures) -> tuple[list[str], list[list[str]]]:
    """Header and rows: the head by site, view and treatment."""
    names = list(figures.groups[0].figures)
    rows = [
        [
            f"{one.column} {one.value}",
            str(one.n_patients),
            *(figure_words(one.figures.get(name)) for name in names),
        ]
        for one in figures.groups
    ]
    return ["part", "patients", *(TITLES.get(name, name) for name in names)], rows


def _listed(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _arrow(name: str) -> str:
    return "↑" if DIRECTION[name] == "higher" else "↓"
