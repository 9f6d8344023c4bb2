"""What each command proposes to type next, and that it can be pasted."""

import shlex
import shutil
from types import SimpleNamespace

import pytest

from learner_index.commands.nextstep import carried, of_visits, pasteable
from tests.commands.broken import rows, write_rows
from tests.toy import make_cohort

STEPS = [
    (("check", "cohort.csv"), "build cohort.csv"),
    (("check", "cohort.csv", "--clock", "cohort"), "build cohort.csv --clock cohort"),
    (("build", "cohort.csv", "-o", "n.zarr"), "info n.zarr"),
    (("info", "c.zarr"), "similar c.zarr --patient p0 -k 5"),
    (("similar", "c.zarr", "--patient", "p0", "-k", "2"), "progression c.zarr --patient p0 -k 2"),
    (("similar", "c.zarr", "--scan", "p0d0", "-k", "1"), "similar c.zarr --patient p1"),
    (("similar", "c.zarr", "--patient", "p0", "--where", "day > 9"), "info c.zarr"),
    (("progression", "c.zarr", "--patient", "p0"), "trajectory c.zarr --patient p0"),
    (("trajectory", "c.zarr", "--patient", "p0", "-k", "0"), "report c.zarr --patient p0"),
    (("refit", "c.zarr"), "info c.zarr"),
    (("verify", "c.zarr"), "info c.zarr"),
    (("compact", "c.zarr"), "verify c.zarr"),
]


@pytest.mark.parametrize(("words", "step"), STEPS, ids=lambda value: " ".join(value))
def test_a_command_that_ends_well_names_the_next_one(store, program, words, step):
    """The last line on stderr, with the paths as they were typed; nothing of it is on stdout."""
    done = program(*words)

    assert done.code == 0
    assert done.err.splitlines()[-1] == f"next: learner-index {step}"
    assert "next:" not in done.out


A, B = ("--where", "site == A"), ("--where", "scan_id != x")
P0, K1 = ("c.zarr", "--patient", "p0"), ("-k", "1")
GO = ("progression", *P0, *K1)
CARRIED = {
    "a condition, to changes": (("similar", *P0, *K1, *A), (*GO, *A)),
    "a likeness": (("similar", *P0, *K1, "--match", "site"), (*GO, "--match", "site")),
    "a last day": (("similar", *P0, *K1, "--until-day", "1.5"), (*GO, "--until-day", "1.5")),
    "a condition, to the patient alike": (
        ("similar", "c.zarr", "--scan", "p0d0", *A),
        ("similar", "c.zarr", "--patient", "p2", *A),
    ),
    "not a last day, to another patient": (
        ("similar", *P0, "--until-day", "0"),
        ("similar", "c.zarr", "--patient", "p1"),
    ),
    "not a condition on a scan, to changes": (("similar", *P0, *K1, *A, *B), (*GO, *A)),
    "all of a change, to its path": (
        (*GO, *A, "--match", "site", "--modality", "", "--until-day", "1"),
        ("trajectory", *P0, *A, "--match", "site", "--modality", "", "--until-day", "1"),
    ),
    "not a condition on a change, to its path": (
        (*GO, "--where", "to_day <= 9"),
        ("trajectory", *P0),
    ),
    "nothing that a report is not asked": (("trajectory", *P0, *A), ("report", *P0)),
}


@pytest.mark.parametrize(("words", "step"), CARRIED.values(), ids=CARRIED)
def test_what_narrowed_the_answer_narrows_the_next(store, program, words, step):
    """Options that were typed and that the next command has go along, and it then runs."""
    done = program(*words)
    proposed = shlex.split(done.err.splitlines()[-1].removeprefix("next: "))

    assert proposed == ["learner-index", *step]
    assert program(*proposed[1:]).code == 0


def test_a_day_of_the_cohort_goes_along(folder, program, toy_encoder):
    """What --as-of hides stays hidden, and a patient seen once by then has no change to ask of."""
    make_cohort(folder, 3, 3)
    program("build", "cohort.csv", "-o", "c.zarr", "--clock", "cohort")

    late = program("similar", *P0, *K1, "--as-of", "1").err.splitlines()[-1]
    early = program("similar", *P0, *K1, "--as-of", "0").err.splitlines()[-1]

    assert late == "next: learner-index progression c.zarr --patient p0 -k 1 --as-of 1"
    assert early == "next: learner-index similar c.zarr --patient p1 --as-of 0"


