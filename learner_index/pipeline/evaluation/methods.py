"""A paragraph for a Methods section: what was done, on whom, with which versions and settings."""

from importlib.metadata import version

from learner_index.learn.fit import DEFAULT_SPEC
from learner_index.learn.weights import parse_spec
from learner_index.pipeline.evaluation.measures import PRIMARY
from learner_index.pipeline.evaluation.result import Evaluation
from learner_index.pipeline.evaluation.tables import seen_words

_PACKAGES = ("learner-index", "torch", "timm", "scikit-learn", "scipy", "numpy")


def methods_paragraph(found: Evaluation) -> str:
    """Plain sentences with every setting that decides a number; nothing is claimed in them."""
    parts = [_cohort(found), _training(found), _reading(found), _statistics(found), _versions()]
    return " ".join(part for part in parts if part)


def _cohort(found: Evaluation) -> str:
    material = found.material
    what = "SIMULATED scans" if material.is_simulated else "scans"
    text = (
        f"We evaluated {material.n_scans} {what} of {material.n_patients} patients "
        f"({len(material.visits)} visits). The health score was the {material.about.title}"
        f"{f' ({material.about.unit})' if material.about.unit else ''}, known for each "
        f"{material.about.per}."
    )
    if len(material.changes):
        n = len({*material.transitions.patient.tolist()})
        text += (
            f" Health changes between {found.options.transitions} visits were called improved or "
            f"worsened when the score changed by {material.about.threshold:g} or more "
            f"({len(material.changes)} transitions of {n} patients)."
        )
    return text


def _training(found: Evaluation) -> str:
    trained = [one for one in found.outcomes if one.kind == "trained"]
    seen = [f"{one.name}: {seen_words(one)}" for one in found.outcomes if one.n_seen]
    if not trained:
        return "Encoders were taken as they are." + (f" {'; '.join(seen)}." if seen else "")
    wanted, training = found.pretraining.encoder, found.pretraining.training
    batches, n_seeds = found.pretraining.batches, len(trained[0].seeds)
    return (
        f"Encoders ({parse_spec(wanted.spec or DEFAULT_SPEC)}) were pretrained with "
        f"{', '.join(one.name for one in trained)}, identical in backbone, initial weights, "
        f"batches ({batches.patients} patients × {batches.scans} scans), augmentation, steps and "
        f"learning rate ({training.learning_rate:g}, AdamW, at most {training.epochs} epochs), "
        f"{n_seeds} seed{'s' if n_seeds > 1 else ''} each, and cross-fitted in "
        f"{len(found.splits)} folds of patients; {found.pretraining.split.val_share:.0%} of the "
        "patients chose the epoch."
    )


def _reading(found: Evaluation) -> str:
    material, has_seen = found.material, any(one.n_seen for one in found.outcomes)
    text = (
        "In each fold, read-outs were fitted on the other folds' patients, a part of whom first "
        "chose how strongly they are regularized, and tried on the fold's own, unseen by "
        f"{'read-outs' if has_seen else 'encoder and read-out alike'}. Health scores were read "
        f"from {material.about.per} embeddings by ridge regression"
    )
    if len(material.changes):
        text += (
            ", and health changes from differences of two visit embeddings by multinomial logistic "
            "regression, each patient weighing the same; the predicted change was the one whose "
            "probability exceeded its share in training the most"
        )
    return text + "."


def _statistics(found: Evaluation) -> str:
    options = found.options
    text = (
        f"Intervals are 95 % percentile intervals of {options.n_bootstraps:,} bootstrap draws of "
        "patients, the same draws for every model; measures are means over seeds. Correlations, "
        "AUROC and measures of the embedding space were taken within folds and averaged by "
        "patients; all else was pooled over folds."
    )
    if any(PRIMARY in one.figures for one in found.outcomes):
        text = (
            "The primary endpoint was the patient-averaged macro-F1 of the health change. "
            f"{text} Models were compared with {found.against} by a paired permutation test that "
            f"swaps patients' predictions ({options.n_permutations:,} permutations), adjusted "
            "after Holm, and by the corrected resampled t-test of Nadeau and Bengio over folds. "
            "All other measures are descriptive."
        )
    return text


def _versions() -> str:
    known = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return f"Software: {known}."
