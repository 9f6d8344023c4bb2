"""What run.json says of a call: nothing of where it ran that could name a person, all it needs."""

import json
from pathlib import Path
from unittest import mock

import pytest
import torch
from safetensors.torch import save_file

from learner_index.errors import RunFormatError
from learner_index.learn.weights import build_backbone, parse_spec
from learner_index.pipeline import pretrain as module
from learner_index.pipeline.pretrain import pretrain
from learner_index.pipeline.record import machine_notes, machines_of, shareable
from learner_index.pipeline.runs import read_run
from tests.pipeline.pretrain_toy import changed, scored_cohort

ONCE = changed(training={"epochs": 1})
HERE = {"world": 1, "threads": 2, "device": "cpu", "precision": "fp32"}


@pytest.fixture
def home(tmp_path) -> Path:
    """A cohort in a folder with a person's name."""
    folder = tmp_path / "Jane Doe"
    scored_cohort(folder, n_patients=6)
    return folder


def weights_file(folder: Path, seed: int = 3) -> Path:
    """Weights of the toy network in a folder of their own."""
    folder.mkdir(exist_ok=True)
    backbone = build_backbone(parse_spec("timm:test_resnet"), size=32, seed=seed)
    save_file(backbone.module.state_dict(), folder / "w.safetensors")
    return folder / "w.safetensors"


def from_file(file: Path):
    return changed(ONCE, encoder={"spec": f"timm:test_resnet@{file}"})


def stopped(home: Path, options) -> None:
    """A run interrupted before its first step."""
    with (
        mock.patch.object(module, "fit_encoder", side_effect=KeyboardInterrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        pretrain(home / "cohort.csv", home / "run", options)


def test_no_folder_is_named_anywhere(home):
    """Not of the manifest, the weights, or the cache: in no file a run leaves."""
    options = changed(
        from_file(weights_file(home / "weights")), cache={"folder": str(home / "own.cache")}
    )

    done = pretrain(home / "cohort.csv", home / "run", options)

    assert "Jane" not in json.dumps(done.run)
    assert "Jane" not in (home / "run/encoder.json").read_text(encoding="utf-8")
    assert done.run["options"]["encoder"]["spec"] == "timm:test_resnet@w.safetensors"
    assert done.run["start_weights"]["file"] == "w.safetensors"
    card = json.loads((home / "run/encoder.json").read_bytes())
    assert card["trained_on"].startswith("cohort.csv: ")


def test_the_default_network_is_written_out():
    """A record says what was trained, not that nothing was asked for."""
    plain = changed(encoder={"spec": None})

    assert shareable(plain)["encoder"]["spec"] == "timm:resnet18"


def test_a_run_from_a_file_goes_on_when_it_is_named_again(home):
    """Nothing typed: asked for. Typed, from wherever it lies now: as an undisturbed run."""
    file = weights_file(home / "weights")
    wanted = pretrain(home / "cohort.csv", home / "wanted", from_file(file))
    stopped(home, from_file(file))
    moved = file.rename(home / "w.safetensors")

    with pytest.raises(RunFormatError, match=r"w\.safetensors, whose .* --encoder timm:test_res"):
        pretrain(home / "cohort.csv", home / "run", resume=True)
    done = pretrain(home / "cohort.csv", home / "run", from_file(moved), resume=True)

    encoders = [(run.folder / "encoder.safetensors").read_bytes() for run in (done, wanted)]
    assert encoders[0] == encoders[1]


def test_other_weights_of_the_same_name_are_refused(home):
    """The content decides, not the name."""
    stopped(home, from_file(weights_file(home / "weights")))
    other = weights_file(home / "other", seed=4)

    with pytest.raises(RunFormatError, match="is not the weights file the run started from"):
        pretrain(home / "cohort.csv", home / "run", from_file(other), resume=True)


def test_a_finished_run_needs_its_start_weights_no_more(home):
    """It is only shown again."""
    file = weights_file(home / "weights")
    done = pretrain(home / "cohort.csv", home / "run", from_file(file))
    file.unlink()

    again = pretrain(home / "cohort.csv", home / "run", resume=True)

    assert again.run == done.run


# θ


def test_a_given_threshold_has_no_borrowed_reliability(home):
    """What is known of the kind's own θ says nothing of another."""
    options = changed(ONCE, score={"change_threshold": 5.0})

    stopped(home, options)

    score = read_run(home / "run")["health_score"]
    assert (score["threshold"], score["threshold_source"]) == (5, "given")
    assert score["known_reliability"] is None


@pytest.mark.parametrize(("kind", "is_known"), [("mmse", True), ("generic", False)])
def test_reliability_of_a_kinds_own_threshold(tmp_path, kind, is_known):
    """Told where it is known, null where it is not."""
    scored_cohort(tmp_path, n_patients=4, n_visits=2)
    text = (tmp_path / "cohort.csv").read_text(encoding="utf-8")
    assert ",25" in text

    stopped(tmp_path, changed(ONCE, score={"kind": kind}))

    found = read_run(tmp_path / "run")["health_score"]["known_reliability"]
    assert (found is not None and "Clark" in found) == is_known


# Where and how long


def test_the_machine_is_recorded_as_it_turned_out(home):
    """Threads, device and precision, not "auto"."""
    options = changed(ONCE, encoder={"device": "cpu", "precision": "auto"})

    stopped(home, options)

    assert read_run(home / "run")["machines"] == [{**HERE, "threads": torch.get_num_threads()}]


def test_another_machine_is_noted():
    """Other processes or threads end the promise of the same bits; the same ones do not."""
    known = {"machines": [HERE]}
    same = {"machines": machines_of(known, HERE)}
    other = {"machines": machines_of(known, {**HERE, "threads": 1, "world": 2})}

    assert machine_notes(same) == ()
    assert len(other["machines"]) == 2
    assert machine_notes(other)[0].startswith("processes 1 became 2, threads 2 became 1 since")


def test_time_is_summed_over_legs(home):
    """A run that goes on adds to what it took so far."""
    stopped(home, ONCE)
    run = read_run(home / "run") | {"elapsed_s": 1000.0}
    (home / "run/run.json").write_text(json.dumps(run), encoding="utf-8")

    done = pretrain(home / "cohort.csv", home / "run", resume=True)

    assert 1000 < done.run["elapsed_s"] < 1100


def test_time_is_noted_every_epoch(home):
    """A killed run remembers what its epochs took."""
    with mock.patch.object(module, "write_run", side_effect=module.write_run) as written:
        pretrain(home / "cohort.csv", home / "run", changed(training={"epochs": 2}))

    assert written.call_count == 4  # before, two epochs, done
