"""Random cohorts as stores give them, and visits and transitions written from the definitions."""

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pandas as pd

from learner_index.data.reference import ChangeReference
from learner_index.search.table import SearchTable
from learner_index.store.writer import open_writer

VIEWS = ("L1", "L2", "R1", None)
KINDS = {
    "scan_id": "text",
    "patient_id": "text",
    "visit": "text",
    "view": "text",
    "modality": "text",
    "content_hash": "text",
    "treatment": "text",
    "site": "text",
    "response": "text",
    "day": "number",
    "health_score": "number",
    "age": "number",
    "rescan": "flag",
    "is_sick": "flag",
}
_DTYPES = {"text": "string", "number": "float64", "flag": "boolean"}


def cohort(seed, patients=5, most_visits=4, *, width=3, modalities=(None,), missing=0.15):
    """Embeddings and columns of scans in shuffled rows: repeats, gaps, days out of order."""
    rng = np.random.default_rng(seed)
    rows = []
    for p in range(patients):
        day = 0.0
        for v in range(rng.integers(1, most_visits + 1)):
            day += float(rng.integers(0, 4) * 10)
            known = math.nan if rng.random() < missing else day
            label = f"v{v}" if rng.random() < 0.3 else None
            views = rng.choice(np.array(VIEWS, object), rng.integers(1, 5), replace=False)
            for view in np.repeat(views, rng.integers(1, 4, len(views))):
                modality = modalities[rng.integers(len(modalities))]
                rows.append((f"p{p}", label, view, modality, known))
    order = rng.permutation(len(rows))
    return embeddings_of(len(rows), width, seed), _columns(rng, [rows[i] for i in order], missing)


def embeddings_of(n, width, seed):
    """(n, e) float32 that do not lie around 0."""
    return (np.random.default_rng(seed).standard_normal((n, width)) + 2).astype(np.float32)


def _columns(rng, rows, missing):
    n = len(rows)

    def gaps(values):
        return [None if rng.random() < missing else value for value in values]

    patient, visit, view, modality, day = zip(*rows, strict=True)
    return frame(
        scan_id=[f"s{i}" for i in range(n)],
        patient_id=patient,
        visit=visit,
        view=view,
        modality=modality,
        content_hash=[f"{i:08x}" for i in range(n)],
        treatment=gaps(rng.choice(["drug", "none"], n).tolist()),
        site=gaps(rng.choice(["A", "B"], n).tolist()),
        response=gaps(rng.choice(["yes", "no"], n).tolist()),
        day=day,
        health_score=gaps(rng.integers(0, 9, n).astype(float).tolist()),
        age=gaps(rng.integers(30, 33, n).astype(float).tolist()),
        rescan=gaps((rng.random(n) < 0.3).tolist()),
        is_sick=gaps((rng.random(n) < 0.5).tolist()),
    )


def frame(**columns):
    """Columns with the dtypes that a store gives."""
    return pd.DataFrame(
        {name: pd.array(list(cells), _DTYPES[KINDS[name]]) for name, cells in columns.items()}
    ).astype({name: "float64" for name in columns if KINDS[name] == "number"})


def scans(*rows, **columns):
    """Columns of a few scans, each given as (patient, day)."""
    patient, day = zip(*rows, strict=True)
    n = len(rows)
    return frame(scan_id=[f"s{i}" for i in range(n)], patient_id=patient, day=day, **columns)


def followed_cohort(seed=0, patients=8, visits=3, *, repeats=2, width=3):
    """A cohort with something to learn: embeddings follow the score, and each visit is repeated."""
    rng = np.random.default_rng(seed)
    rows, score, x = [], [], []
    for p in range(patients):
        day = 0.0
        for _ in range(visits):
            day += float(rng.integers(5, 60))
            health = float(rng.normal(50, 20))
            for repeat in range(repeats):
                rows.append((f"p{p}", day, repeat > 0))
                score.append(health)
                x.append(np.append(-health / 10, np.zeros(width - 1)) + rng.normal(0, 0.3, width))
    patient, day, rescan = zip(*rows, strict=True)
    obs = scans(
        *zip(patient, day, strict=True),
        view=["L1"] * len(rows),
        health_score=score,
        rescan=rescan,
    )
    return np.array(x, np.float32), obs


