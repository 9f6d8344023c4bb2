"""Encoders: the same bytes for the same scan, always; saved and loaded in one space."""

import json
import subprocess
import sys
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from learner_index.config import Preprocessing
from learner_index.errors import EncoderError, SpaceMismatchError
from learner_index.learn import frozen
from learner_index.learn.card import origin_of
from learner_index.learn.encoder import Encoder, load_encoder, make_encoder


def _make(spec: str = "timm:test_resnet", **options) -> Encoder:
    options = {"preprocessing": Preprocessing(size=32, frames=4), "device": "cpu"} | options
    return make_encoder(spec, **options)


def test_gives_one_row_a_scan(encoder, clips):
    """(b, f, h, w) frames become (b, e) float32 embeddings."""
    embeddings = encoder.embed(clips[:3])

    assert embeddings.shape == (3, encoder.width) == (3, 16)
    assert embeddings.dtype == np.float32


def test_no_scans_give_no_rows(encoder, clips):
    """An empty batch is no error."""
    assert encoder.embed(clips[:0]).shape == (0, 16)


@pytest.mark.parametrize("n_frames", [1, 4])
def test_bytes_do_not_depend_on_neighbours(encoder, clips, n_frames):
    """A scan alone has the bytes it has in a full batch."""
    clips = clips[:, :n_frames]

    together = encoder.embed(clips)
    alone = np.concatenate([encoder.embed(clip[None]) for clip in clips])

    assert together.tobytes() == alone.tobytes()


@pytest.mark.parametrize("n_frames", [1, 4])
def test_bytes_do_not_depend_on_the_slot(encoder, clips, n_frames):
    """Scans in another order have the same bytes in that order."""
    clips = clips[:5, :n_frames]
    order = [3, 0, 4, 2, 1]

    assert encoder.embed(clips)[order].tobytes() == encoder.embed(clips[order]).tobytes()


@pytest.mark.parametrize("spec", ["timm:test_resnet", "timm:test_vit", "imagenet"])
@pytest.mark.parametrize("n_frames", [1, 4])
def test_bytes_do_not_depend_on_threads(threads, clips, spec, n_frames):
    """One, two and three threads give the same bytes; batches of EfficientNet-Lite would not."""
    encoder = _make(spec)
    made = []

    for number in (1, 2, 3):
        threads(number)
        made.append(encoder.embed(clips[:, :n_frames]).tobytes())

    assert made[0] == made[1] == made[2]


def test_bytes_do_not_depend_on_the_batch_size(clips):
    """On a CPU the batch size is a convenience: the bytes are the same."""
    wide, narrow = _make(batch_size=8), _make(batch_size=3)

    pieces = [narrow.embed(clips[i : i + 3]) for i in (0, 3, 6)]

    assert wide.embed(clips).tobytes() == np.concatenate(pieces).tobytes()
    assert wide.space == narrow.space


def test_computes_what_its_network_computes(encoder, clips):
    """The fast copy agrees with the network itself on normalized frames."""
    normalized = (torch.from_numpy(clips)[:, :, None] - 0.5) / 0.5

    with torch.inference_mode():
        wanted = encoder.network(normalized).embedding.numpy()

    np.testing.assert_allclose(encoder.embed(clips), wanted, rtol=1e-4, atol=1e-5)


def test_order_of_frames_matters(encoder, clips):
    """An untrained encoder with temporal shift sees the order of frames."""
    forwards, backwards = encoder.embed(clips), encoder.embed(clips[:, ::-1])

    assert np.abs(forwards - backwards).max() > 1e-3 * np.abs(forwards).max()


def test_non_contiguous_frames_are_welcome(encoder, clips):
    """A view into other memory gives the same bytes as its copy."""
    view = clips[::2]

    assert encoder.embed(view).tobytes() == encoder.embed(view.copy()).tobytes()


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 3, 32, 32), r"\(scans, 1 or 4, 32, 32\)"),
        ((2, 4, 32, 31), r"\(scans, 1 or 4, 32, 32\)"),
        ((4, 32, 32), r"\(4, 32, 32\) do not fit"),
        ((9, 1, 32, 32), "takes 8 at most"),
    ],
)
def test_refuses_other_shapes(encoder, shape, message):
    """Frames of another number or size, and too many scans, are refused with what fits."""
    with pytest.raises(EncoderError, match=message):
        encoder.embed(np.zeros(shape, np.float32))


def test_refuses_other_types(encoder):
    """8-bit frames, which would be 255 times too bright, are refused."""
    with pytest.raises(EncoderError, match=r"float32 in 0\.\.1, not uint8"):
        encoder.embed(np.zeros((1, 1, 32, 32), np.uint8))


