"""A cohort's report: data, space, confounders, evaluation and head, each told or its absence."""

import json
import re
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from learner_index.errors import HeadFormatError, NotEnoughDataError, SettingsError
from learner_index.pipeline import plot
from learner_index.pipeline.cohort import open_store
from learner_index.pipeline.gain import Gain, measure_gain
from learner_index.pipeline.reports import cohort as gathering
from learner_index.pipeline.reports import cohort_page, confounders
from learner_index.pipeline.reports.evaluation_page import evaluation_section
from learner_index.pipeline.reports.records import SpaceQuality, _finite
from learner_index.pipeline.reports.report import report_cohort
from learner_index.pipeline.reports.space import space_quality
from learner_index.pipeline.response import fit as fit_module
from learner_index.store.writer import open_writer
from tests.pipeline.reports.report_toy import Read, make_store, rows_of, undrawn, unsynced

SECTIONS = [
    "Data quality",
    "Space quality",
    "Confounders",
    "Evaluation",
    "Response head",
    "What this rests on, and its limits",
]
CARD = {"title": "macro-F1", "section": "Health change", "good": "higher"}


def measured(model, value, measure="macro_f1", **more):
    """A row of measures."""
    low, high = (None, None) if value is None else (value - 0.1, value + 0.1)
    row = {**CARD, "measure": measure, "model": model, "value": value, "low": low, "high": high}
    return {**row, "n_patients": 20, "n_pairs": 30, "seen": "", **more}


def compared(model, verdict, measure="macro_f1", **more):
    """A row of comparisons."""
    row = {"model": model, "measure": measure, "difference": -0.1, "low": -0.2, "high": -0.05}
    return {**row, "verdict": verdict, "p_swap": 0.01, "p_holm": 0.02, **more}


def evaluation(**more):
    """What `evaluation.json` says of two models."""
    found = {
        "cohort": "cohort.csv",
        "is_simulated": False,
        "n_patients": 20,
        "n_scans": 60,
        "score": {"threshold": 7.0, "unit": "points"},
        "primary": "macro_f1",
        "against": "mse",
        "models": [{"name": "mse"}, {"name": "rnc"}],
        "measures": [
            measured("mse", 0.5),
            measured("rnc", 0.4),
            measured("mse", 12.345, "mae", title="error", good="lower", section="Health score"),
            measured("rnc", None, "mae", title="error", good="lower", section="Health score"),
        ],
        "comparisons": [compared("rnc", "−"), compared("rnc", "·", "mae")],
        "notes": ["a note"],
    }
    return {**found, **more}


def quicken(patch):
    """Few shuffles: a page is looked at, not believed."""
    patch.setattr(
        gathering,
        "confounders_of",
        lambda sample, seed: confounders.confounders_of(sample, n_draws=19, seed=seed),
    )


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Only what lasts for all tests is drawn."""
    quicken(monkeypatch)
    undrawn(monkeypatch)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A store, a head fitted on it with all its figures, and an evaluation."""
    folder = tmp_path_factory.mktemp("cohorts")
    make_store(folder / "c.zarr", *rows_of(16))
    options = fit_module.ResponseOptions(threshold=7.0, folds=2, n_bootstraps=100, alpha=0.3)
    with pytest.MonkeyPatch.context() as patch, unsynced():
        patch.setattr(fit_module, "draw_figures", lambda *args, **more: None)
        fit_module.fit_response(folder / "c.zarr", folder / "head", options)
    (folder / "evaluation").mkdir()
    (folder / "evaluation" / "evaluation.json").write_text(json.dumps(evaluation()))
    return folder


@pytest.fixture(scope="module")
def full(place):
    """Everything that can be told."""
    with pytest.MonkeyPatch.context() as patch:
        quicken(patch)
        return report_cohort(
            open_store(place / "c.zarr"), evaluation=place / "evaluation", head=place / "head"
        )


def section(report, title):
    """The page's words between a heading and the next."""
    parts = re.split(r"<h2[^>]*>(.*?)</h2>", report.html)
    return Read(parts[parts.index(title) + 1])


