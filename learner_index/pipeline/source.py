"""Where encoders come from: a user's wish, a cohort's scans, a store's memory."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from learner_index.config import EncoderOptions, Preprocessing
from learner_index.data.intensity import parse_intensity
from learner_index.data.manifest import Manifest
from learner_index.data.preprocess import check_preprocessing, choose_pixel_mm, extent_mm
from learner_index.data.readers import read_scan
from learner_index.data.records import Embedder, Scan
from learner_index.errors import EncoderError, RunError, ScanError, SpaceMismatchError
from learner_index.pipeline.roles import (
    RunEncoder,
    is_from_run,
    is_kept,
    keep_roles,
    run_encoder,
)
from learner_index.pipeline.runs import has_encoder
from learner_index.pipeline.settings import preprocessing_of

if TYPE_CHECKING:
    from learner_index.learn.encoder import Encoder

DEFAULT_SPEC = "imagenet"
DEFAULT_WIDTH = 128
DEFAULT_BATCH = 8
SAMPLE = 16
_PREPROCESSING = ("size", "frames", "pixel_mm", "anchor", "intensity", "plane", "slice_range")


class EncoderSource(Protocol):
    """Where a build gets its encoder from, at the moment it needs one."""

    def for_new_store(self, manifest: Manifest, cache: Path) -> Embedder:
        """The encoder of a store that is about to be made."""

    def for_store(self, card: Mapping[str, Any], cache: Path) -> Embedder:
        """The encoder of a store that exists.

        Raises:
            SpaceMismatchError: another encoder was asked for.
        """

    def check(self, card: Mapping[str, Any]) -> None:
        """Without loading an encoder: refuse one that is plainly not the store's.

        Raises:
            SpaceMismatchError: another encoder was asked for.
        """


class ChosenEncoder:
    """Gives a build or a query the encoder that was asked for, or the store's own.

    Args:
        options: what was asked for.
    """

    def __init__(self, options: EncoderOptions | None = None) -> None:
        self.options = options or EncoderOptions()

    def for_new_store(self, manifest: Manifest, cache: Path) -> Embedder:
        """The encoder of a new store, kept in its cache so that files can be queried later.

        Raises:
            EncoderError: there is no such encoder, or its weights do not fit.
            SpaceMismatchError: a setting is not that of the run that was named.
            RunFormatError: the folder named is no finished run.
        """
        run = run_encoder(self.options.spec)
        encoder = self._make(manifest) if run is None else self._load_run(run)
        encoder.save(cache / "encoder")
        keep_roles(run.split if run else None, cache)
        return encoder

    def for_store(self, card: Mapping[str, Any], cache: Path) -> Embedder:
        """The encoder a store was built with.

        A run that is named again is put back into the cache, should the cache have lost it.

        Raises:
            SpaceMismatchError: another one was asked for.
            EncoderError: its weights are no longer in the cache, and none were named.
            RunFormatError: the folder named is no finished run.
        """
        self.check(card)
        run = run_encoder(self.options.spec)
        if run is not None:
            encoder = self._load(run.folder, card)
        else:
            encoder = self._remake(card) if self.options.spec else self._reload(card, cache)
        if encoder.card["space"] != card["space"]:
            raise SpaceMismatchError(
                f"the encoder's space is {encoder.card['space']}, the store's {card['space']}: "
                "use the encoder the store was built with, or build another store"
            )
        if run is not None:
            _put_back(encoder, run, cache)
        return encoder

    def check(self, card: Mapping[str, Any]) -> None:
        """Refuse settings that are plainly not the store's, without loading an encoder.

        Raises:
            SpaceMismatchError: a setting, or the run that was named, differs from the store's.
            EncoderError: there is no such encoder.
            RunFormatError: the folder named is no finished run.
        """
        run = run_encoder(self.options.spec)
        for name, known, value in _differences(self.options, card, has_run=run is not None):
            raise SpaceMismatchError(
                f"the store was built with {name} {known}, not {value}: "
                "leave the option out, or build another store"
            )
        if run is not None and run.card["space"] != card["space"]:
            raise SpaceMismatchError(
                f"the store was built with another encoder ({card['spec']}, space "
                f"{card['space']}) than the run's (space {run.card['space']}): "
                "leave --encoder out, or build another store"
            )

    def _make(self, manifest: Manifest) -> "Encoder":
        """The network that was asked for, with what suits the cohort."""
        from learner_index.learn.encoder import make_encoder

        return make_encoder(
            self.options.spec or DEFAULT_SPEC,
            preprocessing=declare_preprocessing(self.options, manifest.paths),
            width=DEFAULT_WIDTH if self.options.width is None else self.options.width or None,
            temporal_shift=self.options.temporal_shift,
            batch_size=self.options.batch_size or DEFAULT_BATCH,
            device=self.options.device,
            precision=self.options.precision,
            seed=self.options.seed or 0,
        )

    def _load_run(self, run: RunEncoder) -> "Encoder":
        """The encoder of a run, which decides every setting of the space.

        Raises:
            SpaceMismatchError: another setting was asked for.
        """
        require_run_settings(self.options, run)
        return self._load(run.folder, run.card)

    def _remake(self, card: Mapping[str, Any]) -> "Encoder":
        """The encoder that was named, with everything else as in the store."""
        from learner_index.learn.encoder import make_encoder

        return make_encoder(
            str(self.options.spec),
            preprocessing=preprocessing_of(card),
            width=None if card["projection"] == "none" else int(card["embedding_width"]),
            temporal_shift="on" if card["temporal_shift"] else "off",
            batch_size=self.options.batch_size or int(card["batch_size"]),
            device=self.options.device,
            precision=self.options.precision,
            seed=int(card.get("seed", 0)),
        )

    def _reload(self, card: Mapping[str, Any], cache: Path) -> "Encoder":
        """The encoder kept in the store's cache."""
        if not (cache / "encoder").is_dir():
            if is_from_run(card):
                raise EncoderError(
                    f"it is not known who trained the store's encoder, whose weights are no longer "
                    f"in {cache.name}: name its pretraining run again with --encoder RUN"
                )
            raise EncoderError(
                f"the encoder's weights are no longer in {cache.name}: "
                f"name them again with --encoder (the store was built with {card['spec']})"
            )
        return self._load(cache / "encoder", card)

    def _load(self, folder: Path, card: Mapping[str, Any]) -> "Encoder":
        """A saved encoder, to be run as was asked for."""
        from learner_index.learn.encoder import load_encoder

        return load_encoder(
            folder,
            device=self.options.device,
            precision=self.options.precision,
            batch_size=self.options.batch_size or int(card["batch_size"]),
        )


