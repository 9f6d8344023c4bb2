"""Encoders for builds and queries: what is declared for a new store, what an old one refuses."""

from dataclasses import asdict

import numpy as np
import pytest

from learner_index.config import EncoderOptions, Preprocessing
from learner_index.errors import EncoderError, SpaceMismatchError
from learner_index.pipeline.source import ChosenEncoder, declare_preprocessing


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
