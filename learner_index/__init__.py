"""Find the patients who look like this one, and the patients who changed like this one."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from learner_index import errors
    from learner_index.config import (
        BuildOptions,
        EncoderOptions,
        EvaluateOptions,
        ManifestOptions,
        MapLook,
        MapOptions,
        Preprocessing,
        PretrainOptions,
        ProgressionOptions,
        ResponseOptions,
        SimilarOptions,
        TrajectoryOptions,
    )
    from learner_index.data.axis import AxisReport
    from learner_index.data.manifest import read_manifest
    from learner_index.data.maps import CohortMap
    from learner_index.data.preprocess import preprocess
    from learner_index.data.progression import (
        Change,
        ProgressionHit,
        Progressions,
        Trajectory,
    )
    from learner_index.data.readers import read_scan
    from learner_index.data.records import Hit, Hits, Scan
    from learner_index.data.reference import Reference
    from learner_index.data.response import Prediction, Predictions
    from learner_index.pipeline import plot
    from learner_index.pipeline.build import build
    from learner_index.pipeline.cohort import Cohort, open_store
    from learner_index.pipeline.configfile import read_pretrain_options
    from learner_index.pipeline.evaluation.evaluate import evaluate
    from learner_index.pipeline.evaluation.result import Evaluation
    from learner_index.pipeline.gain import Gain, GainDifference, compare_gains, measure_gain
    from learner_index.pipeline.manifest import check_cohort, write_manifest
    from learner_index.pipeline.maps.draw import draw_map
    from learner_index.pipeline.objectives import list_objectives
    from learner_index.pipeline.pretrain import PretrainResult, pretrain
    from learner_index.pipeline.reports.report import Report, report_cohort, report_patient
    from learner_index.pipeline.response.fit import ResponseFit, fit_response
    from learner_index.pipeline.response.predict import predict_response
    from learner_index.pipeline.simulate import simulate
    from learner_index.pipeline.source import ChosenEncoder

__all__ = [
    "AxisReport",
    "BuildOptions",
    "Change",
    "ChosenEncoder",
    "Cohort",
    "CohortMap",
    "EncoderOptions",
    "EvaluateOptions",
    "Evaluation",
    "Gain",
    "GainDifference",
    "Hit",
    "Hits",
    "ManifestOptions",
    "MapLook",
    "MapOptions",
    "Prediction",
    "Predictions",
    "Preprocessing",
    "PretrainOptions",
    "PretrainResult",
    "ProgressionHit",
    "ProgressionOptions",
    "Progressions",
    "Reference",
    "Report",
    "ResponseFit",
    "ResponseOptions",
    "Scan",
    "SimilarOptions",
    "Trajectory",
    "TrajectoryOptions",
    "build",
    "check_cohort",
    "compare_gains",
    "draw_map",
    "errors",
    "evaluate",
    "fit_response",
    "list_objectives",
    "measure_gain",
    "open_store",
    "plot",
    "predict_response",
    "preprocess",
    "pretrain",
    "read_manifest",
    "read_pretrain_options",
    "read_scan",
    "report_cohort",
    "report_patient",
    "simulate",
    "write_manifest",
]
_HOMES = {
    "config": (
        "BuildOptions EncoderOptions EvaluateOptions ManifestOptions MapLook MapOptions "
        "Preprocessing PretrainOptions ProgressionOptions ResponseOptions SimilarOptions "
        "TrajectoryOptions"
    ),
    "data.axis": "AxisReport",
    "data.manifest": "read_manifest",
    "data.maps": "CohortMap",
    "data.preprocess": "preprocess",
    "data.progression": "Change ProgressionHit Progressions Trajectory",
    "data.readers": "read_scan",
    "data.records": "Hit Hits Scan",
    "data.reference": "Reference",
    "data.response": "Prediction Predictions",
    "pipeline.build": "build",
    "pipeline.cohort": "Cohort open_store",
    "pipeline.configfile": "read_pretrain_options",
    "pipeline.evaluation.evaluate": "evaluate",
    "pipeline.evaluation.result": "Evaluation",
    "pipeline.gain": "Gain GainDifference compare_gains measure_gain",
    "pipeline.manifest": "check_cohort write_manifest",
    "pipeline.maps.draw": "draw_map",
    "pipeline.objectives": "list_objectives",
    "pipeline.pretrain": "PretrainResult pretrain",
    "pipeline.reports.report": "Report report_cohort report_patient",
    "pipeline.response.fit": "ResponseFit fit_response",
    "pipeline.response.predict": "predict_response",
    "pipeline.simulate": "simulate",
    "pipeline.source": "ChosenEncoder",
}
_MODULES = {"errors": "errors", "plot": "pipeline.plot"}
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """Load a public name at its first use, so that the command line starts at once."""
    if name in _MODULES:
        return import_module(f"learner_index.{_MODULES[name]}")
    if name not in _HOME:
        raise AttributeError(f"module 'learner_index' has no attribute {name!r}")
    return getattr(import_module(f"learner_index.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    """The public names."""
    return __all__