def test_refuses_embeddings_that_are_not_finite(encoder, clips):
    """A scan whose embedding overflows is named by its place in the batch."""
    broken = clips[:3].copy()
    broken[1, 0, 0, 0] = np.nan

    with pytest.raises(EncoderError, match="scan 2 of 3 in the batch is not finite"):
        encoder.embed(broken)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size is 1 or more"),
        ({"width": 0}, "1 value or more"),
        ({"temporal_shift": "maybe"}, "auto, on or off"),
        ({"precision": "fp16"}, "needs a GPU"),
        ({"spec": "timm:test_vit", "temporal_shift": "on"}, "needs a residual backbone"),
        ({"spec": "timm:test_vit", "preprocessing": Preprocessing(size=0)}, "cannot"),
        ({"preprocessing": Preprocessing(size=0)}, "cannot take frames of 0 x 0"),
    ],
)
def test_refuses_impossible_settings(options, message):
    """Settings that cannot be are refused before any scan is embedded."""
    with pytest.raises(EncoderError, match=message):
        _make(**options)


@pytest.mark.parametrize(
    ("spec", "choice", "expected"),
    [
        ("timm:test_resnet", "auto", True),
        ("timm:test_resnet", "off", False),
        ("timm:test_vit", "auto", False),
        ("imagenet", "auto", False),
    ],
)
def test_shift_by_default(spec, choice, expected):
    """Untrained residual networks are shifted, others are not."""
    assert _make(spec, temporal_shift=choice).card["temporal_shift"] is expected


def test_weights_of_single_images_are_not_shifted(tmp_path, encoder):
    """Weights from a file were trained without shift, so it is off unless asked for."""
    file = tmp_path / "w.pth"
    torch.save(encoder.network.backbone.state_dict(), file)

    card = _make(f"timm:test_resnet@{file}").card
    asked = _make(f"timm:test_resnet@{file}", temporal_shift="on").card

    assert (card["temporal_shift"], asked["temporal_shift"]) == (False, True)
    assert (card["spec"], card["is_trained"]) == ("timm:test_resnet@w.pth", True)
    assert str(tmp_path) not in json.dumps(card)


def test_native_width_is_the_backbone_s():
    """Without a projection the embedding has the backbone's width, and the card says so."""
    encoder = _make(width=None)

    assert (encoder.width, encoder.card["projection"]) == (96, "none")


def test_equal_settings_make_equal_spaces(encoder):
    """Made twice, an encoder has one space; another seed or shift makes another."""
    again = _make(width=16)

    assert again.card == encoder.card
    assert _make(width=16, seed=1).space != encoder.space
    assert _make(width=16, temporal_shift="off").space != encoder.space
    assert _make(width=17).space != encoder.space


def test_a_network_in_training_is_left_alone(encoder, small, clips):
    """An encoder made in the middle of training keeps its weights while training goes on."""
    network = deepcopy(encoder.network).train()
    origin = replace(origin_of(encoder.card), projection="trained", trained_on="this cohort")
    snapshot = Encoder(network, origin, small, device="cpu")

    with torch.no_grad():
        network.projection.weight.zero_()

    assert network.training
    assert snapshot.card["projection"] == "trained"
    assert snapshot.embed(clips).tobytes() == encoder.embed(clips).tobytes()


def test_card_cannot_be_altered_from_outside(encoder):
    """Changing a card that was handed out leaves the encoder's own alone."""
    encoder.card["preprocessing"]["size"] = 1

    assert encoder.card["preprocessing"]["size"] == 32
    assert encoder.preprocessing.size == 32


@pytest.mark.parametrize("options", [{"width": 16}, {"width": None}, {"temporal_shift": "off"}])
def test_saved_and_loaded_is_the_same(tmp_path, clips, options):
    """A saved encoder comes back with equal card, space and embeddings, bit for bit."""
    encoder = _make(**options)

    encoder.save(tmp_path / "deep" / "run")
    loaded = load_encoder(tmp_path / "deep" / "run", device="cpu")

    assert loaded.card == encoder.card
    assert loaded.embed(clips).tobytes() == encoder.embed(clips).tobytes()


def test_batch_size_may_change_at_loading(tmp_path, encoder):
    """The batch size is the loader's choice, the space stays."""
    encoder.save(tmp_path)

    loaded = load_encoder(tmp_path, device="cpu", batch_size=2)

    assert (loaded.batch_size, loaded.space) == (2, encoder.space)


def test_saves_over_an_older_one(tmp_path, encoder):
    """A folder that holds an encoder gets the new one, and no leftovers."""
    _make(seed=5).save(tmp_path)

    encoder.save(tmp_path)

    assert load_encoder(tmp_path, device="cpu").space == encoder.space
    assert sorted(p.name for p in tmp_path.iterdir()) == ["encoder.json", "encoder.safetensors"]