def known(width=3, views=("", "L1", "L2"), seed=7):
    """A reference of changes that was not fitted on anything; view R1 is unknown to it."""
    rng = np.random.default_rng(seed)
    return ChangeReference(
        view_means={view: rng.standard_normal(width) for view in views},
        center=rng.standard_normal(width),
        whitening=np.eye(width),
        is_noise_whitened=False,
        start_bandwidth=1.5,
        day_bandwidth=0.5,
        effective_rank=2.0,
        n_visits=9,
        n_transitions=4,
        n_patients=3,
        noise=None,
        axis=None,
    )


def make_store(path, x, obs, reference=None):
    """A store of these rows, and its reference."""
    with open_writer(path) as writer:
        writer.create(x.shape[1], {n: k for n, k in KINDS.items() if n in obs}, {"clock": "cohort"})
        writer.append(x, obs)
        if reference is not None:
            writer.add_reference(reference)
    return path


def table_of(x, obs, clock="cohort"):
    """Rows as searches share them."""
    return SearchTable(x, obs, clock=clock)


def slow_visits(obs):
    """Visits in order: patient number, day, rows by view, mean score."""
    numbers = {name: i for i, name in enumerate(dict.fromkeys(obs["patient_id"]))}
    found = {}
    for row in range(len(obs)):
        cell = {name: obs[name].iloc[row] for name in obs}
        label, day = cell.get("visit", pd.NA), cell.get("day", math.nan)
        name = ("alone", row) if pd.isna(label) and pd.isna(day) else ("day", day)
        if not pd.isna(label):
            name = ("label", label)
        one = found.setdefault((numbers[cell["patient_id"]], name), {"rows": {}, "days": []})
        view = cell.get("view", pd.NA)
        one["rows"].setdefault("" if pd.isna(view) else view, []).append(row)
        one["days"].append(day)
    visits = [_summary(key, one, obs) for key, one in found.items()]
    return sorted(visits, key=lambda v: (v.number, np.nan_to_num(v.day, nan=np.inf), v.is_alone))


def _summary(key, one, obs):
    rows = sorted(itertools.chain(*one["rows"].values()))
    scores = obs["health_score"].iloc[rows] if "health_score" in obs else pd.Series([math.nan])
    days = [day for day in one["days"] if not math.isnan(day)]
    known_scores = [float(score) for score in scores if not pd.isna(score)]
    return SimpleNamespace(
        number=key[0],
        is_alone=key[1][0] == "alone",
        day=min(days, default=math.nan),
        score=sum(known_scores) / len(known_scores) if known_scores else math.nan,
        by_view=one["rows"],
        rows=rows,
    )


def slow_pairs(visits, mode):
    """Positions of the earlier and later visit of each transition, in order."""
    found = []
    for number in sorted({visit.number for visit in visits}):
        own = [
            place
            for place, visit in enumerate(visits)
            if visit.number == number and not math.isnan(visit.day)
        ]
        for i, j in itertools.combinations(range(len(own)), 2):
            is_wanted = {"consecutive": j == i + 1, "all": True, "baseline": i == 0}[mode]
            one, other = visits[own[i]], visits[own[j]]
            if is_wanted and one.day < other.day and one.by_view.keys() & other.by_view.keys():
                found.append((own[i], own[j]))
    return found


def assert_same(found, expected):
    """Two records of arrays are equal to the last bit."""
    for name in expected.__dataclass_fields__:
        one, other = getattr(found, name), getattr(expected, name)
        if isinstance(other, np.ndarray):
            assert one.dtype == other.dtype, name
            np.testing.assert_array_equal(one, other, err_msg=name)
        else:
            assert one == other, name
