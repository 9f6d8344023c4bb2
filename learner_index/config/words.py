"""Words that options choose between."""

from typing import Literal

Metric = Literal["centered", "cosine", "euclidean"]
Level = Literal["scan", "visit", "patient"]
Clock = Literal["patient", "cohort"]
Plane = Literal["axial", "coronal", "sagittal"]
Transition = Literal["consecutive", "all", "baseline"]
