"""Chest films around the end of an ICU stay: do the nearest progressions end a stay, too?

Usage: python benchmarks/leaving_icu.py STORE [--seed 0] [--shuffles 200]

STORE is built with `--score-column icu --score-direction lower`. For each transition that ends an
ICU stay: the share of ends of stays among the 5 nearest progressions of other patients, beside the
share among all of theirs, and beside the same search after deltas were dealt out anew to other
start states. Patients weigh equally.
"""

import argparse
from dataclasses import replace

import numpy as np

from learner_index.config import ProgressionOptions
from learner_index.pipeline.cohort import open_store
from learner_index.pipeline.progression.source import Followed
from learner_index.search.progression import find_changes
from learner_index.search.transition_table import TransitionTable, stored_question

K = 5


def shares(table: TransitionTable, is_end: np.ndarray, options: ProgressionOptions) -> dict:
    """Patient -> (share among the nearest, share among all others), means over their ends."""
    owners = table.columns.obs["patient_id"].to_numpy(object)
    found: dict[str, list[tuple[float, float]]] = {}
    for row in np.flatnonzero(is_end):
        near = find_changes(table, stored_question(table, row), options).rows
        others = owners != owners[row]
        by_patient = [is_end[others & (owners == p)].mean() for p in set(owners[others])]
        found.setdefault(owners[row], []).append((is_end[near].mean(), np.mean(by_patient)))
    return {patient: np.mean(pairs, axis=0) for patient, pairs in found.items()}


def shuffled(followed: Followed, rng: np.random.Generator) -> TransitionTable:
    """The same transitions with deltas dealt out anew."""
    order = rng.permutation(len(followed.visits.deltas))
    visits = replace(followed.visits, deltas=followed.visits.deltas[order])
    return replace(followed, visits=visits).table


def main() -> None:
    """Print the comparison and each query's hits."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shuffles", type=int, default=200)
    args = parser.parse_args()
    cohort = open_store(args.store)
    followed = cohort.changes.followed("consecutive")
    table = followed.table
    is_end = table.columns.numbers("delta_score") > 0
    n = table.columns.obs["patient_id"].nunique()
    print(
        f"{len(table)} transitions of {n} patients; {is_end.sum()} end an ICU stay, of "
        f"{table.columns.obs['patient_id'][is_end].nunique()} patients; deltas spread in "
        f"{followed.known.effective_rank:.1f} directions"
    )
    rng = np.random.default_rng(args.seed)
    for name, only in (("all of S", False), ("direction only", True)):
        options = ProgressionOptions(k=K, direction_only=only, n_draws=0)
        by_patient = shares(table, is_end, options)
        near, base = np.mean([*by_patient.values()], axis=0)
        controls = [
            np.mean([pair[0] for pair in shares(shuffled(followed, rng), is_end, options).values()])
            for _ in range(args.shuffles)
        ]
        low, high = np.quantile(controls, [0.025, 0.975])
        p = (1 + sum(c >= near for c in controls)) / (1 + len(controls))
        print(
            f"{name:14s}  ends among the {K} nearest {near:.2f}, among all {base:.2f}; shuffled "
            f"{np.mean(controls):.2f} ({low:.2f} to {high:.2f}); p {p:.2f}; "
            f"{len(by_patient)} query patients"
        )
        for patient, (one, _) in sorted(by_patient.items()):
            print(f"    {patient}  {one:.2f}")
    for row in np.flatnonzero(is_end):
        columns = table.columns.obs.iloc[row]
        found = cohort.progression(
            patient=columns["patient_id"],
            from_day=columns["day"],
            to_day=columns["later_day"],
            k=K,
        )
        chance = found.chance["p_value"] if found.chance else float("nan")
        hits = ", ".join(
            f"{hit.patient_id[-4:]} d{hit.change.from_day:g}-{hit.change.to_day:g} "
            f"({hit.change.delta_score:+g})"
            for hit in found
        )
        print(
            f"{columns['patient_id']} day {columns['day']:g} to {columns['later_day']:g}: support "
            f"{found.support.n_similar:.1f}, p of the set {chance:.2f}; {hits}"
        )


if __name__ == "__main__":
    main()
