"""Runs that start from a finished run: what is taken over, whom they call seen, what fails.

Their last block alone learns here; that all else stays, `tests/learn/test_fit_start.py` shows.
"""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from learner_index.config import EncoderOptions, PretrainOptions
from learner_index.data.split import ROLES, PatientSplit
from learner_index.errors import (
    EncoderError,
    ManifestError,
    RunFormatError,
    SettingsError,
    SpaceMismatchError,
    SplitError,
)
from learner_index.learn.encoder import load_encoder
from learner_index.learn.weights import build_backbone, parse_spec
from learner_index.pipeline import pretrain as module
from learner_index.pipeline.pretrain import PretrainResult, Talk, pretrain
from learner_index.pipeline.roles import run_encoder
from learner_index.pipeline.runs import read_run, write_run
from learner_index.pipeline.start import joined_roles, merged
from tests.pipeline.pretrain_toy import changed, scored_cohort
from tests.toy import write_manifest

WIDER = {"val_share": 0.4, "seed": 2}
FIRST = changed(split={"test_share": 0.3}, training={"epochs": 1, "patience": 0})


@pytest.fixture(scope="module", autouse=True)
def no_picture():
    """The picture of the curves is a stand-in, for speed."""
    with mock.patch.object(module, "draw_curves"):
        yield


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A cohort of ten patients, and one of which p0 to p4 are gone and five others came."""
    folder = tmp_path_factory.mktemp("Jane Doe")
    rows = scored_cohort(folder, n_patients=15)
    for row in rows:
        row["response"] = ("worsened", "stable", "improved")[int(str(row["patient_id"])[1:]) % 3]
    write_manifest(folder / "cohort.csv", rows[:30])
    write_manifest(folder / "other.csv", rows[15:])
    return folder


@pytest.fixture(scope="module")
def first(home) -> PretrainResult:
    """A finished run on p0 to p9, three of them unseen."""
    return pretrain(home / "cohort.csv", home / "first", FIRST)


def tune(first: PretrainResult | Path, **sections) -> PretrainOptions:
    """Settings that train the last block of a run's encoder; the run decides its own."""
    folder = first if isinstance(first, Path) else first.folder
    base = changed(FIRST, training={"blocks": "last"}, **sections)
    wanted = EncoderOptions(spec=str(folder), device="cpu")
    return replace(base, encoder=wanted)


@pytest.fixture(scope="module")
def tuned(home, first) -> PretrainResult:
    """The same patients in the same roles, on classes of response."""
    classes = {"class_column": "response", "classes": ("worsened", "stable", "improved")}
    return pretrain(home / "cohort.csv", home / "tuned", tune(first, score=classes))


@pytest.fixture(scope="module")
def moved(home, first) -> PretrainResult:
    """p5 to p14: five of the first run, five others."""
    return pretrain(home / "other.csv", home / "moved", tune(first, split=WIDER))


def weights(result: PretrainResult) -> bytes:
    return (result.folder / "encoder.safetensors").read_bytes()


def everyone(split: PatientSplit) -> set[str]:
    return {name for role in ROLES for name in getattr(split, role)}


# What a run takes over and leaves


def test_only_the_last_block_learns_from_classes_of_response(tuned, first):
    """A whole run on a response column: all tensors before the last block are the start's."""
    before, after = (
        load_encoder(r.folder, device="cpu").network.state_dict() for r in (first, tuned)
    )

    moved = {name for name in after if not np.array_equal(after[name], before[name])}

    kinds = {name.split(".")[1] if name.startswith("backbone") else name for name in moved}
    assert kinds == {"layer4", "projection.weight", "head.weight", "head.bias"}
    assert tuned.run["space"] != first.run["space"]
    assert tuned.run["target"]["unit"] == "class 0..2"


