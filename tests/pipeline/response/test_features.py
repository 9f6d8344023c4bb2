"""Features against loops; what is fitted depends on the patients fitted on, on nobody else."""

import math
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner_index.config.response import ResponseOptions
from learner_index.errors import NotEnoughDataError
from learner_index.pipeline.response.examples import find_examples
from learner_index.pipeline.response.features import (
    BLOCKS,
    fit_encoding,
    patient_weights,
)
from tests.pipeline.response.response_toy import material_of, mixed_rows, scan

DETECT = ("delta", "start", "days", "treatment", "score", "clinical")
PREDICT = ("start", "past", "treatment", "score", "clinical")
CLINICAL = ("age", "ward", "sober")


def cohort(rows, **options):
    material = material_of(rows)
    return material, find_examples(material, ResponseOptions(**options))


def mixed(seed, **options):
    rng = np.random.default_rng(seed)
    rows = mixed_rows(seed, patients=6)
    for row in rows:
        row["age"] = math.nan if row["visit"] == "v1" else row["age"]
        row["sober"] = bool(rng.integers(2))
    return rows, *cohort(rows, **options)


def fit(material, examples, blocks, clinical=(), patients=None):
    kept = examples.patient >= 0 if patients is None else np.isin(examples.patient, patients)
    return fit_encoding(material, examples, kept, blocks, clinical)


def slow_weights(patient):
    names = sorted(set(patient))
    shares = [1 / patient.count(one) for one in patient]
    return [share * len(patient) / len(names) for share in shares]


def test_patients_weigh_the_same():
    """However many examples they have; weights add up to the examples."""
    patient = [3, 3, 3, 7, 0, 0]

    found = patient_weights(np.array(patient))

    np.testing.assert_allclose(found, slow_weights(patient))
    assert found.sum() == pytest.approx(6)
    assert len(patient_weights(np.empty(0, np.int64))) == 0


@pytest.mark.parametrize(("task", "blocks"), [("detect", DETECT), ("predict", PREDICT)])
def test_standardized_as_in_a_loop(task, blocks):
    """Weighted mean and spread of each feature, divided by the root of its block's width."""
    for seed in range(3):
        _, material, examples = mixed(
            seed, task=task, **({"at": "every"} if task[0] == "p" else {})
        )
        found = fit(material, examples, blocks, CLINICAL)
        raw = found.raw(material, examples).astype(float)
        weight = np.array(slow_weights(examples.patient.tolist()))
        expected = np.empty_like(raw)
        for block in found.blocks:
            span = found.span(block)
            for column in range(span.start, span.stop):
                values = raw[:, column]
                center = 0.0 if block == "delta" else np.average(values, weights=weight)
                spread = math.sqrt(np.average((values - center) ** 2, weights=weight))
                is_flat = spread < 1e-5 * max(1.0, abs(values).max())
                width = math.sqrt(span.stop - span.start)
                expected[:, column] = (values - center) / (1 if is_flat else spread) / width

        assert found.blocks == blocks
        np.testing.assert_allclose(found.features(material, examples), expected, atol=1e-4)


def test_blocks_as_in_a_loop():
    """Every raw feature is what its block says of the visits."""
    _, material, examples = mixed(1)
    found = fit(material, examples, (*DETECT, "middle"), CLINICAL)
    raw, columns = found.raw(material, examples), examples.columns
    means = dict(zip(found.views, found.view_means, strict=True))
    shares = material.view_shares @ np.array([means[view] for view in material.visits.views])
    states = material.pooled - shares

    def block(name):
        return raw[:, found.span(name)]

    np.testing.assert_array_equal(block("delta"), examples.delta)
    np.testing.assert_allclose(block("start"), states[examples.earlier], atol=1e-5)
    middle = (states[examples.earlier] + states[examples.later]) / 2
    np.testing.assert_allclose(block("middle"), middle, atol=1e-5)
    np.testing.assert_allclose(block("days")[:, 0], np.log(examples.delta_day), rtol=1e-6)
    levels = found.levels["treatment"]
    assert levels == tuple(sorted(set(columns["treatment"].dropna())))
    for row in range(len(examples)):
        given = columns["treatment"].fillna("").iloc[row]
        assert block("treatment")[row].tolist() == [given == level for level in levels]
        check_number(block("score")[row], columns["health_score"], row)
        age, ward, sober = np.split(block("clinical")[row], [2, 4])
        check_number(age, columns["age"], row)
        assert ward.tolist() == [columns["ward"].fillna("").iloc[row] == w for w in ("home", "icu")]
        assert sober.sum() == (not columns["sober"].isna().iloc[row])


