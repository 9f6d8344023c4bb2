"""The code on the pages of the documentation runs, and does what the page says."""

import importlib
import importlib.util
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

import learner_index.analysis.heads
import learner_index.learn.objectives
from learner_index.commands import app
from learner_index.learn.objectives.record import LabelScale
from learner_index.learn.objectives.registry import objective
from learner_index.pipeline.response.kinds import head_kind
from tests.guards.blocks import DOCS, blocks, typed, words
from tests.pipeline.response import test_every_head

SCRIPTS = [
    (path.relative_to(DOCS).as_posix(), number)
    for path in sorted(DOCS.rglob("*.md"))
    for number, block in enumerate(blocks(path.relative_to(DOCS).as_posix(), "sh"))
    if block.text.startswith("#!")
]


CALL = re.compile(r"(?:^learner-index|-m learner_index)\s+(.*)", re.MULTILINE)
EPOCHS = ("--epochs 4", "--epochs 1")  # what is shown of a run does not depend on it


def play(page, namespace, change=lambda command: command):
    """Run a page's blocks in the present folder; each command, what stands below it, its result.

    Args:
        page: below docs/.
        namespace: of the Python blocks.
        change: what is made of a command before it is run.
    """
    for block in blocks(page, "python", "console"):
        if block.language == "python":
            exec(block.text, namespace)
            continue
        for command, shown in typed(block.text):
            done = CliRunner().invoke(app, words(change(command))[1:], env={"COLUMNS": "100"})
            yield command, shown, done


def alike(shown, found):
    """Whether two outputs are the same but for speeds and times."""
    timing = re.compile(r"\(?[0-9.]+ (scans/s\)|ms)")
    return timing.sub("", shown).split() == timing.sub("", found).split()


def planted(page, package, name, folder, monkeypatch):
    """Put the first block of a page into a package, as a file of this name."""
    (folder / f"{name}.py").write_text(blocks(page, "python")[0].text, encoding="utf-8")
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    importlib.invalidate_caches()
    monkeypatch.setitem(sys.modules, f"{package.__name__}.{name}", None)
    del sys.modules[f"{package.__name__}.{name}"]


@pytest.fixture
def rank_order(tmp_path, monkeypatch):
    """The objective of the page, where the program finds it."""
    planted(
        "howto/own-objective.md",
        learner_index.learn.objectives,
        "rank_order",
        tmp_path,
        monkeypatch,
    )
    return objective("rank_order")


@pytest.fixture
def quadratic(tmp_path, monkeypatch):
    """The head of the page, where the program finds it."""
    planted("howto/own-head.md", learner_index.analysis.heads, "quadratic", tmp_path, monkeypatch)
    return head_kind("quadratic")


def test_the_objective_of_the_page_is_what_its_formula_says(rank_order):
    """A slow loop over pairs of patients gives the same loss; unknown scores have no part."""
    rng = np.random.default_rng(0)
    score, predicted = rng.standard_normal((2, 9))
    score[4] = np.nan
    patient = np.repeat([0, 1, 2], 3)

    found = rank_order.loss(
        torch.zeros(9, 2),
        torch.tensor(score),
        torch.tensor(patient),
        torch.arange(9),
        prediction=torch.tensor(predicted),
        labels=LabelScale(1.0, 1.0),
        temperature=0.5,
    )

    terms = [
        np.log1p(np.exp(-(predicted[i] - predicted[j]) / 0.5))
        for i in range(9)
        for j in range(9)
        if patient[i] != patient[j] and score[i] > score[j]
    ]
    assert float(found) == pytest.approx(np.mean(terms))


def test_the_program_shows_the_objective_of_the_page(rank_order):
    """`learner-index objectives rank_order` prints its card."""
    shown = CliRunner().invoke(app, ["objectives", "rank_order"])

    assert shown.exit_code == 0
    assert "Burges" in shown.output


@pytest.mark.parametrize("law", [name for name in dir(test_every_head) if name.startswith("test_")])
def test_the_head_of_the_page_keeps_the_laws_of_heads(quadratic, law):
    """All that is asked of every head holds for it."""
    check = getattr(test_every_head, law)
    for given in {"number": [np.float32], "rows": [0, 7]}.get(
        next((name for name in ("number", "rows") if name in check.__code__.co_varnames[:2]), ""),
        [None],
    ):
        check(quadratic, *([] if given is None else [given]))


