"""What each command proposes to type next, and that it can be pasted."""

import shlex
import shutil

import pytest

from learner_index.commands.nextstep import pasteable
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
