"""A patient's report: what is told, and why something is not."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from learner_index.data.response import Prediction, Predictions
from learner_index.errors import HeadFormatError, ManifestError, QueryError, SpaceMismatchError
from learner_index.pipeline.cohort import open_store
from learner_index.pipeline.reports.prediction_page import prediction_section
from learner_index.pipeline.reports.report import report_patient
from tests.pipeline.progression.store_of import frame
from tests.pipeline.reports.report_toy import Read, make_store, rows_of, undrawn, unsynced
from tests.pipeline.response.asking import head_at, scanned_cohort

SECTIONS = [
    "Who",
    "Trajectory",
    "Who looks like this patient",
    "Who changed like this patient",
    "Predicted response",
    "What this rests on, and its limits",
]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Only what lasts for all tests is drawn."""
    undrawn(monkeypatch)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A store, a simulated one of the same rows, and a head."""
    folder = tmp_path_factory.mktemp("patients")
    make_store(folder / "c.zarr", *rows_of(16))
    make_store(folder / "sim.zarr", *rows_of(8), is_simulated=True)
    with unsynced():
        head_at(folder / "head", folder / "c.zarr", alpha=0.3)
    return folder


@pytest.fixture(scope="module")
def cohort(place):
    return open_store(place / "c.zarr")


@pytest.fixture(scope="module")
def full(cohort, place):
    """Everything that can be told of P3."""
    return report_patient(cohort, "P3", head=place / "head", k=4)


def section(report, title):
    """The page's words between a heading and the next."""
    parts = re.split(r"<h2[^>]*>(.*?)</h2>", report.html)
    return Read(parts[parts.index(title) + 1])


def test_every_section_is_there_in_order(full):
    """One first heading, six second ones; nothing is missing."""
    read = Read(full.html)

    assert read.headings[0] == [1, "Patient P3"]
    assert [words for level, words in read.headings if level == 2] == SECTIONS
    assert full.missing == {}
    assert read.wrong == []


def test_answers_are_those_of_the_cohort(full, cohort):
    """Hits, changes and paths are in the tables as the methods give them."""
    hits, like = cohort.similar(patient="P3", k=4), cohort.progression(patient="P3", k=4)
    path = cohort.trajectory("P3", k=4)

    (table,) = section(full, SECTIONS[2]).tables
    assert [row[1] for row in table[1:]] == [hit.patient_id for hit in hits]
    assert [row[4] for row in table[1:]] == [f"{hit.similarity:.3f}" for hit in hits]
    (table,) = section(full, SECTIONS[3]).tables
    assert [row[1] for row in table[1:]] == [hit.patient_id for hit in like]
    assert [row[-1] for row in table[1:]] == [hit.change.verdict for hit in like]
    places, steps, likes = section(full, SECTIONS[1]).tables
    assert len(places) == 1 + len(path.stops)
    assert [row[-1] for row in steps[1:]] == [step.verdict for step in path.steps]
    assert [row[1] for row in likes[1:]] == [like.patient_id for like in path.likes]


def test_who_it_is(full, cohort):
    """Visits with their scores, and the columns as the store has them."""
    own = cohort.obs[cohort.obs["patient_id"] == "P3"]

    read = section(full, "Who")

    (visits,) = read.tables
    assert len(visits) == 1 + own["day"].nunique()
    assert "age 33" in read.text
    assert "seen by encoder no" in read.text
    assert "encoder_role" not in read.text


def test_a_prediction_is_told_with_its_doubt(full):
    """Probabilities, set, votes, parts on and off the axis, and who speaks for it."""
    read = section(full, "Predicted response")

    bars, parts, *_ = read.tables
    assert [row[0].split(" (")[0] for row in bars] == ["worsened", "stable", "improved"]
    assert sum(float(row[-1]) for row in bars) == pytest.approx(1, abs=0.02)
    assert {"change along the severity axis", "change off the axis"} <= {row[0] for row in parts}
    assert "Cannot be ruled out: " in read.text
    assert "of 70 % of patients like those the head was calibrated on" in read.text
    assert "FITTED ON: the patient helped to fit" in read.text


