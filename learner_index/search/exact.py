"""Exact search with NumPy: one blocked matrix product, memory bounded, no other library."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from learner_index.search.index import Found, Part, Task, contenders

_HELD_VALUES = 16 << 20  # best products held at a time, over queries: 64 MB
_BLOCK_VALUES = 1 << 20  # products of one matrix product: 4 MB, which stay in the cache
_GATHER_BELOW = 0.25  # under this share of eligible rows, copying them is cheaper than all products
_CEILING = np.array([-np.inf, np.inf], np.float32)  # of a row that is not, or is, eligible


class NumpyIndex:
    """Every eligible row's product, computed in blocks; nothing is approximate but rounding."""

    name = "numpy"

    def __init__(self, rows: NDArray[np.float32]) -> None:
        self._rows = rows  # (n, w) by position

    def candidates(self, tasks: Sequence[Task]) -> list[Found]:
        """Per task the eligible positions that may be the best of one of the k best groups."""
        found: list[Found] = []
        for batch in self._batches(tasks):
            found += self._search(batch)
        return found

    def _batches(self, tasks: Sequence[Task]) -> Iterator[Sequence[Task]]:
        """Tasks, as many at a time as have room for one product with every row."""
        size = max(1, _HELD_VALUES // max(1, len(self._rows)))
        for start in range(0, len(tasks), size):
            yield tasks[start : start + size]

    def _search(self, tasks: Sequence[Task]) -> list[Found]:
        products = np.full((len(tasks), len(self._rows)), -np.inf, np.float32)
        together: dict[tuple[int, int], list[tuple[int, Part]]] = {}
        for number, task in enumerate(tasks):
            for part in task.parts:
                for span in part.spans:
                    if _is_sparse(task, span):
                        self._gather(task, part, span, products[number])
                    else:
                        together.setdefault(span, []).append((number, part))
        for span, members in together.items():
            self._multiply(span, members, products)
        return [_select(task, row) for task, row in zip(tasks, products, strict=True)]

    def _gather(
        self, task: Task, part: Part, span: tuple[int, int], products: NDArray[np.float32]
    ) -> None:
        """Products of the few eligible rows of a span with a part's vectors, best kept."""
        chosen = span[0] + np.flatnonzero(task.eligible[slice(*span)])
        step = max(1, _BLOCK_VALUES // max(self._rows.shape[1], len(part.vectors)))
        for start in range(0, len(chosen), step):
            some = chosen[start : start + step]
            best = (self._rows[some] @ part.vectors.T).max(axis=1)
            products[some] = np.maximum(products[some], best)

    def _multiply(
        self,
        span: tuple[int, int],
        members: Sequence[tuple[int, Part]],
        products: NDArray[np.float32],
    ) -> None:
        """Products of all rows of a span with several parts at once, best kept for each task."""
        vectors = np.concatenate([part.vectors for _, part in members])
        step = min(max(1, _BLOCK_VALUES // len(vectors)), span[1] - span[0])
        room = np.empty((len(vectors), step), np.float32)  # one for all blocks: new memory is slow
        for start in range(span[0], span[1], step):
            stop = min(start + step, span[1])
            block = np.matmul(vectors, self._rows[start:stop].T, out=room[:, : stop - start])
            first = 0
            for number, part in members:
                own = block[first : first + len(part.vectors)]
                best = own[0] if len(own) == 1 else own.max(axis=0)
                np.maximum(products[number, start:stop], best, out=products[number, start:stop])
                first += len(part.vectors)


def _is_sparse(task: Task, span: tuple[int, int]) -> bool:
    """Whether few enough rows of the span are eligible to be copied out first."""
    eligible = int(np.count_nonzero(task.eligible[slice(*span)]))
    return eligible < _GATHER_BELOW * (span[1] - span[0])


def _select(task: Task, products: NDArray[np.float32]) -> Found:
    """The contenders among the eligible rows."""
    np.minimum(products, _CEILING.take(task.eligible.view(np.int8)), out=products)
    return Found(contenders(task, products), "numpy")
