"""The models an evaluation compares: each gives embeddings of every scan for every fold.

Trained encoders are cross-fitted: the one of a fold has not seen that fold's patients. Frozen
ones, handcrafted features and the simulators' truth are the same for all folds.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Literal, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.analysis.handcrafted import FEATURES, handcrafted_features
from learner_index.config import EncoderOptions, Preprocessing, PretrainOptions
from learner_index.data.decoded import NEIGHBORS
from learner_index.data.records import Embedder
from learner_index.data.replace import replace_file
from learner_index.data.split import PatientSplit
from learner_index.data.suggest import close_names
from learner_index.errors import EncoderError, SettingsError
from learner_index.learn.encoder import load_encoder, make_encoder
from learner_index.learn.weights import parse_spec
from learner_index.pipeline.source import declare_preprocessing
from learner_index.pipeline.trainingset import TrainingSet

Kind = Literal["trained", "frozen", "handcrafted", "oracle", "store", "constant"]
Embeddings = NDArray[np.float32]
Progress = Callable[[int, int], None]

SEVERITY = "s"
STATES = ("e", "c", "hippocampus", "ventricle", "cortex")
"""Columns of a truth table that hold a simulated patient's state."""
ORACLE_COLUMNS = (*STATES, SEVERITY, "true_sf", "true_mmse")
"""Columns that say how ill a simulated patient is, without any noise."""
CONSTANTS = MappingProxyType(
    {
        "majority": "the commonest health change of the patients fitted on",
        "no change": "always stable",
    }
)
"""Baselines that look at no scan, in words."""
_AHEAD = 32  # scans decoded before they are embedded
_CHECK_BYTES = 8  # digest in front of remembered vectors


class Model(Protocol):
    """Something that turns scans into vectors, for one fold at a time."""

    @property
    def name(self) -> str:
        """In tables."""

    @property
    def kind(self) -> Kind:
        """What it is."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of its trainings; a model that is not trained here has one."""

    @property
    def says(self) -> str:
        """Where it comes from, in words."""

    def embeddings(self, seed: int, fold: int) -> Embeddings:
        """(n, e) one row a scan."""

    def seen(self, seed: int, fold: int) -> frozenset[str]:
        """Patients this encoder was trained or tuned on."""


@dataclass(frozen=True, slots=True, eq=False)
class Fixed:
    """A model whose embeddings are the same whatever is held out."""

    name: str
    kind: Kind
    says: str
    rows: Embeddings
    known: frozenset[str] = frozenset()
    seeds: tuple[int, ...] = (0,)

    def embeddings(self, seed: int, fold: int) -> Embeddings:
        """(n, e) one row a scan."""
        return self.rows

    def seen(self, seed: int, fold: int) -> frozenset[str]:
        """Patients this encoder was trained or tuned on."""
        return self.known


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """An objective, trained once a seed and fold.

    Attributes:
        folders: seed -> run folder of each fold.
        splits: patients by role in each fold.
        embed: run folder -> (n, e).
    """

    name: str
    says: str
    folders: dict[int, tuple[Path, ...]]
    splits: tuple[PatientSplit, ...]
    embed: Callable[[Path], Embeddings]
    kind: Kind = "trained"

    @property
    def seeds(self) -> tuple[int, ...]:
        """One training each."""
        return tuple(self.folders)

    def embeddings(self, seed: int, fold: int) -> Embeddings:
        """(n, e) one row a scan, by the encoder that has not seen the fold."""
        return self.embed(self.folders[seed][fold])

    def seen(self, seed: int, fold: int) -> frozenset[str]:
        """Patients this encoder was trained or tuned on."""
        split = self.splits[fold]
        return frozenset((*split.train, *split.val))


