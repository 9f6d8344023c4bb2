"""What the three pictures are given; how they are drawn is tested beside the plots."""

from types import SimpleNamespace

import numpy as np
import pytest

from learner_index.analysis.classes import confusion
from learner_index.analysis.decision_curve import net_benefit
from learner_index.pipeline.response import draw
from learner_index.pipeline.response.crossfit import HEAD
from learner_index.pipeline.response.draw import draw_figures
from learner_index.pipeline.response.features import patient_weights
from learner_index.pipeline.response.figures import predicted
from tests.pipeline.response.fitting import crossfit_of, pool_for, rows_of, tried_of


@pytest.fixture(scope="module")
def pool():
    return pool_for(rows_of(20))


def drawn(pool, monkeypatch, *names, is_seen=False, **more):
    """What each picture is given, by its name, and the models by theirs."""
    told = {}
    for name in ("draw_confusions", "draw_reliability", "draw_decision_curve"):
        monkeypatch.setattr(
            draw,
            name,
            lambda shown, path, *, of=name, **words: told.update({of: (shown, path, words)}),
        )
    models = [tried_of(name, pool, seed) for seed, name in enumerate((HEAD, *names))]
    cohort = SimpleNamespace(
        pool=pool, is_seen=np.full(20, is_seen), targets=SimpleNamespace(name="the outcome")
    )
    said = {"is_simulated": False, "seed": 0, **more}
    draw_figures(cohort, crossfit_of(pool, models), _Here(), **said)
    return told, {one.name: one for one in models}


class _Here:
    """A folder whose files are their names."""

    def __truediv__(self, name):
        return name


@pytest.mark.parametrize(
    ("names", "rival"),
    [
        (("majority", "nearest vote", "score alone", "single scans", "clinical"), "single scans"),
        (("majority", "nearest vote", "clinical"), "clinical"),
        (("no change", "majority"), "majority"),
    ],
)
def test_the_head_is_drawn_beside_its_best_known_rival(pool, monkeypatch, names, rival):
    """The first baseline there is of single scans, score, clinical, vote, majority."""
    told, _ = drawn(pool, monkeypatch, *names)

    for name in ("draw_confusions", "draw_reliability"):
        assert [one.model for one in told[name][0]] == [HEAD, rival]
    curves = [(one.outcome, one.model) for one in told["draw_decision_curve"][0]]
    assert curves == [(c, model) for c in pool.classes for model in (HEAD, rival)]


def test_numbers_are_those_measured(pool, monkeypatch):
    """Confusion of lifted classes; reliability of the likeliest; net benefit of each class."""
    told, models = drawn(pool, monkeypatch, "majority")
    head = models[HEAD]

    table = told["draw_confusions"][0][0]
    everybody = np.arange(len(pool.code))
    np.testing.assert_array_equal(
        table.share, confusion(predicted(pool, head, everybody, is_balanced=True))
    )
    assert table.classes == pool.classes
    assert (table.n_patients, table.n_pairs) == (20, 40)
    curve = told["draw_reliability"][0][0]
    np.testing.assert_array_equal(curve.confidence, head.probability.max(axis=1))
    np.testing.assert_array_equal(curve.is_right, head.label == pool.code)
    np.testing.assert_array_equal(curve.weight, patient_weights(pool.patient))
    benefit = told["draw_decision_curve"][0][2]
    wanted = net_benefit(
        head.probability[:, 1], pool.code == 1, pool.patient, benefit.threshold, np.ones((1, 20))
    )
    np.testing.assert_allclose(benefit.benefit, wanted[0])
    assert (benefit.low <= benefit.high).all()
    assert ((benefit.low <= benefit.benefit) & (benefit.benefit <= benefit.high)).mean() > 0.9


@pytest.mark.parametrize("is_seen", [True, False])
def test_marks_and_titles(pool, monkeypatch, is_seen):
    """Each picture has the outcome's name, and knows of simulated and of seen patients."""
    told, _ = drawn(pool, monkeypatch, "majority", is_seen=is_seen, is_simulated=is_seen)

    assert [path for _, path, _ in told.values()] == [
        "confusion.png",
        "reliability.png",
        "decision.png",
    ]
    for shown, _, words in told.values():
        assert words["title"] == "the outcome"
        assert words["is_simulated"] is is_seen
        assert words["caption"].startswith("Each patient was left out of the fit once.")
        assert {one.is_seen for one in shown} == {is_seen}
