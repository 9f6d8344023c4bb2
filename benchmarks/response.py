"""Does a response head keep its promises on simulated patients whose truth is known? No pixels.

    python benchmarks/response.py coverage|oracle|heads|shuffled|learning [--quick]

Prints Markdown. Cohorts are simulated courses seen by a linear encoder of 24 dimensions; every
figure is of SIMULATED patients.

coverage: sets of many cohorts, each fitted on 150 patients and tried on 300 fresh ones.
oracle: all heads by number of patients, beside what could be known from the true states.
heads: log loss on fresh patients over ten training cohorts of each size; the slow mlp is left out.
shuffled: outcomes dealt out among patients: is chance found, and nothing else?
learning: the head beside every baseline as `response fit` measures it, by number of patients.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from planted_response import (
    LUS,
    TASKS,
    WORLDS,
    World,
    pool_of,
    shuffled,
)

from learner_index.analysis.classes import measure
from learner_index.analysis.conformal import Calibrated, calibrate, one_per_patient
from learner_index.analysis.predicted import Predicted
from learner_index.analysis.resample import draw_weights, interval
from learner_index.pipeline.evaluation.tables import markdown
from learner_index.pipeline.response.baselines import BASELINES
from learner_index.pipeline.response.crossfit import HEAD, CrossFit, cross_fit, draw_patient_folds
from learner_index.pipeline.response.features import patient_weights
from learner_index.pipeline.response.figures import Figures, is_better, take_figures
from learner_index.pipeline.response.kinds import kinds
from learner_index.pipeline.response.models import Pool, lifted, likeliest
from learner_index.pipeline.response.procedure import FittedHead, fit_head

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

PARTS = ("coverage", "oracle", "heads", "shuffled", "learning")
COMPARED = ("nll", "accuracy", "balanced_accuracy", "macro_f1")
FIT, FRESH, TRIED = 150, 300, 1000  # patients to fit on; fresh ones a cohort; beside the oracle
SIZES, ORACLE_SIZES = (100, 200, 600), (60, 150, 600)
ASKED = (  # world, task, further options
    *((world, task, {}) for world in WORLDS for task in TASKS),
    (LUS, "detect", {"transitions": "all"}),
    *((world, "predict", {"at": "first"}) for world in WORLDS),
)


def say(text: str) -> None:
    """Progress, beside the tables."""
    print(text, file=sys.stderr, flush=True)


def title(world: World, task: str, more: dict[str, str]) -> str:
    """What was asked, in words."""
    own = {"detect": "consecutive visits", "predict": "at every visit"}[task]
    ways = {"all": "all pairs of visits", "first": "at the first visit"}
    return f"{world.name}: {task}, {ways[next(iter(more.values()))] if more else own}"


def one_coverage(pool: Pool, head: FittedHead, sets: Calibrated, seed: int) -> tuple[float, bool]:
    """Coverage of one random example of each fresh patient; whether in the printed interval."""
    fresh = np.flatnonzero(pool.patient >= FIT)
    rows = fresh[one_per_patient(pool.patient[fresh], seed)]
    examples = pool.examples.only(np.isin(np.arange(len(pool.code)), rows))
    held = sets.sets(head.model.probability(pool.material, examples))
    found = float(held[np.arange(len(rows)), pool.code[np.sort(rows)]].mean())
    low, high = sets.coverage_interval()
    return found, low <= found <= high


def rivals(pool: Pool, head: FittedHead, alpha: float, seed: int) -> dict[str, Calibrated]:
    """The head's own sets, and two wrong ways to calibrate."""
    own = {"as shipped": head.sets} if head.sets is not None else {}
    for name, patients in (
        ("each row a patient", head.roles.calibrate),
        ("on patients fitted on", head.roles.fit),
    ):
        rows = np.flatnonzero(pool.of(patients))
        chance = head.model.probability(pool.material, pool.examples.only(pool.of(patients)))
        owner = rows if name == "each row a patient" else pool.patient[rows]
        own[name] = calibrate(
            chance, pool.code[rows], owner, alpha, is_ordinal=pool.is_ordinal, seed=seed
        )
    return own


