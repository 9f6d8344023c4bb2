"""A whole fit: nothing leaks from one part of the patients to what another part sets."""

from dataclasses import replace

import numpy as np
import pytest

from learner_index.analysis.conformal import calibrate
from learner_index.errors import NotEnoughDataError
from learner_index.pipeline.response.procedure import EVERY_CLASS, embedding_features, fit_head
from learner_index.pipeline.response.roles import draw_head_roles
from tests.pipeline.response.fitting import OPTIONS, altered, known_by, pool_for, rows_of

FIT = np.arange(100)
CLINICAL = replace(OPTIONS, with_clinical=True)


@pytest.fixture(scope="module", autouse=True)
def few_set_the_temperature():
    """As a cohort of more patients has it: some set the temperature."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("learner_index.pipeline.response.roles._LEAST_TEMPER", 6)
        yield


@pytest.fixture(scope="module")
def rows():
    return rows_of(120)


@pytest.fixture(scope="module")
def pool(rows):
    return pool_for(rows, CLINICAL)


@pytest.fixture(scope="module")
def head(pool):
    return fit_head(pool, FIT, CLINICAL, 0)


def after(rows, patients, options=CLINICAL):
    """The pool and the head where all is changed that is known of some patients."""
    changed = pool_for(altered(rows, {f"P{number:03d}" for number in patients}), options)
    return changed, fit_head(changed, FIT, options, 0)


def test_nothing_fitted_depends_on_patients_left_out(rows, pool, head):
    """Their embeddings, scores, columns and outcomes changed: not one bit of the head is."""
    changed, other = after(rows, range(100, 120))

    assert (changed.code != pool.code).any()
    assert known_by(other) == known_by(head)


@pytest.mark.parametrize("name", ["multinomial", "antisymmetric", "ordinal"])
@pytest.mark.parametrize("weight", ["none", "balanced"])
def test_no_kind_of_head_depends_on_patients_left_out(rows, name, weight):
    """Likewise with each kind and with class weights."""
    options = replace(OPTIONS, head=name, class_weight=weight)
    before = fit_head(pool_for(rows, options), FIT, options, 0)

    assert known_by(after(rows, range(100, 120), options)[1]) == known_by(before)


@pytest.mark.parametrize("part", ["temper", "calibrate"])
def test_the_model_does_not_depend_on_other_parts(rows, head, part):
    """Neither those of the temperature nor those who calibrate move head, encoding or strength."""
    _, other = after(rows, np.flatnonzero(getattr(head.roles, part)))

    own = {"temperature": head.model.temperature, "share": head.model.share}  # of the temperature
    untempered = [replace(one.model, **own) for one in (head, other)]
    first, second = (replace(head, model=model) for model in untempered)
    assert known_by(second) == known_by(first)
    moved = (other.model.temperature, other.applicability.limit.distances.tolist())
    assert moved != (head.model.temperature, head.applicability.limit.distances.tolist())


def test_calibration_patients_do_not_set_the_temperature(rows, head):
    """Only the sets, and how far is too far, are theirs."""
    _, other = after(rows, np.flatnonzero(head.roles.calibrate))

    assert other.model.temperature == head.model.temperature
    assert other.sets != head.sets


def test_those_who_set_the_temperature_do_not_say_what_is_known(rows, head):
    """Nor the range of days, nor which treatments there are."""
    _, other = after(rows, np.flatnonzero(head.roles.temper))

    assert other.applicability.columns == head.applicability.columns
    assert other.model.temperature != head.model.temperature


def test_an_answer_needs_nobody_else(rows, pool, head):
    """The answer for some examples is the same alone, and when all others' rows are changed."""
    one = pool.patient == 110
    whole = head.answer(pool.material, pool.examples)

    alone = head.answer(pool.material, pool.examples.only(one))
    changed = pool_for(
        altered(rows, {f"P{number:03d}" for number in range(120) if number != 110}), CLINICAL
    )
    beside = head.answer(changed.material, changed.examples.only(one))

    np.testing.assert_allclose(alone.probability, whole.probability[one], rtol=1e-12)
    np.testing.assert_array_equal(alone.probability, beside.probability)
    np.testing.assert_array_equal(alone.sets, beside.sets)
    assert alone.reasons == beside.reasons == [whole.reasons[row] for row in np.flatnonzero(one)]


def test_sets_are_of_calibration_patients(pool, head):
    """The limit is that of `calibrate` on their probabilities, as ordinal as the classes."""
    rows = pool.of(head.roles.calibrate)
    chance = head.model.probability(pool.material, pool.examples.only(rows))

    wanted = calibrate(chance, pool.code[rows], pool.patient[rows], 0.1, is_ordinal=True, seed=0)

    assert head.sets == wanted
    assert head.sets.n_patients == head.roles.calibrate.sum() == 29
    np.testing.assert_array_equal(
        head.answer(pool.material, pool.examples).sets,
        wanted.sets(head.model.probability(pool.material, pool.examples)),
    )


