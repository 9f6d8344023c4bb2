"""Find the patients who look like this one, and the patients who changed like this one."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from learner_index import errors
    from learner_index.config import (
        BuildOptions,
        EncoderOptions,
        ManifestOptions,
        Preprocessing,
        SimilarOptions,
    )
    from learner_index.data.manifest import read_manifest
    from learner_index.data.preprocess import preprocess
    from learner_index.data.readers import read_scan
    from learner_index.data.records import Hit, Hits, Reference, Scan
    from learner_index.pipeline.build import build
    from learner_index.pipeline.cohort import Cohort, open_store
    from learner_index.pipeline.gain import Gain, measure_gain
    from learner_index.pipeline.manifest import check_cohort, write_manifest
    from learner_index.pipeline.simulate import simulate
    from learner_index.pipeline.source import ChosenEncoder

__all__ = [
    "BuildOptions",
    "ChosenEncoder",
    "Cohort",
    "EncoderOptions",
    "Gain",
    "Hit",
    "Hits",
    "ManifestOptions",
    "Preprocessing",
    "Reference",
    "Scan",
    "SimilarOptions",
    "build",
    "check_cohort",
    "errors",
    "measure_gain",
    "open_store",
    "preprocess",
    "read_manifest",
    "read_scan",
    "simulate",
    "write_manifest",
]
_HOMES = {
    "config": "BuildOptions EncoderOptions ManifestOptions Preprocessing SimilarOptions",
    "data.manifest": "read_manifest",
    "data.preprocess": "preprocess",
    "data.readers": "read_scan",
    "data.records": "Hit Hits Reference Scan",
    "pipeline.build": "build",
    "pipeline.cohort": "Cohort open_store",
    "pipeline.gain": "Gain measure_gain",
    "pipeline.manifest": "check_cohort write_manifest",
    "pipeline.simulate": "simulate",
    "pipeline.source": "ChosenEncoder",
}
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """Load a public name at its first use, so that the command line starts at once."""
    if name == "errors":
        return import_module("learner_index.errors")
    if name not in _HOME:
        raise AttributeError(f"module 'learner_index' has no attribute {name!r}")
    return getattr(import_module(f"learner_index.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    """The public names."""
    return __all__