def test_run_json_names_the_start_by_its_space(tuned, first):
    """Space, network, data and roles of the start; no folder is named in any file."""
    assert tuned.run["start_weights"] == {
        "run": first.run["space"],
        "spec": "timm:test_resnet",
        "trained_on": "cohort.csv: 5 patients, learner_weighted, score generic",
        "split": first.run["split"],
    }
    assert tuned.run["options"]["encoder"]["spec"] == f"run:{first.run['space']}"
    assert tuned.run["preprocessing"] == first.run["preprocessing"]
    for name in ("run.json", "encoder.json"):
        assert "Jane" not in (tuned.folder / name).read_text(encoding="utf-8")
    card = json.loads((tuned.folder / "encoder.json").read_bytes())
    assert card["trained_on"].endswith(f", after {tuned.run['start_weights']['trained_on']}")
    assert "5 patients, last block, learner_weighted" in card["trained_on"]


def test_the_same_shares_and_seed_keep_all_roles(tuned, first):
    """Nobody moves, so unseen patients stay unseen by both, and no note is needed."""
    assert tuned.run["patients"] == first.run["patients"]
    assert tuned.run["figures"]["unseen"]["n_patients"] == 3
    assert not any("this one starts from" in note for note in tuned.notes)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("size", 64, "takes size 32, not 64"),
        ("frames", 4, "takes frames 1, not 4"),
        ("width", 16, "takes width 8, not 16"),
        ("temporal_shift", "on", "takes temporal_shift False, not True"),
        ("anchor", "top", "takes anchor center, not top"),
    ],
)
def test_another_setting_than_the_start_s_is_refused(home, first, tmp_path, name, value, says):
    """Before anything is read; what is asked for again as it is passes."""
    other = changed(tune(first), encoder={name: value})

    with pytest.raises(SpaceMismatchError, match=f"the run's encoder {says}: leave the option out"):
        pretrain(home / "absent.csv", tmp_path / "run", other)
    same = changed(tune(first), encoder={"size": 32, "width": 8, "frames": 1})
    with pytest.raises(ManifestError, match=r"absent\.csv"):
        pretrain(home / "absent.csv", tmp_path / "run", same)


# Whom the encoder has seen


@given(data=st.data())
def test_merged_roles_only_move_towards_seen(data):
    """Everybody has the stronger of both roles; order, repetition and grouping do not matter."""
    drawn = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(ROLES))
    one, two, three = (
        PatientSplit(**{r: tuple(n for n, got in roles.items() if got == r) for r in ROLES})
        for roles in (data.draw(drawn) for _ in range(3))
    )

    both = merged(one, two)

    assert everyone(both) == everyone(one) | everyone(two)
    for name in everyone(both):
        strongest = min(ROLES.index(split.role_of(name)) for split in (one, two))
        assert both.role_of(name) == ROLES[strongest]
    assert both == merged(two, one) == merged(both, one) == merged(both, both)
    assert merged(both, three) == merged(one, merged(two, three))


def test_whoever_trained_the_start_trains_here(moved, first):
    """No patient of the start's training validates or is unseen; who is not here is named, too."""
    start, found = (PatientSplit.from_dict(r.run["patients"]) for r in (first, moved))

    assert set(start.train) <= set(found.train)
    assert set(start.val) <= set(found.train) | set(found.val)
    assert everyone(found) == {f"p{number}" for number in range(15)}
    assert found.fingerprint == moved.run["split"]
    assert run_encoder(str(moved.folder)).split == found


def test_counts_and_notes_are_of_the_cohort(moved):
    """Ten patients are here, of fifteen that are named; how many were moved is told."""
    counts = moved.run["n_patients"]

    assert sum(counts.values()) == 10
    here = {f"p{number}" for number in range(5, 15)}
    for role in ROLES:
        assert len(here & set(moved.run["patients"][role])) == counts[role]
    assert any("who trained the run this one starts from, and so train" in n for n in moved.notes)
    assert moved.run["n_scans"]["train"] == 3 * counts["train"]


def test_a_chain_remembers_its_first_run(home, moved, tmp_path):
    """Tuned again on the other patients alone: those of the very first run stay seen."""
    rows = (home / "other.csv").read_text(encoding="utf-8").splitlines()
    third = "\n".join([rows[0], *(row for row in rows if "p1" in row.split(",")[0])])
    (home / "third.csv").write_text(third, encoding="utf-8")

    done = pretrain(home / "third.csv", tmp_path / "run", tune(moved, split={"val_share": 0.0}))

    before, after = (PatientSplit.from_dict(r.run["patients"]) for r in (moved, done))
    assert everyone(after) == everyone(before)
    assert set(before.train) <= set(after.train)
    assert done.run["start_weights"]["trained_on"].count(", after ") == 1


