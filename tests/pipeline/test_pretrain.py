"""Pretraining from a manifest to an encoder: what a run leaves, says and repeats."""

import csv
import errno
import json
import os
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch

from learner_index.config import ObjectiveOptions
from learner_index.data.preprocess import preprocess
from learner_index.data.readers import read_scan
from learner_index.data.replace import replace_file
from learner_index.data.split import PatientSplit
from learner_index.errors import DivergedError, NotEnoughDataError, RunWriteError, SplitError
from learner_index.learn.encoder import load_encoder
from learner_index.pipeline.configfile import options_from
from learner_index.pipeline.pretrain import PretrainResult, Talk, pretrain
from learner_index.pipeline.runs import read_run
from tests.pipeline.pretrain_toy import SMALL, UNSEEN, changed, scored_cohort
from tests.toy import write_manifest

FILES = {"curves.csv", "curves.png", "encoder.json", "encoder.safetensors", "run.json"}


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A folder with a cohort of ten patients and three visits each."""
    folder = tmp_path_factory.mktemp("home")
    scored_cohort(folder)
    return folder


@pytest.fixture(scope="module")
def trained(home) -> PretrainResult:
    """A finished run of two epochs, three patients unseen."""
    return pretrain(home / "cohort.csv", home / "trained", UNSEEN)


def weights(folder: Path) -> bytes:
    return (folder / "encoder.safetensors").read_bytes()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_leaves_an_encoder_and_a_record_and_nothing_else(trained):
    """Checkpoints and half-written files are gone once the encoder is there."""
    assert names(trained.folder) == FILES
    assert trained.skipped == ()
    assert trained.notes == ()


def test_run_json_says_what_was_done_on_whom(trained):
    """Settings, seed, versions, roles, counts, figures with n; and it is what the result holds."""
    run = json.loads((trained.folder / "run.json").read_bytes())

    assert run == trained.run
    assert options_from(run["options"], "run.json") == UNSEEN
    assert run["state"] == "done"
    assert {"learner-index", "torch", "timm", "numpy"} <= set(run["versions"])
    assert [len(run["patients"][role]) for role in ("train", "val", "unseen")] == [5, 2, 3]
    assert PatientSplit.from_dict(run["patients"]).fingerprint == run["split"]
    assert run["n_scans"] == {"train": 15, "val": 6, "unseen": 9}
    assert run["figures"]["unseen"]["n_patients"] == 3
    assert run["figures"]["unseen"]["n_pairs"] == 9
    assert run["figures"]["val"] is None
    assert run["criterion"] == "val_score_spearman"
    assert len(run["history"]) == run["n_epochs"] == 2
    assert run["health_score"]["kind"] == "generic"


def test_target_scale_is_that_of_the_training_patients(trained, home):
    """Mean and spread in run.json can be worked out from the manifest and the roles."""
    with (home / "cohort.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))

    own = trained.run["patients"]["train"]
    scores = [float(row["health_score"]) for row in rows if row["patient_id"] in own]
    assert trained.run["target"]["center"] == pytest.approx(np.mean(scores))
    assert trained.run["target"]["spread"] == pytest.approx(np.std(scores))


def test_curves_have_a_row_an_epoch(trained):
    """curves.csv holds the history's numbers; curves.png is a picture."""
    with (trained.folder / "curves.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))

    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert [float(row["loss"]) for row in rows] == [row["loss"] for row in trained.run["history"]]
    assert (trained.folder / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_encoder_predicts_in_units_of_the_score(home, tmp_path):
    """Trained for longer, the saved head orders patients it never saw, and in points."""
    longer = changed(
        split={"test_share": 0.3, "val_share": 0.0},
        objective={"name": "mse"},
        training={"epochs": 16, "learning_rate": 3e-3, "ema_decay": 0.8},
    )
    run = pretrain(home / "cohort.csv", tmp_path / "run", longer).run
    encoder = load_encoder(tmp_path / "run", device="cpu")
    scans = [read_scan(home / "scans" / f"{p}d0.npy") for p in run["patients"]["unseen"]]
    frames = np.stack([preprocess(scan, encoder.preprocessing) for scan in scans])
    pixels = torch.from_numpy(frames.astype(np.float32)).unsqueeze(2)

    with torch.inference_mode():
        mean, std = (encoder.card["normalization"][name] for name in ("mean", "std"))
        found = encoder.network.eval()((pixels - mean) / std).score.numpy()

    truth = np.array([8.0 * int(p[1:]) for p in run["patients"]["unseen"]])
    assert encoder.space == run["space"]
    assert encoder.card["is_trained"]
    assert np.argsort(found).tolist() == np.argsort(truth).tolist()
    assert np.abs(found - truth).mean() < 12, (found, truth)


def test_same_seed_same_bytes(trained, home, tmp_path):
    """A second run is the first one's encoder, curves and record, the time it took apart."""
    again = pretrain(home / "cohort.csv", tmp_path / "again", UNSEEN)

    assert weights(again.folder) == weights(trained.folder)
    csvs = [(r.folder / "curves.csv").read_bytes() for r in (again, trained)]
    assert csvs[0] == csvs[1]
    assert {**again.run, "elapsed_s": 0} == {**trained.run, "elapsed_s": 0}


def test_another_seed_another_encoder(trained, home, tmp_path):
    """The seed is not a decoration."""
    other = pretrain(home / "cohort.csv", tmp_path / "other", changed(UNSEEN, training={"seed": 1}))

    assert weights(other.folder) != weights(trained.folder)


def test_decoding_again_or_by_more_threads_changes_nothing(trained, home, tmp_path):
    """Without a cache of decoded scans, and with four threads, the bytes are the same."""
    other = pretrain(
        home / "cohort.csv", tmp_path / "other", changed(UNSEEN, cache={"max_gb": 0.0}), workers=4
    )

    assert weights(other.folder) == weights(trained.folder)


def test_contrastive_weight_zero_is_mse(home, tmp_path):
    """An objective without its contrastive term is plain regression, bit for bit."""
    runs = [
        pretrain(
            home / "cohort.csv",
            tmp_path / options.name,
            changed(objective={"name": options.name, "contrastive_weight": weight}),
        )
        for options, weight in (
            (ObjectiveOptions("learner_weighted"), 0.0),
            (ObjectiveOptions("mse"), 1.0),
        )
    ]

    assert weights(runs[0].folder) == weights(runs[1].folder)


def test_clips_train_with_temporal_shift(tmp_path):
    """Clips of two frames give an encoder whose frames see one another."""
    scored_cohort(tmp_path, n_patients=6, n_visits=2, n_frames=2)

    run = pretrain(tmp_path / "cohort.csv", tmp_path / "run", changed(encoder={"frames": 2}))

    card = json.loads((run.folder / "encoder.json").read_bytes())
    assert card["temporal_shift"]
    assert run.run["preprocessing"]["frames"] == 2


# Roles


def test_roles_of_the_manifest_are_used(tmp_path):
    """A column `split` wins over shares, and that is said."""
    rows = scored_cohort(tmp_path)
    roles = {0: "test", 1: "test", 2: "val", 5: "val", 9: "test"}
    for row in rows:
        row["split"] = roles.get(int(str(row["patient_id"])[1:]), "train")
    write_manifest(tmp_path / "cohort.csv", rows)

    done = pretrain(tmp_path / "cohort.csv", tmp_path / "run", UNSEEN)

    assert done.run["patients"]["unseen"] == ["p0", "p1", "p9"]
    assert done.run["patients"]["val"] == ["p2", "p5"]
    assert done.notes == ("patients' roles are those of column split; shares are not used",)


def test_same_bytes_in_two_roles_stop(tmp_path):
    """A copy of a training scan under an unseen patient names both scans and roles."""
    rows = scored_cohort(tmp_path)
    for row in rows:
        row["split"] = "test" if row["patient_id"] == "p9" else "train"
    write_manifest(tmp_path / "cohort.csv", rows)
    (tmp_path / "scans/p9d0.npy").write_bytes((tmp_path / "scans/p0d1.npy").read_bytes())

    with pytest.raises(
        SplitError, match=r"p0d1 of patient 'p0' \(train\) and p9d0 of patient 'p9' \(unseen\)"
    ):
        pretrain(tmp_path / "cohort.csv", tmp_path / "run", SMALL)
    assert not (tmp_path / "run").exists()


def test_each_patient_is_unseen_by_one_fold(home, tmp_path):
    """Two folds: disjoint, together everyone; the parent's run.json names folds and figures."""
    folds = changed(split={"folds": 2}, training={"epochs": 1})

    done = pretrain(home / "cohort.csv", tmp_path / "folds", folds)

    unseen = [set(fold.run["patients"]["unseen"]) for fold in done.folds]
    assert unseen[0] & unseen[1] == set()
    assert unseen[0] | unseen[1] == {f"p{number}" for number in range(10)}
    assert done.run["folds"] == ["fold-1", "fold-2"]
    figures = [fold.run["figures"]["unseen"] for fold in done.folds]
    assert done.run["figures"]["unseen"] == dict(zip(done.run["folds"], figures, strict=True))
    mean = done.run["figures"]["unseen_mean"]
    assert mean["rho"] == pytest.approx(np.mean([found["rho"] for found in figures]))
    assert (mean["n_patients"], mean["n_pairs"]) == (10, 30)
    drawn = np.mean(
        [np.array(fold.run["unseen_draws"], dtype=float) for fold in done.folds], axis=0
    )
    ends = np.nanquantile(drawn, [0.025, 0.975])
    assert [mean["low"], mean["high"]] == pytest.approx(ends.tolist())
    assert [found["n_patients"] for found in figures] == [5, 5]
    assert names(done.folder) == {"run.json", "fold-1", "fold-2"}
    assert all(names(fold.folder) == FILES for fold in done.folds)


def test_folds_go_on_where_they_stopped(home, tmp_path):
    """A first fold that is finished is not trained again, and the whole is as undisturbed."""
    folds = changed(split={"folds": 2}, training={"epochs": 1})
    wanted = pretrain(home / "cohort.csv", tmp_path / "wanted", folds)

    def stop(line: str) -> None:
        if line.startswith("fold-2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(home / "cohort.csv", tmp_path / "folds", folds, talk=Talk(say=stop))
    first = (tmp_path / "folds/fold-1/run.json").stat().st_mtime_ns
    done = pretrain(home / "cohort.csv", tmp_path / "folds", resume=True)

    assert (tmp_path / "folds/fold-1/run.json").stat().st_mtime_ns == first
    assert done.run == wanted.run
    for fold in ("fold-1", "fold-2"):
        assert weights(done.folder / fold) == weights(wanted.folder / fold)


# Scans and scores that do not do


def test_scans_without_a_score_are_left_out_and_counted(tmp_path):
    """An empty score is no score: the scan is not trained on, and a note says how many."""
    rows = scored_cohort(tmp_path, n_patients=6)
    for row in rows[:4]:
        row["health_score"] = ""
    write_manifest(tmp_path / "cohort.csv", rows)

    done = pretrain(tmp_path / "cohort.csv", tmp_path / "run", SMALL)

    assert done.notes == ("4 of 18 scans (22 %) without a health score",)


def test_broken_scans_are_left_out_by_name(tmp_path):
    """A truncated scan and an absent one are listed once each, in the result and in run.json."""
    scored_cohort(tmp_path)
    whole = (tmp_path / "scans/p3d1.npy").read_bytes()
    (tmp_path / "scans/p3d1.npy").write_bytes(whole[:-40])
    (tmp_path / "scans/p5d0.npy").unlink()

    done = pretrain(tmp_path / "cohort.csv", tmp_path / "run", changed(split={"folds": 2}))

    assert [line.split(":")[0] for line in done.skipped] == ["line 12 p3d1", "line 17 p5d0"]
    assert all(tuple(fold.run["skipped"]) == done.skipped for fold in done.folds)
    assert sum(done.folds[0].run["n_scans"].values()) == 28
    resumed = pretrain(tmp_path / "cohort.csv", tmp_path / "run", resume=True)
    assert resumed.run == done.run


def test_a_cohort_of_broken_scans_is_refused(tmp_path):
    """One line with the first reason, and no folder left behind."""
    rows = scored_cohort(tmp_path, n_patients=4)
    for row in rows:
        (tmp_path / str(row["path"])).write_bytes(str(row["scan_id"]).encode())

    with pytest.raises(NotEnoughDataError, match=r"none of the 12 scans .* first line 2 p0d0: "):
        pretrain(tmp_path / "cohort.csv", tmp_path / "run", SMALL)
    assert not (tmp_path / "run").exists()


def test_a_cache_that_cannot_be_written_is_only_slow(trained, home, tmp_path):
    """A file where the cache's folder should be: a note, and the same encoder."""
    (tmp_path / "decoded.cache").write_text("not a folder", encoding="utf-8")

    done = pretrain(home / "cohort.csv", tmp_path / "run", UNSEEN)

    assert len(done.notes) == 1
    assert done.notes[0].startswith("decoded scans are no longer kept")
    assert weights(done.folder) == weights(trained.folder)


# Runs that stop


def test_a_diverging_run_says_where_and_keeps_its_checkpoint(home, tmp_path):
    """The loss overflows: epoch, step and scans are named, run.json says diverged."""
    wild = changed(training={"learning_rate": 1e30, "epochs": 4, "warmup": 0.0, "clip_norm": 0.0})

    with pytest.raises(DivergedError, match=r"in epoch \d, step \d, on the batch of scans p\dd\d"):
        pretrain(home / "cohort.csv", tmp_path / "run", wild)

    assert read_run(tmp_path / "run")["state"] == "diverged"


def test_a_full_disk_costs_one_epoch_at_most(trained, home, tmp_path):
    """A refused checkpoint is one line that says --resume, which then goes on to the end."""
    refusal = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    writes = [replace_file, replace_file, refusal]

    def replaced(*given):
        now = writes.pop(0)
        if isinstance(now, OSError):
            raise now
        now(*given)

    with (
        mock.patch("learner_index.learn.checkpoint.replace_file", replaced),
        pytest.raises(RunWriteError, match=r"No space left on device.*--resume"),
    ):
        pretrain(home / "cohort.csv", tmp_path / "run", UNSEEN)
    assert read_run(tmp_path / "run")["state"] == "running"
    done = pretrain(home / "cohort.csv", tmp_path / "run", resume=True)

    assert weights(done.folder) == weights(trained.folder)
    assert names(done.folder) == FILES


def test_interrupting_leaves_a_run_that_goes_on(trained, home, tmp_path):
    """Ctrl-C in the second epoch, then --resume: the encoder of an undisturbed run."""

    def stop(event) -> None:
        if event.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(home / "cohort.csv", tmp_path / "run", UNSEEN, talk=Talk(watch=stop))
    done = pretrain(home / "cohort.csv", tmp_path / "run", resume=True)

    assert weights(done.folder) == weights(trained.folder)
    assert {**done.run, "elapsed_s": 0} == {**trained.run, "elapsed_s": 0}
    assert names(done.folder) == FILES
