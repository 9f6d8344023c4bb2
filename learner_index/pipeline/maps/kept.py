"""A map on disk: `map.safetensors` and a JSON card; no pickle, nothing in it can run."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.analysis.maps.linear import LinearMap
from learner_index.analysis.maps.neighborly import NeighborMap
from learner_index.data.reference import ChangeReference
from learner_index.data.replace import replace_file
from learner_index.errors import HeadFormatError, MapFormatError, SpaceMismatchError
from learner_index.learn.headfile import read_arrays, write_arrays
from learner_index.pipeline.progression.visits import views_of
from learner_index.pipeline.runs import finite

CARD, ARRAYS = "map.json", "map.safetensors"
_COMING = "map.{}.safetensors"  # arrays until they take the place of older ones
FORMAT = 1
_MAP = "map."
_KINDS: Mapping[str, type[LinearMap] | type[NeighborMap]] = {"pca": LinearMap, "umap": NeighborMap}
_NEEDED = (
    "method", "seed", "most_fitted", "space", "modality", "views", "fitted", "quality", "arrays",
)  # fmt: skip

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class KeptMap:
    """A fitted map with all that is needed to place scans on it.

    Attributes:
        map: where embeddings go.
        view_means: (m, e) mean embedding of each view of `card["views"]`, and
        center: (e,) of visits after that: what is subtracted before a scan is placed.
        marks: (s,) sorted numbers that stand for the scans it was fitted on.
        card: all that a person or another program should know, JSON-ready.
    """

    map: LinearMap | NeighborMap
    view_means: Floats
    center: Floats
    marks: NDArray[np.uint64]
    card: Mapping[str, Any]

    def known(self, known: ChangeReference) -> ChangeReference:
        """What a store's reference knows, with the view means and center of this map."""
        means = dict(zip(self.card["views"], self.view_means, strict=True))
        return replace(known, view_means=means, center=self.center)

    def is_fitted(self, obs: pd.DataFrame) -> NDArray[np.bool_]:
        """(n,) whether the map was fitted on each scan."""
        return np.isin(scan_marks(obs, self.card["space"]), self.marks)

    def require_space(self, space: str, modality: str) -> None:
        """Refuse embeddings of another space or modality.

        Raises:
            SpaceMismatchError: they are of another.
        """
        own = self.card["space"]
        if space != own:
            raise SpaceMismatchError(
                f"the map is of space {own}, and the store of space {space}: name a map of the "
                "store's own encoder, or another folder with -o for a new one"
            )
        if modality != self.card["modality"]:
            raise SpaceMismatchError(
                f"the map is of modality {self.card['modality']!r}, and {modality!r} is asked "
                "for: name another folder with -o"
            )


def moved_by(known: ChangeReference, embeddings: NDArray[np.floating], obs: pd.DataFrame) -> Floats:
    """(n, e) embeddings less the mean of their view and the center of visits."""
    return np.asarray(embeddings - known.means_of(views_of(obs)) - known.center)


def scan_marks(obs: pd.DataFrame, space: str) -> NDArray[np.uint64]:
    """(n,) a number for each scan's id and bytes, from which neither can be read."""
    pairs = zip(obs["scan_id"].tolist(), obs["content_hash"].tolist(), strict=True)
    return np.array([_mark(f"{space}\0{scan}\0{content}") for scan, content in pairs], np.uint64)


