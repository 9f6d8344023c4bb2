"""From settings to an encoder: what is built, trained, finished, and refused."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from learner_index.config import (
    AugmentOptions,
    BatchOptions,
    CacheOptions,
    EncoderOptions,
    ObjectiveOptions,
    Preprocessing,
    PretrainOptions,
    TrainOptions,
)
from learner_index.errors import EncoderError, SettingsError
from learner_index.learn import fit
from learner_index.learn.encoder import load_encoder
from learner_index.learn.fit import Lesson, check_training, fit_encoder, in_target_units
from learner_index.learn.objectives.joint import JointLoss
from learner_index.learn.objectives.record import LabelScale
from learner_index.learn.processes import Processes
from learner_index.learn.shift import is_shifted
from learner_index.learn.trainer import Examples, Validation
from tests.learn.training_toy import tiny_network

SIZE, FRAMES, N_PATIENTS = 32, 2, 8
PIXELS = np.random.default_rng(0).random((16, FRAMES, SIZE, SIZE)).astype(np.float16)
SCORE = np.random.default_rng(1).normal(size=16)
TRAINED, UNSEEN = np.arange(12), np.arange(12, 16)


@pytest.fixture(autouse=True)
def one_thread(threads):
    """Nets this small are slower on several threads."""
    threads(1)


def _options(**encoder) -> PretrainOptions:
    return PretrainOptions(
        encoder=EncoderOptions(
            **({"spec": "timm:test_resnet", "width": 6, "device": "cpu"} | encoder)
        ),
        objective=ObjectiveOptions("learner_weighted"),
        batches=BatchOptions(4, 2),
        augment=AugmentOptions(),
        training=TrainOptions(epochs=2, patience=0, ema_decay=0.5),
    )


def _lesson(folder: Path, options: PretrainOptions | None = None, **changes) -> Lesson:
    patient = np.repeat(np.arange(N_PATIENTS), 2)
    given = {
        "folder": folder,
        "options": options or _options(),
        "preprocessing": Preprocessing(size=SIZE, frames=FRAMES),
        "examples": Examples(
            [f"scan-{row}" for row in range(16)],
            np.where(np.arange(16) < 12, SCORE, np.nan),
            patient,
            np.arange(16),
        ),
        "loss": JointLoss.of((options or _options()).objective, LabelScale.fit(SCORE[:12])),
        "read": PIXELS.__getitem__,
        "target_scale": (300.0, 40.0),
        "validation": Validation(UNSEEN, lambda e, p: {"val_spearman": float(e.std())}),
        "trained_on": "toy",
    }
    return Lesson(**(given | changes))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A training with its folder."""
    folder = tmp_path_factory.mktemp("run")
    return fit_encoder(_lesson(folder)), folder


def test_encoder_embeds_what_it_was_trained_for(trained):
    """Plain frames, embedded by the encoder, are the embeddings that were validated."""
    done, _ = trained
    embeddings, _ = done.predict(np.arange(8))

    found = done.encoder.embed(PIXELS[:8].astype(np.float32))

    np.testing.assert_allclose(found, embeddings, atol=1e-4)
    assert found.shape == (8, 6)


def test_encoder_keeps_the_best_epochs_weights(trained):
    """The encoder's network is the one in the file of the best epoch, but for its head."""
    done, folder = trained

    kept = fit_weights(folder, done.best_epoch)

    state = done.encoder.network.state_dict()
    same = [name for name in state if not name.startswith("head.")]
    assert all(torch.equal(state[name], kept[name]) for name in same)


def fit_weights(folder: Path, epoch: int) -> dict[str, torch.Tensor]:
    """Weights that were kept of an epoch."""
    from learner_index.learn.checkpoint import read_checkpoint

    return read_checkpoint(folder / f"best-{epoch:04d}.safetensors")[0]


def test_predicts_targets_in_their_own_units(trained):
    """Predictions are center + spread x what the network said of standardized targets."""
    done, folder = trained
    kept = fit_weights(folder, done.best_epoch)

    embeddings, scores = done.predict(np.arange(16))

    z = embeddings @ kept["head.weight"].numpy()[0] + kept["head.bias"].numpy()
    np.testing.assert_allclose(scores, 300 + 40 * z, rtol=1e-5)


