"""Small networks and scans that the tests of encoders share."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from learner_index.config import Preprocessing
from learner_index.learn.encoder import Encoder, make_encoder

SMALL = Preprocessing(size=32, frames=4)


@pytest.fixture
def small() -> Preprocessing:
    return SMALL


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    """Shifted untrained residual network, 32 x 32 pixels, clips of 4 frames, on the CPU."""
    return make_encoder("timm:test_resnet", preprocessing=SMALL, width=16, device="cpu")


@pytest.fixture(scope="session")
def clips() -> NDArray[np.float32]:
    return np.random.default_rng(0).random((8, 4, 32, 32), dtype=np.float32)


@pytest.fixture(scope="module", autouse=True)
def one_thread_for_modules():
    """What a module computes once is computed on one thread, whatever ran before it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def threads():
    """Sets PyTorch's number of threads, and sets it back afterwards."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)
