"""How the response to treatment is learned from a store."""

from dataclasses import dataclass
from typing import Literal

from learner_index.config.words import Transition

Task = Literal["detect", "predict"]
ClassWeight = Literal["none", "balanced"]
Patients = Literal["auto", "unseen", "all"]
Until = Literal["next", "last"]


@dataclass(frozen=True, slots=True)
class ResponseOptions:
    """What a response head learns, from whom, and how it is tried.

    Attributes:
        task: "detect": both scans are given, did health change? "predict": scans up to one visit
            are given, will it?
        target: column that holds the outcome, read at the later visit; None: the health change.
        threshold: θ, the change of health score that counts as one, in score units; None: the
            score kind's own.
        score_kind: what the health score measures: "generic", "sf", "sf94" or "mmse".
        classes: the outcomes in order, worst first; they are then ordinal. Empty: as they are
            found, ordinal if they are numbers.
        transitions: detect: which visits are paired.
        at: predict: the visit a prediction is made at: "first", "every", "treatment" (the first
            with one in force), or "day N" (the latest until day N).
        until: predict: whether the outcome is that of the "next" visit or the "last".
        died_as: class of patients who died before the outcome's visit; None: left out, counted.
        lost_as: likewise for patients who were not seen again.
        scans: conditions on the scans that are used at all, each "column op value".
        where: conditions on the visit that is started from, likewise.
        clinical: columns of the earlier visit that the clinical baselines know.
        with_clinical: the head itself is given these columns beside the embeddings.
        modality: the one meant, where the store has several.
        patients: "unseen": only patients the encoder has not seen; "all"; "auto": unseen where
            they are enough, else all.
        head: one that `pipeline.response.kinds` lists.
        class_weight: "balanced": rare classes weigh more while the head is fitted; its
            probabilities are turned back to how common they are.
        folds: of patients, for the figures.
        alpha: sets of classes hold the outcome for all but this share of patients.
        n_bootstraps: draws of patients for intervals.
        seed: of folds, draws and heads.
    """

    task: Task = "detect"
    target: str | None = None
    threshold: float | None = None
    score_kind: str = "generic"
    classes: tuple[str, ...] = ()
    transitions: Transition = "consecutive"
    at: str = "first"
    until: Until = "next"
    died_as: str | None = None
    lost_as: str | None = None
    scans: tuple[str, ...] = ()
    where: tuple[str, ...] = ()
    clinical: tuple[str, ...] = ()
    with_clinical: bool = False
    modality: str | None = None
    patients: Patients = "auto"
    head: str = "multinomial"
    class_weight: ClassWeight = "none"
    folds: int = 5
    alpha: float = 0.1
    n_bootstraps: int = 2000
    seed: int = 0
