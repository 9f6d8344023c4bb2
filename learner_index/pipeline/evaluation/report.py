"""An evaluation on disk: a report to read, tables to work with, figures, and a Methods paragraph.

Everything is written from the record of the evaluation; nothing is computed anew.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd

from learner_index.data.replace import replace_file
from learner_index.pipeline.evaluation.compare import Comparison
from learner_index.pipeline.evaluation.figures import draw_figures
from learner_index.pipeline.evaluation.measures import MEASURES, PRIMARY
from learner_index.pipeline.evaluation.methods import methods_paragraph
from learner_index.pipeline.evaluation.models import name_of_baseline
from learner_index.pipeline.evaluation.result import Evaluation
from learner_index.pipeline.evaluation.tables import (
    BETTER,
    OPEN,
    WORSE,
    comparison_table,
    figure_text,
    markdown,
    measure_table,
    prediction_table,
    sections,
    seen_words,
    verdict,
)
from learner_index.pipeline.record import shareable
from learner_index.pipeline.runs import finite, versions

REPORT_NAME = "report.md"
LEGEND = (
    f"`{BETTER}` better and `{WORSE}` worse than the model compared with, where the 95 % interval "
    f"of the difference leaves 0 out; `{OPEN}` nothing shown. One interval in twenty leaves 0 out "
    "by chance: only the primary endpoint is tested, and its p-values are adjusted (Holm)."
)


def write_evaluation(found: Evaluation, folder: Path) -> list[Path]:
    """Write report, tables, figures and Methods paragraph, each whole or not at all.

    Args:
        found: the evaluation.
        folder: files of these names are replaced, others stay.

    Returns:
        What was written, the report first.
    """
    figures = draw_figures(found, folder / "figures")
    record = json.dumps(finite(evaluation_record(found)), indent=2, ensure_ascii=False)
    files = {
        REPORT_NAME: report_text(found, [figure.name for figure in figures]),
        "methods.md": methods_paragraph(found) + "\n",
        "measures.csv": _csv(measure_table(found)),
        "comparisons.csv": _csv(comparison_table(found)),
        "predictions.csv": _csv(prediction_table(found)),
        "evaluation.json": record,
    }
    for name, text in files.items():
        replace_file(folder / name, [text.encode()])
    return [*(folder / name for name in files), *figures]


def evaluation_record(found: Evaluation) -> dict[str, Any]:
    """The evaluation as plain values: what was asked for, on whom, and everything found."""
    material = found.material
    baselines = tuple(map(name_of_baseline, found.options.baselines))
    return {
        "cohort": material.name,
        "is_simulated": material.is_simulated,
        "n_patients": material.n_patients,
        "n_scans": material.n_scans,
        "score": asdict(material.about),
        "primary": PRIMARY,
        "against": found.against,
        "options": asdict(replace(found.options, against=found.against, baselines=baselines)),
        "pretraining": shareable(found.pretraining),
        "versions": versions(),
        "folds": [split.fingerprint for split in found.splits],
        "notes": list(found.notes),
        "skipped": list(found.skipped),
        "models": [
            {
                "name": one.name,
                "kind": one.kind,
                "says": one.says,
                "seeds": list(one.seeds),
                "n_seen": one.n_seen,
                "n_measured": one.n_measured,
            }
            for one in found.outcomes
        ],
        "measures": _records(measure_table(found)),
        "comparisons": _records(comparison_table(found)),
    }


def report_text(found: Evaluation, figures: Sequence[str] = ()) -> str:
    """The report as Markdown."""
    material = found.material
    simulated = "**SIMULATED DATA: nothing below is about real patients.** "
    lead = (
        f"{simulated if material.is_simulated else ''}{material.n_patients} patients, "
        f"{material.n_scans} scans, {len(material.visits)} visits; {len(found.splits)} folds of "
        f"patients; intervals: 95 %, {found.options.n_bootstraps} draws of patients. Every figure "
        "is of patients that nothing was fitted on, except where a row says otherwise."
    )
    parts = [
        f"# Evaluation on {material.name}",
        lead,
        _notes(found),
        _headline(found),
        *(_section(found, title, names) for title, names in sections(found)),
        _matrix(found),
        _models(found),
        "\n".join(f"![{name}](figures/{name})" for name in figures),
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part) + "\n"


def _notes(found: Evaluation) -> str:
    seen = [f"{one.name}: {seen_words(one)}" for one in found.outcomes if one.n_seen]
    lines = [*seen, *found.notes]
    if found.skipped:
        lines.append(f"skipped {len(found.skipped)} scans, first {found.skipped[0]}")
    return "\n".join(f"- {line}" for line in lines)


def _headline(found: Evaluation) -> str:
    """The primary endpoint, with its tests."""
    rows = []
    by_model = {one.model: one for one in found.comparisons if one.measure == PRIMARY}
    for outcome in found.outcomes:
        if PRIMARY not in outcome.figures:
            continue
        one, figure = by_model.get(outcome.name), outcome.figures[PRIMARY]
        tests = (one.p_swap, one.p_holm, one.p_fold) if one else (None,) * 3
        rows.append(
            [
                _name(outcome.name, seen_words(outcome)),
                figure_text(outcome, PRIMARY),
                figure_text(outcome, f"difference_{PRIMARY}"),
                _difference(one) if one else "",
                *(_p(value) for value in tests),
                str(figure.n_patients),
                str(figure.n_pairs),
            ]
        )  # fmt: skip
    if not rows:
        return ""
    header = [
        "model", "macro-F1 (head on differences)", "macro-F1 (two predicted scores)",
        f"against {found.against}", "p (swap)", "p (Holm)", "p (folds)", "patients", "transitions",
    ]  # fmt: skip
    text = (
        "Primary endpoint: patient-averaged macro-F1 of the three-way health change at "
        f"θ = {found.material.about.threshold:g} {found.material.about.unit}".rstrip()
    )
    words = (
        "p (swap): paired permutation by patient; p (Holm): adjusted for all models tested; "
        "p (folds): t-test over folds corrected for overlapping training sets."
    )
    return f"## Primary endpoint\n\n{text}.\n\n{markdown(header, rows)}\n\n{words}"


def _section(found: Evaluation, title: str, names: Sequence[str]) -> str:
    """One table, with what each column rests on in its first row."""
    titles = [f"{MEASURES[n].title} {_arrow(n)}".strip() for n in names]
    counts, chances = [], []
    for name in names:
        own = [one.figures[name] for one in found.outcomes if name in one.figures]
        counts.append(f"{own[0].n_patients} / {own[0].n_pairs}")
        chances.append("" if own[0].chance is None else f"{own[0].chance:.3g}")
    rows = [
        [_name(one.name, seen_words(one)), *(figure_text(one, name) for name in names)]
        for one in found.outcomes
        if any(name in one.figures for name in names)
    ]
    rows.insert(0, ["*n patients / n pairs*", *counts])
    if any(chances):
        rows.insert(1, ["*chance*", *chances])
    meanings = [f"{MEASURES[n].title}: {MEASURES[n].meaning}" for n in names if MEASURES[n].meaning]
    legend = f"\n\n{'; '.join(meanings)}." if meanings else ""
    return f"## {title}\n\n{markdown(['model', *titles], rows)}{legend}"


def _matrix(found: Evaluation) -> str:
    """Who wins where: a row a measure, a column a model; losing cells like winning ones."""
    seen = {one.name: _name(one.name, seen_words(one)) for one in found.outcomes}
    models = [one.name for one in found.outcomes if one.name != found.against]
    by_cell = {(one.model, one.measure): verdict(one) for one in found.comparisons}
    names = [n for n in MEASURES if any((m, n) in by_cell for m in models)]
    names = [n for n in names if MEASURES[n].good != "none"]
    if not names:
        return ""
    rows = [
        [f"{MEASURES[n].section}: {MEASURES[n].title}", *(by_cell.get((m, n), "") for m in models)]
        for n in names
    ]
    return (
        f"## Against {seen[found.against]}, cell by cell\n\n"
        f"{markdown(['measure', *(seen[m] for m in models)], rows)}\n\n{LEGEND}"
    )


def _models(found: Evaluation) -> str:
    rows = [
        [one.name, one.kind, one.says, str(len(one.seeds)), seen_words(one) or "none"]
        for one in found.outcomes
    ]
    return "## Models\n\n" + markdown(
        ["model", "kind", "what it is", "seeds", "seen patients"], rows
    )


def _difference(one: Comparison) -> str:
    return f"{one.difference:+.3f} ({one.low:+.3f} to {one.high:+.3f})"


def _p(value: float | None) -> str:
    return "" if value is None else f"{value:.2g}"


def _arrow(name: str) -> str:
    return {"higher": "↑", "lower": "↓", "none": ""}[MEASURES[name].good]


def _name(name: str, seen: str) -> str:
    return f"{name} **{seen}**" if seen else name


def _csv(table: pd.DataFrame) -> str:
    return str(table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def _records(table: pd.DataFrame) -> list[Mapping[str, Any]]:
    """Rows as plain values, None where missing."""
    return [
        {str(key): None if pd.isna(value) else value for key, value in row.items()}
        for row in table.astype(object).to_dict("records")
    ]
