"""Numbers behind two pages of the documentation: `python benchmarks/demonstrations.py PAGE`.

`patient` belongs to docs/patient-level.md, `direction` to docs/directions.md; both take seconds,
need no scans, and print the same on every run.
"""

import sys
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
PATIENTS, SCANS, COHORTS, DRAWS = 60, 6, 1000, 400


def cohorts(seed: int) -> Floats:
    """(cohorts, patients, scans) values of mean 0: half of the variance lies between patients."""
    rng = np.random.default_rng(seed)
    between = rng.standard_normal((COHORTS, PATIENTS, 1))
    return between + rng.standard_normal((COHORTS, PATIENTS, SCANS))


def interval_by_patient(values: Floats, rng: np.random.Generator) -> Floats:
    """95 % percentile interval of the mean; whole patients are drawn again."""
    drawn = rng.integers(0, len(values), (DRAWS, len(values)))
    return np.asarray(np.quantile(values.mean(axis=1)[drawn].mean(axis=1), [0.025, 0.975]))


def interval_by_scan(values: Floats, rng: np.random.Generator) -> Floats:
    """The same, drawing scans as if each were a patient."""
    scans = values.ravel()
    drawn = rng.integers(0, len(scans), (DRAWS, len(scans)))
    return np.asarray(np.quantile(scans[drawn].mean(axis=1), [0.025, 0.975]))


def coverage() -> Iterator[str]:
    """How often intervals that promise 95 % hold the true mean, and how wide they are."""
    for name, interval in (("patients", interval_by_patient), ("scans", interval_by_scan)):
        rng = np.random.default_rng(1)
        found = np.array([interval(values, rng) for values in cohorts(0)])
        held = np.mean((found[:, 0] <= 0) & (found[:, 1] >= 0))
        width = np.mean(found[:, 1] - found[:, 0])
        yield f"drawing {name:<9} holds the truth in {held:.1%}, mean width {width:.2f}"


def leakage() -> Iterator[str]:
    """Accuracy of the nearest scan's label, where labels are dealt out to patients by a coin."""
    rng = np.random.default_rng(2)
    patient = np.repeat(np.arange(PATIENTS), SCANS)
    found = {"scans": [], "patients": []}
    for _ in range(50):
        label = rng.integers(0, 2, PATIENTS)[patient]
        looks = rng.standard_normal((PATIENTS, 16))[patient]
        embedding = looks + rng.standard_normal((len(patient), 16))
        for split, unit in (("scans", np.arange(len(patient))), ("patients", patient)):
            is_test = np.isin(unit, rng.permutation(np.unique(unit))[: len(np.unique(unit)) // 5])
            apart = embedding[is_test][:, None] - embedding[~is_test]
            nearest = (apart**2).sum(axis=2).argmin(axis=1)
            found[split].append(np.mean(label[~is_test][nearest] == label[is_test]))
    for split, shares in found.items():
        yield f"split by {split:<9} accuracy {np.mean(shares):.2f} for labels that mean nothing"


def cosines() -> Iterator[str]:
    """How alike two directions are by chance, and the most alike of 100."""
    rng = np.random.default_rng(3)
    yield "dimensions  |cos| of two, 95 %  best cosine of 100"
    for dimensions in (2, 3, 5, 10, 20, 128):
        drawn = rng.standard_normal((20_000, dimensions))
        one = np.abs(drawn[:, 0] / np.linalg.norm(drawn, axis=1))  # against the first axis
        signed = drawn[:, 0] / np.linalg.norm(drawn, axis=1)
        best = np.median(signed.reshape(200, 100).max(axis=1))
        yield f"{dimensions:>10}  {np.quantile(one, 0.95):>18.2f}  {best:>18.2f}"


def flat_map() -> Iterator[str]:
    """Arrows of random changes on the best flat map of 300 patients in 20 dimensions."""
    rng = np.random.default_rng(4)
    spread = 0.9 ** np.arange(20)  # as uneven as embeddings are
    starts, deltas = rng.standard_normal((2, 300, 20)) * spread
    axes = np.linalg.svd(starts - starts.mean(axis=0), full_matrices=False)[2][:2]
    flat = deltas @ axes.T
    inside = _cosine(deltas)
    on_map = _cosine(flat)
    pairs = np.triu_indices(300, 1)
    alike = on_map[pairs] > np.cos(np.radians(15))
    cosine = inside[pairs][alike]
    yield f"{alike.mean():.0%} of pairs of arrows are within 15° on the map"
    yield f"of these, {np.mean(cosine < 0.5):.0%} are more than 60° apart in the space"
    yield f"and {np.mean(cosine < 0):.0%} point apart there (more than 90°)"


def _cosine(vectors: Floats) -> Floats:
    """(n, n) cosines of rows."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(unit @ unit.T)


PARTS = {"patient": (coverage, leakage), "direction": (cosines, flat_map)}


def shown(page: str) -> str:
    """What is printed for a page."""
    return "\n\n".join("\n".join(part()) for part in PARTS[page])


if __name__ == "__main__":
    for chosen in sys.argv[1:] or PARTS:
        print(shown(chosen))
