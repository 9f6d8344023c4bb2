"""Backends: the contenders they find, their limits, and which one is chosen."""

import math
import subprocess
import sys
from dataclasses import replace

import faiss
import numpy as np
import pytest

from learner_index.config import SimilarOptions
from learner_index.errors import QueryError
from learner_index.search import choose, exact, flat
from learner_index.search.exact import NumpyIndex
from learner_index.search.flat import FlatIndex
from learner_index.search.index import Part, Task
from learner_index.search.metrics import Prepared
from learner_index.search.query import scan_query, vector_query
from learner_index.search.similar import similar

NAMES = ("numpy", "faiss-cpu", "faiss-gpu")


def make_index(name, rows):
    """A backend; the GPU's logic runs on a CPU index."""
    if name == "numpy":
        return NumpyIndex(rows)
    return FlatIndex(rows, on_gpu=name == "faiss-gpu", make=faiss.IndexFlatIP)


def make_task(seed, n=3000, share=0.5, k=5, n_groups=200, spread=1.0):
    """Random unit rows in groups, and a query of three vectors over two spans."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((n, 8)) * spread + 1
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    parts = (Part(rows[:2], ((0, n // 3), (n // 2, n))), Part(rows[9:10], ((0, n),)))
    groups = rng.integers(0, n_groups, n)
    return rows, Task(parts, rng.random(n) < share, groups, n_groups, k, 1e-6)


def slow_contenders(rows, task):
    """Positions within the slack of their group's best and of the k-th best group."""
    best = {}
    for part in task.parts:
        for start, stop in part.spans:
            for position in range(start, stop):
                if task.eligible[position]:
                    product = max(rows[position].astype(float) @ v for v in part.vectors)
                    best[position] = max(best.get(position, -9), product)
    tops = {}
    for position, product in best.items():
        tops[task.groups[position]] = max(tops.get(task.groups[position], -9), product)
    floor = sorted(tops.values(), reverse=True)[: task.k][-1] if tops else 0
    return {p for p, s in best.items() if s >= floor and s >= tops[task.groups[p]]}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"share": 0.02},
        {"share": 1.1},
        {"share": 0.0},
        {"share": 0.995},
        {"k": 150},
        {"k": 5000},
        {"n_groups": 1},
        {"n_groups": 3, "k": 2},
        {"spread": 1e-9},
        {"n": 1, "share": 1.1},
    ],
)
def test_misses_no_contender(name, options):
    """Whatever the filter, grouping and ties, nothing that could be a hit is missing."""
    rows, task = make_task(3, **({"n": 3000} | options)) if options.get("n") != 1 else one_row()

    found = make_index(name, rows).candidates([task])[0].positions

    assert slow_contenders(rows, task) <= set(found.tolist())
    assert task.eligible[found].all()
    assert len(np.unique(found)) == len(found)


def one_row():
    """A table of a single row."""
    rows = np.ones((1, 8), np.float32)
    task = Task((Part(rows, ((0, 1),)),), np.ones(1, bool), np.zeros(1, np.int64), 1, 3, 1e-6)
    return rows, task


def test_blocks_change_nothing(monkeypatch):
    """Blocks of a few values give the contenders that one block gives."""
    rows, task = make_task(4)
    _, sparse = make_task(4, share=0.02)
    whole = NumpyIndex(rows).candidates([task, sparse])

    monkeypatch.setattr(exact, "_BLOCK_VALUES", 64)
    cut = NumpyIndex(rows).candidates([task, sparse])

    for one, other in zip(whole, cut, strict=True):
        assert np.array_equal(one.positions, other.positions)


@pytest.mark.parametrize("count", [1, 2, 4, 5, 9])
@pytest.mark.parametrize("share", [1.1, 0.05])
def test_misses_no_contender_of_many_vectors(count, share):
    """However many vectors a part or a batch has, nothing that could be a hit is missing."""
    rows, task = make_task(6, share=share)
    vectors = rows[20 : 20 + count]
    some = replace(task, parts=(Part(vectors, ((0, 1000), (1500, 3000))),))
    batch = [replace(task, parts=(Part(vector[None], ((0, 3000),)),)) for vector in vectors]

    found = NumpyIndex(rows).candidates([some, *batch])

    for one, asked in zip(found, [some, *batch], strict=True):
        assert slow_contenders(rows, asked) <= set(one.positions.tolist())
        assert task.eligible[one.positions].all()


@pytest.mark.parametrize("count", [1, 2, 4, 5])
@pytest.mark.parametrize("share", [1.1, 0.1])
def test_keeps_no_bystander(count, share):
    """Products are not overrated: only the best groups, and one more for ties, are found."""
    rows, task = make_task(7, share=share, k=10)
    asked = replace(task, parts=(Part(rows[20 : 20 + count], ((0, 3000),)),))

    found = NumpyIndex(rows).candidates([asked])[0].positions

    assert set(found.tolist()) <= slow_contenders(rows, replace(asked, k=11))


