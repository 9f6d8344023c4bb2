"""One scan, one thread: results in order, the process left as it was."""

import threading

import pytest
import torch

from learner_index.learn.lanes import map_alone

SCANS = list(torch.arange(6.0).split(1))


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_results_come_in_order(threads, n_threads):
    """Results stand in the order of the scans, whatever the number of threads."""
    threads(n_threads)

    results = map_alone(lambda scan: scan * 2, SCANS)

    assert torch.equal(torch.cat(results), torch.arange(6.0) * 2)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_each_computes_on_one_thread(threads, n_threads):
    """Inside, PyTorch has one thread; afterwards it has as many as before."""
    threads(n_threads)

    inside = map_alone(lambda scan: torch.tensor(torch.get_num_threads()), SCANS)

    assert {int(number) for number in inside} == {1}
    assert torch.get_num_threads() == n_threads


def test_uses_several_threads_at_once(threads):
    """Two scans are in work together: each waits for the other."""
    threads(2)
    both = threading.Barrier(2, timeout=20)

    results = map_alone(lambda scan: scan + 0 * both.wait(), SCANS[:2])

    assert len(results) == 2


def test_a_failure_comes_through(threads):
    """An error inside reaches the caller, and the number of threads is set back."""
    threads(2)

    def fail(scan: torch.Tensor) -> torch.Tensor:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        map_alone(fail, SCANS)
    assert torch.get_num_threads() == 2
