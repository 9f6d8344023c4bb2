"""Asking a head of a patient and of a whole store, and what it refuses."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from learner_index.config.response import ResponseOptions
from learner_index.errors import (
    HeadFormatError,
    NotEnoughDataError,
    QueryError,
    SettingsError,
    StoreNotFoundError,
)
from learner_index.pipeline.cohort import Cohort, open_store
from learner_index.pipeline.response.examples import find_examples
from learner_index.pipeline.response.headfolder import read_head
from learner_index.pipeline.response.material import Material
from learner_index.pipeline.response.predict import predict_response
from tests.pipeline.progression.store_of import one_scan_visits
from tests.pipeline.response.asking import THRESHOLD, head_at, rows_of, store_at

CLINICAL = {"with_clinical": True, "clinical": ("age", "site"), "alpha": 0.2}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A store of 40 patients, and heads fitted on it: one that detects and others that predict."""
    folder = tmp_path_factory.mktemp("home")
    store = store_at(folder, *rows_of(), has_axis=True)
    head_at(folder / "detect", store)
    head_at(folder / "predict", store, task="predict")
    head_at(folder / "clinical", store, **CLINICAL)
    head_at(folder / "icu", store, where=("age >= 50",), alpha=0.2)
    return folder


def ask(home, head="detect", folder=None, **asked):
    """A question to one of the heads, of the home's store or another's."""
    return predict_response(home / head, (folder or home) / "c.zarr", **asked)


def elsewhere(tmp_path, change, **rows):
    """The same rows with something changed, as a store of its own."""
    embeddings, obs = rows_of(**rows)
    store_at(tmp_path, *change(embeddings, obs))
    return tmp_path


def said(prediction):
    """A prediction without what came about."""
    return replace(prediction, outcome=None)


def test_each_prediction_of_simulated_patients_says_so(home, monkeypatch):
    """One taken out of the answer is marked as the answer is."""
    settings = {**open_store(home / "c.zarr").settings, "is_simulated": True}
    real = ask(home, patient="P1")
    monkeypatch.setattr(Cohort, "settings", settings)

    found = ask(home, patient="P1")

    assert repr(found[0]).startswith("SIMULATED: Prediction")
    assert not real[0].is_simulated


def test_a_whole_store_is_answered_as_the_head_does(home):
    """Every pair of consecutive visits, with the head's probabilities, sets and reasons."""
    saved, cohort = read_head(home / "detect"), open_store(home / "c.zarr")
    material = Material.of(cohort.embeddings, cohort.obs)
    examples = find_examples(material, replace_options(saved))
    expected = saved.fitted.answer(material, examples)

    found = ask(home)

    assert len(found) == len(examples)
    assert found.classes == ("worsened", "stable", "improved")
    for row, own in enumerate(found):
        assert own.patient_id == material.patients[examples.patient[row]]
        assert own.from_day == material.visits.day[examples.earlier[row]]
        assert own.to_day == material.visits.day[examples.later[row]]
        assert list(own.probabilities.values()) == expected.probability[row].tolist()
        assert own.likeliest == max(own.probabilities, key=own.probabilities.get)
        assert [name in own.set for name in found.classes] == expected.sets[row].tolist()
        assert own.reasons == expected.reasons[row]


def replace_options(saved):
    """The options of a head's card."""
    lists = {"classes", "scans", "where", "clinical"}
    given = {n: tuple(v) if n in lists else v for n, v in saved.card["options"].items()}
    return ResponseOptions(**given)


def test_parts_add_up_to_the_log_odds(home):
    """Those of change and start are split along the severity axis; their sum is the answer's."""
    found = ask(home)

    assert found.adds_up
    for own in found:
        logs = np.log(list(own.probabilities.values()))
        place = found.classes.index(own.likeliest)
        others = np.delete(logs, place).mean()
        assert list(own.parts)[:3] == ["base", "change_on_axis", "change_off_axis"]
        assert sum(own.parts.values()) == pytest.approx(own.log_odds, abs=1e-9)
        assert own.log_odds == pytest.approx(logs[place] - others, abs=1e-4)


def test_a_patient_is_told_what_the_whole_store_is(home):
    """One patient's predictions are theirs among all, but for rounding."""
    whole = [own for own in ask(home) if own.patient_id == "P6"]

    found = ask(home, patient="P6")

    assert len(found) == len(whole) > 1
    for one, other in zip(found, whole, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-6)
        assert one.parts == pytest.approx(other.parts, abs=1e-6)
        for name in ("from_day", "to_day", "likeliest", "set", "reasons", "votes", "outcome"):
            assert getattr(one, name) == getattr(other, name)
        assert [each.patient_id for each in one.nearest] == [
            each.patient_id for each in other.nearest
        ]


