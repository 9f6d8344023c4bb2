"""Encoders for builds and queries: what is declared for a new store, what an old one refuses."""

import json
import shutil
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pytest

from learner_index.config import EncoderOptions, Preprocessing
from learner_index.data.split import PatientSplit
from learner_index.errors import EncoderError, RunFormatError, SpaceMismatchError
from learner_index.pipeline.build import build
from learner_index.pipeline.cohort import open_store
from learner_index.pipeline.source import ChosenEncoder, declare_preprocessing
from learner_index.store.reader import StoreReader
from tests.toy import make_cohort, make_run, write_manifest

SPLIT = PatientSplit(train=("p0", "not here"), val=("p1",), unseen=("p2",))


@pytest.fixture
def scans(tmp_path):
    """Writes .npz scans of (kind, rows, columns, millimetres a pixel) and returns their paths."""

    def write(*kinds):
        paths = []
        for number, (kind, rows, columns, pixel_mm) in enumerate(kinds):
            pixels = np.arange(3 * rows * columns, dtype=np.uint8).reshape(3, rows, columns)
            known = {} if pixel_mm is None else {"spacing_mm": (pixel_mm, pixel_mm)}
            pixels = pixels[0] if kind == "image" else pixels
            path = tmp_path / f"{number}.npz"
            np.savez(path, pixels=pixels, kind=kind, **known)
            paths.append(path)
        return paths

    return write


def card(**changes):
    """The card of a store built with the defaults."""
    return {
        "preprocessing": asdict(Preprocessing()),
        "embedding_width": 128,
        "spec": "imagenet",
        "space": "s",
        "batch_size": 8,
        **changes,
    }


def test_scans_of_known_size_share_a_field(scans):
    """The input covers the field all scans have: 32 mm over 224 pixels."""
    paths = scans(("image", 40, 30, 1.0), ("image", 64, 64, 0.5))

    declared = declare_preprocessing(EncoderOptions(), paths)

    assert declared.pixel_mm == pytest.approx(32 / 224, rel=0.01)
    assert declared.anchor == "center"


def test_scans_without_spacing_are_stretched(scans):
    """No millimetres are known: none are declared."""
    declared = declare_preprocessing(EncoderOptions(), scans(("image", 40, 30, None)))

    assert declared == Preprocessing()


def test_mostly_clips_keep_their_top(scans):
    """Clips have the probe's surface on top; a physical crop keeps it."""
    clip, image = ("clip", 40, 30, 1.0), ("image", 40, 30, 1.0)

    assert declare_preprocessing(EncoderOptions(), scans(clip, clip, image)).anchor == "top"
    assert declare_preprocessing(EncoderOptions(), scans(clip, image, image)).anchor == "center"


def test_what_is_asked_for_wins(scans):
    """Every setting typed is taken as it is."""
    asked = EncoderOptions(
        size=96,
        frames=4,
        pixel_mm=0.3,
        anchor="center",
        intensity="percentile:1,99",
        plane="coronal",
        slice_range=(0.2, 0.8),
    )

    declared = declare_preprocessing(asked, scans(("clip", 40, 30, 1.0)))

    assert declared == Preprocessing(96, 4, 0.3, "center", "percentile:1,99", "coronal", (0.2, 0.8))


def test_zero_millimetres_mean_stretching(scans):
    """--pixel-mm 0: whatever the spacing, scans fill the input, and none is looked at."""
    declared = declare_preprocessing(EncoderOptions(pixel_mm=0), [*scans(("clip", 40, 30, 1.0))])

    assert declared.pixel_mm is None


def test_broken_scans_do_not_decide(scans, tmp_path):
    """Scans that cannot be read are passed over."""
    broken = tmp_path / "broken.npz"
    broken.write_bytes(b"x")
    paths = [tmp_path / "absent.npz", broken, *scans(("image", 56, 56, 1.0))]

    assert declare_preprocessing(EncoderOptions(), paths).pixel_mm == pytest.approx(0.25)


def test_sixteen_scans_are_looked_at(scans, monkeypatch):
    """A large cohort is sampled evenly, from its first scan on."""
    paths = scans(("image", 56, 56, 1.0)) * 100
    seen = []
    monkeypatch.setattr(
        "learner_index.pipeline.source.read_scan",
        lambda path, pick, real=declare_preprocessing.__globals__["read_scan"]: (
            seen.append(path) or real(path, pick=pick)
        ),
    )

    declare_preprocessing(EncoderOptions(), paths)

    assert len(seen) == 16


