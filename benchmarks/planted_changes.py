"""Do patients found to have changed alike share what was planted: the treatment they responded to?

    python benchmarks/planted_changes.py cohort.zarr cohort/truth.csv [--manifest cohort/cohort.csv]

STORE is of SIMULATED lung ultrasound, TRUTH the simulator's table for it. Asked about is every
transition of a responder of an active arm, not deteriorating, whose true state (e, c) moved by more
than 0.12. A hit counts when its patient responds to the same arm. Ratios are to the base rate: the
share of such transitions among those of other patients, patients weighing the same. Intervals are
95 %, over patients, who are drawn as queries and as hits: a patient drawn twice is found twice, one
not drawn makes room for the next in the ranking.

Beside the store: its embeddings whitened by repeats; the true state, whose cosines are no ceiling
(they take a step of drift for as good as a long one) and whose distances are; severity alone, all
that one number could tell; the observed score change; a ridge that was given the true states or
changes of other patients, to tell what the embeddings hold; and deltas dealt out to other patients,
which must give about 1: its range is that of ten such deals. "distance" ranks by the length of the
difference of two changes, d - d', which is no part of the package: it tells what looking at lengths
would change.

Repeat scans are steps of patients who did not change. Asked about as if they were changes, the test
of a set of hits should give p of at most 0.05 to one patient in twenty.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import learner_index as li
from learner_index.analysis.chance import common_direction_test
from learner_index.analysis.handcrafted import handcrafted_features
from learner_index.analysis.resample import draw_weights, interval
from learner_index.config import ProgressionOptions
from learner_index.pipeline.evaluation.tables import markdown
from learner_index.pipeline.progression.reference import fit_whole_reference
from learner_index.pipeline.progression.source import ChangeSource, Followed
from learner_index.pipeline.progression.visits import views_of
from learner_index.search.progression import all_parts, find_changes
from learner_index.search.table import SearchTable
from learner_index.search.transition_table import TransitionTable, stored_question

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Finder = Callable[[int], Rows]  # from the row of a query to those of its hits

ACTIVE, MOVED = ("de-resuscitation", "recruitment"), 0.12
DRAWS, DEALS, FOLDS, PENALTY = 1000, 10, 5, 10.0
DEEP = 5  # times as many hits as are counted, for draws that leave some out
VARIANTS = {"default weights": False, "direction only": True}


@dataclass(frozen=True, eq=False)
class Known:
    """The truth of t transitions: patients, arms, who was helped, states (e, c, s) and changes."""

    patient: NDArray[np.int64]
    arm: NDArray[np.object_]
    is_helped: NDArray[np.bool_]
    state: Floats
    delta: Floats
    delta_score: Floats

    @classmethod
    def of(cls, followed: Followed, truth: pd.DataFrame) -> "Known":
        """Rows of the truth are those of the scans."""
        visits = followed.visits
        first = np.unique(visits.scan_visit, return_index=True)[1]  # a scan of each visit
        own = truth.iloc[first].reset_index(drop=True)
        state, earlier = own[["e", "c", "s"]].to_numpy(float), visits.earlier
        helped = own["is_responder"] & ~own["is_deteriorating"] & own["arm"].isin(ACTIVE)
        return cls(
            patient=np.unique(visits.patient[earlier], return_inverse=True)[1],
            arm=own["arm"].to_numpy(object)[earlier],
            is_helped=helped.to_numpy(bool)[earlier],
            state=state[earlier],
            delta=state[visits.later] - state[earlier],
            delta_score=visits.delta_score,
        )

    @property
    def queries(self) -> Rows:
        """Transitions of the helped whose state moved."""
        return np.flatnonzero(self.is_helped & (np.hypot(*self.delta[:, :2].T) > MOVED))

    def shares(self, asked: Rows, found: list[Rows], weights: Floats, k: int) -> Floats:
        """(2, b, q) share of each query's first k hits that responded to its arm; base rate.

        Args:
            asked: (q,) queries.
            found: of each, more than k hits, best first.
            weights: (b, p) how often each patient is there.
            k: hits counted.
        """
        counts = np.bincount(self.patient)
        hits, base = np.empty((2, len(weights), len(asked)))
        rates = {}
        for arm in ACTIVE:
            is_alike = self.is_helped & (self.arm == arm)
            rates[arm] = is_alike, np.bincount(self.patient, is_alike) / counts
        for place, (row, rows) in enumerate(zip(asked, found, strict=True)):
            is_alike, rate = rates[str(self.arm[row])]
            own, there = self.patient[row], weights[:, self.patient[rows]]  # (b, hits)
            taken = np.clip(k - (np.cumsum(there, axis=1) - there), 0, there)
            hits[:, place] = taken @ is_alike[rows] / np.maximum(taken.sum(axis=1), 1)
            others = weights.sum(axis=1) - weights[:, own]
            base[:, place] = (weights @ rate - weights[:, own] * rate[own]) / others
        return np.array([hits, base])


def cell(shares: Floats, weights: Floats, patient: Rows) -> str:
    """Share of hits, base rate and ratio with its interval; the first row of weights is all 1."""
    times = weights[:, patient]
    hits, base = np.sum(shares * times, axis=2) / times.sum(axis=1)
    around = interval(hits[1:] / base[1:])
    text = f"{hits[0] / base[0]:.2f} ({around.low:.2f} to {around.high:.2f})"
    return f"{hits[0]:.2f} / {base[0]:.2f} = {text}"


def source_of(embeddings: Floats, obs: pd.DataFrame) -> ChangeSource:
    """Any numbers of the scans, followed as a store's embeddings are, under their own reference."""
    rows = np.asarray(embeddings, np.float32)
    reference = fit_whole_reference(rows, obs)
    table = SearchTable(rows, obs, reference=reference)
    return ChangeSource(Path("none") / "no.zarr", 0, table, lambda: reference)


