"""What an evaluation found, as a section: primary endpoint, every measure, won and lost cells."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from learner_index.pipeline.evaluation.tables import BETTER, OPEN, WORSE
from learner_index.pipeline.reports.page import (
    Block,
    Section,
    by_weight,
    interval,
    number,
    p_words,
    table,
)

KEY, TITLE = "evaluation", "Evaluation"
NO_EVALUATION = (
    "No evaluation was named: `learner-index evaluate` compares encoders on patients none of them "
    "saw; name its folder with --evaluation."
)
_ABREAST = 5  # models side by side in a table
_WORDS = {BETTER: "better", WORSE: "worse", OPEN: "open"}
_ARROWS = {"higher": " ↑", "lower": " ↓"}
Row = Mapping[str, Any]


def evaluation_section(record: Row | None, *, is_simulated: bool) -> Section:
    """All tables of an evaluation, losing cells like winning ones.

    Args:
        record: what `evaluation.json` says; None where none was named.
        is_simulated: whether the store's own scans are.
    """
    if record is None:
        return Section(KEY, TITLE, missing=NO_EVALUATION)
    names = [str(model["name"]) for model in record["models"]]
    others = [name for name in names if name != record["against"]]
    blocks = [
        *_primary(record),
        *_cells(record, others),
        *(block for title in _sections(record) for block in _measures(record, title, names)),
    ]
    heavy, notes = by_weight([*_seen(record), *record.get("notes", ())])
    if bool(record.get("is_simulated")) and not is_simulated:
        heavy = ("The evaluation is of SIMULATED patients, the store is not.", *heavy)
    return Section(
        KEY,
        TITLE,
        warnings=heavy,
        said=(_of_whom(record), _legend(record["against"])),
        blocks=tuple(blocks),
        notes=notes,
    )


def _of_whom(record: Row) -> str:
    """Which cohort was evaluated."""
    n_patients, n_scans = (record.get(name, 0) for name in ("n_patients", "n_scans"))
    return (
        f"Of {record['cohort']}: {n_patients:,} patients, {n_scans:,} scans. Check that these are "
        "the patients meant before you rely on it."
    )


def _legend(against: str) -> str:
    """What the signs in the cells mean."""
    return (
        f"Cells say better or worse than {against} where the 95 % interval of the difference "
        "leaves 0 out, else open. One interval in twenty leaves 0 out by chance: only the primary "
        "endpoint is tested."
    )


def _primary(record: Row) -> Iterator[Block]:
    """The primary endpoint with its tests."""
    own = {row["model"]: row for row in record["measures"] if row["measure"] == record["primary"]}
    against = {
        row["model"]: row for row in record["comparisons"] if row["measure"] == record["primary"]
    }
    rows = []
    for name, row in own.items():
        one = against.get(name, {})
        rows.append(
            (
                name,
                _value(row),
                _difference(one),
                p_words(one.get("p_swap")),
                p_words(one.get("p_holm")),
                row["n_patients"],
                row["n_pairs"],
            )
        )
    if rows:
        score = record["score"]
        title = next(iter(own.values()))["title"]
        caption = f"Primary endpoint: {title} of the health change"
        if score.get("threshold") is not None:
            caption += f" at θ = {score['threshold']:g} {score.get('unit', '')}".rstrip()
        versus = f"against {record['against']}"
        header = ("model", title, versus, "p (swap)", "p (Holm)", "patients", "pairs")
        yield table(caption, header, rows)


def _cells(record: Row, models: Sequence[str]) -> Iterator[Block]:
    """Who wins where: a row a measure, a column a model."""
    verdicts = {(row["model"], row["measure"]): row["verdict"] for row in record["comparisons"]}
    titles = {
        row["measure"]: f"{row['section']}: {row['title']}"
        for row in record["measures"]
        if row["good"] != "none"
    }
    for part in _abreast(models):
        rows = [
            (title, *(_WORDS.get(verdicts.get((model, name), ""), "") for model in part))
            for name, title in titles.items()
            if any((model, name) in verdicts for model in part)
        ]
        if rows:
            caption = f"Against {record['against']}, cell by cell ({_tally(rows)})"
            yield table(caption, ("measure", *part), rows)


def _tally(rows: Sequence[Sequence[object]]) -> str:
    """How many cells are won, lost and open."""
    cells = [cell for row in rows for cell in row[1:]]
    won, lost, still = (cells.count(_WORDS[sign]) for sign in (BETTER, WORSE, OPEN))
    return f"{won} better, {lost} worse, {still} open"


def _measures(record: Row, section: str, models: Sequence[str]) -> Iterator[Block]:
    """Every measure of a section: a row a measure, a column a model."""
    rows = [row for row in record["measures"] if row["section"] == section]
    titles = {row["measure"]: f"{row['title']}{_ARROWS.get(row['good'], '')}" for row in rows}
    values = {(row["measure"], row["model"]): _value(row) for row in rows}
    counts = {row["measure"]: f"{row['n_patients']:,} / {row['n_pairs']:,}" for row in rows}
    for part in _abreast(models):
        shown = [
            (title, *(values.get((name, model)) for model in part), counts[name])
            for name, title in titles.items()
            if any((name, model) in values for model in part)
        ]
        if shown:
            yield table(section, ("measure", *part, "patients / pairs"), shown)


def _sections(record: Row) -> list[str]:
    """Sections of measures, in their order."""
    return list(dict.fromkeys(str(row["section"]) for row in record["measures"]))


def _seen(record: Row) -> list[str]:
    """Which models know patients they are measured on."""
    found = {str(row["model"]): str(row["seen"]) for row in record["measures"] if row.get("seen")}
    return [f"{seen}: {model}" for model, seen in found.items()]


def _abreast(models: Sequence[str]) -> Iterator[Sequence[str]]:
    """Models, a few at a time."""
    return (models[i : i + _ABREAST] for i in range(0, len(models), _ABREAST))


def _value(row: Row) -> str:
    """A measure with its interval."""
    value, low, high = (row.get(name) for name in ("value", "low", "high"))
    if value is None:
        return "-"
    decimals = 1 if abs(value) >= 10 else 3
    if low is None or high is None:
        return number(value, decimals)
    return interval(value, low, high, decimals)


def _difference(row: Row) -> str:
    """A difference with its interval."""
    if row.get("difference") is None:
        return "-"
    ends = [number(row[name], 3, is_signed=True) for name in ("difference", "low", "high")]
    return f"{ends[0]} ({ends[1]} to {ends[2]})"