@dataclass(frozen=True, slots=True, eq=False)
class Reader:
    """Decoded scans of a cohort, turned into vectors and remembered.

    Attributes:
        cohort: the scans.
        rows: rows of the manifest that are used.
        folder: where vectors are kept, by what made them.
        settings: how training sees the scans.
        jitter: training decodes them with neighbouring frames.
        device: to embed on; in which precision is not training's choice, but the device's.
        workers: threads that decode.
        progress: called with scans done and scans in all.
    """

    cohort: TrainingSet
    rows: NDArray[np.intp]
    folder: Path
    settings: Preprocessing
    jitter: bool
    device: str
    workers: int
    progress: Progress

    def of_run(self, run: Path) -> Embeddings:
        """By the encoder of a finished run."""
        encoder = load_encoder(run, device=self.device, batch_size=8)
        return self.by_encoder(encoder, encoder.preprocessing, encoder.space)

    def by_spec(self, spec: str, options: EncoderOptions) -> tuple[Embeddings, str]:
        """By a frozen network at its own width, and its name.

        Raises:
            EncoderError: there is no such network.
        """
        wanted = replace(options, spec=spec, size=None)
        paths = [self.cohort.manifest.paths[row] for row in self.rows.tolist()]
        settings = declare_preprocessing(wanted, paths)
        encoder = make_encoder(spec, preprocessing=settings, width=None, device=self.device)
        found = self.by_encoder(encoder, settings, encoder.space)
        return found, f"{encoder.card['architecture']} trained on {encoder.card['trained_on']}"

    def by_encoder(self, encoder: Embedder, settings: Preprocessing, name: str) -> Embeddings:
        """By any encoder; from disk where it did so before."""
        return self._remembered(
            name, lambda: self._embedded(encoder.batch_size, settings, encoder.embed)
        )

    def by_hand(self) -> Embeddings:
        """Handcrafted features of the frames that training sees."""
        known = repr((FEATURES, asdict(self.settings)))
        name = blake2b(known.encode(), digest_size=8).hexdigest()

        def measure(frames: NDArray[np.float32]) -> Embeddings:
            return np.array([handcrafted_features(scan) for scan in frames], np.float32)

        return self._remembered(
            f"handcrafted-{name}", lambda: self._embedded(1, self.settings, measure)
        )

    def _embedded(
        self,
        size: int,
        settings: Preprocessing,
        embed: Callable[[NDArray[np.float32]], Embeddings],
    ) -> Embeddings:
        """(n, e) of all rows, in batches of one length; a few scans are held at a time."""
        found: dict[int, NDArray[np.float32]] = {}
        waiting: dict[int, list[tuple[int, NDArray[np.float32]]]] = {}
        with ThreadPoolExecutor(self.workers, thread_name_prefix="decode") as pool:
            for start in range(0, len(self.rows), _AHEAD):
                rows = self.rows[start : start + _AHEAD].tolist()
                read = pool.map(lambda row: self._frames(row, settings), rows)
                for place, frames in enumerate(read, start):
                    batch = waiting.setdefault(len(frames), [])
                    batch.append((place, frames))
                    if len(batch) == size:
                        _embed_batch(waiting.pop(len(frames)), embed, found)
                    self.progress(place + 1, len(self.rows))
        for batch in waiting.values():
            _embed_batch(batch, embed, found)
        return np.stack([found[place] for place in range(len(self.rows))])

    def _frames(self, row: int, settings: Preprocessing) -> NDArray[np.float32]:
        """(f, h, w) the frames a store would embed."""
        is_shared = self.jitter and settings == self.settings  # with what training decoded
        decoded = self.cohort.frames(row, settings, jitter=is_shared)
        has_neighbors = len(decoded) == NEIGHBORS * settings.frames
        return (decoded[1::NEIGHBORS] if has_neighbors else decoded).astype(np.float32)

    def _remembered(self, name: str, make: Callable[[], Embeddings]) -> Embeddings:
        """What was made before of the very same scans, else made now and written."""
        scans = self.cohort.usable_fingerprint(self.rows.tolist())
        key = blake2b(f"{name} {scans} {self.cohort.fingerprint}".encode(), digest_size=8)
        file = self.folder / f"{key.hexdigest()}.vectors"
        found = _read_vectors(file)
        if found is None:
            found = make()
            with suppress(OSError):  # a cache: what it would have saved is only time
                _write_vectors(file, found)
        return found


