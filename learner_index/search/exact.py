"""Exact search with NumPy: one blocked matrix product, memory bounded, no other library."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from learner_index.search.index import Found, Part, Task, contenders

_HELD_VALUES = 16 << 20  # best products held at a time, over queries: 64 MB
_BLOCK_VALUES = 1 << 20  # products of one matrix product: 4 MB, which stay in the cache
_GATHER_BELOW = 0.2  # under this share of eligible rows, copying them is cheaper than all products
_FEW_VECTORS = 4  # up to so many, one pass over the rows beats the matrix product
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
        count, width = len(part.vectors), self._rows.shape[1]
        step = max(1, min(_BLOCK_VALUES // max(width, count), len(chosen)))
        copies, room = np.empty((step, width), np.float32), np.empty(count * step, np.float32)
        for start in range(0, len(chosen), step):
            some = chosen[start : start + step]
            rows = copies[: len(some)]
            np.take(self._rows, some, axis=0, out=rows, mode="clip")  # "raise" copies twice
            best = _best(_products(rows, part.vectors, room))
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
        room = np.empty(len(vectors) * step, np.float32)  # one for all blocks: new memory is slow
        for start in range(span[0], span[1], step):
            stop = min(start + step, span[1])
            block = _products(self._rows[start:stop], vectors, room)
            first = 0
            for number, part in members:
                best = _best(block[first : first + len(part.vectors)])
                np.maximum(products[number, start:stop], best, out=products[number, start:stop])
                first += len(part.vectors)


def _products(
    rows: NDArray[np.float32], vectors: NDArray[np.float32], room: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(q, m) products of m rows with q vectors, in the memory of `room`.

    A few vectors meet each row while it is in the cache, so that all rows are read just once and
    in order. The matrix product is made for many vectors: with few of them and more rows than the
    cache holds (100,000 of width 128 to 512), it took 1.7 to 5 times as long.
    """
    room = room[: len(rows) * len(vectors)]
    if len(vectors) <= _FEW_VECTORS:
        by_row = room.reshape(len(rows), len(vectors))
        np.vecdot(rows[:, None], vectors, out=by_row)
        return by_row.T
    by_vector = room.reshape(len(vectors), len(rows))
    np.matmul(vectors, rows.T, out=by_vector)
    return by_vector


def _best(block: NDArray[np.float32]) -> NDArray[np.float32]:
    """Largest of each column, left in the first row: NumPy's own maximum is slow on short axes."""
    best: NDArray[np.float32] = block[0]
    for other in block[1:]:
        np.maximum(best, other, out=best)
    return best


def _is_sparse(task: Task, span: tuple[int, int]) -> bool:
    """Whether few enough rows of the span are eligible to be copied out first."""
    eligible = int(np.count_nonzero(task.eligible[slice(*span)]))
    return eligible < _GATHER_BELOW * (span[1] - span[0])


def _select(task: Task, products: NDArray[np.float32]) -> Found:
    """The contenders among the eligible rows."""
    np.minimum(products, _CEILING.take(task.eligible.view(np.int8)), out=products)
    return Found(contenders(task, products), "numpy")