def test_outcomes_are_those_of_the_scores(home):
    """What came about stands beside the answer: by θ, from both visits' scores."""
    obs = open_store(home / "c.zarr").obs.drop_duplicates(["patient_id", "day"])
    score = obs.set_index(["patient_id", "day"])["health_score"]

    for own in ask(home):
        delta = score[own.patient_id, own.to_day] - score[own.patient_id, own.from_day]
        word = "improved" if delta >= THRESHOLD else "worsened" if delta <= -THRESHOLD else "stable"
        assert own.outcome == word


def test_nearest_speak_for_the_answer(home):
    """They are others, each named once, and had the likeliest class; votes are of k patients."""
    found = ask(home, k=4)

    for own in found:
        names = [each.patient_id for each in own.nearest]
        assert own.patient_id not in names
        assert len(set(names)) == len(names) <= 4
        assert {each.outcome for each in own.nearest} == {own.likeliest}
        distances = [each.distance for each in own.nearest]
        assert distances == sorted(distances)
        assert list(own.votes) == list(found.classes)
        assert sum(own.votes.values()) == 4


def test_nobody_need_speak(home):
    """With k = 0 nobody is looked for, and nothing else changes."""
    full = ask(home, patient="P6")

    found = ask(home, patient="P6", k=0)

    assert [(own.nearest, own.votes) for own in found] == [((), {})] * len(found)
    assert [own.parts for own in found] == [own.parts for own in full]
    assert found.notes == full.notes


def later_rows(obs, patient):
    """(n,) True for a patient's scans after the first visit."""
    own = obs["patient_id"] == patient
    return (own & (obs["day"] > obs["day"][own].min())).to_numpy(bool)


def perturbed(embeddings, obs):
    """All that came later is another: scans, days, scores, treatments, outcomes."""
    rows = later_rows(obs, "P6")
    embeddings, obs = embeddings.copy(), obs.copy()
    embeddings[rows] = np.random.default_rng(0).standard_normal((rows.sum(), 6)) * 9
    obs.loc[rows, "day"] += 50
    obs.loc[rows, "health_score"] = 3
    obs.loc[rows, "treatment"] = "C"
    obs.loc[rows, ["age", "event_day"]] = 1
    obs.loc[obs["patient_id"] == "P6", "response"] = "better"
    obs.loc[obs["patient_id"] == "P6", "event"] = True
    return embeddings, obs


def dropped(embeddings, obs):
    """Nothing came later."""
    kept = ~later_rows(obs, "P6")
    return embeddings[kept], obs[kept].reset_index(drop=True)


def repeated(embeddings, obs):
    """More came later, and of another view."""
    rows = later_rows(obs, "P6")
    more = obs[rows].assign(view="R1", scan_id=obs["scan_id"][rows] + "x")
    more["day"] += 400
    return np.concatenate([embeddings, embeddings[rows] * 2]), pd.concat(
        [obs, more.astype(obs.dtypes)], ignore_index=True
    )


@pytest.mark.parametrize("change", [perturbed, dropped, repeated])
def test_a_prediction_knows_nothing_of_what_came_later(home, tmp_path, change):
    """Later scans, scores, treatments and outcomes of the patient change no digit of it."""
    (before,) = ask(home, "predict", patient="P6")

    (after,) = ask(home, "predict", elsewhere(tmp_path, change), patient="P6")

    assert said(after) == said(before)
    assert (before.to_day, before.outcome is None) == (None, False)


def test_all_predictions_know_nothing_of_what_came_later(home, tmp_path):
    """Of a whole store, too: with all later scans gone, all say what they said."""

    def cut(embeddings, obs):
        kept = (obs["day"] == obs.groupby("patient_id")["day"].transform("min")).to_numpy(bool)
        return embeddings[kept], obs[kept].reset_index(drop=True)

    before = ask(home, "predict", k=0)

    after = ask(home, "predict", elsewhere(tmp_path, cut), k=0)

    assert [said(own) for own in after] == [said(own) for own in before]
    assert {own.outcome for own in after} == {None}