def test_an_unknown_intensity_makes_no_store():
    """A rule that no scan could be read with is refused before anything is made."""
    with pytest.raises(EncoderError, match="'bright' is not understood"):
        declare_preprocessing(EncoderOptions(intensity="bright"), [])


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"size": 96}, "size 224, not 96"),
        ({"frames": 4}, "frames 8, not 4"),
        ({"pixel_mm": 0.5}, "pixel_mm None, not 0.5"),
        ({"anchor": "top"}, "anchor center, not top"),
        ({"intensity": "range"}, "intensity auto, not range"),
        ({"plane": "coronal"}, "plane axial, not coronal"),
        ({"slice_range": (0.2, 0.8)}, "slice_range"),
        ({"width": 64}, "width 128, not 64"),
    ],
)
def test_another_setting_is_another_space(asked, said):
    """Each setting of the space is compared with the store's, without loading an encoder."""
    with pytest.raises(SpaceMismatchError, match=said):
        ChosenEncoder(EncoderOptions(**asked)).check(card())


def test_equal_or_silent_settings_pass():
    """The store's own settings, typed again or not at all, are no contradiction."""
    again = EncoderOptions(
        size=224, frames=8, pixel_mm=0, anchor="center", slice_range=(0.0, 1.0), width=128
    )

    ChosenEncoder().check(card())
    ChosenEncoder(again).check(card())


def test_a_lost_cache_names_the_way_out(tmp_path):
    """Without the kept weights, the message says what the store was built with."""
    with pytest.raises(
        EncoderError, match=r"c\.cache: name them .* --encoder .* built with imagenet"
    ):
        ChosenEncoder().for_store(card(), tmp_path / "c.cache")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A cohort, the folder of a finished run, and the store c.zarr the run's encoder made."""
    folder = tmp_path_factory.mktemp("trained")
    make_cohort(folder)
    make_run(folder / "run", SPLIT)
    run(folder)
    return folder


@pytest.fixture
def place(trained, tmp_path):
    """A copy of all that, to be changed."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return tmp_path


def run(folder, name="run", store="c.zarr", **asked):
    """Build the folder's cohort with its run; name None: with the store's own encoder."""
    options = EncoderOptions(spec=name and str(folder / name), **asked)
    return build(folder / "cohort.csv", folder / store, ChosenEncoder(options))


def add_scan(folder):
    """One scan more of each patient."""
    rows = make_cohort(folder)
    more = [{**rows[i], "scan_id": f"more{i}"} for i in (0, 2, 4)]
    write_manifest(folder / "cohort.csv", [*rows, *more])


def roles(folder, store="c.zarr"):
    """The stored roles, row by row."""
    return StoreReader(folder / store).obs(["encoder_role"])["encoder_role"].tolist()


def test_a_run_gives_its_encoder_and_its_patients(trained):
    """The store is in the run's space, and every row knows whether its patient was seen."""
    card = json.loads((trained / "run" / "encoder.json").read_bytes())

    reader = StoreReader(trained / "c.zarr")

    assert reader.settings()["encoder"]["space"] == card["space"]
    assert reader.width == 16
    assert roles(trained) == ["train", "train", "val", "val", "unseen", "unseen"]


def test_the_cache_keeps_the_patients_and_no_more(trained):
    """Beside the weights lies who trained them; no option, no history, no path."""
    kept = trained / "c.cache" / "encoder"

    assert {file.name for file in kept.iterdir()} == {
        *("encoder.json", "encoder.safetensors", "run.json"),
    }
    assert json.loads((kept / "run.json").read_bytes()) == {
        "format": 1,
        "kind": "run",
        "state": "done",
        "patients": SPLIT.to_dict(),
        "split": SPLIT.fingerprint,
    }


def test_a_store_goes_on_without_its_run(place):
    """Later builds need the run no more: encoder and roles are kept."""
    shutil.rmtree(place / "run")
    add_scan(place)

    result = run(place, name=None)

    assert result.n_shared + result.n_embedded == 3
    assert roles(place)[6:] == ["train", "val", "unseen"]