def by_query(table: TransitionTable, direction_only: bool, k: int) -> Finder:
    """The package's own ranking."""
    options = ProgressionOptions(k=k, direction_only=direction_only)
    return lambda row: find_changes(table, stored_question(table, row), options).rows


def by_likeness(likeness: Callable[[int], Floats], patient: NDArray[np.int64], k: int) -> Finder:
    """Ranking by one number a transition, each other patient's best; without one, never a hit."""

    def find(row: int) -> Rows:
        order = np.argsort(-np.nan_to_num(likeness(row), nan=-np.inf), kind="stable")
        order = order[patient[order] != patient[row]]
        return order[np.sort(np.unique(patient[order], return_index=True)[1])[:k]]

    return find


def dealt_out(table: TransitionTable, seed: int) -> TransitionTable:
    """The same starts with each other's deltas."""
    order = np.random.default_rng(seed).permutation(len(table))
    return TransitionTable(
        table.starts,
        table.deltas[order],
        table.columns.obs,
        start_bandwidth=table.start_bandwidth,
        day_bandwidth=table.day_bandwidth,
    )


def predicted(embeddings: Floats, truth: Floats, patient: Rows) -> Floats:
    """(n, 2) ridge of the true state on embeddings, of patients it was not fitted on."""
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), Ridge(alpha=PENALTY * embeddings.shape[1]))
    folds = GroupKFold(FOLDS)
    return np.asarray(cross_val_predict(model, embeddings, truth, groups=patient, cv=folds))


def measured(manifest: Path, scan_ids: pd.Series) -> Floats:
    """(n, f) handcrafted features of the scans, each of mean 0 and variance 1."""
    paths = pd.read_csv(manifest, dtype=str).set_index("scan_id")["path"]
    found = []
    for scan_id in scan_ids:
        with np.load(manifest.parent / paths[scan_id]) as scan:
            found.append(handcrafted_features(scan["pixels"] / 255.0))
    rows = np.array(found)
    return (rows - rows.mean(axis=0)) / np.maximum(rows.std(axis=0), 1e-12)


