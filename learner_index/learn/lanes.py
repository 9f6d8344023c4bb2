"""Scans computed one by one on single threads, so that a scan's bytes depend on itself alone.

Measured (PyTorch 2.15, oneDNN): in a batch of 8, some 1x1 convolutions of tf_efficientnet_lite0
sum in another order on 1 thread than on 2, and rows of a matrix product in a batch of 5 differ by
their slot. One scan on one thread has one order of summation only, and is no slower.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch
from torch import Tensor

# PyTorch's thread count belongs to the process: two runs at once would undo each other's.
_one_run_at_a_time = threading.Lock()


def map_alone(function: Callable[[Tensor], Tensor], scans: Sequence[Tensor]) -> list[Tensor]:
    """The function of each scan, each computed on one thread, as many at once as PyTorch may use.

    Args:
        function: must not change anything shared; it runs in several threads.
        scans: inputs, in the order in which the results come back.
    """
    with _one_run_at_a_time, _single_threaded() as lanes:
        if min(lanes, len(scans)) < 2:
            return [function(scan) for scan in scans]
        # The initializer matters: a new thread starts with OpenMP's default, all cores.
        with ThreadPoolExecutor(lanes, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(function, scans))


@contextmanager
def _single_threaded() -> Iterator[int]:
    """Within it PyTorch computes on one thread; gives the number of threads it had before."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield before
    finally:
        torch.set_num_threads(before)