def require_run_settings(options: EncoderOptions, run: RunEncoder) -> None:
    """Lets pass what a run's encoder can do; it decides every setting of its space.

    Raises:
        SpaceMismatchError: another setting was asked for.
    """
    for name, known, value in _differences(options, run.card, has_run=True):
        raise SpaceMismatchError(
            f"the run's encoder takes {name} {known}, not {value}: leave the option out"
        )


def _differences(
    options: EncoderOptions, card: Mapping[str, Any], *, has_run: bool
) -> Iterator[tuple[str, Any, Any]]:
    """Name, value in a card and value asked for of each setting that was asked to differ."""
    known: dict[str, Any] = asdict(preprocessing_of(card))
    for name in _PREPROCESSING:
        value = getattr(options, name)
        wanted = None if name == "pixel_mm" and value == 0 else value
        if value is not None and wanted != known[name]:
            yield name, known[name], value
    width = options.width
    is_native = card.get("projection", "none") == "none"
    if width not in (None, card["embedding_width"]) and not (width == 0 and is_native):
        yield "width", card["embedding_width"], width or "native"
    spec, shift = options.spec, options.temporal_shift
    asked = {
        "architecture": architecture_of(spec) if spec and not has_run else None,
        "seed": options.seed,
        "temporal_shift": None if shift == "auto" else shift == "on",
    }
    for name, value in asked.items():
        if value is not None and card.get(name) != value:
            yield name, card.get(name), value


def _put_back(encoder: "Encoder", run: RunEncoder, cache: Path) -> None:
    """Keep a run that was named again, where it is gone; whoever only asks makes no cache."""
    folder = cache / "encoder"
    if not cache.is_dir() or folder.resolve() == run.folder.resolve():
        return
    with suppress(EncoderError, RunError):  # only a cache: who needs it says what it lacks
        if not has_encoder(folder):
            encoder.save(folder)
        if not is_kept(run, cache):
            keep_roles(run.split, cache)


def architecture_of(spec: str) -> str:
    """The timm architecture an encoder spec names, without tag and file."""
    if spec == DEFAULT_SPEC:
        return "tf_efficientnet_lite0"
    return spec.removeprefix("timm:").split("@")[0].split(".")[0]


def declare_preprocessing(options: EncoderOptions, paths: Sequence[Path]) -> Preprocessing:
    """The preprocessing of a new store: what was asked for, else what a sample of scans suggests.

    Cohorts of clips keep the top of a physical crop (the probe's surface), others the middle; the
    physical field is the one the sampled scans share in the plane that is used.

    Args:
        options: what was asked for.
        paths: the cohort's scans; 16 of them, evenly spread, are looked at.

    Raises:
        EncoderError: the intensity rule is not understood.
    """
    if options.intensity is not None:
        parse_intensity(options.intensity)
    base = Preprocessing()
    asked = {n: getattr(options, n) for n in _PREPROCESSING if getattr(options, n) is not None}
    size = int(asked.get("size", base.size))
    if "pixel_mm" not in asked or "anchor" not in asked:
        sample = _sample(paths) if asked.get("pixel_mm") != 0 else []
        plane = options.plane or base.plane
        found = [extent_mm(scan, plane) for scan in sample]
        extents = [extent for extent in found if extent is not None]
        clips = sum(scan.kind == "clip" for scan in sample)
        asked.setdefault("pixel_mm", choose_pixel_mm(extents, size))
        asked.setdefault("anchor", "top" if 2 * clips > len(sample) else base.anchor)
    if asked["pixel_mm"] == 0:
        asked["pixel_mm"] = None
    chosen = Preprocessing(**asked)
    check_preprocessing(chosen)
    return chosen


def _first(n: int) -> NDArray[np.intp]:
    """The first of n frames, for readers."""
    return np.zeros(1, dtype=np.intp)


def _sample(paths: Sequence[Path]) -> list[Scan]:
    """First frames of scans spread evenly over the cohort; broken ones are passed over."""
    rows = np.linspace(0, len(paths) - 1, min(SAMPLE, len(paths))).round().astype(int)
    found = []
    for path in (paths[int(row)] for row in rows):
        try:
            found.append(read_scan(path, pick=_first))
        except (ScanError, OSError):
            continue
    return found