def test_leaves_nothing_half_written(tmp_path, encoder, monkeypatch):
    """When the disk refuses, the older encoder stays whole and no temporary file is left."""
    encoder.save(tmp_path)

    def refuse(_number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(EncoderError, match="No space left on device"):
        _make(seed=5).save(tmp_path)

    assert load_encoder(tmp_path, device="cpu").space == encoder.space
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("name", ["encoder.json", "encoder.safetensors"])
def test_refuses_a_folder_without_encoder(tmp_path, encoder, name):
    """A missing file is named."""
    encoder.save(tmp_path)
    (tmp_path / name).unlink()

    with pytest.raises(EncoderError, match=f"no encoder in .*{name} is missing"):
        load_encoder(tmp_path)


@pytest.mark.parametrize("name", ["encoder.json", "encoder.safetensors"])
def test_refuses_truncated_files(tmp_path, encoder, name):
    """A truncated file is named, without a traceback."""
    encoder.save(tmp_path)
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:-40])

    with pytest.raises(EncoderError, match=f"{name}' cannot be read"):
        load_encoder(tmp_path)


def test_refuses_weights_of_another_encoder(tmp_path, encoder):
    """Weights that are not those of the card would be another space, and are refused."""
    encoder.save(tmp_path / "a")
    _make(seed=5, width=16).save(tmp_path / "b")
    (tmp_path / "b" / "encoder.safetensors").replace(tmp_path / "a" / "encoder.safetensors")

    with pytest.raises(SpaceMismatchError, match=r"not the weights its encoder\.json describes"):
        load_encoder(tmp_path / "a")


def _alter(folder, **changes):
    path = folder / "encoder.json"
    card = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in card.items() if value is not None}))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"pooling": "max"}, SpaceMismatchError, "was altered"),
        ({"format": 99}, EncoderError, "no encoder card of format 1"),
        ({"pooling": None}, EncoderError, "lacks 'pooling'"),
        ({"seed": None}, EncoderError, "is incomplete: 'seed'"),
        ({"embedding_width": 5}, EncoderError, "do not fit test_resnet"),
    ],
)
def test_refuses_an_altered_card(tmp_path, encoder, changes, error, message):
    """A card that was edited, shortened or written by another version is refused."""
    encoder.save(tmp_path)
    _alter(tmp_path, **changes)

    with pytest.raises(error, match=message):
        load_encoder(tmp_path)


def test_batches_are_padded_where_scans_share_one(encoder, clips, monkeypatch):
    """The path for GPUs always computes one shape and returns the rows that were asked for."""
    shapes = []
    fast = encoder._fast
    monkeypatch.setattr(encoder, "_fast", lambda x: shapes.append(tuple(x.shape)) or fast(x))

    rows = encoder._run_padded(torch.from_numpy(clips[:3, :, None])).numpy()

    assert shapes == [(8, 4, 1, 32, 32)]
    np.testing.assert_allclose(rows, encoder.embed(clips[:3]), rtol=1e-4, atol=1e-5)


def test_too_little_gpu_memory_is_one_line(encoder, clips, monkeypatch):
    """Running out of GPU memory tells to take fewer scans at once."""

    def fail(_scans):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(encoder, "_fast", fail)

    with pytest.raises(EncoderError, match="not enough memory for 8 scans"):
        encoder._run_padded(torch.from_numpy(clips[:, :, None]))


@pytest.mark.parametrize("kind", [RuntimeError, EncoderError])
def test_errors_of_the_backbone_are_one_line(small, monkeypatch, kind):
    """A backbone that cannot take the frames is refused with its own reason."""

    def fail(*_):
        raise kind("kernel larger than input")

    monkeypatch.setattr(frozen, "fused_copy", fail)

    with pytest.raises(EncoderError, match="kernel larger than input"):
        _make(preprocessing=small)


def test_importing_the_layer_is_light():
    """Importing learner_index.learn brings in neither torch nor timm."""
    code = "import sys, learner_index.learn; print({'torch', 'timm'} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-3), ("auto", 5e-2)])
def test_gpu_and_cpu_agree(encoder, clips, precision, tolerance):
    """A GPU gives the same space, with embeddings within the precision's tolerance."""
    on_gpu = _make(width=16, device="cuda", precision=precision)

    difference = np.linalg.norm(on_gpu.embed(clips) - encoder.embed(clips), axis=1)

    assert on_gpu.space == encoder.space
    assert (difference < tolerance * np.linalg.norm(encoder.embed(clips), axis=1)).all()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_gpu_bytes_do_not_depend_on_neighbours(clips):
    """On a GPU a scan alone has the bytes it has in a full batch."""
    encoder = _make(width=16, device="cuda")

    alone = np.concatenate([encoder.embed(clips[:1]), encoder.embed(clips[:1])])

    assert alone.tobytes() == np.repeat(encoder.embed(clips)[:1], 2, axis=0).tobytes()
