"""A fit from a store to a folder: what lies there, what its card says, and what is refused."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from learner_index.errors import LearnerIndexError, NotEnoughDataError, SettingsError
from learner_index.pipeline.response import crossfit
from learner_index.pipeline.response import fit as fit_module
from learner_index.pipeline.response.baselines import BASELINES
from learner_index.pipeline.response.crossfit import cross_fit
from learner_index.pipeline.response.figures import figures_dict
from learner_index.pipeline.response.fit import LIMITS, fit_response
from learner_index.pipeline.response.headfolder import card_of, patient_mark, read_head
from tests.pipeline.progression.store_of import planted, write_store
from tests.pipeline.response.fitting import OPTIONS, rows_of, write_response_store

FILES = {
    *("head.json", "head.safetensors", "report.md"),
    *("confusion.png", "reliability.png", "decision.png"),
}
FEW = replace(OPTIONS, folds=2)
NAMES = [f"Pat-{number:03}" for number in range(40)]


@pytest.fixture(scope="module", autouse=True)
def fast():
    """Files need not survive a power cut."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda handle: None)
        yield


def named(patients=40, **more):
    """Scans whose patients have names that would be found in a text."""
    rows = rows_of(patients, **more)
    return [{**row, "patient_id": NAMES[int(row["patient_id"][1:])]} for row in rows]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("fit")


@pytest.fixture(scope="module")
def store(place):
    return write_response_store(place / "toy.zarr", named())


@pytest.fixture(scope="module")
def found(store, place):
    return fit_response(store, place / "deep" / "head", OPTIONS)


@pytest.fixture
def undrawn(monkeypatch):
    """Pictures are left out: they are not what is tested."""
    monkeypatch.setattr(fit_module, "draw_figures", lambda *args, **more: None)


@pytest.fixture
def quick(undrawn, monkeypatch):
    """And baselines, but those that are tested with a whole fit."""
    kept = {name: BASELINES[name] for name in ("majority", "no change", "clinical")}
    monkeypatch.setattr(crossfit, "BASELINES", kept)


def card_in(folder):
    return json.loads((Path(folder) / "head.json").read_text("utf-8"))


