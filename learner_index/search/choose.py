"""Which backend answers: NumPy unless a GPU is there and the work is worth sending it over."""

from learner_index.errors import QueryError
from learner_index.search.exact import NumpyIndex
from learner_index.search.index import Index
from learner_index.search.metrics import Prepared
from learner_index.search.table import SearchTable

# Products (eligible rows times query vectors) from which "auto" looks for a GPU. Copying the
# rows over takes about as long as a few NumPy passes over them, so one query never repays it:
# 10**8 is a batch of 100 on a million scans, about a second of NumPy on two cores.
GPU_PAYS_FROM = 100_000_000


def choose_index(table: SearchTable, prepared: Prepared, backend: str, n_products: int) -> Index:
    """The index that answers, made now or kept from an earlier query on the same rows.

    Args:
        table: what is searched.
        prepared: its rows, prepared.
        backend: "auto", "numpy", "faiss-cpu" or "faiss-gpu".
        n_products: eligible rows times query vectors, over all queries of the batch.

    Raises:
        QueryError: unknown backend, or "faiss-gpu" without a GPU.
    """
    name = _resolve(backend, n_products)
    return table.index(name, prepared, lambda: _make(name, prepared))


def _resolve(backend: str, n_products: int) -> str:
    if backend in ("numpy", "faiss-cpu"):
        return backend
    if backend == "auto":
        return "faiss-gpu" if n_products >= GPU_PAYS_FROM and _has_gpu() else "numpy"
    if backend != "faiss-gpu":
        raise QueryError(f"no backend {backend!r}: choose auto, numpy, faiss-cpu or faiss-gpu")
    if not _has_gpu():
        raise QueryError("faiss-gpu needs a GPU and none is here: choose auto, or numpy")
    return backend


def _make(name: str, prepared: Prepared) -> Index:
    if name == "numpy":
        return NumpyIndex(prepared.rows)
    from learner_index.search.flat import FlatIndex

    return FlatIndex(prepared.rows, on_gpu=name == "faiss-gpu")


def _has_gpu() -> bool:
    from learner_index.search.flat import gpu_count

    return gpu_count() > 0