DRAWN = PatientSplit(("a", "b"), ("c", "d"), ("e", "f"))


def cohort(*hashes: str) -> Any:
    """Six patients with a scan each, in the roles that were drawn; its bytes by hash."""
    patients = list("abcdef")
    return SimpleNamespace(
        splits=lambda options: (DRAWN,),
        patients=patients,
        scan_ids=[f"scan-{name}" for name in patients],
        hashes=list(hashes) or patients,
    )


def test_roles_of_the_start_win_where_they_are_stronger():
    """Trained: trains. Validated: is not unseen. Unseen: as drawn. Absent: is not named."""
    before = PatientSplit(("c", "y"), ("a", "e"), ("b", "d", "f", "z"))

    splits, notes = joined_roles(cohort(), FIRST, before)

    assert splits == (PatientSplit(("a", "b", "c"), ("d", "e"), ("f",)),)
    assert notes == (
        "patients who trained the run this one starts from, and so train here too: 1",
        "patients who validated the run this one starts from, and so validate here too: 1",
    )


def test_without_a_start_roles_are_those_drawn():
    """Also where too few validate, which is then left to the draw."""
    assert joined_roles(cohort(), FIRST, PatientSplit(())) == ((DRAWN,), ())


def test_the_same_bytes_in_two_roles_are_refused_after_joining():
    """Two patients drawn to validate share a scan; the start trained on one of them."""
    with pytest.raises(SplitError, match=r"the same scan has two roles, scan-c .*\(train\) and sc"):
        joined_roles(cohort(*"abccef"), FIRST, PatientSplit(("c",), ("e",)))


def test_too_few_left_to_validate_is_refused(home, first, tmp_path):
    """Early stopping does not vanish silently: two ways on are named."""
    rows = (home / "cohort.csv").read_text(encoding="utf-8").splitlines()
    own = first.run["patients"]["train"]
    kept = [row for row in rows[1:] if row.split(",")[1] in own]
    (home / "trained.csv").write_text("\n".join([rows[0], *kept]), encoding="utf-8")

    with pytest.raises(SplitError, match=r"^patients left to validate: 0, .* on 2 of those drawn"):
        pretrain(home / "trained.csv", tmp_path / "run", tune(first, split={"test_share": 0.0}))


# What cannot be


def test_folds_are_refused(home, first, tmp_path):
    """No fold could have patients unseen by the start."""
    with pytest.raises(SettingsError, match=r"--folds and a starting run .* leave --folds out"):
        pretrain(home / "cohort.csv", tmp_path / "run", tune(first, split={"folds": 2}))


def test_column_split_is_refused_unless_it_is_not_used(home, first, tmp_path):
    """Roles are the start's and drawn ones; the column can be left aside."""
    rows = scored_cohort(tmp_path)
    write_manifest(tmp_path / "cohort.csv", [{**row, "split": "train"} for row in rows])

    with pytest.raises(SplitError, match=r"column split of cohort\.csv .*split\.use_column=false"):
        pretrain(tmp_path / "cohort.csv", tmp_path / "run", tune(first))
    aside = tune(first, split={"use_column": False})
    assert pretrain(tmp_path / "cohort.csv", tmp_path / "run", aside).run["state"] == "done"


def test_an_untrained_network_has_nothing_to_hold_still(home, tmp_path):
    """Random weights are not kept; the ways to trained ones are named."""
    with pytest.raises(SettingsError, match=r"timm:test_resnet is untrained.*--encoder RUN"):
        pretrain(home / "cohort.csv", tmp_path / "run", changed(training={"blocks": "last"}))


def test_a_last_block_that_cannot_be_told_is_refused_early(home, first, tmp_path, monkeypatch):
    """Before the cohort is read, and no folder is left."""
    monkeypatch.delattr("timm.models.resnet.ResNet.group_matcher")

    with pytest.raises(EncoderError, match=r"the last block of ResNet cannot be told"):
        pretrain(home / "absent.csv", tmp_path / "run", tune(first))
    assert not (tmp_path / "run").exists()


