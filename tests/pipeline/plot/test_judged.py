"""Confusion and reliability of evaluations, their folders, fitted heads and predictions."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest

from learner_index.data.response import Prediction, Predictions
from learner_index.errors import NotEnoughDataError, QueryError
from learner_index.pipeline.evaluation import report
from learner_index.pipeline.evaluation.report import write_evaluation
from learner_index.pipeline.plot.judged import confusion, reliability
from learner_index.pipeline.response.crossfit import HEAD
from learner_index.pipeline.response.fit import ResponseFit
from tests.analysis.plots.tidy import caption, title, untidy
from tests.pipeline.evaluation.planted import (
    OPTIONS,
    guessing,
    knowing,
    material_of,
    planted_rows,
)
from tests.pipeline.evaluation.planted import judged as judged_models
from tests.pipeline.response.fitting import crossfit_of, pool_for, rows_of, tried_of

CLASSES = ("worse", "same", "better")


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory):
    """Two models, one of which has seen four patients."""
    material = material_of(tmp_path_factory.mktemp("judged"), planted_rows(16))
    seen = replace(guessing(material, "seen"), known=frozenset(material.patients[:4]))
    constant = replace(guessing(material, "always the same"), kind="constant")
    quick = replace(OPTIONS, n_bootstraps=20, n_permutations=19)
    return judged_models(material, knowing(material), constant, seen, options=quick)


@pytest.fixture(scope="module")
def folder(evaluation, tmp_path_factory):
    made = tmp_path_factory.mktemp("written")
    with mock.patch.object(report, "draw_figures", return_value=[]):
        write_evaluation(evaluation, made)
    return made


def numbers(figure):
    """All that is written into the panels."""
    return [text.get_text() for axis in figure.axes for text in axis.texts]


def models(figure):
    """The models' names above the panels."""
    return [axis.get_title() for axis in figure.axes if axis.get_title()]


def prediction(patient_id, outcome, likeliest, **more):
    """A prediction that gives its class 0.6."""
    shares = {name: 0.6 if name == likeliest else 0.2 for name in CLASSES}
    made = Prediction(
        patient_id=patient_id,
        task="detect",
        from_day=0.0,
        to_day=1.0,
        treatment=None,
        probabilities=shares,
        likeliest=likeliest,
        set=None,
        reasons=(),
        votes={},
        nearest=(),
        log_odds=0.0,
        parts={},
        is_fitted_on=False,
        is_seen=False,
        outcome=outcome,
    )
    return replace(made, **more)


def predictions(*rows, **more):
    """What a head says of them."""
    words = {"task": "detect", "target": "the outcome", "space": "s", "head": "multinomial"}
    words |= {"set_share": None, "adds_up": True, "is_simulated": False, **more}
    return Predictions(query={}, rows=rows, classes=CLASSES, **words)


@pytest.mark.parametrize("draw", [confusion, reliability])
def test_a_folder_shows_what_the_evaluation_shows(evaluation, folder, draw):
    """Numbers, models, SEEN BY ENCODER, title and caption are the same."""
    one, other = draw(evaluation), draw(str(folder))

    assert numbers(one) == numbers(other)
    assert models(one) == models(other)
    assert "SEEN BY ENCODER" in models(one)[1]
    assert (title(one), caption(one)) == (title(other), caption(other))
    assert untidy(other) == []


def test_constants_are_not_drawn(folder, evaluation):
    """A model that says one thing of everybody has no panel; a named title stands."""
    assert models(confusion(folder)) == ["knows", "seen\nSEEN BY ENCODER"]
    assert title(confusion(evaluation, title="mine")) == "mine"


def test_predictions_of_patients_fitted_on_do_not_count():
    """Only known outcomes of other patients are judged, and how many were left out is said."""
    rows = (
        prediction("a", "worse", "worse"),
        prediction("b", "same", "better", is_seen=True),
        prediction("c", "better", "worse", is_fitted_on=True),
        prediction("d", None, "worse"),
    )

    figure = confusion(predictions(*rows, is_simulated=True))

    assert numbers(figure)[:4] == ["1.00", "(0.50)", "0.00", "(0.00)"]
    assert "1 of patients it was fitted on are left out" in caption(figure)
    assert "n = 2 patients, 2 pairs" in caption(figure)
    assert models(figure) == ["multinomial\nSEEN BY ENCODER"]
    assert title(figure) == "SIMULATED DATA: the outcome"


def test_sureness_is_that_of_the_class_named():
    """Each pair stands at the probability of the predicted class."""
    rows = (prediction("a", "worse", "worse"), prediction("b", "same", "better"))

    figure = reliability(predictions(*rows))

    point = next(line for line in figure.axes[0].lines if line.get_marker() == "o")
    np.testing.assert_allclose([point.get_xdata()[0], point.get_ydata()[0]], [0.6, 0.5])
    assert "left out" not in caption(figure)


def test_a_fit_shows_the_head_beside_a_baseline():
    """Patients left out once, the rule of the class named, and the outcome as title."""
    pool = pool_for(rows_of(20))
    tried = [tried_of(HEAD, pool), tried_of("majority", pool, 1)]
    cohort = SimpleNamespace(
        pool=pool, is_seen=np.zeros(20, bool), targets=SimpleNamespace(name="the outcome")
    )
    fit = ResponseFit(Path(), {"is_simulated": True}, None, cohort, crossfit_of(pool, tried), None)

    matrix, curve = confusion(fit), reliability(fit)

    assert models(matrix) == models(curve) == [HEAD, "majority"]
    assert "left out of the fit once. Predicted: the class whose probability" in caption(matrix)
    assert "Predicted:" not in caption(curve)
    assert title(matrix) == "SIMULATED DATA: the outcome"


def test_shares_weigh_patients_the_same():
    """A patient with two transitions counts as one with a single one."""
    rows = (
        prediction("a", "worse", "worse"),
        prediction("b", "worse", "same"),
        prediction("b", "worse", "same"),
    )

    figure = confusion(predictions(*rows))

    assert numbers(figure)[:6] == ["0.50", "(0.50)", "0.50", "(0.50)", "0.00", "(0.00)"]


def test_refuses_what_cannot_be_judged(folder, tmp_path):
    """No outcome, no table, a broken one, or no health change: each with the next step."""
    with pytest.raises(NotEnoughDataError, match="none of 1 predictions can be judged: 1 are"):
        confusion(predictions(prediction("a", "worse", "worse", is_fitted_on=True)))
    with pytest.raises(QueryError, match=r"no predictions\.csv in"):
        confusion(tmp_path)
    (tmp_path / "predictions.csv").write_bytes((folder / "predictions.csv").read_bytes())
    with pytest.raises(QueryError, match=r"no evaluation\.json in"):
        reliability(tmp_path)
    (tmp_path / "evaluation.json").write_text("{")
    with pytest.raises(QueryError, match="cannot be read"):
        reliability(tmp_path)


def test_refuses_an_evaluation_without_health_changes(folder, tmp_path):
    """A table without rows says what the cohort needs."""
    head = (folder / "predictions.csv").read_text().splitlines()[0]
    (tmp_path / "predictions.csv").write_text(head + "\n")
    (tmp_path / "evaluation.json").write_bytes((folder / "evaluation.json").read_bytes())

    with pytest.raises(NotEnoughDataError, match="no health change was predicted"):
        confusion(tmp_path)