def test_the_visit_asked_about_can_be_chosen(home):
    """First, every, the latest or the last until a day; another than in the fit is told."""
    days = sorted(own.from_day for own in ask(home, "predict", patient="P6", at="every"))

    def asked(at):
        return [own.from_day for own in ask(home, "predict", patient="P6", at=at)]

    assert len(days) > 2
    assert asked(None) == asked("first") == [days[0]]
    assert asked("latest") == [days[-1]]
    assert asked(f"day {days[1]:g}") == [days[1]]
    (note,) = [n for n in ask(home, "predict", patient="P6", at="latest").notes if "--at" in n]
    assert "--at latest, fitted on --at first" in note
    assert not any("--at" in note for note in ask(home, "predict", patient="P6").notes)


def test_whom_the_head_was_fitted_on_is_told_first(home, tmp_path):
    """Patients of the fit are marked one by one, and the first note counts them."""
    more = elsewhere(tmp_path, lambda *rows: rows, patients=43)

    both = ask(home, folder=more)

    assert {own.is_fitted_on for own in ask(home)} == {True}
    assert {own.patient_id for own in both if not own.is_fitted_on} == {"P40", "P41", "P42"}
    assert both.notes[0].startswith("FITTED ON: 40 of 43 patients helped to fit or calibrate")
    assert ask(home, folder=more, patient="P41").notes == ()


def test_a_patient_under_another_name_is_known_by_the_bytes(home, tmp_path):
    """They count as fitted on, and their other self does not speak for them."""

    def twin(embeddings, obs):
        twin = (obs["patient_id"] == "P6").to_numpy(bool)
        more = obs[twin].assign(patient_id="new", scan_id=obs["scan_id"][twin] + "x")
        found = pd.concat([obs, more.astype(obs.dtypes)], ignore_index=True)
        return np.concatenate([embeddings, embeddings[twin]]), found

    found = ask(home, folder=elsewhere(tmp_path, twin), patient="new", k=50)

    assert {own.is_fitted_on for own in found} == {True}
    assert all("P6" not in [each.patient_id for each in own.nearest] for own in found)
    assert all(sum(own.votes.values()) == 39 for own in found)


def test_whom_the_encoder_has_seen_is_told(home, tmp_path):
    """Marked, noted after FITTED ON, and they do not speak where the head learned from none."""

    def seen(embeddings, obs):
        role = np.where(obs["patient_id"].isin(["P6", "P8"]), "val", "unseen")
        return embeddings, obs.assign(encoder_role=role).astype({"encoder_role": "string"})

    found = ask(home, folder=elsewhere(tmp_path, seen), k=50)

    assert {own.patient_id for own in found if own.is_seen} == {"P6", "P8"}
    assert found.notes[0].startswith("FITTED ON")
    assert found.notes[1].startswith("SEEN BY ENCODER: 2 of 40 patients are those the encoder was")
    assert {sum(own.votes.values()) for own in found if own.patient_id == "P9"} == {37}


def test_a_store_that_knows_no_outcome_is_answered(home, tmp_path):
    """Nobody speaks, which is noted; all else is as before."""

    def unscored(embeddings, obs):
        return embeddings, obs.drop(columns="health_score")

    found = ask(home, folder=elsewhere(tmp_path, unscored), patient="P6")

    before = ask(home, patient="P6")
    assert [own.probabilities for own in found] == [own.probabilities for own in before]
    assert [(own.nearest, own.votes, own.outcome) for own in found] == [((), {}, None)] * len(found)
    assert found.notes[-1].startswith("no patient can speak for an answer: no health score")


def test_where_it_was_not_fitted_it_abstains(home):
    """Of a whole store such examples are left out; of a patient the head gives the reason."""
    whole = ask(home, "icu")
    young = ask(home, "icu", patient="P6")
    old = ask(home, "icu", patient="P33")

    ages = {own.patient_id: 30 + int(own.patient_id[1:]) for own in whole}
    assert min(ages.values()) == 50
    assert any("left out, not age >= 50 as in the fit" in note for note in whole.notes)
    assert all(own.reasons[0].startswith("it does not start where age >= 50") for own in young)
    assert not any("start where" in reason for own in old for reason in own.reasons)


def test_conditions_of_ones_own_choose_among_visits(home):
    """They are fulfilled by all that is told; where none does, that is refused."""
    found = ask(home, where="age >= 60")

    assert {own.patient_id for own in found} == {f"P{n}" for n in range(30, 40)}
    with pytest.raises(NotEnoughDataError, match="nothing asked about fulfils age > 200"):
        ask(home, where=["age > 200"])
    with pytest.raises(QueryError, match="no column 'agee'"):
        ask(home, where=["agee > 200"])