def test_a_cache_is_as_good_as_a_run(place):
    """The folder kept beside a store can be named as the run of another store."""
    run(place, name="c.cache/encoder", store="d.zarr")

    assert roles(place, "d.zarr") == roles(place)


def test_device_precision_and_batch_size_are_free(place):
    """How to compute is no part of the space."""
    result = run(place, store="d.zarr", device="cpu", precision="fp32", batch_size=2)

    assert StoreReader(result.store).settings()["encoder"]["batch_size"] == 2


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"size": 64}, "size 32, not 64"),
        ({"frames": 4}, "frames 2, not 4"),
        ({"pixel_mm": 0.5}, "pixel_mm None, not 0.5"),
        ({"anchor": "top"}, "anchor center, not top"),
        ({"intensity": "range"}, "intensity auto, not range"),
        ({"plane": "coronal"}, "plane axial, not coronal"),
        ({"slice_range": (0.2, 0.8)}, "slice_range"),
        ({"width": 64}, "width 16, not 64"),
        ({"width": 0}, "width 16, not native"),
        ({"temporal_shift": "off"}, "temporal_shift True, not False"),
        ({"seed": 3}, "seed 0, not 3"),
    ],
)
def test_a_run_decides_every_setting(trained, tmp_path, asked, said):
    """What was not trained is refused for a new store and for the run's own."""
    refusal = f"the run's encoder takes {said}.*: leave the option out"

    with pytest.raises(SpaceMismatchError, match=refusal):
        ChosenEncoder(EncoderOptions(spec=str(trained / "run"), **asked)).for_new_store(
            None, tmp_path
        )
    with pytest.raises(SpaceMismatchError, match=f"the store was built with {said}"):
        run(trained, **asked)
    assert list(tmp_path.iterdir()) == []


def test_the_runs_own_settings_may_be_repeated(trained):
    """Options that say what the run says are no contradiction."""
    asked = {"size": 32, "frames": 2, "pixel_mm": 0, "width": 16, "seed": 0}

    assert run(trained, **asked, temporal_shift="on", anchor="center").n_unchanged == 6


def test_another_run_is_another_space(place):
    """The encoder of another run is refused by its card alone."""
    make_run(place / "other", SPLIT, seed=1)

    with pytest.raises(SpaceMismatchError, match=r"built with another encoder \(.* than the run's"):
        run(place, "other")


def test_a_network_store_refuses_a_run(trained):
    """A store of an ordinary network and a run: both spaces are named."""
    with pytest.raises(SpaceMismatchError, match=r"\(imagenet, space s\) than the run's \(space "):
        ChosenEncoder(EncoderOptions(spec=str(trained / "run"))).check(card())


def test_checking_a_run_needs_no_torch(trained):
    """Builds that embed nothing compare JSON with JSON."""
    code = f"""
import sys
from pathlib import Path
from learner_index.config import EncoderOptions
from learner_index.pipeline.build import build
from learner_index.pipeline.source import ChosenEncoder
folder = Path({str(trained)!r})
asked = ChosenEncoder(EncoderOptions(spec=str(folder / "run")))
found = build(folder / "cohort.csv", folder / "c.zarr", asked)
print(found.n_unchanged, "torch" in sys.modules)
"""

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "6 False\n"