def test_the_head_of_the_page_agrees_with_scikit_learn(quadratic):
    """With next to no ridge its probabilities are those of another implementation."""
    from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis

    from learner_index.analysis.softmax import softmax
    from tests.analysis.heads.lessons_toy import planted as lesson_of

    lesson = lesson_of(3, rows=200)
    lesson = replace(lesson, weight=np.ones(200))

    found = quadratic.fit(lesson, 1e9, 0).logits(lesson.features)

    known = QuadraticDiscriminantAnalysis().fit(lesson.features, lesson.target)
    np.testing.assert_allclose(softmax(found), known.predict_proba(lesson.features), atol=1e-6)


@pytest.mark.slow
def test_the_tutorial_runs(tmp_path, monkeypatch):
    """Every block works in an empty folder; what no training has touched is what the page shows."""
    monkeypatch.chdir(tmp_path)
    compared = 0

    for command, shown, done in play("tutorial.md", {}, lambda text: text.replace(*EPOCHS)):
        assert done.exit_code == 0, (command, done.output)
        assert done.stdout.split("\n")[0].split()[:1] == shown.split()[:1], command
        if words(command)[1] in ("simulate", "manifest", "check"):
            assert alike(shown, done.output), command
            compared += 1

    assert compared >= 7


def test_the_page_on_encoders_runs(tmp_path, monkeypatch):
    """A weights file and a model of one's own make stores; both show what the page shows."""
    monkeypatch.chdir(tmp_path)
    namespace = {}

    for command, shown, done in play("howto/own-encoder.md", namespace):
        assert done.exit_code == 0, (command, done.output)
        if words(command)[1] in ("simulate", "build"):
            assert alike(shown, done.output), command

    assert len(namespace["hits"]) == 3


@pytest.mark.parametrize(("page", "number"), SCRIPTS)
def test_scripts_are_shell(page, number):
    """Bash reads every script of the pages without running it."""
    script = blocks(page, "sh")[number].text

    done = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True)

    assert done.returncode == 0, done.stderr


def test_commands_on_the_pages_have_these_options():
    """Every option after `learner-index` in a shell block of the how-tos and recipes exists."""
    wrong = []
    for path in sorted([*DOCS.glob("howto/*.md"), *DOCS.glob("recipes/*.md")]):
        for block in blocks(path.relative_to(DOCS).as_posix(), "sh"):
            for line in CALL.findall(block.text.replace("\\\n", " ")):
                wrong += [f"{path.name}: {line}"] * (not has_options(line.split("#")[0].split()))

    assert wrong == []


def has_options(line):
    """Whether a command knows all its options, asked by its --help."""
    names = [word for word in line if not word.startswith("-")]
    command = names[:2] if names[0] in ("simulate", "response") else names[:1]
    known = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200"}).output
    return {word for word in line if word.startswith("--")} <= set(re.findall(r"--[\w-]+", known))


def test_folds_of_the_slurm_page_keep_patients_apart(tmp_path, monkeypatch):
    """Each manifest has every patient in one split, and each patient is unseen in one of them."""
    monkeypatch.chdir(tmp_path)
    rows = pd.DataFrame({"scan_id": range(60), "patient_id": np.repeat(range(20), 3)})
    rows.to_csv("cohort.csv", index=False)

    exec(blocks("howto/slurm.md", "python")[0].text, {})

    unseen = []
    for fold in range(5):
        table = pd.read_csv(f"cohort-fold{fold}.csv")
        splits = table.groupby("patient_id")["split"].unique()
        assert (splits.str.len() == 1).all()
        assert set(table["split"]) == {"train", "val", "test"}
        unseen += list(splits.index[splits.str[0] == "test"])
    assert sorted(unseen) == list(range(20))


@pytest.mark.parametrize(
    ("page", "name"), [("patient-level.md", "patient"), ("directions.md", "direction")]
)
def test_the_numbers_of_the_explanations(page, name):
    """The pages show what `benchmarks/demonstrations.py` prints."""
    path = DOCS.parent / "benchmarks" / "demonstrations.py"
    spec = importlib.util.spec_from_file_location("demonstrations", path)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)

    assert blocks(page, "text")[0].text.strip() == program.shown(name)
