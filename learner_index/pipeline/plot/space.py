"""How far apart embeddings lie where health changed: LEARNER's figure 1 from a store."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from learner_index.analysis.plots.figure_one import DistancePanel, lay_out_figure_one
from learner_index.analysis.space import figure_one, fit_whitening, within_agreements
from learner_index.analysis.within import BOOTSTRAPS, scored_pairs
from learner_index.data.visits import strata, visit_codes
from learner_index.errors import NotEnoughDataError
from learner_index.pipeline.cohort import Cohort, texts
from learner_index.pipeline.roles import SEEN
from learner_index.search.filters import fulfils_all

if TYPE_CHECKING:
    from learner_index.analysis.plots.drawing import Drawing

_CAPTION = (
    "Pairs of scans of one patient, of one view, at two visits. ρ: Spearman, 95 % interval by "
    "resampling patients. Center and whitening are those of the patients shown; no score enters "
    "them."
)


@dataclass(frozen=True, slots=True, eq=False)
class Distances:
    """What the figure of distances shows.

    Attributes:
        panel: pairs, ρ, and whether the encoder knows some of the patients.
        title: what is shown, on what.
        caption: what it rests on.
        is_simulated: whether the store's scans were computed.
    """

    panel: DistancePanel
    title: str
    caption: str
    is_simulated: bool


def distances(
    cohort: Cohort,
    *,
    where: str | Sequence[str] = (),
    patients: Sequence[str] | None = None,
    unit: str | None = None,
    title: str | None = None,
    n_bootstraps: int = BOOTSTRAPS,
    seed: int = 0,
) -> "Drawing":
    """Do embeddings of one patient lie further apart where the health score changed more?

    Raw, centred and whitened cosine distance side by side, since raw distances of features that
    are never negative are small whatever they say.

    Args:
        cohort: an open store.
        where: conditions on scans, such as "encoder_role == unseen".
        patients: whose scans; None: everybody's.
        unit: of the health score, such as "S/F ratio"; "score units" when None.
        title: stands above; None: what is shown, on what.
        n_bootstraps: draws of patients for the intervals; 0 gives none.
        seed: of these draws.

    Raises:
        NotEnoughDataError: fewer than three patients have two visits with a health score.
        QueryError: a condition cannot be read.

    Source:
        Figure 1 of LEARNER, arXiv 2411.01144.
    """
    found = measured_distances(
        cohort,
        where=where,
        patients=patients,
        title=title,
        n_bootstraps=n_bootstraps,
        seed=seed,
    )
    return lay_out_figure_one(
        [found.panel],
        unit=unit or "score units",
        title=found.title,
        caption=found.caption,
        is_simulated=found.is_simulated,
    )


def measured_distances(
    cohort: Cohort,
    *,
    where: str | Sequence[str] = (),
    patients: Sequence[str] | None = None,
    title: str | None = None,
    n_bootstraps: int = BOOTSTRAPS,
    seed: int = 0,
) -> Distances:
    """What `distances` draws, measured.

    Raises:
        NotEnoughDataError, QueryError: as in `distances`.
    """
    is_meant = fulfils_all(cohort.table, texts(where))
    if patients is not None:
        is_meant &= cohort.table.obs["patient_id"].isin(list(patients)).to_numpy(bool)
    rows = np.flatnonzero(is_meant)
    obs = cohort.table.obs.iloc[rows].reset_index(drop=True)
    name = cohort.path.stem
    if "health_score" not in obs or obs["health_score"].isna().all():
        raise NotEnoughDataError(
            f"no scan of store {cohort.path.name} that is meant has a health score: loosen where, "
            "or name the scores when building, with --score-column NAME"
        )
    embeddings = cohort.embeddings[rows]
    score = obs["health_score"].to_numpy(np.float64, na_value=np.nan)
    patient = obs["patient_id"].to_numpy(object)
    views = strata(obs)
    visit = visit_codes(obs)
    whitening = fit_whitening(embeddings, patient)
    frame = figure_one(embeddings, score, patient, visit, views, whitening=whitening)
    agreements = within_agreements(
        embeddings,
        scored_pairs(score, patient, visit, views),
        whitening,
        n_bootstraps=n_bootstraps,
        seed=seed,
    )
    rho: dict[str, tuple[float, float, float]] = {
        how: (found.rho, found.low, found.high) for how, (found, _) in agreements.items()
    }
    is_seen = "encoder_role" in obs and bool(
        obs["encoder_role"][obs["patient_id"].isin(frame["patient"])].isin(SEEN).any()
    )
    return Distances(
        DistancePanel(name, frame, rho, is_seen),
        title or "Embedding distance and change of the health score within patients",
        _CAPTION,
        bool(cohort.settings.get("is_simulated", False)),
    )
