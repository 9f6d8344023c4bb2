"""A response head on disk: `head.safetensors` and a JSON card; no pickle, no patient's scan."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learner_index.analysis.applicability import load_applicability
from learner_index.analysis.conformal import Calibrated
from learner_index.analysis.temperature import Temperature
from learner_index.data.reference import ChangeReference
from learner_index.data.replace import replace_file
from learner_index.data.suggest import near_names
from learner_index.errors import HeadFormatError, SpaceMismatchError
from learner_index.learn.headfile import read_arrays, write_arrays
from learner_index.pipeline.response.features import Encoding
from learner_index.pipeline.response.kinds import head_kind
from learner_index.pipeline.response.material import Floats
from learner_index.pipeline.response.models import Model
from learner_index.pipeline.response.procedure import FittedHead, embedding_features
from learner_index.pipeline.response.roles import HeadRoles
from learner_index.pipeline.runs import finite

CARD, ARRAYS = "head.json", "head.safetensors"
FORMAT = 1
_HEAD, _WHO, _AXIS = "head.", "applicability.", "axis."
_NEEDED = ("space", "task", "modality", "options", "data", "patients", "seen_by_encoder", "limits")


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """The severity axis of the cohort a head was fitted on.

    Attributes:
        reading: (e,) product with an embedding is its position, up to a constant.
        pattern: (e,) mean change of the embedding as the position rises by 1.
    """

    reading: Floats
    pattern: Floats

    @classmethod
    def of(cls, known: ChangeReference | None) -> "Axis | None":
        """What the reference knows; None without an axis."""
        if known is None or known.axis is None:
            return None
        return cls(known.whitening @ known.axis.direction, known.axis.pattern)

    def along(self, embeddings: NDArray[np.floating]) -> Floats:
        """(t, e) the part of differences that lies along the axis."""
        return np.asarray(np.outer(embeddings @ self.reading, self.pattern))


@dataclass(frozen=True, slots=True, eq=False)
class SavedHead:
    """A head as it is kept.

    Attributes:
        fitted: the head.
        axis: of the cohort it was fitted on; None where there was none.
        card: all that a person or another program should know, JSON-ready.
    """

    fitted: FittedHead
    axis: Axis | None
    card: Mapping[str, Any]

    @property
    def classes(self) -> tuple[str, ...]:
        """(c,) names of the classes."""
        return tuple(self.card["target"]["classes"])

    def was_fitted_on(self, patients: Iterable[str]) -> list[bool]:
        """Whether each of some patients was learned from, or calibrated the head."""
        used = set(self.card["patients"])
        return [patient_mark(name, self.card["space"]) in used for name in patients]

    def require_space(self, space: str, what: str) -> None:
        """Refuse embeddings of another space.

        Raises:
            SpaceMismatchError: they are of another.
        """
        own = self.card["space"]
        if space != own:
            raise SpaceMismatchError(
                f"the head speaks of space {own}, and {what} is of {space}: name a store built "
                "with the encoder it was fitted on, or fit another head"
            )


def patient_mark(patient_id: str, space: str) -> str:
    """Sixteen hexadecimal digits that stand for a patient in a head's card."""
    return blake2b(f"{space}\0{patient_id}".encode(), digest_size=8).hexdigest()


def write_head(folder: Path, saved: SavedHead) -> None:
    """Write a head, arrays first: a card speaks of arrays that are there.

    Raises:
        OSError: the disk refused.
    """
    (folder / CARD).unlink(missing_ok=True)
    write_arrays(_arrays(saved), folder / ARRAYS)
    text = json.dumps(finite({"format": FORMAT, **saved.card}), indent=2, ensure_ascii=False)
    replace_file(folder / CARD, [text.encode()])


def card_of(fitted: FittedHead) -> dict[str, Any]:
    """The part of a card that says how the head works."""
    model, sets = fitted.model, fitted.sets
    encoding = model.encoding
    return {
        "head": model.kind.name,
        "strength": model.strength,
        "temperature": asdict(model.temperature),
        "sets": None
        if sets is None
        else {
            "alpha": sets.alpha,
            "quantile": sets.quantile,
            "n_patients": sets.n_patients,
            "is_ordinal": sets.is_ordinal,
            "expected_coverage": sets.expected_coverage,
            "coverage_interval": list(sets.coverage_interval()),
        },
        "applicability": fitted.applicability.facts(),
        "encoding": {
            "blocks": list(encoding.blocks),
            "views": list(encoding.views),
            "columns": list(encoding.columns),
            "levels": {name: list(words) for name, words in encoding.levels.items()},
            "fills": dict(encoding.fills),
            "widths": list(encoding.widths),
        },
        "parts": fitted.roles.counts(),
    }


def read_head(folder: Path) -> SavedHead:
    """The head of a folder.

    Raises:
        HeadFormatError: there is none, it is damaged, or of another version.
    """
    card = read_card(folder)
    arrays = read_arrays(folder / ARRAYS)
    try:
        saved = SavedHead(_fitted(card, arrays), _axis(arrays), card)
        _check(saved)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as problem:
        raise HeadFormatError(
            f"the head in {str(folder)!r} is damaged ({problem}): fit it again"
        ) from problem
    return saved


