"""Where rows lie in a search: positions put one view beside the next, one patient in one place."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """The order in which prepared rows are kept, so that one view is one contiguous block.

    A stratum is a combination of view and modality. Scans are compared within a stratum, so a
    query reads only the block it needs.

    Attributes:
        order: (n,) row at each position: by stratum, then patient, then row.
        strata: (n,) stratum of each row.
        starts: (strata + 1,) first position of each stratum, and n.
    """

    order: NDArray[np.int64]
    strata: NDArray[np.int64]
    starts: NDArray[np.int64]

    def spans(self, strata: NDArray[np.int64]) -> tuple[tuple[int, int], ...]:
        """Position ranges of some strata, in order, neighbours joined."""
        spans: list[tuple[int, int]] = []
        for stratum in np.sort(strata):
            start, stop = int(self.starts[stratum]), int(self.starts[stratum + 1])
            if spans and spans[-1][1] == start:
                start = spans.pop()[0]
            spans.append((start, stop))
        return tuple(spans)


def lay_out(strata: NDArray[np.int64], patients: NDArray[np.int64], n_strata: int) -> Layout:
    """The layout of rows with these (n,) stratum and patient numbers."""
    order = np.lexsort((patients, strata)).astype(np.int64)
    counts = np.bincount(strata, minlength=n_strata)
    return Layout(order, strata, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))