def test_a_report_leads_to_one_of_the_same_kind(store, program, monkeypatch):
    """Head and modality of a patient's report are those of the next patient's."""
    asked = {}

    def reported(cohort, patient, **options):
        asked.update(options)
        return SimpleNamespace(title="", missing={}, most_alike="p 1", save=lambda target: None)

    monkeypatch.setattr("learner_index.pipeline.reports.report.report_patient", reported)

    done = program("report", *P0, "--head", "my head", "--modality", "lus")

    assert (str(asked["head"]), asked["modality"]) == ("my head", "lus")
    assert done.err.splitlines()[-1] == (
        "next: learner-index report c.zarr --patient 'p 1' --modality lus --head 'my head'"
    )


def test_a_path_leads_to_a_report_of_its_modality(store, program):
    """A modality that was chosen for the path is chosen for the report."""
    done = program("trajectory", *P0, "--modality", "")

    assert (
        done.err.splitlines()[-1] == "next: learner-index report c.zarr --patient p0 --modality ''"
    )


def test_options_that_were_not_typed_are_not_carried():
    """None and an empty list leave no word; a whole day has no decimal point."""
    assert carried(where=[], match=None, until_day=3.0) == ["--until-day", "3"]
    assert carried(as_of=2.5, where=["a == 1", "b"]) == (
        ["--as-of", "2.5", "--where", "a == 1", "--where", "b"]
    )


@pytest.mark.parametrize("text", ["scan_id!=x", " rescan", "delta_day>3", "to_day <= 9"])
def test_conditions_on_a_scan_or_a_change_are_no_conditions_on_visits(text):
    """They are told by the column they start with, however it is written."""
    assert of_visits([text, "days_x == 1", "age±5"]) == ["days_x == 1", "age±5"]


def test_objectives_lead_to_one_and_one_to_pretraining(program):
    """The list proposes the default's card, a card proposes to train with it."""
    listed, one = program("objectives"), program("objectives", "mse")

    assert listed.err == "next: learner-index objectives learner_weighted\n"
    assert one.err == "next: learner-index pretrain MANIFEST --objective mse\n"


@pytest.mark.parametrize(
    "words",
    [
        ("check", "cohort.csv"),
        ("info", "c.zarr"),
        ("verify", "c.zarr"),
        ("similar", "c.zarr", "--patient", "p0"),
        ("progression", "c.zarr", "--patient", "p0"),
        ("trajectory", "c.zarr", "--patient", "p0"),
        ("objectives",),
    ],
    ids=lambda words: words[0],
)
def test_json_answers_propose_nothing(store, program, words):
    """--json is for programs: stderr holds no next step."""
    assert "next:" not in program(*words, "--json").err


def test_the_next_step_works_with_blanks_in_names(store, program):
    """Paths and patients that need quotes get them, so that what is pasted runs."""
    shutil.copytree("c.zarr", "my store.zarr")

    step = program("info", "my store.zarr").err.splitlines()[-1].removeprefix("next: ")
    done = program(*shlex.split(step)[1:])

    assert "'my store.zarr'" in step
    assert done.code == 0


def test_words_are_quoted_for_a_shell():
    """What a shell would take apart or carry out stays one word."""
    words = ("similar", "a b.zarr", "--where", "site == A; rm x", "-k", 5)

    assert shlex.split(pasteable(*words)) == ["learner-index", *map(str, words)]


def test_a_patient_of_one_visit_leads_to_the_nearest(folder, program, toy_encoder):
    """Without a second visit there is no change to ask about: the nearest patient comes next."""
    make_cohort(folder, 3, 1)
    program("build", "cohort.csv", "-o", "c.zarr")

    done = program("similar", "c.zarr", "--patient", "p0")

    assert done.err.splitlines()[-1] == "next: learner-index similar c.zarr --patient p1"


@pytest.mark.parametrize("command", ["check", "build", "info"])
def test_what_the_data_cannot_answer_is_said_early(folder, program, toy_encoder, command):
    """One visit each and no health score: check, build and info say what still answers."""
    make_cohort(folder, 3, 1)
    write_rows([{k: v for k, v in row.items() if k != "health_score"} for row in rows()])
    if command == "info":
        program("build", "cohort.csv", "-o", "c.zarr")

    done = program(*{"build": ("build", "cohort.csv", "-o", "c.zarr"), "info": ("info", "c.zarr")}
                   .get(command, ("check", "cohort.csv")))  # fmt: skip

    assert "note: no patient has two visits with a day: similar answers" in done.err
    assert "note: no health score: similar answers" in done.err
    assert done.err.splitlines()[-1].startswith("next: learner-index ")
