"""Models: vectors are made once and never trusted when damaged; names show no folder."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from learner_index.config import Preprocessing, PretrainOptions, ScoreOptions
from learner_index.data.manifest import read_manifest
from learner_index.errors import EncoderError, SettingsError
from learner_index.pipeline.evaluation.models import (
    Reader,
    frozen_models,
    name_of_baseline,
    oracle,
    pick_against,
)
from learner_index.pipeline.trainingset import read_training_set
from tests.pipeline.pretrain_toy import SMALL, scored_cohort
from tests.toy import TOY, ToyEmbedder

OPTIONS = PretrainOptions(score=ScoreOptions())


def reader_of(folder, settings=TOY):
    """A reader of a cohort's scans as they are now."""
    scans = read_training_set(read_manifest(folder / "cohort.csv"), OPTIONS, folder / "cache")
    rows = np.flatnonzero(scans.is_usable)
    return Reader(
        cohort=scans,
        rows=rows,
        folder=folder / "vectors",
        settings=settings,
        jitter=False,
        device="cpu",
        workers=1,
        progress=lambda done, total: None,
    )


@pytest.fixture
def home(tmp_path):
    """Four patients with three pictures each, and one that is a clip."""
    rows = scored_cohort(tmp_path, 4)
    frames = np.random.default_rng(0).integers(0, 255, (5, 16, 16), dtype=np.uint8)
    np.save(tmp_path / str(rows[2]["path"]), frames)
    return tmp_path


def embedded(folder, embedder=None, name="toy"):
    """Vectors of all scans, and how often the encoder was asked."""
    chosen = embedder or ToyEmbedder()
    return reader_of(folder).by_encoder(chosen, TOY, name), len(chosen.calls)


def test_rows_are_those_of_the_manifest(home):
    """Pictures and clips go into batches of their own, and come back in order."""
    found, _ = embedded(home)

    alone, _ = embedded(home, ToyEmbedder(batch_size=1), "one by one")
    np.testing.assert_array_equal(found, alone)
    assert found.shape == (12, 4)


def test_vectors_are_made_once(home):
    """The second time they come from disk, the same to the bit."""
    first, n_calls = embedded(home)

    again, n_later = embedded(home)

    assert n_calls > 0 and n_later == 0
    np.testing.assert_array_equal(again, first)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(file.read_bytes()[:-9]),
        lambda file: file.write_bytes(file.read_bytes()[:-1] + b"\x7f"),
        lambda file: file.write_bytes(b"PK\x03\x04 not vectors at all"),
    ],
    ids=["empty", "cut", "one byte", "other"],
)
def test_damaged_vectors_are_made_again(home, spoil):
    """Whatever was written over them."""
    first, _ = embedded(home)
    spoil(next((home / "vectors").iterdir()))

    again, n_calls = embedded(home)

    assert n_calls > 0
    np.testing.assert_array_equal(again, first)


def test_other_scans_have_other_vectors(home):
    """One picture changed: nothing is taken from disk."""
    first, _ = embedded(home)
    np.save(home / "scans/p0d0.npy", np.arange(256, dtype=np.uint8).reshape(16, 16))

    again, n_calls = embedded(home)

    assert n_calls > 0
    assert not np.array_equal(again[0], first[0])
    np.testing.assert_array_equal(again[1:], first[1:])


def test_another_encoder_has_its_own(home):
    """Vectors are kept by what made them."""
    embedded(home)

    assert embedded(home, name="another")[1] > 0


def test_a_folder_that_cannot_be_written_costs_only_time(home):
    """A file is where the vectors' folder should be."""
    (home / "vectors").write_text("", encoding="utf-8")

    assert embedded(home)[0].shape == (12, 4)


def test_handcrafted_features_are_kept_by_their_settings(home):
    """Other frames are other features."""
    small, large = (reader_of(home, Preprocessing(size=size, frames=1)) for size in (8, 16))

    assert not np.array_equal(small.by_hand(), large.by_hand())
    np.testing.assert_array_equal(small.by_hand(), small.by_hand())


def test_frozen_networks_say_what_they_are(home):
    """By the name of the network; "imagenet" may be missing, with a note, others may not."""
    models, notes = frozen_models(reader_of(home), ("handcrafted", "timm:test_resnet"), SMALL)

    assert [(one.name, one.kind) for one in models] == [
        ("handcrafted", "handcrafted"),
        ("timm:test_resnet", "frozen"),
    ]
    assert models[1].says.endswith("not trained further")
    assert not notes


def test_imagenet_may_be_missing():
    """It is an extra: the others are measured without it."""

    def refuse(name, options):
        raise EncoderError("pip install learner-index[imagenet]")

    models, notes = frozen_models(SimpleNamespace(by_spec=refuse), ("imagenet",), SMALL)

    assert models == []
    assert notes == ["baseline imagenet is left out: pip install learner-index[imagenet]"]
    with pytest.raises(EncoderError, match="pip install"):
        frozen_models(SimpleNamespace(by_spec=refuse), ("timm:test_resnet",), SMALL)


def test_names_show_no_folder():
    """Tables are shared: of a weights file its name alone."""
    shown = name_of_baseline("timm:test_resnet@/home/doe/secret/w.safetensors")

    assert shown == "timm:test_resnet@w.safetensors"
    assert name_of_baseline("handcrafted") == "handcrafted"
    with pytest.raises(
        EncoderError, match=r"no baseline 'handcraftd' \(did you mean 'handcrafted'"
    ):
        name_of_baseline("handcraftd")


def test_the_oracle_knows_the_state_and_no_label():
    """Columns of the truth alone: neither the noisy score nor anything a reader could not know."""
    truth = pd.DataFrame({"scan_id": ["a"], "s": [2.0], "e": [1.0], "arm": ["x"], "true_sf": [300]})

    found = oracle(truth)

    assert found.rows.tolist() == [[1.0, 2.0, 300.0]]
    assert found.says == "simulated truth (e, s, true_sf)"


def test_what_others_are_compared_with():
    """mse, else the first; a name that is none is refused with what there is."""
    assert pick_against(None, ["rnc", "mse"]) == "mse"
    assert pick_against(None, ["rnc", "huber"]) == "rnc"
    assert pick_against("huber", ["rnc", "huber"]) == "huber"
    with pytest.raises(SettingsError, match=r"did you mean 'huber'\?\); there are rnc, huber"):
        pick_against("hubr", ["rnc", "huber"])
