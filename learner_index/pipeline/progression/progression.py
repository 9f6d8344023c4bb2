"""Who changed like this patient, from the same state, and how sure that is."""

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learner_index.analysis.chance import common_direction_test
from learner_index.analysis.noise import benjamini_hochberg, cosine_p_values, length_p_values
from learner_index.config import ProgressionOptions
from learner_index.data.progression import (
    Change,
    Outcome,
    ProgressionHit,
    Progressions,
    Support,
)
from learner_index.data.reference import ChangeReference
from learner_index.errors import QueryError
from learner_index.pipeline.progression.columns import OWN
from learner_index.pipeline.progression.measure import (
    axis_figures,
    changes,
    noise_figures,
    noise_notes,
)
from learner_index.pipeline.progression.question import Ask, Asked, asked, settled
from learner_index.pipeline.progression.source import ChangeSource, Followed
from learner_index.pipeline.roles import SEEN, seen_note
from learner_index.search.hits import plain
from learner_index.search.progression import FoundChanges, all_parts, find_changes
from learner_index.search.transition_table import Question

_LEAST_DRAWS, _MOST_CELLS = 99, 200_000_000  # of the test: fewer draws of many transitions
TRUSTED = 0.1
"""Share of unchanged patients with p at most 0.05 above which that test is not told."""
Maybes = list[float | None]
_LEAST_SCORED = 3  # hits with a known score change below which no median is given


def progression(source: ChangeSource, ask: Ask, options: ProgressionOptions) -> Progressions:
    """The patients who changed most like the one asked about.

    Args:
        source: the store.
        ask: whose change, or which direction.
        options: how.

    Raises:
        QueryError: the question or an option does not fit the store.
    """
    started, options = time.perf_counter(), settled(options)
    followed = source.followed(options.transitions, options.modality, options.as_of)
    if not len(followed.visits.earlier):
        raise QueryError(
            "no patient has two visits on different days that show the same view: there is no "
            "change to compare; `similar` finds who looks alike"
        )
    meant = asked(followed, ask, options)
    found = find_changes(followed.table, meant.question, _fitting(options, meant))
    support, test = _how_sure(followed, meant, found, options)
    is_direction = found.weights[0] == 0 or bool(followed.table.unit(meant.question.delta).any())
    is_told = support.is_supported and len(found.rows) > 0 and is_direction
    hits = _hits(followed, meant, found, options)
    known = followed.known
    notes = found.notes + followed.notes + meant.notes + noise_notes(known)
    if test is not None and test["method"] == "permute":
        notes += (_doubt(known, options),)
        is_right = (known.placebo_share or 0.0) <= TRUSTED and options.level == "patient"
        test = test if is_right else None
    n_against = int(np.count_nonzero(found.cosine <= 0))
    if is_direction and found.weights[0] and 2 * n_against > len(found.rows):
        notes += (_outweighed(n_against, len(found.rows)),)
    if not support.is_supported:
        notes = (_unsupported(support, is_start=found.weights[1] > 0), *notes)
    return Progressions(
        query=_described(meant, options),
        change=meant.change,
        hits=hits,
        exact=True,
        backend=found.backend,
        reference=followed.fingerprint,
        weights=found.weights,
        bandwidths=(known.start_bandwidth, known.day_bandwidth),
        n_eligible=found.n_eligible,
        n_eligible_patients=found.n_eligible_patients,
        n_scanned=found.n_eligible,
        support=support,
        chance=test if is_told else None,
        outcome=_outcome([hit.change for hit in hits]) if is_told else None,
        effective_rank=known.effective_rank,
        noise=noise_figures(known),
        axis=axis_figures(known),
        elapsed_ms=(time.perf_counter() - started) * 1000,
        search_ms=found.elapsed_ms,
        notes=_seen(followed, meant, hits) + notes,
    )


def _fitting(options: ProgressionOptions, meant: Asked) -> ProgressionOptions:
    """The options; a direction that is nobody's has no start, no days and no patient to leave out.

    A vector may be a patient's, and the search then says that it does not know whose.
    """
    if meant.question.patient_ids or meant.description["kind"] == "vector":
        return options
    return replace(options, direction_only=True, include_self=True)