def test_a_head_in_target_units_predicts_center_plus_spread_z():
    """Turning the head's units changes its scores only, and those exactly as told."""
    network = tiny_network()
    torch.nn.init.normal_(network.head.weight, generator=torch.Generator().manual_seed(0))
    network.head.bias.data.fill_(0.3)
    network.eval()
    scans = torch.rand(5, 2, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    before = network(scans)

    in_target_units(network, 20.0, 4.0)

    after = network(scans)
    assert torch.equal(after.embedding, before.embedding)
    torch.testing.assert_close(after.score, 20 + 4 * before.score)


def test_a_saved_encoder_is_the_trained_one(trained, tmp_path):
    """Written and read back it lies in the same space and gives the same bytes and scores."""
    done, _ = trained
    done.encoder.save(tmp_path)

    again = load_encoder(tmp_path, device="cpu")

    frames = PIXELS[:4].astype(np.float32)
    assert again.space == done.encoder.space
    assert again.embed(frames).tobytes() == done.encoder.embed(frames).tobytes()
    head = again.network.head
    torch.testing.assert_close(head.bias, done.encoder.network.head.bias, rtol=0, atol=0)


def test_card_tells_how_it_was_made(trained):
    """The encoder's card says that it was trained, on what, with what seed and shift."""
    card = trained[0].encoder.card

    assert card["is_trained"] is True
    assert card["trained_on"] == "toy"
    assert card["projection"] == "trained"
    assert card["temporal_shift"] is True


def test_training_goes_on_from_the_folders_checkpoint(trained, tmp_path):
    """A folder whose run is complete gives its encoder again, without a further step."""
    done, folder = trained
    steps = []

    again = fit_encoder(_lesson(folder, watch=steps.append))

    assert steps == []
    assert again.encoder.space == done.encoder.space
    assert again.history == done.history


def test_other_processes_need_no_files(tmp_path, monkeypatch):
    """A process that is not the first writes and reads nothing, and still ends."""
    monkeypatch.setattr(Processes, "gathered", lambda self, local: torch.cat([local, local]))
    monkeypatch.setattr(Processes, "wrapped", lambda self, network, device: network)
    monkeypatch.setattr(Processes, "shared", lambda self, value: {"val_spearman": 0.5})

    done = fit_encoder(_lesson(tmp_path, processes=Processes(rank=1, world=2)))

    assert len(done.history) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("shift", "frames", "spec", "expected"),
    [
        ("auto", 2, "timm:test_resnet", True),
        ("auto", 1, "timm:test_resnet", False),
        ("auto", 2, "timm:test_vit", False),
        ("on", 2, "timm:test_resnet", True),
        ("off", 2, "timm:test_resnet", False),
    ],
)
def test_temporal_shift_is_for_clips_in_residual_networks(tmp_path, shift, frames, spec, expected):
    """Left to itself, the shift is on exactly where it can be and there are neighbours to see."""
    options = _options(spec=spec, temporal_shift=shift)
    options = replace(options, training=replace(options.training, epochs=1))
    lesson = _lesson(
        tmp_path,
        options,
        preprocessing=Preprocessing(size=SIZE, frames=frames),
        read=lambda row: PIXELS[row, :frames],
        validation=None,
    )

    done = fit_encoder(lesson)

    assert done.encoder.card["temporal_shift"] is expected
    assert is_shifted(done.encoder.network) is expected


def test_a_shift_that_is_asked_for_must_be_possible(tmp_path):
    """A transformer has no residual blocks to shift."""
    with pytest.raises(EncoderError, match="needs a residual backbone"):
        fit_encoder(_lesson(tmp_path, _options(spec="timm:test_vit", temporal_shift="on")))


@pytest.mark.parametrize(("width", "expected"), [(None, 128), (0, 96), (6, 6)])
def test_width_of_the_embedding(tmp_path, width, expected):
    """Unasked 128 values; 0 keeps the backbone's own width; else what was asked for."""
    options = _options(width=width)
    options = replace(options, training=replace(options.training, epochs=1))

    done = fit_encoder(_lesson(tmp_path, options, validation=None))

    assert done.encoder.width == expected


def test_a_cpu_may_train_in_bfloat16(tmp_path):
    """The losses stay float32 and finite, and the weights differ from those of float32."""
    given = []
    lesson = _lesson(tmp_path / "half", _options(precision="bf16"))
    loss = lesson.loss

    def seen(embedding, *rest, prediction):
        given.append((embedding.dtype, prediction.dtype))
        return loss(embedding, *rest, prediction=prediction)

    done = fit_encoder(replace(lesson, loss=_Seen(loss, seen)))

    exact = fit_encoder(_lesson(tmp_path / "full"))
    assert set(given) == {(torch.float32, torch.float32)}
    assert all(math.isfinite(row["loss"]) for row in done.history)
    assert done.encoder.space != exact.encoder.space
    validated = done.predict(np.arange(8))[0]
    np.testing.assert_allclose(
        done.encoder.embed(PIXELS[:8].astype(np.float32)), validated, atol=1e-4
    )
    assert done.history[0]["loss"] == pytest.approx(exact.history[0]["loss"], rel=0.1)


