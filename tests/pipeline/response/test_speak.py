"""What speaks for an answer: parts that add up, and the nearest patients of all others."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner_index.analysis.heads import antisymmetric, multinomial, ordinal
from learner_index.analysis.temperature import Temperature
from learner_index.pipeline.response import speak
from learner_index.pipeline.response.features import Encoding
from learner_index.pipeline.response.headfolder import Axis
from learner_index.pipeline.response.models import Model
from learner_index.pipeline.response.speak import Memory, log_odds_parts, nearest_patients

WIDTHS = {"delta": 3, "start": 3, "days": 1, "treatment": 2}
AXIS = Axis(np.array([1.0, 0.5, 0.0]), np.array([0.8, 0.4, 0.2]))  # reading · pattern = 1


def model_of(head, kind, *, temperature=1.0, prior=(0.0, 0.0, 0.0)):
    """A head on features of four blocks, whose scales differ."""
    total = sum(WIDTHS.values())
    encoding = Encoding(
        blocks=tuple(WIDTHS),
        views=("",),
        view_means=np.zeros((1, 3)),
        columns=(),
        levels={"treatment": ("A", "B")},
        fills={},
        center=np.zeros(total),
        scale=np.linspace(0.5, 2.0, total),
        is_odd=np.arange(total) < 3,
        widths=tuple(WIDTHS.values()),
    )
    third = np.full(3, 1 / 3)
    return Model(kind, head, encoding, 1.0, np.array(prior), Temperature(temperature), third)


def linear(rng, **given):
    """A multinomial head with random coefficients."""
    head = multinomial.Multinomial(rng.standard_normal((3, 9)), rng.standard_normal(3))
    return model_of(head, multinomial.KIND, **given)


def rows(rng, n=7):
    """Features, and the class spoken for."""
    return rng.standard_normal((n, 9)).astype(np.float32), rng.integers(0, 3, n)


def slow_parts(model, axis, row, chosen):
    """Parts of one row of a multinomial head, from its coefficients."""
    weight, prior = model.head.coefficient, model.head.intercept + model.prior
    others = [j for j in range(3) if j != chosen]
    speaks = (weight[chosen] - weight[others].mean(axis=0)) / model.temperature.value
    found = {"base": (prior[chosen] - prior[others].mean()) / model.temperature.value}
    start = 0
    for block, width in WIDTHS.items():
        name, own = {"delta": "change"}.get(block, block), slice(start, start + width)
        start += width
        if width == 3:
            scale = model.encoding.scale[own]
            raw = row[own] * scale
            along = sum(raw[i] * axis.reading[i] for i in range(3)) * axis.pattern / scale
            found[f"{name}_on_axis"] = speaks[own] @ along
            found[f"{name}_off_axis"] = speaks[own] @ (row[own] - along)
        else:
            found[name] = speaks[own] @ row[own]
    return found


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_parts_are_products_of_coefficients_and_features(temperature):
    """Of a linear head each part is known; all are divided by the temperature."""
    rng = np.random.default_rng(0)
    model = linear(rng, temperature=temperature, prior=(0.3, -0.2, 0.1))
    features, chosen = rows(rng)

    _, parts = log_odds_parts(model, AXIS, features, chosen)

    for row in range(len(features)):
        expected = slow_parts(model, AXIS, features[row].astype(float), chosen[row])
        assert list(parts) == list(expected)
        for name, value in expected.items():
            assert parts[name][row] == pytest.approx(value, abs=1e-10)


@pytest.mark.parametrize("axis", [AXIS, None])
@pytest.mark.parametrize("is_mirrored", [True, False])
def test_parts_of_linear_heads_add_up(axis, is_mirrored):
    """They give the class's log probability less the mean of the others', to 1e-9."""
    rng = np.random.default_rng(1)
    model = linear(rng, temperature=1.7)
    if is_mirrored:
        draw = rng.standard_normal
        head = antisymmetric.Antisymmetric(draw((1, 9)), draw((2, 9)), draw(2), 3)
        model = model_of(head, antisymmetric.KIND, temperature=1.7)
    features, chosen = rows(rng)

    total, parts = log_odds_parts(model, axis, features, chosen)

    logs = np.log(model.probability_of(features.astype(float)))
    own = logs[np.arange(len(logs)), chosen]
    assert "together" not in parts
    assert np.allclose(sum(parts.values()), total, atol=1e-9)
    assert np.allclose(total, own - (logs.sum(axis=1) - own) / 2, atol=1e-9)


def test_without_an_axis_nothing_is_split():
    """What lies along the axis and what does not are one part, the sum of both."""
    rng = np.random.default_rng(2)
    model, (features, chosen) = linear(rng), rows(rng)

    whole = log_odds_parts(model, None, features, chosen)[1]
    split = log_odds_parts(model, AXIS, features, chosen)[1]

    assert list(whole) == ["base", "change", "start", "days", "treatment"]
    for name in ("change", "start"):
        assert np.allclose(whole[name], split[f"{name}_on_axis"] + split[f"{name}_off_axis"])


def test_a_change_along_the_axis_has_no_part_off_it():
    """A step along the pattern of the axis lies along the axis, whatever the scales."""
    rng = np.random.default_rng(3)
    model, (features, chosen) = linear(rng), rows(rng)
    features[:, :3] = -1.5 * AXIS.pattern / model.encoding.scale[:3]

    parts = log_odds_parts(model, AXIS, features, chosen)[1]

    assert np.allclose(parts["change_off_axis"], 0, atol=1e-6)
    assert (np.abs(parts["change_on_axis"]) > 0.01).all()


def test_other_heads_tell_what_is_lost_without_a_part():
    """Each part is a difference of two answers, and the rest is told as one more."""
    rng = np.random.default_rng(4)
    head = ordinal.Ordinal(rng.standard_normal(9), np.array([-1.0, 1.0]), np.ones(3, np.int64))
    model, (features, chosen) = model_of(head, ordinal.KIND), rows(rng)

    total, parts = log_odds_parts(model, None, features, chosen)

    without = features.copy()
    without[:, 6] = 0
    assert np.allclose(parts["days"], total - log_odds_parts(model, None, without, chosen)[0])
    assert np.allclose(sum(parts.values()), total)
    assert np.abs(parts["together"]).max() > 0.01


def test_an_impossible_class_is_none_of_the_others():
    """A class nobody was fitted on has no log odds, and leaves those of the others finite."""
    rng = np.random.default_rng(5)
    model, (features, _) = linear(rng), rows(rng)
    model.head.intercept[0] = -np.inf
    chosen = np.full(len(features), 2)

    total, parts = log_odds_parts(model, AXIS, features, chosen)

    logits = model.logits(features)
    assert np.allclose(total, logits[:, 2] - logits[:, 1])
    assert np.allclose(sum(parts.values()), total)


def test_parts_do_not_depend_on_how_many_are_asked(monkeypatch):
    """Rows are worked through in pieces; the pieces do not show."""
    rng = np.random.default_rng(6)
    model, (features, chosen) = linear(rng), rows(rng)
    total, parts = log_odds_parts(model, AXIS, features, chosen)

    monkeypatch.setattr(speak, "_ROWS", 3)

    again, others = log_odds_parts(model, AXIS, features, chosen)
    assert np.allclose(again, total, atol=1e-12)
    assert all(np.allclose(others[name], parts[name], atol=1e-12) for name in parts)


def memory_of(rng, patients=6, most=4, width=3):
    """Random examples of some patients, whose numbers have gaps."""
    counts = rng.integers(1, most + 1, patients)
    owner = np.repeat(np.arange(patients) * 2 + 1, counts)
    features = rng.standard_normal((len(owner), width)).astype(np.float32)
    return Memory(features, owner, rng.integers(0, 3, len(owner)), 3)


def slow_nearest(memory, asked, barred, chosen, k):
    """Votes, and (row, distance, rank) of those who speak, from the definitions."""
    best, of_class = {}, {}
    for row, owner in enumerate(memory.patient.tolist()):
        if owner in barred:
            continue
        distance = float(np.linalg.norm(memory.features[row].astype(float) - asked))
        best[owner] = min(best.get(owner, (np.inf, 0)), (distance, row))
        if memory.code[row] == chosen:
            of_class[owner] = min(of_class.get(owner, (np.inf, 0)), (distance, row))
    votes = [0, 0, 0]
    for _, row in sorted(best.values())[:k]:
        votes[memory.code[row]] += 1
    speakers = [
        (row, distance, 1 + sum(d < distance for who, (d, _) in best.items() if who != owner))
        for owner, (distance, row) in sorted(of_class.items(), key=lambda item: item[1])[:k]
    ]
    return votes, speakers


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), k=st.integers(1, 8), n_barred=st.integers(0, 7))
def test_the_nearest_are_those_of_a_slow_search(seed, k, n_barred):
    """Votes, speakers, distances and ranks; nobody twice, and nobody who is barred."""
    rng = np.random.default_rng(seed)
    memory = memory_of(rng)
    asked = rng.standard_normal((4, 3)).astype(np.float32)
    barred = [rng.choice(15, n_barred, replace=False).tolist() for _ in asked]
    chosen = rng.integers(0, 3, len(asked))

    found = nearest_patients(memory, asked, barred, chosen, k)

    for row, own in enumerate(found):
        votes, speakers = slow_nearest(memory, asked[row], barred[row], chosen[row], k)
        assert own.votes.tolist() == votes
        assert own.rows.tolist() == [each[0] for each in speakers]
        assert np.allclose(own.distance, [each[1] for each in speakers])
        assert own.rank.tolist() == [each[2] for each in speakers]


def test_the_nearest_do_not_depend_on_how_many_are_asked(monkeypatch):
    """Examples are compared in pieces; the pieces do not show."""
    rng = np.random.default_rng(8)
    memory, asked = memory_of(rng, 9), rng.standard_normal((5, 3)).astype(np.float32)
    question = SimpleNamespace(barred=[[1], [], [3], [5, 7], []], chosen=np.array([0, 1, 2, 0, 1]))
    whole = nearest_patients(memory, asked, question.barred, question.chosen, 3)

    monkeypatch.setattr(speak, "_CELLS", 2 * len(memory.code))

    pieces = nearest_patients(memory, asked, question.barred, question.chosen, 3)
    for one, other in zip(whole, pieces, strict=True):
        assert one.rows.tolist() == other.rows.tolist()
        assert one.votes.tolist() == other.votes.tolist()


def test_the_last_patient_is_found_like_all_others():
    """A memory's first and last example have no neighbor on one side."""
    features = np.array([[0.0], [1.0], [2.0], [3.0]], np.float32)
    memory = Memory(features, np.array([0, 0, 4, 4]), np.array([0, 1, 1, 0]), 2)

    (found,) = nearest_patients(
        memory, np.array([[3.0]], np.float32), [[]], np.zeros(1, np.int64), 5
    )

    assert found.rows.tolist() == [3, 0]
    assert found.distance.tolist() == [0.0, 3.0]
    assert found.rank.tolist() == [1, 2]
    assert found.votes.tolist() == [1, 1]