def test_a_start_named_by_its_space_is_no_folder(home, tmp_path):
    """What run.json says cannot be typed for a new run."""
    with pytest.raises(EncoderError, match=r"'run:abc' names no folder: give that of the run"):
        pretrain(home / "cohort.csv", tmp_path / "run", tune(Path("run:abc")))


# Going on


def test_an_interrupted_run_ends_as_an_undisturbed_one(home, first, tmp_path):
    """Ctrl-C in the second epoch; the start is asked for, then named: the same bytes and record."""
    wanted = changed(tune(first, split=WIDER), training={"epochs": 2})
    whole = pretrain(home / "other.csv", tmp_path / "whole", wanted)

    def stop(event) -> None:
        if event.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(home / "other.csv", tmp_path / "run", wanted, talk=Talk(watch=stop))
    with pytest.raises(RunFormatError, match=r"started from run:\w{16}, whose folder .* RUN$"):
        pretrain(home / "other.csv", tmp_path / "run", resume=True)
    done = pretrain(home / "other.csv", tmp_path / "run", wanted, resume=True)

    assert weights(done) == weights(whole)
    assert {**done.run, "elapsed_s": 0} == {**whole.run, "elapsed_s": 0}


def test_a_run_older_than_blocks_goes_on(home, tmp_path):
    """run.json of a run that was started before the setting existed: the same bytes as without."""
    whole = pretrain(home / "cohort.csv", tmp_path / "whole", FIRST)
    with (
        mock.patch.object(module, "fit_encoder", side_effect=KeyboardInterrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        pretrain(home / "cohort.csv", tmp_path / "run", FIRST)
    known = read_run(tmp_path / "run")
    del known["options"]["training"]["blocks"], known["n_patients"]
    write_run(tmp_path / "run", known)

    done = pretrain(home / "cohort.csv", tmp_path / "run", resume=True)

    assert weights(done) == weights(whole)
    assert {**done.run, "elapsed_s": 0} == {**whole.run, "elapsed_s": 0}


def test_goes_on_with_nothing_else(home, first, moved, tmp_path):
    """Another start, other blocks, or a start whose patients were altered: each is one line."""
    with (
        mock.patch.object(module, "fit_encoder", side_effect=KeyboardInterrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        pretrain(home / "other.csv", tmp_path / "run", tune(first, split=WIDER))

    def again(wanted: PretrainOptions) -> None:
        pretrain(home / "other.csv", tmp_path / "run", wanted, resume=True)

    with pytest.raises(RunFormatError, match=r"is not the run that this one started from \(space"):
        again(tune(moved, split=WIDER))
    with pytest.raises(RunFormatError, match=r"training\.blocks = 'last', not 'all'"):
        again(changed(tune(first, split=WIDER), training={"blocks": "all"}))
    with pytest.raises(RunFormatError, match=r"encoder\.spec = 'run:\w{16}', not 'timm:test_res"):
        again(
            changed(
                tune(first, split=WIDER),
                encoder={"spec": "timm:test_resnet"},
                training={"blocks": "all"},
            )
        )
    weights_of = build_backbone(parse_spec("timm:test_resnet"), size=32).module
    save_file(weights_of.state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(
        RunFormatError, match=r"encoder\.spec = 'run:\w{16}', not 'timm:test_res.*@w"
    ):
        again(changed(FIRST, encoder={"spec": f"timm:test_resnet@{tmp_path / 'w.safetensors'}"}))
    known = PatientSplit.from_dict(first.run["patients"])
    roles = PatientSplit(known.train, (*known.val, known.unseen[0]), known.unseen[1:])
    write_run(
        tmp_path / "first", {**first.run, "patients": roles.to_dict(), "split": roles.fingerprint}
    )
    for name in ("encoder.json", "encoder.safetensors"):
        (tmp_path / "first" / name).write_bytes((first.folder / name).read_bytes())
    with pytest.raises(RunFormatError, match="the patients' roles are not those"):
        again(tune(tmp_path / "first", split=WIDER))


def test_a_finished_run_needs_its_start_no_more(moved, home):
    """It is shown again, with or without options, and nothing is trained."""
    again = pretrain(home / "other.csv", moved.folder, resume=True)

    assert again.run == moved.run
    assert again.notes == ("the run was finished before: nothing was done",)