class _Seen:
    """A loss that tells what it was given."""

    def __init__(self, loss, call) -> None:
        self.trains_head, self._call = loss.trains_head, call

    def __call__(self, *given, **named):
        return self._call(*given, **named)


def test_a_cpu_does_not_train_in_float16(tmp_path):
    """Half precision without a GPU is refused before anything is built."""
    with pytest.raises(EncoderError, match="fp16 needs a GPU"):
        fit_encoder(_lesson(tmp_path, _options(precision="fp16")))


def test_each_process_takes_its_own_gpu(tmp_path, monkeypatch):
    """The second process of a machine asks for the second GPU, unless a CPU was asked for."""
    asked = []

    def pick(name: str) -> torch.device:
        asked.append(name)
        raise EncoderError("enough")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(fit, "pick_device", pick)
    for device in ("auto", "cuda", "cpu"):
        lesson = _lesson(tmp_path, _options(device=device), processes=Processes(1, 2, 1))
        with pytest.raises(EncoderError, match="enough"):
            fit_encoder(lesson)

    assert asked == ["cuda:1", "cuda:1", "cpu"]


def test_several_processes_share_no_numbered_gpu(tmp_path):
    """A GPU by number is refused before anything is built."""
    lesson = _lesson(tmp_path, _options(device="cuda:0"), processes=Processes(1, 2, 1))

    with pytest.raises(SettingsError, match=r"encoder\.device is cuda:0 for 2 processes"):
        fit_encoder(lesson)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("seed", r"encoder\.seed is 0, .*set training\.seed"),
        ("batch_size", r"encoder\.batch_size is 0, .*set batches\.patients and batches\.scans"),
    ],
)
def test_refuses_settings_of_embedding_that_training_would_ignore(name, told):
    """What only embedding looks at is refused, with the setting that training looks at."""
    options = PretrainOptions(encoder=EncoderOptions(**{name: 0}))

    with pytest.raises(SettingsError, match=told):
        check_training(options)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("learning_rate", 0.0),
        ("learning_rate", math.nan),
        ("learning_rate", math.inf),
        ("weight_decay", -0.1),
        ("weight_decay", math.inf),
        ("warmup", -0.1),
        ("warmup", 1.1),
        ("clip_norm", -1.0),
        ("clip_norm", math.nan),
        ("ema_decay", 1.0),
        ("ema_decay", -0.1),
        ("patience", -1),
        ("seed", -1),
    ],
)
def test_refuses_a_training_setting_out_of_range(name, value):
    """The message gives the setting, what it was, and what is possible."""
    options = PretrainOptions(training=replace(TrainOptions(), **{name: value}))

    with pytest.raises(SettingsError, match=rf"training\.{name} is {value}: give "):
        check_training(options)


@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": 1, "warmup": 0.0, "weight_decay": 0.0, "clip_norm": 0.0},
        {"ema_decay": 0.0, "patience": 0, "seed": 0, "warmup": 1.0},
    ],
)
def test_takes_the_ends_of_the_ranges(changes):
    """Every smallest or largest value that has a meaning is accepted."""
    check_training(PretrainOptions(training=replace(TrainOptions(), **changes)))


@pytest.mark.parametrize("size", [-1.0, math.nan, math.inf])
def test_refuses_a_cache_of_no_size(size):
    """The cache holds 0 GB or more."""
    with pytest.raises(SettingsError, match=r"cache\.max_gb is .*give 0 or more"):
        check_training(PretrainOptions(cache=CacheOptions(max_gb=size)))


def test_refuses_an_unknown_temporal_shift():
    """Only three words are known."""
    options = PretrainOptions(encoder=EncoderOptions(temporal_shift="maybe"))

    with pytest.raises(EncoderError, match="temporal_shift is auto, on or off, not 'maybe'"):
        check_training(options)


def test_refuses_an_augmentation_out_of_range():
    """Augmentation is checked with the rest, before training starts."""
    with pytest.raises(SettingsError, match=r"augment\.gain is 2"):
        check_training(PretrainOptions(augment=AugmentOptions(gain=2.0)))


def test_nothing_is_built_with_bad_settings(tmp_path):
    """`fit_encoder` checks before it builds."""
    options = replace(_options(spec="timm:no_such_net"), training=TrainOptions(epochs=0))

    with pytest.raises(SettingsError, match=r"training\.epochs is 0"):
        fit_encoder(_lesson(tmp_path, options))
