"""Do distances follow change inside a patient? Objectives side by side, on patients nobody saw.

For each seed one SIMULATED lung-ultrasound cohort (`paper` tier, 189 patients) trains an encoder
by each objective, with the same backbone, first weights, batches, augmentation, steps and rule for
stopping; another cohort of 189 other simulated patients is measured. Only coarse classes of the
S/F ratio are trained on. The figure is the Spearman correlation of centered embedding distance and
|ΔS/F| over pairs of visits of one patient, with 95 % bootstrap intervals by patient.

    python benchmarks/objectives_lus.py --folder /tmp/objectives

Finished runs in the folder are used again.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd

from learner_index.analysis.within import (
    Case,
    compare_agreement,
    distance_agreement,
    patient_mean,
    spearman,
    within_patient_pairs,
)
from learner_index.data.manifest import read_manifest
from learner_index.data.simulate import simulate_lus
from learner_index.data.visits import visit_codes
from learner_index.learn.encoder import load_encoder, make_encoder
from learner_index.pipeline.configfile import read_pretrain_options, toml_value
from learner_index.pipeline.embed import read_frames
from learner_index.pipeline.pretrain import pretrain
from learner_index.pipeline.runs import is_run, read_run

OTHER_PATIENTS = 10  # added to a seed, gives the cohort that is measured


def cohort(folder, seed):
    """The manifest of a simulated cohort, made if absent."""
    place = folder / f"lus-{seed}"
    if not (place / "cohort.csv").exists():
        simulate_lus(place, tier="paper", seed=seed)
    return place / "cohort.csv"


def settings(asked, name, seed):
    """The same for every objective but its name."""
    return read_pretrain_options(
        None,
        {
            "encoder.spec": asked.encoder,
            "encoder.size": asked.size,
            "encoder.frames": asked.frames,
            "encoder.precision": asked.precision,
            "score.kind": "sf",
            "score.bins": asked.bins or None,
            "augment.flip": True,
            "training.epochs": asked.epochs,
            "training.seed": seed,
            "split.seed": seed,
            "objective.name": name.partition(":")[0],
            "objective.settings": {
                word: toml_value(value)
                for word, _, value in (
                    pair.partition("=") for pair in name.partition(":")[2].split(",") if pair
                )
            },
        },
    )


def trained(asked, name, seed):
    """The folder of a finished run."""
    folder = asked.folder / "runs" / f"{name.replace(':', '-').replace('=', '-')}-{seed}"
    if not is_run(folder) or read_run(folder)["state"] != "done":
        manifest = cohort(asked.folder, seed)
        pretrain(manifest, folder, settings(asked, name, seed), resume=True)
    return folder


def embeddings(encoder, manifest):
    """(n, e) embeddings of a cohort's scans."""
    frames = [read_frames(path, encoder.preprocessing)[0] for path in manifest.paths]
    size = encoder.batch_size
    parts = [np.stack(frames[at : at + size]) for at in range(0, len(frames), size)]
    return np.concatenate([encoder.embed(part) for part in parts])


def measured(asked, seed):
    """Arrays of the cohort that is measured, and embeddings of it by name."""
    manifest = read_manifest(cohort(asked.folder, seed + OTHER_PATIENTS))
    truth = pd.read_csv(manifest.folder / "truth.csv")
    table = manifest.table
    arrays = {
        "score": table["health_score"].to_numpy(),
        "patient": table["patient_id"].tolist(),
        "visit": visit_codes(table),
        "view": table["view"].tolist(),
    }
    found = {}
    for name in asked.objectives:
        encoder = load_encoder(trained(asked, name, seed))
        found[name] = embeddings(encoder, manifest)
    if asked.frozen:
        encoder = make_encoder("imagenet", preprocessing=encoder.preprocessing)
        found["frozen imagenet"] = embeddings(encoder, manifest)
    return arrays, truth["s"].to_numpy(), found


def against(first, second, cases, *, is_true=False):
    """Difference of two encoders over all seeds, by observed scores or by true severities."""
    found = []
    for arrays, truth, embedded in cases:
        known = {**arrays, "score": truth} if is_true else arrays
        centers = [patient_mean(embedded[name], arrays["patient"]) for name in (first, second)]
        found.append(
            Case(
                embedded[first],
                embedded[second],
                **known,
                center_first=centers[0],
                center_second=centers[1],
            )
        )
    return compare_agreement(found)


def in_words(found):
    """A difference with its interval."""
    return f"{found.delta:+.3f} ({found.low:+.3f} to {found.high:+.3f})"


def rhos(name, cases, *, is_true=False):
    """One correlation a seed."""
    for arrays, truth, embedded in cases:
        known = {**arrays, "score": truth} if is_true else arrays
        center = patient_mean(embedded[name], arrays["patient"])
        yield distance_agreement(embedded[name], **known, center=center, n_bootstraps=0).rho


def rows(cases):
    """One line of the table for each encoder."""
    for name in cases[0][2]:
        seen, real = list(rhos(name, cases)), list(rhos(name, cases, is_true=True))
        each = " / ".join(f"{rho:.2f}" for rho in seen)
        words = ["–", "–"]
        if name != "mse" and "mse" in cases[0][2]:
            words = [in_words(against(name, "mse", cases, is_true=true)) for true in (False, True)]
        yield (
            f"| {name} | {each} | {np.mean(seen):.3f} | {words[0]} | {np.mean(real):.3f} | "
            f"{words[1]} |"
        )


def oracle(cases):
    """What the true severities would reach: |Δs| against |ΔS/F|."""
    found = []
    for arrays, truth, _ in cases:
        pairs = within_patient_pairs(arrays["patient"], arrays["visit"], arrays["view"])
        change = np.abs(np.diff(arrays["score"][pairs], axis=1)).ravel()
        found.append(spearman(np.abs(np.diff(truth[pairs], axis=1)).ravel(), change))
    return float(np.mean(found))


def main():
    """Train what is missing, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--objectives", nargs="+", default=["mse", "learner_weighted"])
    parser.add_argument("--encoder", default="timm:resnet10t")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--bins", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--frozen", action="store_true", help="ImageNet features beside them")
    asked = parser.parse_args()
    start_s = time.monotonic()
    cases = [measured(asked, seed) for seed in asked.seeds]
    n_pairs = against(*list(cases[0][2])[:2], cases) if len(cases[0][2]) > 1 else None
    print("| objective | ρ by seed | mean | minus mse (95 %) | ρ with true severity | minus mse |")
    print("|---|---|---|---|---|---|")
    for row in rows(cases):
        print(row)
    print(f"| oracle: true severities | | {oracle(cases):.3f} | | 1 | |")
    if n_pairs:
        print(f"\nn = {n_pairs.n_patients} simulated patients, {n_pairs.n_pairs} pairs of visits")
    print(f"{time.monotonic() - start_s:.0f} s")


if __name__ == "__main__":
    main()
