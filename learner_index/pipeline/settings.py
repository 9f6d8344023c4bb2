"""What a store remembers in `uns`, turned back into the records it came from."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from learner_index.config import ManifestOptions, Preprocessing
from learner_index.data.simulate.write import is_simulated

if TYPE_CHECKING:
    from learner_index.data.manifest import Manifest

_VERSIONED = ("learner-index", "torch", "timm", "zarr", "numpy")


def preprocessing_of(card: Mapping[str, Any]) -> Preprocessing:
    """The preprocessing an encoder's card declares, from memory or from a store."""
    known = dict(card["preprocessing"])
    low, high = known.pop("slice_range")
    return Preprocessing(**known, slice_range=(float(low), float(high)))


def manifest_options_of(settings: Mapping[str, Any]) -> ManifestOptions:
    """How the manifest was read when the store was built; the defaults for a new store."""
    known = dict(settings.get("manifest", {}))
    for name in ("keep_columns", "drop_columns"):
        known[name] = tuple(known.get(name, ()))
    return ManifestOptions(**known)


def with_manifest(settings: Mapping[str, Any], manifest: "Manifest") -> dict[str, Any]:
    """Settings of a store whose rows come from this manifest."""
    options, score = manifest.options, manifest.score
    return {
        **settings,
        "is_simulated": is_simulated(manifest.folder),
        "clock": manifest.clock,
        "score": (
            {"column": score.column, "direction": score.direction, "per": score.per}
            if score
            else settings.get("score", {})
        ),
        "manifest": {
            "score_column": options.score_column,
            "score_direction": options.score_direction,
            "score_per": options.score_per,
            "clock": options.clock,
            "keep_columns": list(options.keep_columns),
            "drop_columns": list(options.drop_columns),
            "allow_outside": options.allow_outside,
        },
        "versions": settings.get("versions") or _versions(),
    }


def settings_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The part of the settings a manifest decides, comparable: entries that are None left out."""
    return {name: _without_none(settings.get(name)) for name in ("clock", "score", "manifest")}


def _without_none(value: Any) -> Any:
    """A nested mapping without entries that are None, as the store keeps it."""
    if isinstance(value, Mapping):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    return value


def _versions() -> dict[str, str]:
    """Versions of what made the store."""
    from importlib.metadata import PackageNotFoundError, version  # a slow import, seldom needed

    found = {}
    for name in _VERSIONED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
