"""`simulate brain`: settings reach the simulator, what comes out is labelled, and can be built."""

from types import SimpleNamespace

import pytest

from learner_index.data.simulate import brain_cohort
from learner_index.errors import QueryError
from learner_index.pipeline.simulate import simulate


def test_settings_reach_the_simulator(folder, program, monkeypatch):
    """Every option arrives; the answer is labelled and names the next step."""
    asked = {}

    def stand_in(place, kind, **settings):
        asked.update(settings, folder=place, kind=kind)
        return SimpleNamespace(n_scans=48, n_patients=24, manifest=place / "cohort.csv")

    monkeypatch.setattr("learner_index.pipeline.simulate.simulate", stand_in)
    options = "--tier power --seed 3 --noise 2 --confounder .6 --effect .5 --lead 5"
    options += " --reversible .1 --layout nifti --workers 2"

    done = program("simulate", "brain", "sim", *options.split())

    assert done.out == "sim: 48 SIMULATED scans of 24 patients\n"
    volumes = "--plane coronal --where 'view == coronal'"
    assert done.err == f"next: learner-index build sim/cohort.csv {volumes}\n"
    asked.pop("progress")
    asked.pop("folder")
    assert asked == {
        "kind": "brain",
        "tier": "power",
        "seed": 3,
        "noise": 2.0,
        "confounder": 0.6,
        "effect": 0.5,
        "lead": 5.0,
        "reversible": 0.1,
        "layout": "nifti",
        "workers": 2,
    }


def test_a_cohort_appears_and_checks(folder, program, monkeypatch):
    """The smallest cohort is written, labelled, and has no problem."""
    monkeypatch.setitem(brain_cohort._SIZES, "smoke", brain_cohort._Size(2, 32))

    done = program("simulate", "brain", "sim")

    assert done.code == 0
    assert "SIMULATED scans of 2 patients" in done.out
    assert (folder / "sim" / "SIMULATED.txt").is_file()
    assert "0 errors" in program("check", "sim/cohort.csv").out


@pytest.mark.parametrize(
    ("option", "value", "meant"), [("--tier", "papr", "paper"), ("--layout", "nifty", "nifti")]
)
def test_a_misspelt_choice_is_wrong_usage(folder, program, option, value, meant):
    """The closest word is offered."""
    done = program("simulate", "brain", "sim", option, value)

    assert done.code == 2
    assert f"did you mean '{meant}'?" in done.err


def test_a_kind_that_is_not_there_is_refused(folder):
    """From Python, an unknown kind is named with those there are."""
    with pytest.raises(QueryError, match="no simulator 'heart': choose one of lus, brain"):
        simulate(folder / "sim", "heart")