def test_what_lies_in_the_folder(found):
    """Card, arrays, report and three pictures, of PNG's own first bytes."""
    assert {file.name for file in found.folder.iterdir()} == FILES
    for name in ("confusion", "reliability", "decision"):
        assert (found.folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_the_card_tells_what_was_asked(found):
    """Task, outcome with θ and classes, options, head, space and encoder."""
    card = card_in(found.folder)

    assert (card["task"], card["head"]) == ("detect", "multinomial")
    assert card["title"] == "regularized multinomial logistic regression"
    assert card["target"] == {
        "name": "change of health score by 5 or more",
        "column": None,
        "threshold": 5.0,
        "classes": ["worsened", "stable", "improved"],
        "is_ordinal": True,
    }
    assert card["options"]["threshold"] == 5.0
    assert card["options"]["clinical"] == ["age", "site"]
    assert (card["space"], card["encoder"], card["width"]) == ("toy", "toy", 3)
    assert (card["modality"], card["is_simulated"]) == ("", False)
    assert card["limits"] == list(LIMITS)
    assert "numpy" in card["versions"]


def test_the_card_tells_of_whom(found):
    """Counts by class, what is missing, who was seen, and a mark for every patient."""
    card = card_in(found.folder)

    assert card["data"] | {"fingerprint": ""} == {
        "store": "toy.zarr",
        "fingerprint": "",
        "n_patients": 40,
        "n_examples": 80,
        "classes": {
            "worsened": {"examples": 28, "patients": 14},
            "stable": {"examples": 26, "patients": 13},
            "improved": {"examples": 26, "patients": 13},
        },
        "n_died": 0,
        "n_lost": 0,
        "n_unknown": 0,
    }
    assert card["seen_by_encoder"] == {"n_patients": 0, "share": 0.0}
    assert card["patients"] == sorted(patient_mark(name, "toy") for name in NAMES)
    assert sum(card["parts"].values()) == 40


def test_the_card_tells_how_good_it_is(found):
    """All figures, each with an interval where it has one; what was printed is what was kept."""
    card = card_in(found.folder)

    assert card["figures"] == json.loads(json.dumps(figures_dict(found.figures)))
    nll = card["figures"]["models"]["head"]["nll"]
    assert nll["low"] < nll["value"] < nll["high"]
    low, high = card["sets"]["coverage_interval"]
    assert low < card["sets"]["expected_coverage"] < high
    assert found.to_dict() == {"folder": str(found.folder), **found.card}
    assert found.notes == tuple(card["notes"])


def test_no_patient_is_named(found):
    """Neither in the card nor in the report, nor in the arrays."""
    for name in ("head.json", "report.md", "head.safetensors"):
        content = (found.folder / name).read_bytes().lower()
        assert not any(patient.lower().encode() in content for patient in NAMES)


def test_no_number_of_the_card_is_none(found):
    """JSON as others read it: neither NaN nor infinity."""
    text = (found.folder / "head.json").read_text("utf-8")

    json.loads(text, parse_constant=lambda name: pytest.fail(name))
    json.dumps(found.to_dict(), allow_nan=False)


def test_the_head_that_is_kept_is_fitted_on_everybody(found):
    """It answers as it did, and knows each patient, who has one part in it."""
    pool = found.cohort.pool
    read = read_head(found.folder)

    one, two = (head.answer(pool.material, pool.examples) for head in (found.head, read.fitted))

    np.testing.assert_array_equal(one.probability, two.probability)
    assert all(read.was_fitted_on(NAMES))
    parts = [getattr(found.head.roles, name) for name in ("fit", "temper", "calibrate")]
    assert np.sum(parts, axis=0).tolist() == [1] * 40
    assert card_of(found.head).items() <= found.card.items()


def test_a_second_fit_is_the_same_to_the_byte(store, place, found, undrawn):
    """Card and arrays; and it tells how far it is."""
    told = []

    fit_response(
        store, place / "again", OPTIONS, progress=lambda done, total: told.append((done, total))
    )

    for name in ("head.json", "head.safetensors", "report.md"):
        assert (place / "again" / name).read_bytes() == (found.folder / name).read_bytes()
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]  # three folds, and the head that is kept


def test_the_reference_gives_the_axis(place, quick):
    """A store with a severity axis hands it on; one without has none."""
    embeddings, obs = planted(1, 24, 3)
    store = write_store(place / "axis.zarr", embeddings, obs)

    fit_response(store, place / "with", replace(FEW, clinical=()))

    assert read_head(place / "with").axis.reading.shape == (6,)
    assert read_head(place / "deep" / "head").axis is None


def refused(store, folder, kind, match, **options):
    with pytest.raises(kind, match=match) as caught:
        fit_response(store, folder, replace(FEW, **options))
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, LearnerIndexError)


def test_a_head_is_replaced_only_when_said(store, tmp_path, quick):
    """The one that is there stays as it is."""
    folder = tmp_path / "head"
    fit_response(store, folder, FEW)
    before = (folder / "head.json").read_bytes()

    refused(store, folder, SettingsError, "a head is in .* already: name another .* --replace")
    assert (folder / "head.json").read_bytes() == before
    fit_response(store, folder, replace(FEW, seed=1), replace=True)
    assert (folder / "head.json").read_bytes() != before
    assert read_head(folder).card["options"]["seed"] == 1


@pytest.mark.parametrize("replaced", [False, True])
def test_other_files_are_never_written_over(store, tmp_path, replaced):
    """Not even with --replace; an empty folder will do."""
    (tmp_path / "notes.txt").write_text("mine")

    with pytest.raises(SettingsError, match=r"holds other files: name a folder of its own with -o"):
        fit_response(store, tmp_path, FEW, replace=replaced)
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(SettingsError, match=r"is a file: name a folder for the head with -o"):
        fit_response(store, tmp_path / "notes.txt", FEW, replace=replaced)
    with pytest.raises(SettingsError, match=r"notes.txt is a file: name a folder"):
        fit_response(store, tmp_path / "notes.txt" / "deep" / "er", FEW, replace=replaced)


