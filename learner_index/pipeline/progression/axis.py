"""The severity axis of a store's reference, with every scan's place on it."""

import numpy as np
import pandas as pd

from learner_index.analysis.severity import position_intervals, positions
from learner_index.data.axis import AxisReport
from learner_index.errors import NotEnoughDataError
from learner_index.pipeline.progression.measure import axis_figures, noise_notes
from learner_index.pipeline.progression.source import ChangeSource
from learner_index.pipeline.progression.visits import views_of


def severity_axis(source: ChangeSource, modality: str | None = None) -> AxisReport:
    """The axis along which health falls, and where on it each scan lies.

    Args:
        source: the store.
        modality: the one meant, where there are several.

    Raises:
        QueryError: no such modality, or the reference knows nothing of it.
        NotEnoughDataError: no axis could be fitted.
    """
    followed = source.followed("consecutive", modality)
    known, obs = followed.known, followed.obs
    if known.axis is None:
        raise NotEnoughDataError("; ".join(known.notes) or "no severity axis was fitted")
    moved = followed.embeddings - known.means_of(views_of(obs)) - known.center
    low, high = position_intervals(known.axis, moved, known.whitening)
    own = ("scan_id", "patient_id", "day", "view", "health_score")
    scans = pd.DataFrame({name: obs[name] for name in own if name in obs})
    scans["position"] = positions(known.axis, moved, known.whitening)
    scans["low"], scans["high"] = np.asarray(low), np.asarray(high)
    return AxisReport(
        figures=axis_figures(known) or {},
        scans=scans,
        reference=followed.fingerprint,
        modality=followed.modality,
        notes=noise_notes(known),
    )