def coverage(n_cohorts: int) -> None:
    """Coverage averaged over cohorts, beside two wrong ways."""
    found: dict[tuple[str, str], list[tuple[float, bool]]] = {}
    for seed in range(n_cohorts):
        for world in WORLDS:
            planted = world.plant(FIT + FRESH, 10_000 + seed)
            for other, task, more in ASKED:
                if other is not world:
                    continue
                options = world.options(task, **more)
                pool = pool_of(planted, options)
                head = fit_head(pool, np.arange(FIT), options, seed)
                for way, sets in rivals(pool, head, options.alpha, seed).items():
                    cell = one_coverage(pool, head, sets, seed)
                    found.setdefault((title(world, task, more), way), []).append(cell)
        say(f"cohort {seed + 1} of {n_cohorts}")
    table = []
    for (asked, way), cells in found.items():
        values, inside = np.array(cells, float).T
        error = values.std(ddof=1) / np.sqrt(len(values))
        verdict = "yes" if abs(values.mean() - 0.9) <= 0.01 else "NO"
        spread = f"{values.std(ddof=1):.3f}"
        mean = f"{values.mean():.4f} ± {error:.4f}"
        table.append([asked, way, mean, verdict, spread, f"{inside.mean():.0%}"])
    print(
        f"{n_cohorts} SIMULATED cohorts; each: a head fitted on {FIT} patients, one random example "
        f"of each of {FRESH} fresh ones. ± is the Monte-Carlo standard error of the mean.\n"
    )
    header = ["asked", "calibrated", "coverage", "0.90 ± 0.01", "SD", "in its 95 % Beta interval"]
    print(markdown(header, table))


def said(pool: Pool, probability: Floats, share: Floats) -> dict[str, Predicted]:
    """By measure, what was predicted: the likeliest class, or that beside its share."""
    beside = lifted(probability, share)
    labels = [likeliest(probability)] * 2 + [beside] * 2
    return _predicted(pool, probability, labels)


def best_said(pool: Pool, probability: Floats) -> dict[str, Predicted]:
    """Likewise of true probabilities; macro-F1 of the factors a class that make it largest."""
    share = pool.share(np.ones(len(pool.code), bool))
    steps, best = 1.25 ** np.arange(-8, 13), (0.0, likeliest(probability))
    weight = patient_weights(pool.patient)[:, None]
    for low in steps:
        for high in steps:
            label = (probability * [low, 1.0, high]).argmax(axis=1)
            table = (weight * probability).T @ np.eye(3)[label]  # expected
            sizes = table.sum(axis=0) + table.sum(axis=1)
            best = max(best, (float(np.mean(2 * np.diag(table) / sizes)), label), key=first_of)
    labels = [likeliest(probability)] * 2 + [lifted(probability, share), best[1]]
    return _predicted(pool, probability, labels)


def first_of(pair: tuple[float, Codes]) -> float:
    """What pairs are ordered by."""
    return pair[0]


def _predicted(pool: Pool, probability: Floats, labels: list[Codes]) -> dict[str, Predicted]:
    """Records by measure, which differ in their labels."""
    patient = np.unique(pool.patient, return_inverse=True)[1]
    classes = tuple(range(len(pool.classes)))
    return {
        name: Predicted(pool.code, probability, label, patient, classes)
        for name, label in zip(COMPARED, labels, strict=True)
    }


def measured(found: dict[str, Predicted], weights: Floats) -> dict[str, Floats]:
    """(1 + draws,) by measure."""
    return {name: measure(one, weights, [name])[name] for name, one in found.items()}


def words(drawn: Floats) -> str:
    """A value with its 95 % interval over patients."""
    around = interval(drawn[1:])
    return f"{drawn[0]:+.3f} ({around.low:+.3f} to {around.high:+.3f})"


def oracle_rows(world: World, task: str, sizes: tuple[int, ...]) -> Iterator[list[str]]:
    """A row a size and head: head minus oracle on the same fresh patients."""
    options = world.options(task)
    fresh = world.plant(TRIED, 77)
    pool = pool_of(fresh, options)
    n_patients = len(np.unique(pool.patient))
    weights = np.vstack([np.ones(n_patients), draw_weights(n_patients, 1000, 0)])
    ceiling = measured(best_said(pool, world.oracle(pool, fresh, world.theta, 0)), weights)
    levels = " / ".join(f"{ceiling[name][0]:.3f}" for name in ceiling)
    yield ["", "**oracle**", levels, *[""] * 5]
    for n in sizes:
        known = pool_of(world.plant(n, 78), options)
        share = known.share(np.ones(len(known.code), bool))
        chance = measured(said(pool, np.tile(share, (len(pool.code), 1)), share), weights)
        rows = {}
        for kind in kinds(task):
            head = fit_head(known, np.arange(n), replace(options, head=kind), 0)
            chances = head.model.probability(pool.material, pool.examples)
            rows[kind] = measured(said(pool, chances, share), weights)
        for kind, own in rows.items():
            gaps = {name: own[name] - ceiling[name] for name in own}
            good = {name: (-1 if name == "nll" else 1) * gap for name, gap in gaps.items()}
            is_over = [name for name, gap in good.items() if interval(gap[1:]).low > 0]
            beside = words(own["nll"] - rows["multinomial"]["nll"])
            yield [
                str(n),
                kind,
                " / ".join(f"{own[name][0]:.3f}" for name in own),
                words(gaps["nll"]),
                words(gaps["accuracy"]),
                words(own["nll"] - chance["nll"]),
                "" if kind == "multinomial" else beside,
                ", ".join(is_over) or "no",
            ]
        say(f"oracle {world.name} {task} {n}")