def oracle(truth: pd.DataFrame) -> Fixed:
    """What a reader of the simulator's truth would know: the ceiling of every model."""
    used = [name for name in ORACLE_COLUMNS if name in truth]
    rows = truth[used].to_numpy(np.float32)
    return Fixed("oracle", "oracle", f"simulated truth ({', '.join(used)})", rows)


def frozen_models(
    reader: Reader, names: Sequence[str], options: PretrainOptions
) -> tuple[list[Fixed], list[str]]:
    """The baselines asked for, and why one could not be had.

    Args:
        reader: of the cohort.
        names: "handcrafted" or an encoder spec.
        options: whose frames, field of view and device frozen networks share.

    Raises:
        EncoderError: a spec other than "imagenet", which needs an extra, cannot be had.
    """
    found, notes = [], []
    for name in names:
        if name == "handcrafted":
            says = f"{len(FEATURES)} measurements of the pixels"
            found.append(Fixed(name, "handcrafted", says, reader.by_hand()))
            continue
        try:
            rows, says = reader.by_spec(name, options.encoder)
        except EncoderError as problem:
            if name != "imagenet":
                raise
            notes.append(f"baseline imagenet is left out: {problem}")
            continue
        shown = name_of_baseline(name)
        found.append(Fixed(shown, "frozen", f"{says}, not trained further", rows))
    return found, notes


def name_of_baseline(name: str) -> str:
    """A baseline as tables show it: of a weights file its name only, never its folder.

    Raises:
        EncoderError: it is neither "handcrafted" nor a network.
    """
    if name == "handcrafted":
        return name
    if name != "imagenet" and not name.startswith("timm:"):
        raise EncoderError(
            f"no baseline {name!r}{close_names(name, ('handcrafted', 'imagenet'))}: take "
            "handcrafted, or a frozen encoder (imagenet, timm:NAME@FILE)"
        )
    return str(parse_spec(name))


def pick_against(wanted: str | None, names: Sequence[str]) -> str:
    """The model that all others are compared with.

    Args:
        wanted: None: mse, or the first without it.
        names: of all models.

    Raises:
        SettingsError: the one wanted is none of these.
    """
    against = wanted or ("mse" if "mse" in names else names[0])
    if against not in names:
        raise SettingsError(
            f"--against {against}: no such model{close_names(against, names)}; "
            f"there are {', '.join(names)}"
        )
    return against


def _embed_batch(
    batch: Sequence[tuple[int, NDArray[np.float32]]],
    embed: Callable[[NDArray[np.float32]], Embeddings],
    found: dict[int, NDArray[np.float32]],
) -> None:
    """Put a batch's embeddings where they belong."""
    rows = embed(np.stack([frames for _, frames in batch]))
    found.update({place: row for (place, _), row in zip(batch, rows, strict=True)})


def _read_vectors(file: Path) -> Embeddings | None:
    """What `_write_vectors` wrote; None where it is absent or damaged."""
    try:
        packed = file.read_bytes()
    except OSError:
        return None
    check, content = packed[:_CHECK_BYTES], packed[_CHECK_BYTES:]
    if not content or blake2b(content, digest_size=_CHECK_BYTES).digest() != check:
        return None
    found: Embeddings = np.load(BytesIO(content), allow_pickle=False)
    return found


def _write_vectors(file: Path, vectors: Embeddings) -> None:
    """Keep vectors behind a digest of their bytes."""
    buffer = BytesIO()
    np.save(buffer, vectors, allow_pickle=False)
    content = buffer.getvalue()
    replace_file(file, [blake2b(content, digest_size=_CHECK_BYTES).digest(), content])