@pytest.mark.parametrize("kind", ["growing", "cancelling", "swamped", "mixed"])
@pytest.mark.parametrize("width", [1, 31, 259, 9001])
@pytest.mark.parametrize("count", [1, 4, 5])
def test_products_stay_within_the_slack(kind, width, count):
    """Products of rows made to round badly in float32 stay within the slack of the true ones."""
    rows, vectors = adversarial(kind, width, count)
    reach = float(np.linalg.norm(rows.astype(float), axis=1).max())
    prepared = Prepared("cosine", np.zeros(width), 1.0, rows, reach)

    products = exact._products(rows, vectors, np.empty(count * len(rows), np.float32))

    assert products.shape == (count, len(rows))
    assert np.abs(products - slow_products(rows, vectors)).max() <= prepared.slack(vectors)


def adversarial(kind, width, count):
    """Rows and vectors whose terms differ in size or cancel: the order of adding matters."""
    rng = np.random.default_rng(8)
    rows, vectors = rng.standard_normal((7, width)), rng.standard_normal((count, width))
    if kind == "growing":
        rows, vectors = np.abs(rows) * np.geomspace(1e-9, 1, width), np.ones_like(vectors)
    elif kind == "cancelling":
        rows, vectors = np.abs(rows).repeat(2, 1)[:, :width], np.ones_like(vectors)
        rows[:, 1::2] *= -1
    elif kind == "swamped":
        rows, vectors = np.full_like(rows, 2.0**-25), np.ones_like(vectors)
        rows[:, 0] = 1
    return rows.astype(np.float32), vectors.astype(np.float32)


def slow_products(rows, vectors):
    """(q, m) products, correctly rounded: float64 holds each term, and fsum adds without error."""
    wide = rows.astype(float)
    return np.array([[math.fsum(row * vector) for row in wide] for vector in vectors.astype(float)])


def test_gpu_limit_falls_back_and_says_so():
    """A list longer than a GPU can return is answered by NumPy, under NumPy's name."""
    rows, task = make_task(5, n=9000, n_groups=4000, k=3500, share=1.1)

    found = make_index("faiss-gpu", rows).candidates([task])[0]

    assert found.backend == "numpy"
    assert slow_contenders(rows, task) <= set(found.positions.tolist())


def test_gpu_without_a_gpu_is_refused(table, monkeypatch):
    """Asking for faiss-gpu on a machine without a GPU is refused."""
    monkeypatch.setattr(flat, "gpu_count", lambda: 0)

    with pytest.raises(QueryError, match="faiss-gpu needs a GPU and none is here"):
        similar(table, scan_query(table, "S0"), SimilarOptions(backend="faiss-gpu"))


@pytest.mark.parametrize(
    ("gpus", "pays_from", "expected"),
    [(1, 1, "faiss-gpu"), (0, 1, "numpy"), (1, 10**8, "numpy")],
)
def test_auto_takes_the_gpu_when_it_pays(table, monkeypatch, gpus, pays_from, expected):
    """Auto is NumPy unless a GPU is there and the work is large enough."""
    monkeypatch.setattr(flat, "gpu_count", lambda: gpus)
    monkeypatch.setattr(flat, "_maker", lambda **_: faiss.IndexFlatIP)
    monkeypatch.setattr(choose, "GPU_PAYS_FROM", pays_from)
    query = vector_query(table, np.ones(6))

    hits = similar(table, query)

    assert hits.backend == expected
    assert hits.hits == similar(table, query, SimilarOptions(backend="numpy")).hits


def test_gpu_count_of_the_cpu_build(monkeypatch):
    """A FAISS without GPU functions has no GPUs."""
    monkeypatch.delattr(faiss, "get_num_gpus", raising=False)

    assert flat.gpu_count() == 0


@pytest.mark.gpu
def test_real_gpu_agrees(lab):
    """A GPU gives the answer NumPy gives."""
    if flat.gpu_count() == 0:
        pytest.skip("no GPU here")
    table = lab.table(*lab.cohort(1, patients=40, visits=50))
    query = scan_query(table, "S0")

    gpu, cpu = (similar(table, query, SimilarOptions(backend=b)) for b in ("faiss-gpu", "numpy"))

    assert gpu.hits == cpu.hits


def test_numpy_search_loads_no_faiss():
    """A NumPy search imports neither faiss nor torch."""
    code = (
        "import sys, numpy as np, pandas as pd\n"
        "from learner_index.search.table import SearchTable\n"
        "from learner_index.search.query import vector_query\n"
        "from learner_index.search.similar import similar\n"
        "from learner_index.search import flat, choose, reference\n"
        "from learner_index.config import SimilarOptions\n"
        "obs = pd.DataFrame({'scan_id': ['a'], 'patient_id': ['p']})\n"
        "table = SearchTable(np.ones((1, 2), np.float32), obs)\n"
        "assert len(similar(table, vector_query(table, [1, 2]), SimilarOptions(metric='cosine')))\n"
        "assert not {'faiss', 'torch', 'zarr'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
