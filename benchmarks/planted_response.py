"""Simulated worlds for `benchmarks/response.py`: cohorts, questions, and what could be known.

Cohorts and oracles are those of the tests, so that both speak of the same patients.
"""

import sys
import types
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.config.response import ResponseOptions
from learner_index.pipeline.response.examples import find_examples
from learner_index.pipeline.response.material import Material
from learner_index.pipeline.response.models import Pool
from learner_index.pipeline.response.targets import find_targets

_package = types.ModuleType("tests")  # some installed package calls itself so, too
_package.__path__ = [str(Path(__file__).resolve().parents[1] / "tests")]
sys.modules["tests"] = _package

from tests.pipeline.progression.planted import Planted, plant  # noqa: E402
from tests.pipeline.response.oracles import brain_oracle, lus_oracle  # noqa: E402
from tests.pipeline.response.planted_brain import plant_brain  # noqa: E402

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """One kind of simulated patients, all seen by one encoder.

    Attributes:
        name: as printed.
        plant: number of patients and seed to a cohort.
        oracle: pool, cohort, θ and seed to the (t, 3) probabilities given the true states.
        theta: change of health score that counts.
    """

    name: str
    plant: Callable[[int, int], Planted]
    oracle: Callable[[Pool, Planted, float, int], Floats]
    theta: float

    def options(self, task: Any, **more: Any) -> ResponseOptions:
        """What is asked: every visit that a prediction can be made at, unless said."""
        asked = {"at": "every"} if task == "predict" else {}
        return ResponseOptions(task=task, threshold=self.theta, **(asked | more))


LUS = World("LUS, S/F ratio, θ 50", plant, lus_oracle, 50.0)
BRAIN = World("brain, MMSE, θ 3", plant_brain, brain_oracle, 3.0)
WORLDS = (LUS, BRAIN)
TASKS = ("detect", "predict")


def pool_of(planted: Planted, options: ResponseOptions) -> Pool:
    """Examples with a known outcome; patients are numbered as planted."""
    return pool_from(planted.embeddings, planted.obs, options)


def pool_from(embeddings: NDArray[np.float32], obs: pd.DataFrame, options: ResponseOptions) -> Pool:
    """Likewise, of embeddings and columns."""
    material = Material.of(embeddings, obs)
    examples = find_examples(material, options)
    targets = find_targets(material, examples, options)
    known = targets.is_known
    examples, targets = examples.only(known), targets.only(known)
    return Pool(
        material, examples, targets.code, targets.before, targets.classes, targets.is_ordinal
    )


def shuffled(pool: Pool, seed: int) -> Pool:
    """Outcomes dealt out anew among patients with as many examples, a patient's together."""
    rng, code = np.random.default_rng(seed), pool.code.copy()
    order = np.argsort(pool.patient, kind="stable")
    _, first, count = np.unique(pool.patient[order], return_index=True, return_counts=True)
    for size in np.unique(count):
        starts = first[count == size]
        rows = order[starts[:, None] + np.arange(size)]  # (patients, size)
        code[rows] = pool.code[rows[rng.permutation(len(rows))]]
    return replace(pool, code=code)