def seen_in(followed: Followed, known: Known) -> str:
    """How much of the true changes of e and c the deltas show, and how much of them is noise."""
    visits = followed.visits
    found = predicted(visits.deltas.astype(float), known.delta[:, :2], known.patient)
    r = [float(np.corrcoef(found[:, i], known.delta[:, i])[0, 1]) for i in range(2)]
    lengths = np.linalg.norm(visits.deltas, axis=1) / visits.delta_scale
    noise = followed.known.noise
    floor = np.nan
    if noise is not None:
        floor = float(np.median(np.linalg.norm(noise.differences, axis=1)) / np.median(lengths))
    return (
        f"r of true and predicted change, patients left out: e {r[0]:.2f}, c {r[1]:.2f}; median "
        f"repeat / median transition {floor:.2f}; "
        f"effective rank {followed.known.effective_rank:.1f}"
    )


def size_on_repeats(followed: Followed, k: int) -> str:
    """How often the test of a set of hits finds a common change in repeat scans."""
    obs, known, keys = followed.obs, followed.known, ["patient_id", "day", "view"]
    rescan = obs["rescan"].to_numpy(bool, na_value=False)
    ends = [obs[own].drop_duplicates(keys).reset_index() for own in (~rescan, rescan)]
    pairs = ends[0].merge(ends[1], on=keys)
    one, other = (pairs[f"index_{side}"].to_numpy(int) for side in "xy")
    moved = followed.embeddings - known.means_of(views_of(obs))
    columns = pd.DataFrame({"patient_id": pairs["patient_id"].astype("string"), "delta_day": 1.0})
    table = TransitionTable(
        moved[one],
        followed.embeddings[other] - followed.embeddings[one],
        columns,
        start_bandwidth=known.start_bandwidth,
        day_bandwidth=0.0,
    )
    patient = table.groups("patient")[0]
    p_values: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for row in np.unique(patient, return_index=True)[1]:
        rest = np.flatnonzero(patient != patient[row])
        for name, direction_only in VARIANTS.items():
            weights = (1.0, 0.0 if direction_only else 1.0, 0.0)
            direction, start, _ = all_parts(table, stored_question(table, row), weights, rest)
            test = common_direction_test(direction, patient[rest], k, rest=start, n_draws=199)
            p_values[name].append(test.p_value)
    shares = [f"{np.mean(np.array(p) <= 0.05):.2f} ({name})" for name, p in p_values.items()]
    return f"p <= 0.05 for repeats of {len(p_values['direction only'])} patients: " + ", ".join(
        shares
    )


def finders(
    sources: dict[str, ChangeSource], known: Known, mode: str, k: int
) -> dict[tuple[str, str], Finder]:
    """Every contestant, by name and variant."""
    found: dict[tuple[str, str], Finder] = {}
    for name, source in sources.items():
        table = source.followed(mode).table
        for variant, direction_only in VARIANTS.items():
            found[name, variant] = by_query(table, direction_only, k)
        found[name, "distance"] = by_likeness(nearness(table.deltas), known.patient, k)
    deltas = sources["store"].followed(mode).visits.deltas.astype(float)
    changes = {
        "store, ridge to true change": predicted(deltas, known.delta[:, :2], known.patient),
        "true severity": known.delta[:, 2:],
        "observed score": known.delta_score[:, None],
    }
    for name, values in changes.items():
        found[name, "distance"] = by_likeness(nearness(values), known.patient, k)
    return found


def nearness(deltas: NDArray[np.floating]) -> Callable[[int], Floats]:
    """Minus the length of the difference of two changes."""
    return lambda row: -np.linalg.norm(np.asarray(deltas - deltas[row], float), axis=1)


