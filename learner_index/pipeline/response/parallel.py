"""Pieces of work side by side, one thread each: a fold's algebra is too small for many."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from threadpoolctl import threadpool_limits

T = TypeVar("T")


def side_by_side(
    work: Sequence[Callable[[], T]],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[T]:
    """What each piece of work gives, in their order; as many run at once as there are cores.

    Linear algebra keeps to one thread meanwhile, so that the answer does not depend on the number
    of cores.

    Args:
        work: independent of each other.
        progress: told of each that is done, in their order.

    Raises:
        Exception: of the first piece that failed; those not begun are dropped.
    """
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with threadpool_limits(1), ThreadPoolExecutor(min(len(work), n_cores or 1)) as pool:
        futures = [pool.submit(piece) for piece in work]
        found = []
        try:
            for number, future in enumerate(futures, 1):
                found.append(future.result())
                progress(number, len(work))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return found
