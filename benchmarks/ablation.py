"""What moves the numbers: the default objective with one setting changed at a time.

Every variant is cross-fitted on one SIMULATED lung-ultrasound cohort (`demo` tier, 720 patients,
one zone each), with the same folds, first weights and draws of patients, and compared with the
default in the measures of `evaluate`. One seed: what is shown is the spread over patients, not
that over trainings.

    python benchmarks/ablation.py --folder /tmp/ablation

Finished runs in the folder are used again; `--only NAME` takes some variants.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

from learner_index.config import EvaluateOptions
from learner_index.data.simulate import simulate_lus
from learner_index.pipeline.configfile import read_pretrain_options
from learner_index.pipeline.evaluation.crossfit import CrossFit, shared_settings
from learner_index.pipeline.evaluation.judge import measured
from learner_index.pipeline.evaluation.report import write_evaluation
from learner_index.pipeline.evaluation.tables import figure_text, markdown, verdict
from learner_index.pipeline.lesson import Talk

BASE = {
    "encoder.spec": "timm:test_resnet",
    "encoder.size": 64,
    "encoder.frames": 2,
    "encoder.precision": "bf16",
    "score.kind": "sf",
    "augment.flip": True,
    "objective.name": "learner_weighted",
}
VARIANTS = {
    "default": {},
    "mse (contrastive weight 0)": {"objective.name": "mse"},
    "contrastive weight 0.3": {"objective.contrastive_weight": 0.3},
    "contrastive weight 3": {"objective.contrastive_weight": 3.0},
    "no weighting (gamma 0)": {"objective.settings.gamma": 0.0},
    "margin 0.5": {"objective.settings.margin": 0.5},
    "margin 2": {"objective.settings.margin": 2.0},
    "growing margin": {"objective.settings.margin_grows": "yes"},
    "euclidean": {"objective.settings.metric": "euclidean"},
    "near up to 0.25 of the range": {"objective.settings.threshold": 0.25},
    "pairs: repeats too": {"objective.settings.pairs": "inter+visit"},
    "pairs: all": {"objective.settings.pairs": "all"},
    "32 patients x 1 scan": {"batches.patients": 32, "batches.scans": 1},
    "8 patients x 4 scans": {"batches.patients": 8, "batches.scans": 4},
    "4 coarse classes": {"score.bins": 4},
    "no projection": {"encoder.width": 0},
    "projection of 16": {"encoder.width": 16},
    "no temporal shift": {"encoder.temporal_shift": "off"},
    "no augmentation": {
        f"augment.{name}": 0.0 for name in ("gain", "contrast", "gamma", "noise", "shift")
    }
    | {"augment.flip": False, "augment.time_jitter": False},
    "EfficientNet-Lite0, ImageNet weights": {"encoder.spec": "imagenet"},
    "EfficientNet-Lite0, untrained": {"encoder.spec": "timm:tf_efficientnet_lite0"},
    "rnc": {"objective.name": "rnc"},
    "rnc, temperature 0.5": {
        "objective.name": "rnc",
        "objective.settings.temperature": 0.5,
    },
}
SHOWN = (
    "macro_f1",
    "difference_macro_f1",
    "order_accuracy",
    "score_spearman",
    "change_spearman",
    "within_centered",
    "within_true_centered",
    "triplet_ordinality",
    "retrieval_true_ndcg",
    "identity",
)


def contest(asked, name, changes):
    """One variant, trained, as the only model."""
    options = EvaluateOptions(
        objectives=(changes.get("objective.name", BASE["objective.name"]),),
        baselines=(),
        seeds=1,
        folds=asked.folds,
    )
    chosen = {**BASE, "training.epochs": asked.epochs, **changes}
    folder = asked.folder / "".join(c if c.isalnum() else "-" for c in name)
    settings = shared_settings(options, read_pretrain_options(None, chosen), folder)
    cache = replace(settings.cache, folder=str(asked.folder / "decoded.cache"))
    settings = replace(settings, cache=cache)
    manifest = asked.folder / "lus" / "cohort.csv"
    return CrossFit(manifest, folder, options, settings, {}, asked.workers, Talk()).run(), settings


def main():
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--only", action="append", choices=list(VARIANTS))
    parser.add_argument("--folds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--workers", type=int, default=1)
    asked = parser.parse_args()
    if not (asked.folder / "lus").exists():
        simulate_lus(asked.folder / "lus", tier="demo", seed=0)
    models, first = [], None
    for name in asked.only or VARIANTS:
        start = time.monotonic()
        found, settings = contest(asked, name, VARIANTS[name])
        own = next(model for model in found.models if model.kind == "trained")
        models.append(replace(own, name=name))
        if first is None:
            first, chosen = found, settings
        print(f"{name}: {time.monotonic() - start:.0f} s", flush=True)
    options = EvaluateOptions(folds=asked.folds, against=models[0].name)
    evaluation = measured(replace(first, models=tuple(models)), options, chosen, lambda line: None)
    write_evaluation(evaluation, asked.folder / "report")
    by_cell = {(one.model, one.measure): verdict(one) for one in evaluation.comparisons}
    rows = [
        [one.name, *(f"{figure_text(one, n)} {by_cell.get((one.name, n), '')}" for n in SHOWN)]
        for one in evaluation.outcomes
    ]
    print(f"SIMULATED, {evaluation.material.n_patients} patients, {asked.folds} folds, 1 seed")
    print(markdown(["variant", *SHOWN], rows))


if __name__ == "__main__":
    main()