def check_number(pair, column, row):
    """The number and 0, or the median and 1."""
    value = float(column.iloc[row])
    assert pair[1] == math.isnan(value)
    assert pair[0] == pytest.approx(column.median() if math.isnan(value) else value)


def test_the_past_of_a_prediction():
    """Latest change, whether there is one, its log days, log of the visits before."""
    rows = [scan("P0", day, day**2) for day in (1.0, 3.0, 4.0)] + [scan("P1", 1.0, 5.0)]
    material, examples = cohort(rows, task="predict", at="every")

    found = fit(material, examples, ["past"])

    log = math.log
    assert found.widths == (4,)
    np.testing.assert_allclose(
        found.raw(material, examples),
        [[0, 0, 0, 0], [8, 1, log(2), log(2)], [7, 1, 0, log(3)], [0, 0, 0, 0]],
        rtol=1e-6,
    )


def test_spans_tile_the_features():
    """In the order of blocks, without a gap; a block left out has none."""
    _, material, examples = mixed(2)
    found = fit(material, examples, DETECT, CLINICAL)

    stops = [found.span(block).stop for block in found.blocks]

    assert [found.span(block).start for block in found.blocks] == [0, *stops[:-1]]
    assert stops[-1] == found.raw(material, examples).shape[1] == sum(found.widths)
    assert found.span("past") == slice(0, 0)
    assert set(found.blocks) < set(BLOCKS)


def test_only_the_delta_is_odd():
    """It is not centered: swapped visits turn its sign, and the middle stays to the last bit."""
    _, material, examples = mixed(3)
    found = fit(material, examples, ["delta", "middle"])

    swapped = type(examples)(
        **{name: getattr(examples, name) for name in examples.__dataclass_fields__}
        | {"earlier": examples.later, "later": examples.earlier, "delta": -examples.delta}
    )

    there, back = (found.features(material, some) for some in (examples, swapped))
    width = found.widths[0]
    assert found.is_odd.tolist() == [True] * width + [False] * width
    assert not found.center[:width].any()
    assert found.center[width:].all()
    np.testing.assert_array_equal(back[:, :width], -there[:, :width])
    np.testing.assert_array_equal(back[:, width:], there[:, width:])


def altered(rows, patient, draw):
    """The rows with all but one thing of a patient altered: that they come after all others do."""
    rng = np.random.default_rng(draw)
    found = []
    for row in rows:
        if row["patient_id"] == patient:
            row = {**row, "embedding": tuple(1e3 * rng.standard_normal(3)), "age": rng.random()}
            row |= {"health_score": 1e3 * rng.random(), "treatment": ["Z", None][rng.integers(2)]}
            row |= {
                "ward": ["space", "home"][rng.integers(2)],
                "view": str(rng.choice(["A0", "L1"])),
            }
            row |= {"sober": True}
        found.append(row)
    return found


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 20),
    draw=st.integers(0, 2**16),
    who=st.integers(0, 5),
    task=st.sampled_from(["detect", "predict"]),
)
def test_no_leak(seed, draw, who, task):
    """Whatever patients outside the fit look like, nothing that is fitted changes by one bit."""
    rows = mixed(seed)[0]
    blocks = DETECT if task == "detect" else PREDICT
    options = {"task": task} | ({"at": "every"} if task == "predict" else {})

    encodings, features = [], []
    for some in (rows, altered(rows, f"p{who}", draw)):
        material, examples = cohort(some, **options)
        others = np.flatnonzero(np.array(material.patients) != f"p{who}")
        encodings.append(fit(material, examples, blocks, CLINICAL, others))
        own = examples.only(np.isin(examples.patient, others))
        features.append(encodings[-1].features(material, own).tobytes())

    before, after = encodings
    for field in fields(before):
        one, other = getattr(before, field.name), getattr(after, field.name)
        if isinstance(one, np.ndarray):
            assert one.tobytes() == other.tobytes(), field.name
        else:
            assert one == other, field.name
    assert features[0] == features[1]


def few(**columns):
    """Three patients with two visits each."""
    rows = []
    for number in range(3):
        own = {name: values[number] for name, values in columns.items()}
        rows += [scan(f"P{number}", float(day), float(number), 2.0 * day, **own) for day in (0, 1)]
    return cohort(rows)


def test_an_unknown_level_is_nothing():
    """Who has a value that nobody had in the fit gets zeros, as who has none."""
    material, examples = few(treatment=["A", "B", "C"], ward=["x", "y", None])

    found = fit(material, examples, ["treatment", "clinical"], ["ward"], [0, 1])

    assert found.levels == {"treatment": ("A", "B"), "ward": ("x", "y")}
    assert found.raw(material, examples)[2].tolist() == [0, 0, 0, 0]