def spoil(folder, name, **changes):
    """A copy of the run with other entries in its run.json."""
    shutil.copytree(folder / "run", folder / name)
    file = folder / name / "run.json"
    known = json.loads(file.read_bytes()) | changes
    file.write_text(json.dumps(known), encoding="utf-8")
    return folder / name


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("imagnet", r"unknown encoder 'imagnet' .*'imagenet'.*: take imagenet, .* pretraining run"),
        ("runs/gone", "no run in 'runs/gone': run.json is missing"),
        ("empty", "no run in 'empty': run.json is missing"),
        ("run/run.json", "'run/run.json' is a file: name the folder of its pretraining run"),
        ("halfway", "the run in 'halfway' is not finished"),
        ("bare", "the run in 'bare' is not finished"),
        ("folds", r"one encoder a fold \(fold-1, fold-2\)"),
        ("mixed", "encoder.json in 'mixed' is not of the encoder its run.json speaks of"),
        ("altered", "run.json in 'altered' was altered"),
        ("nobody", "does not say who was trained on"),
        ("garbled", "'garbled/encoder.json' cannot be read"),
        ("foreign", "'foreign/encoder.json' is no encoder card"),
    ],
)
def test_what_is_no_run_is_said_in_one_line(place, monkeypatch, spec, said):
    """Whatever is named in place of a finished run: what was found, for new stores and old."""
    monkeypatch.chdir(place)
    (place / "empty").mkdir()
    spoil(place, "halfway", state="running")
    (spoil(place, "bare") / "encoder.safetensors").unlink()
    spoil(place, "folds", kind="folds", folds=["fold-1", "fold-2"])
    spoil(place, "mixed", space="0" * 16)
    spoil(place, "altered", split="0" * 16)
    spoil(place, "nobody", patients=None)
    (spoil(place, "garbled") / "encoder.json").write_text("{", encoding="utf-8")
    (spoil(place, "foreign") / "encoder.json").write_text("{}", encoding="utf-8")

    for store in ("c.zarr", "new.zarr"):
        chosen = ChosenEncoder(EncoderOptions(spec=spec))
        with pytest.raises((EncoderError, RunFormatError), match=said) as caught:
            build(place / "cohort.csv", place / store, chosen)
        assert "\n" not in str(caught.value)
    assert not (place / "new.zarr").exists()


def test_weights_that_were_altered_make_no_store(place):
    """The weights must be those of the card."""
    make_run(place / "other", SPLIT, seed=1)
    shutil.copy(place / "other/encoder.safetensors", place / "run/encoder.safetensors")

    with pytest.raises(
        SpaceMismatchError, match=r"are not the weights its encoder\.json describes"
    ):
        run(place, store="new.zarr")

    assert not (place / "new.zarr").exists()


def test_a_lost_cache_is_refused_until_the_run_is_named(place):
    """Without the cache nobody knows who was seen; the run named again puts all of it back."""
    shutil.rmtree(place / "c.cache")
    add_scan(place)

    with pytest.raises(EncoderError, match=r"not known who trained .* c\.cache: .*--encoder RUN"):
        run(place, name=None)
    run(place)
    shutil.rmtree(place / "run")

    assert roles(place)[6:] == ["train", "val", "unseen"]
    assert run(place, name=None).n_unchanged == 9


@pytest.mark.parametrize("text", [None, "{", '{"format": 1, "patients": {}}'])
def test_lost_or_damaged_roles_are_put_back(place, text):
    """With nothing to embed, too: the run named again writes its patients into the cache."""
    kept = place / "c.cache" / "encoder" / "run.json"
    before = kept.read_bytes()
    kept.unlink() if text is None else kept.write_text(text, encoding="utf-8")

    with pytest.raises(EncoderError, match="name its pretraining run again with --encoder RUN"):
        run(place, name=None)
    result = run(place)

    assert (result.n_unchanged, kept.read_bytes()) == (6, before)


def test_a_query_with_the_run_makes_no_cache(place):
    """A store that was moved without its cache answers for files once its run is named."""
    shutil.copytree(place / "c.zarr", place / "moved.zarr")
    scan, moved = place / "scans" / "p0d0.npy", open_store(place / "moved.zarr")

    with pytest.raises(EncoderError, match=r"not known who trained .* moved\.cache"):
        moved.similar(file=scan)
    hits = moved.similar(file=scan, encoder=EncoderOptions(spec=str(place / "run")))

    assert {hit.patient_id for hit in hits} == {"p1", "p2"}
    assert hits.notes[0].startswith("SEEN BY ENCODER: the query and 1 of 2 hits")
    assert not (place / "moved.cache").exists()


def test_roles_do_not_outlive_their_encoder(place):
    """A new store in the place of one that is gone takes over no patients of a run."""
    shutil.rmtree(place / "c.zarr")
    plain = EncoderOptions(spec="timm:test_resnet", size=32, frames=2, pixel_mm=0, device="cpu")

    build(place / "cohort.csv", place / "c.zarr", ChosenEncoder(plain))

    assert set(roles(place)) == {"unseen"}
    assert not (place / "c.cache" / "encoder" / "run.json").exists()