def test_missing_numbers_are_filled_and_told(home, tmp_path):
    """The median of those fitted on stands in; what is told says how often."""

    def missing(embeddings, obs):
        return embeddings, obs.assign(age=obs["age"].mask(obs["patient_id"] == "P6"))

    found = ask(home, "clinical", elsewhere(tmp_path, missing), patient="P6")

    fill = read_head(home / "clinical").fitted.model.encoding.fills["age"]
    expected = f"age is missing in 3 of 3 examples, and taken as the median {fill:g}"
    assert any(note.startswith(expected) for note in found.notes)
    assert not any("missing" in note for note in ask(home, "clinical", patient="P6").notes)


@pytest.mark.parametrize(
    ("column", "head"), [("site", "clinical"), ("treatment", "detect"), ("treatment", "clinical")]
)
def test_unknown_categories_are_a_reason_to_abstain(home, tmp_path, column, head):
    """A site or treatment that nobody of the fit had, with its name; others do not abstain so."""

    def other(embeddings, obs):
        return embeddings, obs.assign(**{column: obs[column].mask(obs["patient_id"] == "P6", "Q")})

    found = ask(home, head, elsewhere(tmp_path, other))

    wanted = f"{column} 'Q' was not among those fitted on"
    assert {own.patient_id for own in found if wanted in own.reasons} == {"P6"}


def test_a_clinical_column_that_is_gone_is_refused(home, tmp_path):
    """It is named, with what is near it; so is one that turned into text."""
    gone = elsewhere(tmp_path, lambda x, obs: (x, obs.rename(columns={"age": "ages"})))
    with pytest.raises(
        QueryError,
        match=r"clinical column age, which c\.zarr has not \(did you mean 'ages'\?\): add",
    ):
        ask(home, "clinical", gone)
    (tmp_path / "text").mkdir()
    text = elsewhere(tmp_path / "text", lambda x, obs: (x, obs.astype({"age": "string"})))
    with pytest.raises(QueryError, match=r"column age holds text in c\.zarr, and numbers where"):
        ask(home, "clinical", text)


def test_what_is_not_there_is_named(home, tmp_path):
    """Head, store and patient, the latter with names that are close."""
    with pytest.raises(HeadFormatError, match="no response head in"):
        predict_response(tmp_path, home / "c.zarr")
    with pytest.raises(StoreNotFoundError, match=r"no\.zarr"):
        predict_response(home / "detect", tmp_path / "no.zarr")
    with pytest.raises(
        QueryError, match=r"no patient 'p6' among 40 of c\.zarr \(did you mean 'P6'"
    ):
        ask(home, patient="p6")


def test_options_that_do_not_fit_are_refused(home):
    """A visit for a head that detects, no visit that is known, and no number of patients."""
    with pytest.raises(SettingsError, match="--at is for heads that predict, and this one detects"):
        ask(home, at="first")
    with pytest.raises(SettingsError, match="--at 'soon': take first"):
        ask(home, "predict", at="soon")
    with pytest.raises(QueryError, match="k is -1: give a whole number from 0"):
        ask(home, k=-1)


def test_patients_without_an_example_are_told_why(home, tmp_path):
    """No day, one visit only, or none in time: each is another line."""
    x, score = np.ones(6), 50.0
    paths = {
        "bare": [(np.nan, x, score)],
        "once": [(3.0, x, score)],
        "twice": [(1.0, x, score), (1.0, x, score)],
    }
    embeddings, obs = one_scan_visits(paths)
    obs["treatment"] = None
    store_at(tmp_path, embeddings, obs.astype({"treatment": "string"}))

    def why(head, patient, **asked):
        with pytest.raises(NotEnoughDataError) as problem:
            ask(home, head, tmp_path, patient=patient, **asked)
        return str(problem.value)

    assert why("detect", "bare") == "patient 'bare' lacks a dated visit: give their scans a day"
    assert "lacks two visits (of 1 dated) on two days that share a view" in why("detect", "once")
    assert "lacks two visits (of 1 dated)" in why("detect", "twice")
    assert why("predict", "bare").startswith("patient 'bare' lacks a dated visit:")
    assert why("predict", "once", at="day 2").endswith("until day 2: the first is on day 3")
    assert "with a treatment in force" in why("predict", "once", at="treatment")
    assert why("detect", None).startswith("none of 3 patients has two visits")