def test_a_missing_number_is_the_median():
    """Of those fitted on, with a flag that says so; without any, it is 0."""
    material, examples = few(age=[20.0, 30.0, math.nan], health_score=[math.nan, math.nan, 3.0])

    found = fit(material, examples, ["clinical", "score"], ["age"], [0, 1])

    assert found.fills["age"] == 25.0
    assert found.blocks == ("clinical",)
    assert found.raw(material, examples)[2].tolist() == [25.0, 1.0]


def test_a_number_without_end_is_missing():
    """It moves no median and reaches no head."""
    material, examples = few(age=[20.0, math.inf, math.inf])

    found = fit(material, examples, ["clinical"], ["age"])

    assert found.raw(material, examples).tolist() == [[20.0, 0.0], [20.0, 1.0], [20.0, 1.0]]


def test_a_column_that_new_examples_lack():
    """It counts as missing in all of them."""
    material, examples = few(age=[20.0, 30.0, 70.0], ward=["x", "y", "x"])
    found = fit(material, examples, ["clinical"], ["age", "ward"])

    bare = type(examples)(
        **{name: getattr(examples, name) for name in examples.__dataclass_fields__}
        | {"columns": examples.columns[["day"]]}
    )

    assert found.raw(material, bare).tolist() == [[30.0, 1.0, 0.0, 0.0]] * 3


@pytest.mark.parametrize("given", [["A", "A", "A"], [None, None, None], None])
def test_treatment_that_never_varies(given):
    """It tells nothing, and is left out."""
    material, examples = few(**({} if given is None else {"treatment": given}))

    found = fit(material, examples, ["delta", "treatment"])

    assert found.blocks == ("delta",)


def test_some_treated_and_some_not():
    """One treatment, and none, are two."""
    material, examples = few(treatment=["A", None, None])

    found = fit(material, examples, ["treatment"])

    assert found.raw(material, examples).tolist() == [[1.0], [0.0], [0.0]]


@pytest.mark.parametrize(
    ("blocks", "columns"),
    [
        (["treatment"], {}),
        (["score"], {"health_score": [math.nan] * 3}),
        (["clinical"], {"ward": [None] * 3}),
        (["clinical"], {"ward": ["x"] * 3}),
    ],
)
def test_nothing_to_learn_from(blocks, columns):
    """Blocks that say nothing are refused where there is no other."""
    material, examples = few(**columns)

    with pytest.raises(NotEnoughDataError, match=f"nothing to learn from: no {blocks[0]} is known"):
        fit(material, examples, blocks, ["ward"] if "ward" in columns else [])


def test_one_clinical_column_without_a_value():
    """It takes no room beside another, and every feature is finite."""
    material, examples = few(ward=[None] * 3, age=[1.0, 2.0, 3.0], mass=[math.nan, 0.0, 0.0])

    found = fit(material, examples, ["clinical"], ["ward", "age", "mass"], [0, 1, 2])

    assert found.widths == (4,)
    assert np.isfinite(found.features(material, examples)).all()


def test_what_does_not_vary_is_zero():
    """A constant feature is centered and not blown up by rounding."""
    flat = {"height": 0.1, "mass": 123.4, "dose": 9.87}
    rows = [scan(f"P{n}", float(day), age=float(n), **flat) for n in range(7) for day in range(n)]
    material, examples = cohort(rows)

    found = fit(material, examples, ["days", "clinical"], ["age", *flat])

    days, age, _, *others = found.features(material, examples).T
    assert not days.any()
    assert np.average(age**2, weights=patient_weights(examples.patient)) == pytest.approx(1 / 8)
    assert np.abs(others).max() < 1e-4


def test_a_view_that_nobody_had():
    """Its mean is that of the views that are known."""
    rows = [scan("P0", 0.0, 1.0, view="L1"), scan("P0", 0.0, 5.0, view="L2")]
    rows += [scan("P0", 1.0, 1.0, view="L1"), scan("P1", 0.0, 10.0, view="R1")]
    material, examples = cohort(rows, task="predict")

    found = fit(material, examples, ["start"], patients=[0])

    assert found.views == ("L1", "L2")
    assert found.means_of(("L1", "R1")).tolist() == [[1.0], [3.0]]
    assert found.raw(material, examples)[1].tolist() == [7.0]


def test_fitting_leaves_the_examples_alone():
    """Standardizing writes on none of the arrays it was given."""
    _, material, examples = mixed(0)
    delta, pooled = examples.delta.copy(), material.pooled.copy()

    fit(material, examples, ["delta"]).features(material, examples)
    fit(material, examples, ["start"]).features(material, examples)

    np.testing.assert_array_equal(examples.delta, delta)
    np.testing.assert_array_equal(material.pooled, pooled)