def test_a_fit_that_was_cut_off_can_be_replaced(store, tmp_path, quick, monkeypatch):
    """It has no card, so it is no head; its leftovers are known by name, if --replace is said."""
    write, folder = fit_module.write_head, tmp_path / "head"
    monkeypatch.setattr(fit_module, "write_head", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError, match="division"):
        fit_response(store, folder, FEW)
    monkeypatch.setattr(fit_module, "write_head", write)

    assert {file.name for file in folder.iterdir()} == {"report.md"}
    refused(store, folder, SettingsError, "holds other files")
    fit_response(store, folder, FEW, replace=True)
    assert (folder / "head.json").exists()


def test_a_head_is_whole_until_its_successor_is_written(store, tmp_path, quick, monkeypatch):
    """A fit that breaks before that leaves it as it was."""
    folder = tmp_path / "head"
    fit_response(store, folder, FEW)
    monkeypatch.setattr(fit_module, "write_report", lambda *args: 1 / 0)

    with pytest.raises(ZeroDivisionError, match="division"):
        fit_response(store, folder, FEW, replace=True)

    assert read_head(folder).card["task"] == "detect"


@pytest.mark.parametrize(
    ("options", "kind", "match"),
    [
        ({"head": "multinomal"}, SettingsError, r"no head 'multinomal': did you mean|no head"),
        (
            {"head": "antisymmetric", "task": "predict"},
            SettingsError,
            "for detect, not for predict",
        ),
        (
            {"head": "antisymmetric", "target": "ward", "threshold": None},
            SettingsError,
            "--head antisymmetric turns worsened into improved .* ward is no health change",
        ),
        (
            {"head": "ordinal", "target": "ward", "threshold": None},
            SettingsError,
            "--head ordinal needs classes in an order, .* ward have none: give it with --classes",
        ),
        ({"threshold": 1000.0}, NotEnoughDataError, "all 80 are stable"),
        ({"target": "nothing", "threshold": None}, LearnerIndexError, "no such column"),
    ],
)
def test_what_is_refused_leaves_nothing_behind(store, place, tmp_path, options, kind, match):
    """One line each, before a folder is made."""
    rows = named(ward=lambda number: "abc"[number % 3])
    wards = place / "wards.zarr"
    if not wards.exists():
        write_response_store(wards, rows)

    refused(wards, tmp_path / "head", kind, match, **options)

    assert not (tmp_path / "head").exists()


def test_a_nominal_and_a_binary_outcome(place, quick, tmp_path):
    """Three words have no order; two have one, and the ordinal head takes them."""
    rows = named(ward=lambda number: "abc"[number % 3], cured=lambda number: bool(number % 2))
    store = write_response_store(tmp_path / "words.zarr", rows)
    options = replace(FEW, threshold=None, task="predict", clinical=())

    words = fit_response(store, tmp_path / "a", replace(options, target="ward")).card
    flags = fit_response(
        store, tmp_path / "b", replace(options, target="cured", head="ordinal")
    ).card

    assert (words["target"]["classes"], words["target"]["is_ordinal"]) == (["a", "b", "c"], False)
    assert words["sets"]["is_ordinal"] is False
    assert "rps" not in words["figures"]["models"]["head"]
    assert (flags["target"]["classes"], flags["target"]["is_ordinal"]) == (["no", "yes"], True)
    assert any("no baseline 'no change': the outcome is not known" in n for n in words["notes"])
    assert "no change" not in words["figures"]["models"]


