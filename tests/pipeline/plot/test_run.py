"""Learning curves from a run's folder: whole, of folds, unfinished, or altered."""

import math

import pytest

from learner_index.analysis.curves import write_curves
from learner_index.errors import NotEnoughDataError, RunFormatError
from learner_index.pipeline.plot.run import learning_curves, read_history
from learner_index.pipeline.runs import write_run
from tests.analysis.plots.tidy import caption, title, untidy

HISTORY = [
    {"epoch": 1, "loss": 2.0, "regression": 1.0, "contrastive": 1.0, "val_spearman": math.nan},
    {"epoch": 2, "loss": 1.5, "regression": 0.7, "contrastive": 0.8, "val_spearman": 0.3},
]
RECORD = {
    "kind": "run",
    "state": "done",
    "cohort": "cohort.csv",
    "options": {"objective": {"name": "learner"}},
    "n_patients": {"train": 40, "val": 10, "unseen": 5},
    "criterion": "val_spearman",
    "best_epoch": 2,
}


def run_in(folder, history=HISTORY, **changed):
    """A run's folder with its record and curves."""
    folder.mkdir(parents=True, exist_ok=True)
    write_run(folder, RECORD | changed)
    if history:
        write_curves(history, folder / "curves.csv")
    return folder


def test_a_run_is_drawn_from_its_folder(tmp_path):
    """The curves of the table, the best epoch of the record, and n below."""
    figure = learning_curves(run_in(tmp_path / "run", is_simulated=True))

    loss, rho = figure.axes
    assert list(loss.lines[0].get_ydata()) == [2.0, 1.5]
    assert rho.get_title(loc="left") == "validation (ring: best epoch 2)"
    assert title(figure) == "SIMULATED DATA: learner on cohort.csv"
    assert caption(figure) == (
        "n: trained on 40 patients, validated on 10 patients. These chose the epoch, by "
        "val_spearman (SEEN BY ENCODER)."
    )
    assert untidy(figure) == []


def test_what_was_written_reads_back(tmp_path):
    """NaN stays NaN, and what an epoch lacks is absent."""
    write_curves([*HISTORY, {"epoch": 3, "loss": 1.0}], tmp_path / "curves.csv")

    found = read_history(tmp_path)

    assert math.isnan(found[0].pop("val_spearman"))
    assert found[1] == HISTORY[1]
    assert found[2] == {"epoch": 3, "loss": 1.0}


def test_folds_share_the_panels(tmp_path):
    """A line a fold that has begun; counts are a range."""
    for number, n in ((1, 40), (2, 42)):
        run_in(tmp_path / f"fold-{number}", n_patients={"train": n, "val": 10}, best_epoch=number)
    write_run(tmp_path, RECORD | {"kind": "folds", "folds": ["fold-1", "fold-2", "fold-3"]})

    figure = learning_curves(str(tmp_path))

    loss, rho = figure.axes
    assert [line.get_label() for line in loss.lines][:2] == ["total", "_child1"]
    assert rho.get_title(loc="left") == "validation (ring: best epochs 1, 2)"
    assert title(figure) == "learner on cohort.csv, 2 folds"
    assert "trained on 40 to 42 patients" in caption(figure)


def test_an_unfinished_run_is_drawn_as_far_as_it_went(tmp_path):
    """No best epoch is known, and the title says that it is not done."""
    figure = learning_curves(run_in(tmp_path, state="running", best_epoch=None, n_patients={}))

    assert title(figure) == "learner on cohort.csv (running)"
    assert caption(figure) == ""


def test_refuses_what_is_no_run(tmp_path):
    """No record, no epoch, or a table that was altered: named, with the next step."""
    with pytest.raises(RunFormatError, match=r"run\.json is missing"):
        learning_curves(tmp_path)
    with pytest.raises(NotEnoughDataError, match="no epochs to draw"):
        learning_curves(run_in(tmp_path / "new", history=None))


@pytest.mark.parametrize(
    "text", ["epoch,loss\n,1\n", "epoch,loss\n1,high\n", "epoch,loss\n1,2,3\n"]
)
def test_refuses_altered_curves(tmp_path, text):
    """A row without epoch, a cell that is no number, or one too many."""
    folder = run_in(tmp_path / "run")
    (folder / "curves.csv").write_text(text)

    with pytest.raises(RunFormatError, match=r"curves\.csv in 'run' was altered"):
        learning_curves(folder)


def test_a_table_that_cannot_be_read_is_named(tmp_path):
    """A folder in its place."""
    folder = run_in(tmp_path / "run", history=None)
    (folder / "curves.csv").mkdir()

    with pytest.raises(RunFormatError, match=r"curves\.csv in 'run' cannot be read"):
        learning_curves(folder)
