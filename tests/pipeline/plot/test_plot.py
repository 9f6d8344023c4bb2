"""`li.plot`: what it offers, that it loads late, and that answers of a store can be drawn."""

import subprocess
import sys

import pytest

import learner_index as li
from learner_index.data.simulate.write import LABEL_NAME
from learner_index.pipeline.build import build
from learner_index.pipeline.plot import figures, interactive
from tests.analysis.plots.tidy import title, untidy
from tests.toy import ToySource, make_cohort

HEAVY = ("matplotlib", "plotly", "torch", "umap")


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """A toy store of scans that are called simulated."""
    folder = tmp_path_factory.mktemp("plot")
    make_cohort(folder, n_patients=8, n_days=3)
    (folder / LABEL_NAME).write_text("simulated")
    build(folder / "cohort.csv", folder / "c.zarr", ToySource())
    return li.open_store(folder / "c.zarr")


def test_naming_the_figures_loads_no_heavy_library():
    """Neither the package nor `li.plot` imports what draws, before something is drawn."""
    line = "import learner_index as li; li.plot"
    script = f"import sys; {line}; print([n for n in {HEAVY!r} if n in sys.modules])"

    told = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )

    assert told.stdout.strip() == "[]"


def test_every_figure_is_public():
    """What the modules offer is what `li.plot` lists, and each has a docstring."""
    assert set(figures.__all__) <= set(li.plot.__all__)
    assert li.plot.interactive is interactive
    for module in (figures, interactive):
        assert all(getattr(module, name).__doc__ for name in module.__all__)


def test_answers_of_a_simulated_store_say_so(simulated):
    """Hits, progressions and trajectories carry it, in Python and in JSON."""
    patient = "p2"
    answers = (
        simulated.similar(patient=patient, k=2),
        simulated.progression(patient=patient, k=2),
        simulated.trajectory(patient),
    )

    for answer in answers:
        assert answer.is_simulated
        assert answer.to_dict()["is_simulated"] is True


def test_answers_of_real_scans_do_not(tmp_path):
    """Without the label of a simulation, nothing is called simulated."""
    make_cohort(tmp_path)
    build(tmp_path / "cohort.csv", tmp_path / "c.zarr", ToySource())
    cohort = li.open_store(tmp_path / "c.zarr")

    assert not cohort.similar(patient="p0").is_simulated
    assert not cohort.trajectory("p0").is_simulated
    assert "SIMULATED" not in title(li.plot.trajectory(cohort.trajectory("p0")))


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_answers_can_be_drawn_and_kept(simulated, tmp_path, ending):
    """From a store to a file in two lines, called SIMULATED."""
    figure = li.plot.trajectory(simulated.trajectory("p2"))

    assert figure.save(tmp_path / f"t.{ending}").stat().st_size > 1000
    assert title(figure).startswith("SIMULATED DATA")
    assert untidy(figure) == []


def test_answers_can_be_explored(simulated):
    """The interactive twins take the same answers."""
    path = li.plot.interactive.trajectory(simulated.trajectory("p2"))
    like = li.plot.interactive.progression(simulated.progression(patient="p2", k=3))

    for figure in (path, like):
        assert figure.layout.title.text.startswith("SIMULATED DATA")
        assert len(figure.data) > 1