def dealt_cells(table: TransitionTable, known: Known, direction_only: bool, k: int) -> list[str]:
    """Ratios where deltas are other patients': mean and range over deals."""
    rows, once = known.queries, np.ones((1, int(known.patient.max()) + 1))
    ratios = []
    for seed in range(DEALS):
        find = by_query(dealt_out(table, seed), direction_only, k)
        hits, base = known.shares(rows, [find(int(row)) for row in rows], once, k)[:, 0]
        owns = [np.ones(len(rows), bool), *(known.arm[rows] == arm for arm in ACTIVE)]
        ratios.append([hits[own].sum() / base[own].sum() for own in owns])
    ends = zip(np.mean(ratios, axis=0), np.min(ratios, axis=0), np.max(ratios, axis=0), strict=True)
    return [f"{mean:.2f} ({low:.2f} to {high:.2f})" for mean, low, high in ends]


def main() -> None:
    """Print tables for both ways to pair visits."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path)
    parser.add_argument("truth", type=Path)
    parser.add_argument("--manifest", type=Path, help="adds handcrafted features of its scans")
    parser.add_argument("-k", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    cohort = li.open_store(asked.store)
    obs = cohort.obs
    truth = pd.read_csv(asked.truth).set_index("scan_id").loc[obs["scan_id"].astype(str)]
    truth = truth.reset_index()
    state = truth[["e", "c"]].to_numpy(float)
    plain = obs.drop(columns="view")  # a state has no view
    owners = pd.factorize(obs["patient_id"])[0].astype(np.int64)
    told = predicted(cohort.embeddings.astype(float), state, owners)
    whitening = cohort.changes.followed("consecutive").known.whitening
    sources = {
        "store": cohort.changes,
        "store, whitened by repeats": source_of(cohort.embeddings @ whitening, obs),
        "store, ridge to true state": source_of(told, plain),
    }
    if asked.manifest:
        features = measured(asked.manifest, obs["scan_id"].astype(str))
        sources["handcrafted"] = source_of(features, obs)
    sources["true state"] = source_of(state, plain)
    for mode in ("consecutive", "baseline"):
        report(sources, truth, mode, asked)


def report(
    sources: dict[str, ChangeSource], truth: pd.DataFrame, mode: str, asked: argparse.Namespace
) -> None:
    """Print one table."""
    followed = sources["store"].followed(mode)
    known = Known.of(followed, truth)
    rows = known.queries
    arms = known.arm[rows]
    sizes = ", ".join(f"{int((arms == arm).sum())} {arm}" for arm in ACTIVE)
    print(
        f"\nSIMULATED, {mode}: {len(known.arm)} transitions of {known.patient.max() + 1} patients;"
        f" {len(rows)} queries of {len(np.unique(known.patient[rows]))} ({sizes}), k {asked.k}"
    )
    print(seen_in(followed, known))
    print(size_on_repeats(followed, asked.k) + "\n")
    n_patients = int(known.patient.max()) + 1
    drawn = draw_weights(n_patients, DRAWS, asked.seed)
    weights = np.concatenate([np.ones((1, n_patients)), drawn])
    table = []
    for (name, variant), find in finders(sources, known, mode, DEEP * asked.k).items():
        found = [find(int(row)) for row in rows]
        shares = known.shares(rows, found, weights, asked.k)
        owns = [np.ones(len(rows), bool), *(arms == arm for arm in ACTIVE)]
        cells = [cell(shares[..., own], weights, known.patient[rows[own]]) for own in owns]
        table.append([name, variant, *cells])
    for variant, direction_only in VARIANTS.items():
        dealt = dealt_cells(followed.table, known, direction_only, asked.k)
        table.append(["store, deltas shuffled", variant, *dealt])
    print(markdown(["ranking", "S", "all", *ACTIVE], table), flush=True)


if __name__ == "__main__":
    main()
