"""Heads of other kinds than the common one: chosen scans, few patients, columns, `fit_response`."""

import json
from unittest.mock import patch

import pytest

from learner_index.config.response import ResponseOptions
from learner_index.errors import HeadFormatError, QueryError, SpaceMismatchError
from learner_index.pipeline.response.fit import fit_response
from learner_index.pipeline.response.predict import predict_response
from tests.pipeline.response.asking import THRESHOLD, head_at, quickly, rows_of, store_at


def test_scans_are_chosen_as_in_the_fit(tmp_path):
    """What the head does not speak of changes nothing, and is told."""
    embeddings, obs = rows_of(24, views=("L1", "R1"))
    right = (obs["view"] == "R1").to_numpy(bool)
    store = store_at(tmp_path, embeddings, obs)
    head_at(tmp_path / "head", store, scans=("view == L1",), alpha=0.3)
    embeddings[right] += 5
    (tmp_path / "other").mkdir()
    other = store_at(tmp_path / "other", embeddings, obs)

    one, two = (predict_response(tmp_path / "head", place) for place in (store, other))

    assert list(one) == list(two)
    assert "only scans with view == L1, as in the fit" in one.notes
    no_left = store_at(tmp_path / "head", embeddings[right], obs[right].reset_index(drop=True))
    with pytest.raises(QueryError, match="no scan fulfils view == L1"):
        predict_response(tmp_path / "head", no_left)
    (tmp_path / "bare").mkdir()
    bare = store_at(tmp_path / "bare", embeddings, obs.drop(columns="view"))
    with pytest.raises(QueryError, match=r"scans with view == L1, which c\.zarr cannot tell: no c"):
        predict_response(tmp_path / "head", bare)


def test_a_head_without_sets_says_so(tmp_path):
    """Too few patients to calibrate: no sets, one note."""
    store = store_at(tmp_path, *rows_of(12))
    head_at(tmp_path / "head", store)

    found = predict_response(tmp_path / "head", store)

    assert {own.set for own in found} == {None}
    assert found.set_share is None
    assert any(note.startswith("the head has no sets of classes") for note in found.notes)


def test_a_head_that_is_not_linear_tells_the_rest(tmp_path):
    """Its parts and what they add only together give the log odds; a note says how to read them."""
    store = store_at(tmp_path, *rows_of(12))
    head_at(tmp_path / "head", store, head="ordinal")

    found = predict_response(tmp_path / "head", store, patient="P6")

    assert not found.adds_up
    assert any(note.startswith("the head is not linear") for note in found.notes)
    for own in found:
        assert sum(own.parts.values()) == pytest.approx(own.log_odds)
        assert "together" in own.parts


def test_views_nobody_was_fitted_on_are_told(tmp_path):
    """Their mean is not known, so that of all views stands in."""
    embeddings, obs = rows_of(12)
    head = head_at(tmp_path / "head", store_at(tmp_path, embeddings, obs))
    new = store_at(head, embeddings, obs.assign(view="R9").astype({"view": "string"}))

    found = predict_response(head, new)

    assert any("nobody was fitted on with view R9" in note for note in found.notes)


def test_outcomes_of_a_column_are_named(tmp_path):
    """A column with one value a patient is told for every visit, and its classes are its values."""
    store = store_at(tmp_path, *rows_of(24))
    head_at(tmp_path / "head", store, target="response", threshold=None, alpha=0.3)

    found = predict_response(tmp_path / "head", store)

    assert found.classes == ("better", "worse")
    for own in found:
        assert own.outcome == ("better" if int(own.patient_id[1:]) % 2 else "worse")


def test_what_fit_writes_can_be_asked(tmp_path):
    """A head by `fit_response` itself, with its card: the answer, and the limits of use."""
    store = store_at(tmp_path, *rows_of(16))
    options = ResponseOptions(threshold=THRESHOLD, folds=2, n_bootstraps=100, alpha=0.3)
    with quickly(), patch("learner_index.pipeline.response.fit.draw_figures"):
        fit_response(store, tmp_path / "head", options)

    found = predict_response(tmp_path / "head", store, patient="P6")

    assert found.limits[0] == "For research, not a medical device."
    assert found.target == f"change of health score by {THRESHOLD} or more"
    assert json.loads(found.to_json())["predictions"][0]["patient_id"] == "P6"
    assert found[0].is_fitted_on


def altered(folder, **entries):
    """A store, and a head fitted on it whose card says something else."""
    store = store_at(folder, *rows_of(12))
    head = head_at(folder / "head", store)
    card = json.loads((head / "head.json").read_text())
    (head / "head.json").write_text(json.dumps({**card, **entries}))
    return store, head


def test_another_space_is_refused(tmp_path):
    """Before any patient is looked for."""
    store, head = altered(tmp_path, space="other")

    with pytest.raises(SpaceMismatchError, match=r"speaks of space other, and c\.zarr is of toy"):
        predict_response(head, store, patient="nobody")


@pytest.mark.parametrize("options", [{"tusk": "detect"}, ["detect"]])
def test_a_card_of_other_options_is_one_line(tmp_path, options):
    """A card that was altered, or is of a version to come, is not guessed at."""
    store, head = altered(tmp_path, options=options)

    with pytest.raises(HeadFormatError, match=r"head\.json in .* is damaged \(.*\): fit the head"):
        predict_response(head, store)