def test_columns_that_tell_the_outcome_come_first_in_the_notes(tmp_path, quick):
    """And are kept in the card."""
    rows = named(code=lambda number: float(number % 3))
    store = write_response_store(tmp_path / "told.zarr", rows)

    found = fit_response(store, tmp_path / "head", FEW)

    assert found.notes[0].startswith("column 'code' tells the outcome by itself")
    assert found.card["leaks"] == [found.notes[0]]
    report = (tmp_path / "head" / "report.md").read_text("utf-8")
    assert "- column 'code' tells the outcome by itself" in report


def test_baselines_that_cannot_be_had_are_told(tmp_path, quick):
    """A clinical column that is the same throughout makes none, and the notes say so."""
    store = write_response_store(tmp_path / "flat.zarr", named(age=lambda number: 50.0))

    found = fit_response(store, tmp_path / "head", replace(FEW, clinical=("age",)))

    assert "clinical" not in found.figures.models
    why = "age: nothing varies among those fitted on in some fold"
    assert f"no baseline 'clinical': {why}" in found.notes


def test_patients_the_encoder_has_seen(tmp_path, quick):
    """Their share is in the card, and SEEN BY ENCODER in notes and headline."""
    rows = named(encoder_role=lambda number: "train" if number < 10 else "unseen")
    store = write_response_store(tmp_path / "seen.zarr", rows)

    found = fit_response(store, tmp_path / "head", replace(FEW, patients="all"))
    without = fit_response(store, tmp_path / "other", replace(FEW, patients="unseen"))

    assert found.card["seen_by_encoder"] == {"n_patients": 10, "share": 0.25}
    headline = (tmp_path / "head" / "report.md").read_text("utf-8").split("\n\n")[1]
    assert "SEEN BY ENCODER (10 of 40 patients)" in headline
    assert without.card["seen_by_encoder"]["n_patients"] == 0
    assert without.card["data"]["n_patients"] == 30
    assert without.card["patients"] == sorted(patient_mark(name, "toy") for name in NAMES[10:])


def test_simulated_patients_are_marked(tmp_path, quick, monkeypatch):
    """In the card, in the report and in every picture."""
    told = []
    monkeypatch.setattr(fit_module, "draw_figures", lambda *args, **more: told.append(more))
    store = write_response_store(tmp_path / "s.zarr", named(), is_simulated=True)

    found = fit_response(store, tmp_path / "head", FEW)

    assert found.card["is_simulated"] is True
    assert told == [{"is_simulated": True, "seed": 0}]
    assert repr(found).startswith("SIMULATED: Response head")
    assert "SIMULATED patients." in (tmp_path / "head" / "report.md").read_text("utf-8")


def test_missing_clinical_numbers_are_no_reason_to_stop(tmp_path, quick):
    """They are filled in; the card stays free of NaN."""
    rows = named(age=lambda number: math.nan if number % 3 == 0 else 30.0 + number)
    store = write_response_store(tmp_path / "gaps.zarr", rows)

    found = fit_response(store, tmp_path / "head", replace(FEW, with_clinical=True))

    json.dumps(found.to_dict(), allow_nan=False)
    assert found.card["encoding"]["fills"]["age"] > 30


def test_what_is_measured_is_what_cross_fit_found(found):
    """The figures are of the same folds, options and seed."""
    pool = found.cohort.pool
    folds = np.full(40, -1)
    folds[pool.patient] = found.crossfit.fold

    again = cross_fit(pool, folds, OPTIONS)

    np.testing.assert_array_equal(again.tried[0].probability, found.crossfit.tried[0].probability)


def test_a_fit_is_shown_beside_its_baselines(found):
    """A row a model with its figures, what beats what, and on how many; no dump of the fields."""
    shown = repr(found)

    assert shown.splitlines()[0].startswith("Response head (multinomial): ")
    rows = [line.split("  ")[0] for line in shown.splitlines()]
    assert [name for name in found.figures.models if name not in rows] == []
    assert f"{found.figures.n_examples} examples of {found.figures.n_patients} patients" in shown
    assert "against the head" in found._repr_html_()
    assert max(map(len, shown.splitlines())) <= 80
