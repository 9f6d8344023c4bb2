"""Exact search with FAISS flat indexes on CPU or GPU; filters always act before the ranking."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learner_index.search.exact import NumpyIndex
from learner_index.search.index import Found, Part, Task, keep_contenders, kth_group

_GPU_MOST = 2048  # the largest number of neighbours FAISS returns from a GPU
_FIRST = 64  # neighbours asked for first; doubled until enough distinct groups are seen

Top = tuple[NDArray[np.float32], NDArray[np.int64]]  # (q, m) products and positions, best first


class FlatIndex:
    """Top lists from `IndexFlatIP`, lengthened until nothing can have been overlooked.

    A GPU index takes no filter: few excluded rows are asked for in addition and dropped, else
    the eligible rows are copied into an index of their own. Where the list would be longer
    than a GPU can return, NumPy answers, and says so.

    Args:
        rows: (n, w) float32 prepared rows, by position.
        on_gpu: whether the index lies on the GPU.
        make: makes an empty flat inner-product index of a width; the tests' seam.
    """

    def __init__(
        self,
        rows: NDArray[np.float32],
        *,
        on_gpu: bool = False,
        make: Callable[[int], Any] | None = None,
    ) -> None:
        self.name = "faiss-gpu" if on_gpu else "faiss-cpu"
        self._rows, self._on_gpu = rows, on_gpu
        self._make = make or _maker(on_gpu=on_gpu)
        self._index = self._filled(rows)

    def candidates(self, tasks: Sequence[Task]) -> list[Found]:
        """Per task the eligible positions that may be the best of one of the k best groups."""
        return [self._search(task) for task in tasks]

    def _search(self, task: Task) -> Found:
        allowed = [_allowed(task, part) for part in task.parts]
        longest = max((len(some) for some in allowed), default=0)
        wanted = max(_FIRST, 2 * task.k)
        while True:
            if self._on_gpu and min(wanted, longest) > _GPU_MOST:
                return NumpyIndex(self._rows).candidates([task])[0]
            tops = [
                self._top(part.vectors, some, min(wanted, len(some)))
                for part, some in zip(task.parts, allowed, strict=True)
                if len(some)
            ]
            unseen = _best_unseen(tops, [len(some) for some in allowed if len(some)])
            products, positions = _joined(tops)
            least = kth_group(task, positions, products) - 2 * task.slack
            if unseen == -np.inf or unseen < least:
                return Found(np.unique(keep_contenders(task, positions, products)), self.name)
            wanted *= 2

    def _top(self, vectors: NDArray[np.float32], allowed: NDArray[np.int64], most: int) -> Top:
        """The `most` best of the allowed positions for each vector."""
        excluded = len(self._rows) - len(allowed)
        if excluded == 0:
            return self._run(self._index, vectors, most)
        if not self._on_gpu:
            return self._run(self._index, vectors, most, _selector(len(self._rows), allowed))
        if excluded + most <= _GPU_MOST:
            return _only(allowed, self._run(self._index, vectors, excluded + most), most)
        products, local = self._run(self._filled(self._rows[allowed]), vectors, most)
        return products, allowed[local]

    def _filled(self, rows: NDArray[np.float32]) -> Any:
        index = self._make(rows.shape[1])
        index.add(rows)
        return index

    @staticmethod
    def _run(index: Any, vectors: NDArray[np.float32], most: int, params: Any = None) -> Top:
        if params is None:
            products, positions = index.search(vectors, most)
        else:
            products, positions = index.search(vectors, most, params=params)
        return products, positions


def gpu_count() -> int:
    """Number of GPUs that FAISS can use; 0 for the CPU build."""
    count = getattr(_faiss(), "get_num_gpus", None)
    return int(count()) if count is not None else 0


def _faiss() -> Any:
    """The library, loaded when first needed."""
    import faiss

    return faiss


def _maker(*, on_gpu: bool) -> Callable[[int], Any]:
    """Makes empty flat indexes; those on the GPU share one set of resources."""
    faiss = _faiss()
    if on_gpu:
        return partial(faiss.GpuIndexFlatIP, faiss.StandardGpuResources())
    return partial(faiss.IndexFlatIP)


def _selector(n_rows: int, allowed: NDArray[np.int64]) -> Any:
    """FAISS's filter for the allowed positions: a list of few, a bitmap of many."""
    faiss = _faiss()

    if len(allowed) * 64 < n_rows:
        return faiss.SearchParameters(sel=faiss.IDSelectorBatch(allowed))
    mask = np.zeros(n_rows, bool)
    mask[allowed] = True
    return faiss.SearchParameters(sel=faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little")))


def _allowed(task: Task, part: Part) -> NDArray[np.int64]:
    """Eligible positions inside a part's spans."""
    chosen = [start + np.flatnonzero(task.eligible[start:stop]) for start, stop in part.spans]
    return np.concatenate([np.empty(0, np.int64), *chosen])


def _only(allowed: NDArray[np.int64], top: Top, most: int) -> Top:
    """The first `most` allowed entries of each list; there are as many by construction."""
    products, positions = top
    kept = np.isin(positions, allowed)
    kept &= np.cumsum(kept, axis=1) <= most
    shape = (len(products), most)
    return products[kept].reshape(shape), positions[kept].reshape(shape)


def _best_unseen(tops: Sequence[Top], allowed: Sequence[int]) -> float:
    """The largest product that an allowed position outside its list can have."""
    ends = [
        float(products[:, -1].max())
        for (products, _), count in zip(tops, allowed, strict=True)
        if products.shape[1] < count
    ]
    return max(ends, default=-np.inf)


def _joined(tops: Sequence[Top]) -> Top:
    """All lists as one, without an order."""
    products = np.concatenate([np.empty(0, np.float32), *(some.ravel() for some, _ in tops)])
    positions = np.concatenate([np.empty(0, np.int64), *(some.ravel() for _, some in tops)])
    return products, positions