def test_too_few_patients_are_told_in_notes(pool):
    """No sets, no temperature, no limit: each with its reason."""
    head = fit_head(pool, np.arange(20), CLINICAL, 0)

    answer = head.answer(pool.material, pool.examples)
    assert head.sets is None
    assert answer.sets is None
    assert head.notes[0].startswith("no sets: 20 patients")
    assert any("no query is called unlike" in note for note in head.notes)
    assert head.model.temperature.value == 1.0


def test_it_abstains_with_a_reason(rows, pool, head):
    """Of treatments, days, features and places it does not know, and where nothing is ruled out."""
    strange = [
        {**row, "treatment": "C", "site": "Z"} if row["patient_id"] == "P110" else row
        for row in rows
    ]
    far = [
        {**row, "embedding": tuple(np.array(row["embedding"]) * 50)}
        if row["patient_id"] == "P111"
        else row
        for row in strange
    ]
    late = [{**row, "day": row["day"] * 30} if row["patient_id"] == "P112" else row for row in far]
    asked = pool_for(late, CLINICAL)

    answer = head.answer(asked.material, asked.examples)
    plain = head.answer(pool.material, pool.examples)

    reasons = {
        number: answer.reasons[np.flatnonzero(asked.patient == number)[0]]
        for number in (110, 111, 112)
    }
    assert "treatment 'C' was not among those fitted on" in reasons[110]
    assert "site 'Z' was not among those fitted on" in reasons[110]
    assert any(why.startswith("features are unlike") for why in reasons[111])
    assert any(why.startswith("days between the visits 30 is outside") for why in reasons[112])
    for found in (answer, plain):
        is_full = found.sets.all(axis=1)
        assert [EVERY_CLASS in why for why in found.reasons] == is_full.tolist()
        np.testing.assert_array_equal(found.is_abstaining, [len(why) > 0 for why in found.reasons])
    assert not plain.is_abstaining.all()


def test_what_is_far_is_told_from_embeddings_alone(pool, head):
    """Neither days nor treatment nor clinical columns are in the distance."""
    features = head.model.encoding.features(pool.material, pool.examples)

    found = embedding_features(head.model, features)

    assert found.shape == (len(pool.code), 6)
    assert len(head.applicability.whitening.center) == 6
    np.testing.assert_array_equal(found[:, :3], features[:, head.model.encoding.span("delta")])


def test_columns_the_head_is_not_given_change_nothing(rows, pool):
    """Without --with-clinical, clinical columns are for baselines only."""
    changed = [{**row, "age": 1.0, "site": "other"} for row in rows]

    first, second = (fit_head(pool_for(some, OPTIONS), FIT, OPTIONS, 0) for some in (rows, changed))

    assert known_by(first) == known_by(second)
    assert first.model.encoding.columns == ()


def test_parts_are_those_drawn(pool, head):
    """Of the seed and of alpha."""
    wanted = draw_head_roles(FIT, 120, 0.1, 0)

    for name in ("fit", "temper", "calibrate"):
        np.testing.assert_array_equal(getattr(head.roles, name), getattr(wanted, name))


def test_all_alike_is_refused(pool):
    """Those fitted on have one outcome."""
    alike = replace(pool, code=np.zeros_like(pool.code))

    with pytest.raises(NotEnoughDataError, match="have one outcome"):
        fit_head(alike, FIT, CLINICAL, 0)


def test_a_view_nobody_had_is_a_reason(rows, head):
    """It names the view of the visit that is started from; others answer as before."""
    turned = [{**row, "view": "R9"} if row["patient_id"] == "P110" else row for row in rows]
    asked = pool_for(turned, CLINICAL)

    answer = head.answer(asked.material, asked.examples)

    why = "view 'R9' was not among those fitted on"
    owners = {int(asked.patient[row]) for row, found in enumerate(answer.reasons) if why in found}
    assert owners == {110}
    assert all(why in answer.reasons[row] for row in np.flatnonzero(asked.patient == 110))


def test_very_many_examples_are_looked_at_in_part(rows, monkeypatch):
    """Then the spread is of some patients, and categories are still those of all."""
    own = [{**row, "treatment": f"T{row['patient_id']}"} for row in rows]
    pool = pool_for(own, CLINICAL)
    whole = fit_head(pool, FIT, CLINICAL, 0)
    monkeypatch.setattr("learner_index.pipeline.response.procedure._LOOKED_AT", 30)

    part = fit_head(pool, FIT, CLINICAL, 0)

    assert whole.applicability.whitening.n_patients == whole.roles.fit.sum()
    assert 2 <= part.applicability.whitening.n_patients <= 15  # two examples a patient
    assert part.applicability.columns == whole.applicability.columns