def test_every_section_is_there_in_order(full):
    """One first heading, six second ones; nothing is missing."""
    read = Read(full.html)

    assert read.headings[0] == [1, "Cohort c.zarr"]
    assert [words for level, words in read.headings if level == 2] == SECTIONS
    assert full.missing == {}
    assert read.wrong == []


def test_the_gain_is_that_of_the_store(full, place):
    """Score error of neighbours against chance, as `measure_gain` gives it."""
    gain = measure_gain(open_store(place / "c.zarr"))

    read = section(full, "Space quality")

    told = f"{gain.chance - gain.near:.1f} ({gain.low:.1f} to {gain.high:.1f})"
    rows = {row[0]: row[1:] for row in read.tables[0]}
    assert rows["score of the 5 nearest patients closer than others' by"][0] == told
    assert rows["effective rank"][0].endswith(" of 6")
    assert f"differ by {gain.near:.1f} on average" in read.text
    assert len(read.images) == 1
    assert "Spearman ρ" in read.images[0]["alt"]
    assert "severity axis" in read.text


def test_the_evaluation_is_told_with_its_losing_cells(full):
    """Primary endpoint with tests, cells in words, and every measure."""
    read = section(full, "Evaluation")

    primary, cells, *rest = read.tables
    assert primary[2] == [
        "rnc",
        "0.400 (0.300 to 0.500)",
        "−0.100 (−0.200 to −0.050)",
        "0.010",
        "0.020",
        "20",
        "30",
    ]
    assert cells[1:] == [["Health change: macro-F1", "worse"], ["Health score: error", "open"]]
    assert "0 better, 1 worse, 1 open" in read.text
    assert rest[1][1] == ["error ↓", "12.3 (12.2 to 12.4)", "-", "20 / 30"]
    assert "Of cohort.csv: 20 patients, 60 scans." in read.text


def test_the_head_is_told_in_words_and_figures(full, place):
    """What it is for, what was promised and measured, and what beats it."""
    read = section(full, "Response head")

    models, gains = read.tables
    assert models[1][0] == "head"
    assert {row[0] for row in gains[1:]} >= {"majority", "score alone"}
    assert "promised to hold the outcome of 70 % of patients" in read.text
    assert "change of health score by 7 or more" in read.text
    assert "abstains" in read.text


def test_what_was_not_named_is_said(place):
    """Without evaluation and head: how to get them, in their places."""
    found = report_cohort(open_store(place / "c.zarr"))

    assert set(found.missing) == {"Evaluation", "Response head"}
    assert "`learner-index evaluate`" in found.missing["Evaluation"]
    assert [words for level, words in Read(found.html).headings if level == 2] == SECTIONS


def test_equal_stores_give_equal_bytes_and_no_place_is_named(full, place, monkeypatch):
    """Opened and asked again: the same page; neither it nor the record holds a path."""
    monkeypatch.undo()
    quicken(monkeypatch)

    again = report_cohort(
        open_store(place / "c.zarr"), evaluation=place / "evaluation", head=place / "head"
    )

    assert again.html == full.html
    assert str(place) not in full.html + full.to_json()


def test_the_record_is_what_was_gathered(full):
    """Figures as numbers; the marks of a head's patients are left out."""
    told = json.loads(full.to_json())

    assert told["kind"] == "cohort"
    assert told["quality"]["n_repeats"] > 0
    assert told["space"]["gain"]["n_patients"] == 16
    assert {one["column"] for one in told["confounders"]["columns"]} >= {"site", "age"}
    assert told["evaluation"]["cohort"] == "cohort.csv"
    assert "patients" not in told["head"]


def test_a_store_without_scores_is_reported(tmp_path, monkeypatch):
    """What needs a score says so; all else is told."""
    monkeypatch.undo()
    quicken(monkeypatch)
    x, obs = rows_of(8, scored=False, repeats=False, views=("L1",))
    found = report_cohort(open_store(make_store(tmp_path / "c.zarr", x, obs)))

    read = section(found, "Space quality")
    assert "Not measured. Gain of the nearest patients: 0 patients have a health score" in read.text
    assert "No figure: " in read.text
    assert "none: no visit has two scans of one view" in section(found, "Data quality").text
    assert "health_score" in [row[0] for row in section(found, "Data quality").tables[0]]