def _outweighed(n_against: int, n_hits: int) -> str:
    """A warning that hits are near for what they started from, not for how they changed."""
    return (
        f"{n_against} of {n_hits} hits changed in another direction (cosine 0 or less): start "
        "states and days outweigh it; --direction-only or --weights ranks otherwise"
    )


def _unsupported(support: Support, *, is_start: bool) -> str:
    """Why nothing general is said."""
    n_similar = round(support.n_similar, 1)
    if n_similar >= support.minimum:  # 4.98 is not "5.0, and fewer than 5"
        n_similar = int(support.n_similar * 10) / 10
    what = f"{n_similar:.1f} patients started from a similar state"
    if not is_start:
        what = f"{support.n_similar:.0f} patients are eligible"
    return (
        f"UNSUPPORTED: {what}, and fewer than {support.minimum:g} say nothing in general; each hit "
        "stands for itself (--min-support)"
    )


def _doubt(known: ChangeReference, options: ProgressionOptions) -> str:
    """What is known of the test of a set of hits that start alike, tried where nothing changed."""
    if options.level == "transition":
        return (
            "no p for the set: with start states the test takes transitions for independent, and "
            "several of one patient are not; ask for --level patient or --direction-only"
        )
    if known.placebo_share is None:
        return (
            "a start shares its noise with its change, so p of the set may be too small; fewer "
            "than 20 patients have repeats to try that on (--direction-only is free of it)"
        )
    tried = (
        f"tried on repeats of {known.n_placebo} patients, where nothing changed, it is at most "
        f"0.05 for {round(known.placebo_share * known.n_placebo)} of them"
    )
    if known.placebo_share <= TRUSTED:
        return f"p of the set: {tried}"
    return (
        f"no p for the set: {tried}, because those who start alike share noise; "
        "--direction-only has a test that is free of this"
    )