def predicted(**changes):
    """A prediction of one of two classes."""
    known = {
        "patient_id": "P", "task": "predict", "from_day": 3.0, "to_day": None, "treatment": None,
        "probabilities": {"bad": 0.75, "good": 0.25}, "likeliest": "bad", "set": None,
        "reasons": (), "votes": {}, "nearest": (), "log_odds": 1.0, "parts": {"base": 1.0},
        "is_fitted_on": False, "is_seen": False,
    }  # fmt: skip
    return Prediction(**{**known, **changes})


def told_of(*rows):
    """The section of an answer with these predictions."""
    answer = Predictions(
        query={}, rows=rows, task="predict", target="the outcome", classes=("bad", "good"),
        space="toy", head="multinomial", set_share=None, adds_up=False, is_simulated=False,
    )  # fmt: skip
    return prediction_section(SimpleNamespace(predictions=answer, missing={}))


def test_a_head_that_predicts_without_sets_or_votes():
    """Nothing is told that is not there; parts that do not add up are called so."""
    found = told_of(predicted())

    words = " ".join(found.said)
    assert "The head predicts: nothing after one visit is given" in words
    assert "Below, the latest example: day 3, treatment unknown." in words
    assert "The head has no sets: too few patients could calibrate them." in words
    assert "nearest" not in words
    assert [block.kind for block in found.blocks] == ["bars", "table"]
    assert "the parts are what each alone tells" in found.blocks[1].caption
    assert found.warnings == ()


def test_a_head_that_abstains_says_so_first():
    """The reasons stand above the probabilities."""
    found = told_of(predicted(), predicted(reasons=("too far", "new drug"), set=("bad", "good")))

    assert found.warnings == ("ABSTAINS: too far; new drug. Do not rely on what follows.",)
    assert [row[-2] for row in found.blocks[-1].rows] == ["no", "too far; new drug"]


def test_a_head_without_an_example_says_so():
    """A patient of one visit has nothing to detect."""
    assert told_of().missing == "The head has no example of this patient to speak of."


def test_limits_say_what_it_rests_on(full, cohort):
    """Encoder, space, reference with its drift, noise floor, research use, and no clock."""
    read = section(full, SECTIONS[-1])

    assert "For research, not a medical device." in read.text
    assert cohort.reference.fingerprint in read.text
    assert re.search(r"drift 0\.00 of the spread", read.text)
    assert "independent repeats" in read.text
    assert f"generation {cohort.settings['generation']}, content " in read.text
    assert not re.search(r"20\d\d-\d\d|\d\d:\d\d", read.text)


def test_each_answer_that_cannot_be_given_says_why(tmp_path):
    """One visit, no score, no head: three sections with a sentence each, and none vanishes."""
    x, obs = rows_of(8, scored=False, repeats=False, views=("L1",))
    keep = (obs["patient_id"] != "P2") | ~obs["patient_id"].duplicated()
    store = make_store(tmp_path / "c.zarr", x[keep.to_numpy()], obs[keep].reset_index(drop=True))

    found = report_patient(open_store(store), "P2")

    assert [words for level, words in Read(found.html).headings if level == 2] == SECTIONS
    assert found.missing["Trajectory"].startswith("There is no severity axis")
    assert "one visit" in found.missing["Who changed like this patient"]
    assert "`learner-index response fit`" in found.missing["Predicted response"]
    assert "There is one visit: nothing can be said of a change." in found.html
    assert "name the manifest with --thumbnails" in section(found, SECTIONS[2]).text


def test_patients_alone_are_told_so(tmp_path):
    """A store of one patient has nobody alike: said, not an empty table."""
    store = make_store(tmp_path / "c.zarr", *rows_of(1, repeats=False))

    found = report_patient(open_store(store), "P0")

    assert found.missing[SECTIONS[2]] == "No other patient has a scan that can be compared."
    assert section(found, SECTIONS[2]).tables == []