def test_simulated_and_seen_cohorts_are_called_so(tmp_path):
    """SIMULATED in title, figures and above all; SEEN BY ENCODER with its counts."""
    rows = rows_of(10, roles=lambda n: "train" if n < 4 else "unseen", views=("L1",))
    store = make_store(tmp_path / "c.zarr", *rows, is_simulated=True)

    found = report_cohort(open_store(store))

    assert found.title == "SIMULATED cohort c.zarr"
    assert "SEEN BY ENCODER: 4 of 10 patients are those" in found.html
    assert found.to_dict()["space"]["gain"]["n_patients"] == 6
    rows = {row[0] for row in section(found, "Space quality").tables[0]}
    assert "score of the 5 nearest patients closer than others' by (unseen patients only)" in rows
    assert "effective rank (SEEN BY ENCODER: 4 patients among them)" in rows
    assert sum("SEEN BY ENCODER: 4 patients among them" in row for row in rows) == 4
    assert all("SIMULATED" in image["alt"] for image in Read(found.html).images)


def test_a_gain_of_seen_patients_alone_is_marked(tmp_path):
    """Where nobody is unseen, the gain rests on seen patients and says so."""
    store = make_store(tmp_path / "c.zarr", *rows_of(8, roles="train", views=("L1",)))

    read = section(report_cohort(open_store(store)), "Space quality")

    assert "SEEN BY ENCODER: the gain rests on 8 of 8 patients" in read.text
    assert "unseen patients only" not in read.text
    assert all("(SEEN BY ENCODER: 8 patients among them)" in row[0] for row in read.tables[0][1:])


def test_a_large_store_is_measured_on_some_patients(tmp_path, monkeypatch):
    """Those left out are counted, and the gain is left to its own command."""
    store = make_store(tmp_path / "c.zarr", *rows_of(12, views=("L1",)))
    few = confounders.sample_patients
    monkeypatch.setattr(
        gathering, "sample_patients", lambda *a, seed: few(*a, most_scans=50, seed=seed)
    )
    drawn = []
    blank = plot.distances
    monkeypatch.setattr(plot, "distances", lambda *a, patients: drawn.append(patients) or blank(*a))

    found = report_cohort(open_store(store))

    n = found.to_dict()["n_left_out"]
    assert n > 0
    assert len(drawn[0]) == len({*drawn[0]}) == 12 - n
    assert f"{n} of 12 patients, from space quality and confounders: large store" in found.html
    assert "`learner_index.measure_gain` does" in section(found, "Space quality").text


def test_space_is_measured_within_modality():
    """Two modalities of one view are measured as two views are."""
    x, obs = rows_of(8, repeats=False, views=("ap",))
    twice = pd.concat([obs.assign(modality=name) for name in ("us", "film")], ignore_index=True)
    both = np.vstack([x, x + np.float32(3)])
    named = twice.assign(view=twice["modality"]).drop(columns="modality")

    found = space_quality([], confounders.Sample(twice, both, 1))
    expected = space_quality([], confounders.Sample(named, both, 1))

    assert asdict(found) == asdict(expected)
    assert {*found.missing} == {"gain"}
    assert (
        found.within.n_pairs == 2 * space_quality([], confounders.Sample(obs, x, 1)).within.n_pairs
    )


def test_records_have_no_nan_and_no_infinity():
    """JSON has neither, at whatever depth; all else stays."""
    record = {"a": float("nan"), "b": (1, np.float64("inf")), "c": {"d": [-np.inf, "x", None]}}

    assert _finite(record) == {"a": None, "b": [1, None], "c": {"d": [None, "x", None]}}


def test_more_shuffles_are_told():
    """Where there are many columns, some had more than 999."""
    audits = [confounders.Confounders((), {}, 5, n, 20) for n in (999, 6000)]

    assert [cohort_page._shuffles(one) for one in audits] == [
        "999 shuffles",
        "up to 6,000 shuffles",
    ]