def _meant(folder: Path) -> str:
    """What else a path that is no head may be."""
    if (folder / "zarr.json").is_file():
        return " (it is a store: name the head first, then the store)"
    if (folder.parent / CARD).is_file():
        return f" (did you mean {str(folder.parent)!r}?)"
    names = sorted(file.parent.name for file in folder.parent.glob(f"*/{CARD}"))
    near = [str(folder.parent / name) for name in near_names(folder.name, names)]
    return f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""


def read_card(folder: Path) -> dict[str, Any]:
    """What `head.json` says.

    Raises:
        HeadFormatError: there is none, it is damaged, or of another version.
    """
    try:
        card = json.loads((folder / CARD).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise HeadFormatError(
            f"no response head in {str(folder)!r}{_meant(folder)}: `learner-index response fit` "
            "makes one"
        ) from None
    except (OSError, ValueError) as problem:
        raise HeadFormatError(
            f"{CARD} in {str(folder)!r} cannot be read ({problem}): restore it, or fit the head "
            "again"
        ) from None
    found = card.get("format") if isinstance(card, dict) else None
    if found != FORMAT:
        raise HeadFormatError(
            f"the head in {str(folder)!r} is of format {found!r}, this version reads {FORMAT}: "
            "fit it again"
        )
    return dict(card)


def _arrays(saved: SavedHead) -> dict[str, NDArray[np.generic]]:
    """All arrays by name."""
    fitted, model = saved.fitted, saved.fitted.model
    encoding = model.encoding
    found: dict[str, NDArray[np.generic]] = {
        "view_means": encoding.view_means,
        "center": encoding.center,
        "scale": encoding.scale,
        "is_odd": encoding.is_odd.astype(np.uint8),
        "prior": model.prior,
        "share": model.share,
    }
    found |= {_HEAD + name: values for name, values in model.head.arrays().items()}
    found |= {_WHO + name: values for name, values in fitted.applicability.arrays().items()}
    if saved.axis is not None:
        found |= {_AXIS + "reading": saved.axis.reading, _AXIS + "pattern": saved.axis.pattern}
    return found


def _under(arrays: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    """Arrays whose names begin so, without the beginning."""
    return {
        name.removeprefix(prefix): found
        for name, found in arrays.items()
        if name.startswith(prefix)
    }


def _axis(arrays: Mapping[str, NDArray[Any]]) -> Axis | None:
    """The axis, where one is kept."""
    found = _under(arrays, _AXIS)
    return Axis(**found) if found else None


def _fitted(card: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> FittedHead:
    """The head of a card and arrays."""
    about, kind = card["encoding"], head_kind(card["head"])
    encoding = Encoding(
        blocks=tuple(about["blocks"]),
        views=tuple(about["views"]),
        view_means=arrays["view_means"],
        columns=tuple(about["columns"]),
        levels={name: tuple(words) for name, words in about["levels"].items()},
        fills=dict(about["fills"]),
        center=arrays["center"],
        scale=arrays["scale"],
        is_odd=arrays["is_odd"].astype(bool),
        widths=tuple(about["widths"]),
    )
    model = Model(
        kind=kind,
        head=kind.load(_under(arrays, _HEAD)),
        encoding=encoding,
        strength=card["strength"],
        prior=arrays["prior"],
        temperature=Temperature(**card["temperature"]),
        share=arrays["share"],
    )
    sets = card["sets"]
    limits = ("alpha", "quantile", "n_patients", "is_ordinal")
    return FittedHead(
        model=model,
        sets=None if sets is None else Calibrated(**{name: sets[name] for name in limits}),
        applicability=load_applicability(_under(arrays, _WHO), card["applicability"]),
        roles=_NO_ROLES,
        notes=tuple(card["notes"]),
    )


def _check(saved: SavedHead) -> None:
    """Refuse parts that do not belong together.

    Raises:
        KeyError: the card lacks something.
        ValueError: an array has another shape, or a number that is none.
    """
    missing = [name for name in _NEEDED if name not in saved.card]
    if missing:
        raise KeyError(missing[0])
    model, whitening = saved.fitted.model, saved.fitted.applicability.whitening
    encoding = model.encoding
    m, c, e = sum(encoding.widths), len(saved.classes), int(saved.card["width"])
    own = embedding_features(model, np.zeros((1, m), np.float32)).shape[1]
    shapes: list[tuple[str, NDArray[Any], tuple[int, ...]]] = [
        ("view_means", encoding.view_means, (len(encoding.views), e)),
        ("center", encoding.center, (m,)),
        ("scale", encoding.scale, (m,)),
        ("is_odd", encoding.is_odd, (m,)),
        ("prior", model.prior, (c,)),
        ("share", model.share, (c,)),
        (f"{_WHO}center", whitening.center, (own,)),
        (f"{_WHO}matrix", whitening.matrix, (own, own)),
        ("answer", model.probability_of(np.zeros((1, m), np.float32)), (1, c)),
    ]
    if saved.axis is not None:
        shapes += [(f"{_AXIS}reading", saved.axis.reading, (e,))]
        shapes += [(f"{_AXIS}pattern", saved.axis.pattern, (e,))]
    for name, values, shape in shapes:
        if values.shape != shape or not np.isfinite(values).all():
            raise ValueError(f"{name} of shape {values.shape} is not {shape} of finite numbers")


_NOBODY = np.zeros(0, bool)
_NO_ROLES = HeadRoles(_NOBODY, _NOBODY, _NOBODY)