def test_few_who_started_alike_are_unsupported(tmp_path):
    """Below five patients no outcome is told."""
    store = make_store(tmp_path / "c.zarr", *rows_of(4))

    read = section(report_patient(open_store(store), "P1"), SECTIONS[3])

    assert "UNSUPPORTED: " in read.text
    assert "Outcome of" not in read.text


def test_simulated_and_seen_patients_are_called_so(place, tmp_path):
    """SIMULATED stands in the title and in each figure; SEEN BY ENCODER above everything."""
    found = report_patient(open_store(place / "sim.zarr"), "P3")
    store = make_store(
        tmp_path / "c.zarr", *rows_of(8, roles=lambda n: "train" if n == 3 else "val")
    )
    seen = report_patient(open_store(store), "P3")

    assert found.title == "SIMULATED patient P3"
    assert all("SIMULATED" in image["alt"] for image in Read(found.html).images)
    assert found.html.index("SIMULATED DATA: nothing here is about") < found.html.index("<nav")
    assert seen.html.index("SEEN BY ENCODER: this patient") < seen.html.index("<nav")
    assert "SIMULATED" not in seen.html


def test_equal_stores_give_equal_bytes(full, place, monkeypatch):
    """Asked again, of the store opened again: the same page."""
    monkeypatch.undo()

    again = report_patient(open_store(place / "c.zarr"), "P3", head=place / "head", k=4)

    assert again.html == full.html


def test_no_place_of_this_machine_is_named(full, place):
    """Neither page nor record holds a path; the record has no times."""
    told = full.to_json()

    assert str(place) not in full.html + told
    assert "elapsed_ms" not in told
    assert json.loads(told)["predictions"]["query"]["head"] == "head"


def test_the_record_is_what_was_gathered(full, cohort):
    """Each answer as its own dictionary, without the times it took."""
    told = full.to_dict()

    assert told["patient_id"] == "P3"
    assert [hit["patient_id"] for hit in told["similar"]["hits"]] == [
        hit.patient_id for hit in cohort.similar(patient="P3", k=4)
    ]
    assert told["trajectory"]["patient_id"] == "P3"
    assert told["missing"]["sheet"].startswith("Scans are shown only when asked for")
    assert told["store"]["name"] == "c.zarr"


def test_odd_ids_are_escaped(tmp_path):
    """An id that is HTML is shown, not obeyed, wherever it stands."""
    x, obs = rows_of(8)
    evil = '"><script>alert(1)</script>'
    obs["patient_id"] = obs["patient_id"].replace({"P1": "<b>", "P2": evil}).astype("string")
    store = make_store(tmp_path / "c.zarr", x, obs)

    found = report_patient(open_store(store), evil)
    other = report_patient(open_store(store), "<b>", k=7)

    assert Read(found.html).headings[0] == [1, f"Patient {evil}"]
    assert "<script" not in found.html + other.html
    assert "<b>" not in other.html
    assert Read(other.html).wrong == []


def test_scans_are_shown_only_when_asked_for(tmp_path):
    """With a manifest there is one picture more, and a word of caution."""
    with unsynced():
        store = scanned_cohort(tmp_path, 9)
    cohort = open_store(store)

    without = report_patient(cohort, "p1", k=2)
    shown = report_patient(cohort, "p1", k=2, thumbnails=tmp_path / "cohort.csv")

    count = [len(section(one, SECTIONS[2]).images) for one in (without, shown)]
    assert count == [0, 1]
    assert "look at each before you share the report" in shown.html


def test_a_manifest_of_others_is_refused(tmp_path, cohort):
    """Scans of another cohort cannot be shown."""
    with unsynced():
        scanned_cohort(tmp_path, 6)

    with pytest.raises(ManifestError, match="lists none of the 5 scans found"):
        report_patient(cohort, "P3", thumbnails=tmp_path / "cohort.csv")


