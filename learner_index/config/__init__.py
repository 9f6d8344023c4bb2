"""Settings that cross layers, as frozen dataclasses; nothing here is global or reads a file."""

from learner_index.config.cohort import (
    BuildOptions,
    EncoderOptions,
    ManifestOptions,
    Preprocessing,
)
from learner_index.config.maps import MapLook, MapMethod, MapOptions
from learner_index.config.response import (
    ClassWeight,
    Patients,
    ResponseOptions,
    Task,
    Until,
)
from learner_index.config.search import (
    ProgressionOptions,
    SimilarOptions,
    TrajectoryOptions,
)
from learner_index.config.training import (
    AugmentOptions,
    BatchOptions,
    CacheOptions,
    EvaluateOptions,
    ObjectiveOptions,
    PretrainOptions,
    ScoreOptions,
    SplitOptions,
    TrainOptions,
)
from learner_index.config.words import (
    Clock,
    Level,
    Metric,
    Plane,
    Transition,
)

__all__ = [
    "AugmentOptions",
    "BatchOptions",
    "BuildOptions",
    "CacheOptions",
    "ClassWeight",
    "Clock",
    "EncoderOptions",
    "EvaluateOptions",
    "Level",
    "ManifestOptions",
    "MapLook",
    "MapMethod",
    "MapOptions",
    "Metric",
    "ObjectiveOptions",
    "Patients",
    "Plane",
    "Preprocessing",
    "PretrainOptions",
    "ProgressionOptions",
    "ResponseOptions",
    "ScoreOptions",
    "SimilarOptions",
    "SplitOptions",
    "Task",
    "TrainOptions",
    "TrajectoryOptions",
    "Transition",
    "Until",
]