@pytest.mark.parametrize(
    ("near", "low", "high", "words"),
    [
        (4.0, 1.0, 3.0, ": closer than chance."),
        (6.0, -1.0, 1.0, ": not shown to be closer than chance."),
        (8.0, -3.0, -1.0, ": FURTHER than chance."),
    ],
)
def test_a_gain_is_put_into_words_by_its_interval(near, low, high, words):
    """An interval that holds 0 shows nothing; one below 0 is told as loudly as one above."""
    gain = Gain(near=near, chance=6.0, low=low, high=high, n_patients=9, n_scans=20)
    found = SpaceQuality(None, 4, None, None, gain, None, {})

    (line,) = cohort_page._meaning(found)

    assert line.endswith(words)


def test_clustering_by_patient_is_told_only_where_it_is_shown():
    """Identity within chance says nothing of who the patient is."""
    found = [
        cohort_page._meaning(SpaceQuality(None, 4, None, None, None, (0.5, low, 0.7, 0.2), {}))
        for low in (0.3, 0.1)
    ]

    assert [len(lines) for lines in found] == [1, 0]
    assert found[0][0].endswith("part of what the space holds is who the patient is.")


def test_an_empty_store_is_refused(tmp_path):
    """No scan, nothing to report."""
    card = {"space": "toy", "spec": "toy", "embedding_width": 2, "projection": "none"}
    kinds = {"scan_id": "text", "patient_id": "text"}
    with unsynced(), open_writer(tmp_path / "c.zarr") as writer:
        writer.create(2, kinds, {"clock": "patient", "encoder": card})

    with pytest.raises(NotEnoughDataError, match=r"c.zarr has no scan, so nothing to report"):
        report_cohort(open_store(tmp_path / "c.zarr"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no evaluation in .*: `learner-index evaluate` writes one"),
        ("{", r"evaluation.json in .* cannot be read \(.*\): evaluate again"),
        ('{"cohort": NaN}', r"cannot be read \(NaN is no finite number\): evaluate again"),
        ('{"cohort": [-Infinity]}', r"\(-Infinity is no finite number\): evaluate again"),
        ('{"cohort": 1e999}', r"\(1e999 is no finite number\): evaluate again"),
        ("[]", "is no evaluation of this version: evaluate again"),
        ('{"cohort": "c"}', "is no evaluation of this version: evaluate again"),
    ],
)
def test_folders_without_an_evaluation_are_refused(place, tmp_path, content, message):
    """No file, a damaged one, or one of something else."""
    if content is not None:
        (tmp_path / "evaluation.json").write_text(content)

    with pytest.raises(SettingsError, match=message):
        report_cohort(open_store(place / "c.zarr"), evaluation=tmp_path)


def test_a_folder_without_a_head_is_refused(place, tmp_path):
    """The error names how to make one."""
    with pytest.raises(HeadFormatError, match="no response head in"):
        report_cohort(open_store(place / "c.zarr"), head=tmp_path)


def test_an_evaluation_of_simulated_patients_is_marked():
    """Beside a real store it must not be taken for one of these patients."""
    told = evaluation_section(evaluation(is_simulated=True), is_simulated=False)

    assert told.warnings[0] == "The evaluation is of SIMULATED patients, the store is not."


def test_seen_models_and_missing_parts_of_an_evaluation():
    """SEEN BY ENCODER is a warning; without θ, tests or intervals the page is still whole."""
    rows = [measured("mse", 0.5, low=None, high=None, seen="SEEN BY ENCODER (3 of 20 patients)")]
    told = evaluation_section(
        evaluation(score={}, measures=rows, comparisons=[]), is_simulated=False
    )

    assert told.warnings == ("SEEN BY ENCODER (3 of 20 patients): mse.",)
    assert told.blocks[0].caption == "Primary endpoint: macro-F1 of the health change"
    assert told.blocks[0].rows == (("mse", "0.500", "-", "-", "-", "20", "30"),)


def test_many_models_stand_in_several_tables():
    """Five side by side; the sixth begins another table."""
    names = [f"m{i}" for i in range(6)]
    told = evaluation_section(
        evaluation(
            models=[{"name": name} for name in names],
            against="m0",
            measures=[measured(name, 0.5) for name in names],
            comparisons=[compared(name, "+") for name in names[1:]],
        ),
        is_simulated=False,
    )

    headers = [block.header for block in told.blocks if block.caption == "Health change"]
    assert headers == [
        ("measure", *names[:5], "patients / pairs"),
        ("measure", "m5", "patients / pairs"),
    ]