def two_modalities(folder):
    """Each patient seen by ultrasound and, on the same days, by film."""
    x, obs = rows_of(14)
    film = obs.assign(scan_id=obs["scan_id"] + "-film", modality="cxr")
    film["content_hash"] = film["scan_id"]
    both = pd.concat([obs.assign(modality="lus"), film], ignore_index=True)
    return open_store(make_store(folder / "two.zarr", np.concatenate([x, -x]), both))


def test_a_modality_can_be_chosen(tmp_path):
    """Where a store has two, the path and the changes are of the one named; unnamed, neither."""
    cohort = two_modalities(tmp_path)

    told = report_patient(cohort, "P3", modality="cxr").to_dict()
    silent = report_patient(cohort, "P3").missing

    assert all("-film" in name for stop in told["trajectory"]["stops"] for name in stop["scan_ids"])
    assert {hit["modality"] for hit in told["similar"]["hits"]} == {"cxr"}
    assert told["progression"]["query"]["modality"] == "cxr"
    assert "--modality" in silent["Trajectory"]
    assert "--modality" in silent["Who changed like this patient"]


def test_an_unknown_modality_is_refused_with_those_there_are(tmp_path):
    """The patient's own are named."""
    with pytest.raises(QueryError, match=r"P3 has no scan of modality 'lu'.*there are cxr, lus"):
        report_patient(two_modalities(tmp_path), "P3", modality="lu")


@pytest.mark.parametrize("k", [0, -1, 2.5, True])
def test_k_is_a_whole_number_from_one(cohort, k):
    """Nobody alike is no report."""
    with pytest.raises(QueryError, match=r"k is .*: give a whole number from 1"):
        report_patient(cohort, "P3", k=k)


def test_unknown_patients_are_refused_with_near_names(cohort):
    """The nearest ids are offered."""
    with pytest.raises(QueryError, match=r"no patient 'P03' among 16 \(did you mean 'P3"):
        report_patient(cohort, "P03")


def test_heads_that_do_not_fit_are_refused(cohort, place, tmp_path):
    """No head there, and a head of another space."""
    with pytest.raises(HeadFormatError, match="no response head in"):
        report_patient(cohort, "P3", head=tmp_path)
    card = json.loads((place / "head" / "head.json").read_text())
    other = tmp_path / "other"
    other.mkdir()
    (other / "head.safetensors").write_bytes((place / "head" / "head.safetensors").read_bytes())
    (other / "head.json").write_text(json.dumps({**card, "space": "elsewhere"}))
    with pytest.raises(SpaceMismatchError, match="the head speaks of space elsewhere"):
        report_patient(cohort, "P3", head=other)


def test_visits_without_days_come_last(tmp_path):
    """Scans of unknown visit are one each, after the dated ones."""
    x, obs = rows_of(8, repeats=False)
    rows = obs.index[obs["patient_id"] == "P2"][:2]
    obs.loc[rows, "day"] = np.nan
    store = make_store(tmp_path / "c.zarr", x, frame(obs.to_dict("records")))

    found = report_patient(open_store(store), "P2").to_dict()["visits"]

    days = [visit["day"] for visit in found]
    assert days[-2:] == [None, None]
    assert None not in days[:-2]
    assert [visit["n_scans"] for visit in found[-2:]] == [1, 1]


def test_columns_that_vary_are_told_in_part(tmp_path):
    """Six values at most, and how many more."""
    x, obs = rows_of(8, most=6)
    obs["depth"] = np.arange(len(obs), dtype=float)
    store = make_store(tmp_path / "c.zarr", x, obs)

    values = report_patient(open_store(store), "P1").to_dict()["columns"]["depth"]

    assert len(values) == 7
    assert re.fullmatch(r"and \d+ more", values[-1])


def test_a_report_shows_itself_and_is_written_whole(full, tmp_path):
    """Its repr is a line; its file holds the page and nothing is left beside it."""
    target = full.save(tmp_path / "new" / "p.html")

    assert repr(full).startswith("Report('Patient P3', ")
    assert target.read_text(encoding="utf-8") == full.html
    assert [one.name for one in target.parent.iterdir()] == ["p.html"]
