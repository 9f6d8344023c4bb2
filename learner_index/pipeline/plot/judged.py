"""What was predicted against what came about: confusion matrices and reliability diagrams.

They are drawn of an evaluation or its folder, of a fitted response head, or of predictions whose
outcomes are known.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np
import pandas as pd

from learner_index.analysis import classes
from learner_index.analysis.plots.confusions import CHANGES, Confusion, lay_out_confusions
from learner_index.analysis.plots.reliability import Reliability, lay_out_reliability
from learner_index.analysis.predicted import Predicted, patient_counts
from learner_index.data.response import Predictions
from learner_index.errors import NotEnoughDataError, QueryError
from learner_index.pipeline.roles import MARK

if TYPE_CHECKING:
    from learner_index.analysis.plots.drawing import Drawing
    from learner_index.pipeline.evaluation.result import Evaluation
    from learner_index.pipeline.response.fit import ResponseFit

Judged: TypeAlias = Union["Evaluation", "ResponseFit", Predictions, str, Path]
"""What holds predictions beside what came about."""

_MOST = 6  # models a figure has room for
_TABLE, _RECORD = "predictions.csv", "evaluation.json"
_UNSEEN = "Unseen patients of all folds, first seed."


@dataclass(frozen=True, slots=True, eq=False)
class _Drawn:
    """What both figures show, and the words around it."""

    confusions: Sequence[Confusion]
    curves: Sequence[Reliability]
    title: str
    caption: str
    is_simulated: bool
    rule: str = ""


def confusion(found: Judged, *, title: str | None = None) -> "Drawing":
    """What was predicted for each class that came about, one matrix a model.

    Args:
        found: an `Evaluation`, or the folder it was written to; a `ResponseFit`, whose patients
            were each left out once; or `Predictions`, of which those with a known outcome count,
            and no patient that the head was fitted on.
        title: stands above; None: what was predicted, on what.

    Raises:
        NotEnoughDataError: nothing was predicted whose outcome is known.
        QueryError: the folder holds no predictions.
    """
    shown = _drawn(found)
    return lay_out_confusions(
        shown.confusions,
        title=title or shown.title,
        caption=f"{shown.caption} {shown.rule}".rstrip(),
        is_simulated=shown.is_simulated,
    )


def reliability(found: Judged, *, title: str | None = None) -> "Drawing":
    """How often predictions came about against how sure the model was, one panel a model.

    Args:
        found: as in `confusion`.
        title: as in `confusion`.

    Raises:
        NotEnoughDataError, QueryError: as in `confusion`.
    """
    shown = _drawn(found)
    return lay_out_reliability(
        shown.curves,
        title=title or shown.title,
        caption=shown.caption,
        is_simulated=shown.is_simulated,
    )


def _drawn(found: Judged) -> _Drawn:
    """What there is to show of any of them."""
    if isinstance(found, str | Path):
        return _of_folder(Path(found))
    if isinstance(found, Predictions):
        return _of_predictions(found)
    from learner_index.pipeline.response.fit import ResponseFit

    return _of_fit(found) if isinstance(found, ResponseFit) else _of_evaluation(found)


def _of_evaluation(found: "Evaluation") -> _Drawn:
    """The models of an evaluation."""
    from learner_index.pipeline.evaluation.figures import (
        confusion_of,
        reliability_of,
        shown_outcomes,
    )

    shown = [one for one in shown_outcomes(found) if one.predicted]
    _require(shown, found.material.name)
    return _Drawn(
        [confusion_of(one) for one in shown],
        [reliability_of(one) for one in shown],
        f"Health changes, {found.material.name.removeprefix('SIMULATED ')}",
        _UNSEEN,
        found.material.is_simulated,
    )


def _of_fit(found: "ResponseFit") -> _Drawn:
    """A head beside its first baseline."""
    from learner_index.pipeline.response import draw

    shown = draw.shown_models(found.crossfit)
    return _Drawn(
        [draw.confusion_of(found.cohort, one) for one in shown],
        [draw.reliability_of(found.cohort, one) for one in shown],
        found.cohort.targets.name,
        draw.LEFT_OUT,
        bool(found.card["is_simulated"]),
        draw.LIKELIER,
    )


def _of_predictions(found: Predictions) -> _Drawn:
    """A head on patients it was not fitted on."""
    rows = [row for row in found if row.outcome is not None and not row.is_fitted_on]
    if not rows:
        n_fitted = sum(row.is_fitted_on for row in found)
        raise NotEnoughDataError(
            f"none of {len(found)} predictions can be judged: {n_fitted} are of patients the head "
            "was fitted on, and of the others no outcome is known; draw what fit_response gave, "
            "or predict other patients"
        )
    names = [str(row.patient_id) for row in rows]
    code = {name: number for number, name in enumerate(found.classes)}
    said = Predicted(
        np.array([code[str(row.outcome)] for row in rows]),
        np.array([[row.probabilities[name] for name in found.classes] for row in rows]),
        np.array([code[row.likeliest] for row in rows]),
        np.unique(names, return_inverse=True)[1],
        tuple(code.values()),
    )
    is_seen = any(row.is_seen for row in rows)
    n_fitted = sum(row.is_fitted_on for row in found)
    left = f" {n_fitted} of patients it was fitted on are left out." if n_fitted else ""
    return _Drawn(
        [_matrix(found.head, said, found.classes, is_seen=is_seen)],
        [_curve(found.head, said, is_seen=is_seen)],
        found.target,
        f"Predictions whose outcome is known.{left}",
        found.is_simulated,
    )


def _of_folder(folder: Path) -> _Drawn:
    """The models of an evaluation that was written down."""
    table, record = _read(folder)
    kinds = {one["name"]: one["kind"] for one in record["models"]}
    names = [name for name in dict.fromkeys(table["model"]) if kinds.get(name) != "constant"]
    _require(names, str(record["cohort"]))
    names = sorted(names, key=lambda name: name != record["against"])[:_MOST]
    matrices, curves = [], []
    for name in names:
        own = table[table["model"] == name]
        own = own[own["seed"] == own["seed"].iloc[0]]
        code = {change: number for number, change in enumerate(CHANGES)}
        said = Predicted(
            own["health_change"].map(code).to_numpy(),
            own[[f"p_{change}" for change in CHANGES]].to_numpy(np.float64),
            own["predicted"].map(code).to_numpy(),
            np.unique(own["patient_id"].astype(str), return_inverse=True)[1],
            tuple(code.values()),
        )
        is_seen = bool(own["seen"].astype("string").str.contains(MARK).fillna(False).any())
        matrices.append(_matrix(name, said, CHANGES, is_seen=is_seen))
        curves.append(_curve(name, said, is_seen=is_seen))
    cohort = str(record["cohort"]).removeprefix("SIMULATED ")
    title = f"Health changes, {cohort}"
    return _Drawn(matrices, curves, title, _UNSEEN, bool(record["is_simulated"]))


def _read(folder: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """An evaluation's predictions and its record.

    Raises:
        QueryError: the folder holds none.
    """
    try:
        table = pd.read_csv(folder / _TABLE, dtype={"patient_id": str, "model": str})
        record = json.loads((folder / _RECORD).read_bytes())
    except FileNotFoundError as problem:
        raise QueryError(
            f"no {Path(problem.filename).name} in {folder.name!r}: name a folder that `evaluate` "
            "wrote; the folder of a response head keeps no predictions, draw what fit_response "
            "gave, or predict_response"
        ) from None
    except (OSError, ValueError) as problem:
        raise QueryError(f"the evaluation in {folder.name!r} cannot be read: {problem}") from None
    return table, record


def _require(models: Sequence[object], where: str) -> None:
    """Refuses a figure of nothing.

    Raises:
        NotEnoughDataError: there is no model.
    """
    if not models:
        raise NotEnoughDataError(
            f"no health change was predicted on {where}: the cohort needs patients with two "
            "scored visits, and --threshold"
        )


def _matrix(name: str, said: Predicted, names: Sequence[str], *, is_seen: bool) -> Confusion:
    return Confusion(
        name, classes.confusion(said), said.n_patients, len(said.true), is_seen, tuple(names)
    )


def _curve(name: str, said: Predicted, *, is_seen: bool) -> Reliability:
    return Reliability(
        name,
        said.probability[np.arange(len(said.label)), said.label],
        said.label == said.true,
        1.0 / patient_counts(said.patient)[said.patient],
        said.n_patients,
        is_seen,
    )