def oracle(sizes: tuple[int, ...]) -> None:
    """All heads beside the oracle, a table a task."""
    header = [
        "patients",
        "head",
        "log loss / accuracy / balanced accuracy / macro-F1",
        "log loss minus oracle's",
        "accuracy minus oracle's",
        "log loss minus majority's",
        "log loss minus multinomial's",
        "beats the oracle",
    ]
    print(f"Tried on {TRIED} fresh SIMULATED patients; 95 % intervals draw them 1,000 times.")
    for world in WORLDS:
        for task in TASKS:
            print(f"\n### {title(world, task, {})}\n")
            print(markdown(header, list(oracle_rows(world, task, sizes))), flush=True)


def losses(world: World, task: str, n: int, n_seeds: int) -> dict[str, Floats]:
    """By head, (seeds,) log loss on fresh patients when fitted on as many cohorts of a size."""
    options = world.options(task)
    fresh = pool_of(world.plant(FRESH * 2, 77), options)
    weight, rows = patient_weights(fresh.patient), np.arange(len(fresh.code))
    found: dict[str, list[float]] = {}
    for seed in range(n_seeds):
        known = pool_of(world.plant(n, 300 + seed), options)
        for kind in (name for name in kinds(task) if name != "mlp"):
            head = fit_head(known, np.arange(n), replace(options, head=kind), seed)
            chance = head.model.probability(fresh.material, fresh.examples)
            loss = -np.log(chance[rows, fresh.code])
            found.setdefault(kind, []).append(float(np.average(loss, weights=weight)))
    return {kind: np.array(own) for kind, own in found.items()}


def heads(sizes: tuple[int, ...], n_seeds: int) -> None:
    """Log loss of each head less the multinomial one's, a table."""
    table = []
    for world in WORLDS:
        for task in TASKS:
            for n in sizes:
                found = losses(world, task, n, n_seeds)
                base = found.pop("multinomial")
                for kind, own in found.items():
                    gap, error = own - base, (own - base).std(ddof=1) / np.sqrt(n_seeds)
                    words = f"{gap.mean():+.3f} ± {error:.3f}"
                    better = f"{int((gap < 0).sum())} of {n_seeds}"
                    table.append([title(world, task, {}), str(n), kind, words, better])
                say(f"heads {world.name} {task} {n}")
    print(
        f"Log loss less the multinomial head's (below 0: better), mean over {n_seeds} SIMULATED "
        f"training cohorts ± standard error; the same {2 * FRESH} fresh patients throughout.\n"
    )
    print(markdown(["asked", "patients", "head", "difference", "better in"], table))


def heads_only(pool: Pool, options: object, n_draws: int) -> tuple[CrossFit, Figures]:
    """Figures of the head alone."""
    folds = draw_patient_folds(pool, options.folds, options.seed)
    with patch.dict(BASELINES, {"majority": BASELINES["majority"]}, clear=True):
        found = cross_fit(pool, folds, options)
    is_seen = np.zeros(len(pool.material.patients), bool)
    every = np.ones(len(pool.code), bool)
    return found, take_figures(pool, found, every, is_seen, n_draws=n_draws, seed=options.seed)