def _mark(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def has_map(folder: Path) -> bool:
    """Whether a map is kept in a folder."""
    return (folder / CARD).exists()


def write_map(folder: Path, kept: KeptMap) -> None:
    """Write a map so that at each moment the folder holds the old one or the new one.

    New arrays lie beside the old ones until the card, which names arrays by their fingerprint,
    speaks of them; then they take the old ones' place.

    Raises:
        OSError: the disk refused.
    """
    arrays: dict[str, NDArray[np.generic]] = {
        "view_means": kept.view_means,
        "center": kept.center,
        "marks": kept.marks,
    }
    arrays |= {_MAP + name: values for name, values in kept.map.arrays().items()}
    mark = _fingerprint(arrays)
    coming = folder / _COMING.format(mark)
    write_arrays(arrays, coming)
    card = {**kept.card, "format": FORMAT, "arrays": mark}
    text = json.dumps(finite(card), indent=2, ensure_ascii=False)
    replace_file(folder / CARD, [text.encode()])
    coming.replace(folder / ARRAYS)
    for left in folder.glob(_COMING.format("[0-9a-f]*")):
        left.unlink(missing_ok=True)


def is_same_map(one: Path, other: Path) -> bool:
    """Whether two folders keep one map; a map whose card cannot be read is no other's.

    Raises:
        MapFormatError: the first has no map, or its card cannot be read.
    """
    mark = _read_card(one).get("arrays")
    try:
        return mark is not None and bool(mark == _read_card(other).get("arrays"))
    except MapFormatError:
        return False


def _fingerprint(arrays: Mapping[str, NDArray[np.generic]]) -> str:
    """A short text that another array would change."""
    found = blake2b(digest_size=16)
    for name, values in sorted(arrays.items()):
        found.update(f"{name}\0{values.dtype.str}\0{values.shape}\0".encode())
        found.update(np.ascontiguousarray(values).tobytes())
    return found.hexdigest()


def _read_own_arrays(folder: Path, mark: str) -> dict[str, NDArray[np.generic]]:
    """The arrays that a card speaks of, also where a write ended before they took their place.

    Raises:
        HeadFormatError: they cannot be read.
        ValueError: they belong to another card.
    """
    coming = folder / _COMING.format(mark)
    arrays = read_arrays(coming if coming.exists() else folder / ARRAYS)
    if _fingerprint(arrays) != mark:
        raise ValueError(f"{ARRAYS} and {CARD} are of two maps")
    return arrays


def read_map(folder: Path) -> KeptMap:
    """The map kept in a folder.

    Raises:
        MapFormatError: there is none, it is damaged, or of another version.
    """
    card = _read_card(folder)
    try:
        for name in _NEEDED:
            card[name]
        arrays = _read_own_arrays(folder, str(card["arrays"]))
        own = {
            name.removeprefix(_MAP): values
            for name, values in arrays.items()
            if name.startswith(_MAP)
        }
        found = KeptMap(
            _KINDS[card["method"]].load(own),
            np.asarray(arrays["view_means"], np.float64),
            np.asarray(arrays["center"], np.float64),
            np.asarray(arrays["marks"], np.uint64),
            card,
        )
        _check(found, card["views"])
    except (HeadFormatError, KeyError, TypeError, ValueError, IndexError) as problem:
        why = "its arrays cannot be read" if isinstance(problem, HeadFormatError) else problem
        raise MapFormatError(
            f"the map in {str(folder)!r} is damaged ({why}): fit it again with --refit"
        ) from problem
    return found


def _read_card(folder: Path) -> dict[str, Any]:
    """What `map.json` says.

    Raises:
        MapFormatError: there is none, it is damaged, or of another version.
    """
    try:
        card = json.loads((folder / CARD).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise MapFormatError(f"no map in {str(folder)!r}: `learner-index map` makes one") from None
    except (OSError, ValueError) as problem:
        raise MapFormatError(
            f"{CARD} in {str(folder)!r} cannot be read ({problem}): restore it, or fit the map "
            "again with --refit"
        ) from None
    found = card.get("format") if isinstance(card, dict) else None
    if found != FORMAT:
        raise MapFormatError(
            f"the map in {str(folder)!r} is of format {found!r}, this version reads {FORMAT}: "
            "fit it again with --refit"
        )
    return dict(card)


def _check(found: KeptMap, views: Sequence[str]) -> None:
    """Refuse arrays that do not belong together.

    Raises:
        ValueError: one has another shape, or holds no finite numbers.
    """
    e, own = len(found.center), found.map.arrays()
    shapes = {"center": (e,), "axes": (2, e), "variance_shares": (2,), "scales": (2,)}
    if isinstance(found.map, NeighborMap):
        shapes |= {"sample": (len(found.map.sample), e), "places": (len(found.map.sample), 2)}
    checked = [(name, values, shapes[name]) for name, values in own.items()]
    checked.append(("view_means", found.view_means, (len(views), e)))
    for name, values, shape in checked:
        if values.shape != shape or not np.isfinite(values.astype(np.float64)).all():
            raise ValueError(f"{name} of shape {values.shape} is not {shape} of finite numbers")