def _how_sure(
    followed: Followed, meant: Asked, found: FoundChanges, options: ProgressionOptions
) -> tuple[Support, dict[str, Any] | None]:
    """How many started alike, and whether the hits have more in common than chance."""
    looked_for = meant.question.opposite if options.negate else meant.question
    rows = np.flatnonzero(found.eligible)
    table = followed.table
    patients = table.groups("patient")[0][rows]
    is_tested = options.n_draws > 0 and len(rows) > 0 and found.weights[0] > 0
    direction, start, days = np.zeros((3, len(rows)))
    if is_tested or found.weights[1] > 0:
        some = None if len(rows) == len(table) else rows
        direction, start, days = all_parts(table, looked_for, found.weights, some)
    n_similar = float(found.n_eligible_patients)
    if found.weights[1] > 0:
        n_similar = _similar_patients(start / found.weights[1], patients)
    support = Support(n_similar, options.min_support)
    if not is_tested or not support.is_supported:
        return support, None
    test = common_direction_test(
        direction,
        patients,
        options.k,
        group=table.groups(options.level)[0][rows],
        rest=start + days,
        delta_day=table.columns.numbers("delta_day")[rows],
        n_draws=min(options.n_draws, max(_LEAST_DRAWS, _MOST_CELLS // len(rows))),
        seed=options.seed,
    )
    return support, asdict(test)


def _similar_patients(start: NDArray[np.float64], patients: NDArray[np.int64]) -> float:
    """Patients counted by how near their nearest start is: exp of half the start part."""
    if not len(start):
        return 0.0
    best = np.full(int(patients.max()) + 1, -np.inf)
    np.maximum.at(best, patients, start)
    return float(np.sum(np.exp(0.5 * best)))


def _hits(
    followed: Followed, meant: Asked, found: FoundChanges, options: ProgressionOptions
) -> tuple[ProgressionHit, ...]:
    """The rows found, with their parts, changes and p-values."""
    rows = found.rows
    told = changes(followed, rows)
    looked_for = meant.question.opposite if options.negate else meant.question
    length_q, cosine_p, cosine_q = _chances(followed, looked_for, found)
    columns = followed.of_transitions.iloc[rows]
    kept = [name for name in columns.columns if name not in OWN]
    cells = {name: [plain(v) for v in columns[name].tolist()] for name in kept}
    return tuple(
        ProgressionHit(
            rank=i + 1,
            similarity=float(found.similarity[i]),
            direction=float(found.direction[i]),
            start=float(found.start[i]),
            days=float(found.days[i]),
            cosine=float(found.cosine[i]),
            change=told[i],
            cosine_p=cosine_p[i],
            length_q=length_q[i],
            cosine_q=cosine_q[i],
            columns={name: values[i] for name, values in cells.items()},
        )
        for i in range(len(rows))
    )


def _chances(followed: Followed, looked_for: Question, found: FoundChanges) -> tuple[Maybes, ...]:
    """Per hit q of its length, p and q of its cosine, among repeats; None without repeats.

    Adjusted over all eligible transitions: hits were chosen for small p, and among themselves
    nearly all would pass. A cosine with another change of the query's patient says nothing, as they
    may share a scan.
    """
    rows, noise = found.rows, followed.known.noise
    nothing: Maybes = [None] * len(rows)
    if noise is None or not len(rows):
        return nothing, nothing, nothing
    eligible = np.flatnonzero(found.eligible)
    at = np.searchsorted(eligible, rows)
    table, repeats = followed.table, np.asarray(noise.differences, np.float64)
    scales, floor = followed.visits.delta_scale[eligible], np.linalg.norm(repeats, axis=1)
    length_p = length_p_values(table.lengths[eligible], scales, floor)
    length_q = benjamini_hochberg(length_p)[at].tolist()
    if not table.unit(looked_for.delta).any():
        return length_q, nothing, nothing
    cosines = table.cosines(looked_for.delta, eligible)
    cosine_p = cosine_p_values(cosines, looked_for.delta, repeats)
    cosine_q = benjamini_hochberg(cosine_p)
    own = table.columns.obs["patient_id"].iloc[rows].isin(looked_for.patient_ids).to_numpy(bool)
    told = [
        [None if is_own else value for is_own, value in zip(own, values[at].tolist(), strict=True)]
        for values in (cosine_p, cosine_q)
    ]
    return length_q, *told


def _outcome(told: Sequence[Change]) -> Outcome:
    """What became of the hits."""
    scored = [change.delta_score for change in told if change.delta_score is not None]
    low = middle = high = None
    if len(scored) >= _LEAST_SCORED:
        low, middle, high = (float(q) for q in np.quantile(scored, [0.25, 0.5, 0.75]))
    said = [change.verdict for change in told]
    is_told = not {"no noise floor", "no severity axis"}.intersection(said)
    return Outcome(
        n_hits=len(told),
        n_scored=len(scored),
        median_delta_score=middle,
        low_delta_score=low,
        high_delta_score=high,
        n_improving=said.count("improving") if is_told else None,
        n_steady=said.count("steady") if is_told else None,
        n_worsening=said.count("worsening") if is_told else None,
        n_uncertain=said.count("uncertain") if is_told else None,
    )


def _described(meant: Asked, options: ProgressionOptions) -> dict[str, Any]:
    """What was asked, JSON-ready; the backend is no part of the question."""
    settings = {name: value for name, value in asdict(options).items() if name != "backend"}
    for name in ("where", "match", "weights"):
        settings[name] = list(settings[name])
    return {**meant.description, **settings}


def _seen(followed: Followed, meant: Asked, hits: Sequence[ProgressionHit]) -> tuple[str, ...]:
    """A first note, if the encoder has seen the query's patient or the hits'."""
    known = meant.question.known
    is_query = known is not None and "encoder_role" in known
    role = plain(known["encoder_role"].iloc[0]) if known is not None and is_query else None
    n_hits = sum(hit.columns.get("encoder_role") in SEEN for hit in hits)
    return seen_note(role in SEEN, n_hits, len(hits))