def deal(n_deals: int) -> None:
    """Outcomes dealt out among patients: figures of many deals."""
    table = []
    for world in WORLDS:
        for task in TASKS:
            options = world.options(task)
            true = pool_of(world.plant(FIT, 5), options)
            real = heads_only(true, options, 500)[1].models[HEAD]
            cells = []
            for seed in range(n_deals):
                figures = heads_only(shuffled(true, seed), replace(options, seed=seed), 500)[1]
                own, sets = figures.models[HEAD], figures.sets
                gain = figures.gains["majority"]["nll"]
                cells.append(
                    [
                        own["auroc"].value,
                        own["auroc"].low <= 0.5 <= own["auroc"].high,
                        own["balanced_accuracy"].value,
                        own["macro_f1"].value,
                        gain.high < 0,
                        sets["coverage"].value,
                    ]
                )
            values = np.array(cells, float)
            mean, error = values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(n_deals)
            p = (1 + np.sum(values[:, 0] >= real["auroc"].value)) / (1 + n_deals)
            table.append(
                [
                    title(world, task, {}),
                    f"{mean[0]:.3f} ± {error[0]:.3f}",
                    f"{mean[1]:.0%}",
                    f"{mean[2]:.3f} ± {error[2]:.3f}",
                    f"{mean[3]:.3f} ± {error[3]:.3f}",
                    f"{mean[4]:.0%}",
                    f"{mean[5]:.3f} ± {error[5]:.3f}",
                    f"{real['auroc'].value:.3f}, p {p:.3f}",
                ]
            )
            say(f"shuffled {world.name} {task}")
    print(f"{FIT} SIMULATED patients, {n_deals} deals of outcomes; ± standard error of the mean.\n")
    header = [
        "asked",
        "AUROC",
        "its interval holds 0.5",
        "balanced accuracy (chance 0.333)",
        "macro-F1",
        "majority 'beaten'",
        "coverage of sets",
        "undealt AUROC, p beside deals",
    ]
    print(markdown(header, table))


def learn(sizes: tuple[int, ...], n_seeds: int) -> None:
    """The head beside every baseline, as `response fit` would report it."""
    print(
        f"{n_seeds} SIMULATED cohorts a cell. Mean over cohorts of head minus baseline, log loss "
        "(below 0: the head is better); then in how many cohorts the 95 % interval says the head "
        "beats it : loses to it. 'no change' gives no probabilities: macro-F1, above 0 is better.\n"
    )
    for world in WORLDS:
        for task in TASKS:
            options, cells, own = world.options(task), {}, {}
            for n in sizes:
                for seed in range(n_seeds):
                    pool = pool_of(world.plant(n, 200 + seed), options)
                    found = cross_fit(pool, draw_patient_folds(pool, 5, seed), options)
                    every = np.ones(len(pool.code), bool)
                    is_seen = np.zeros(n, bool)
                    figures = take_figures(pool, found, every, is_seen, n_draws=1000, seed=seed)
                    own.setdefault(n, []).append(figures.models[HEAD])
                    for name, gains in figures.gains.items():
                        which = "nll" if "nll" in gains else "macro_f1"
                        cells.setdefault((name, n), []).append(
                            (gains[which].value, is_better(which, gains[which]))
                        )
                say(f"learning {world.name} {task} {n}")
            print(f"### {title(world, task, {})}\n")
            print(_learning_table(cells, own, sizes) + "\n", flush=True)


def _learning_table(cells: dict, own: dict, sizes: tuple[int, ...]) -> str:
    """Baselines by number of patients; the head's own figures first."""
    table = []
    for name in ("nll", "auroc", "macro_f1", "accuracy"):
        values = [np.mean([one[name].value for one in own[n]]) for n in sizes]
        table.append([f"**head**: {name}", *(f"{value:.3f}" for value in values)])
    for name in dict.fromkeys(baseline for baseline, _ in cells):
        row = []
        for n in sizes:
            gains, verdicts = zip(*cells[name, n], strict=True)
            won, lost = verdicts.count(True), verdicts.count(False)
            mark = " **loses**" if lost > won else ""
            row.append(f"{np.mean(gains):+.3f}, {won} : {lost}{mark}")
        table.append([name, *row])
    return markdown(["beside", *(f"{n} patients" for n in sizes)], table)


def main() -> None:
    """Print the tables of one part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--quick", action="store_true", help="a few cohorts, to try the program")
    asked = parser.parse_args()
    few = asked.quick
    parts: dict[str, Callable[[], None]] = {
        "coverage": lambda: coverage(4 if few else 240),
        "oracle": lambda: oracle(ORACLE_SIZES[:1] if few else ORACLE_SIZES),
        "heads": lambda: heads(SIZES[:1] if few else SIZES, 2 if few else 10),
        "shuffled": lambda: deal(3 if few else 50),
        "learning": lambda: learn(SIZES[:1] if few else SIZES, 1 if few else 5),
    }
    parts[asked.part]()


if __name__ == "__main__":
    main()
