"""Several processes: joined only as torchrun starts them, and training as one would."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from learner_index.errors import SettingsError
from learner_index.learn.processes import LONGEST_WAIT, Processes, joined
from learner_index.learn.weights import untrained
from tests.learn.torchrun_toy import OBJECTIVES, toy

ROOT = Path(__file__).parents[2]
TORCHRUN = {
    "RANK": "0",
    "WORLD_SIZE": "2",
    "LOCAL_RANK": "0",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "29500",
}


@pytest.fixture(autouse=True)
def one_thread(threads):
    """Nets this small are slower on several threads."""
    threads(1)


@pytest.mark.parametrize("environment", [{}, {"WORLD_SIZE": "1"}, {"RANK": "3"}])
def test_one_process_is_the_ordinary_case(environment):
    """Without torchrun there is one process, the first, and nothing is connected."""
    with joined(environment) as processes:
        assert processes == Processes(rank=0, world=1, local=0)
        assert processes.is_first
        assert not torch.distributed.is_initialized()


def test_one_process_shares_with_itself():
    """Alone, everything passes through unchanged."""
    rows = torch.ones(2, 3)
    network = torch.nn.Linear(2, 2)
    alone = Processes()

    assert alone.gathered(rows) is rows
    assert alone.scaled(rows) is rows
    assert alone.shared("value") == "value"
    assert alone.united({1, 2}) == {1, 2}
    assert alone.wrapped(network, torch.device("cpu")) is network


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE is two"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE is 0"),
        ({"WORLD_SIZE": "-2"}, "WORLD_SIZE is -2"),
        ({"WORLD_SIZE": ""}, "WORLD_SIZE is missing"),
        ({"RANK": ""}, "RANK is missing"),
        ({"RANK": "2"}, "RANK is 2"),
        ({"LOCAL_RANK": "x"}, "LOCAL_RANK is x"),
        ({"LOCAL_RANK": "7"}, "LOCAL_RANK is 7"),
        ({"MASTER_PORT": "port"}, "MASTER_PORT is port"),
        ({"MASTER_ADDR": ""}, "MASTER_ADDR is missing"),
    ],
)
def test_refuses_what_torchrun_would_not_set(change, shown):
    """A half or senseless environment is refused before anything waits for other processes."""
    with (
        pytest.raises(SettingsError, match=f"{shown}.*start them with torchrun"),
        joined(TORCHRUN | change),
    ):
        pytest.fail("joined")


@pytest.fixture
def two_gpus(monkeypatch):
    """A machine that says it has two GPUs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(
    ("local", "wanted", "found"),
    [
        (0, "auto", "cuda:0"),
        (1, "auto", "cuda:1"),
        (1, "cuda", "cuda:1"),
        (3, "cuda", "cuda:1"),
        (1, "cpu", "cpu"),
        (1, "gpu", "gpu"),
    ],
)
def test_each_of_several_processes_has_a_gpu_of_its_own(local, wanted, found):
    """Unless a CPU was asked for, a process takes the GPU of its number on this machine."""
    assert Processes(local, 4, local).device(wanted) == found


@pytest.mark.usefixtures("two_gpus")
def test_a_numbered_gpu_is_refused_to_several_processes():
    """They would all compute on it; the message says how to choose GPUs."""
    with pytest.raises(SettingsError, match=r"device is cuda:1 for 2 processes.*CUDA_VISIBLE_DEV"):
        Processes(1, 2, 1).device("cuda:1")


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize("wanted", ["auto", "cpu", "cuda", "cuda:1"])
def test_one_process_takes_the_device_it_was_given(wanted):
    """Alone, any device may be named."""
    assert Processes().device(wanted) == wanted


@pytest.mark.usefixtures("two_gpus")
def test_joining_takes_the_gpu_that_training_will_take(monkeypatch):
    """What the processes talk through is set to the same GPU, also where there are fewer."""
    given = []
    monkeypatch.setattr(torch.cuda, "set_device", given.append)
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda *a, **k: None)
    monkeypatch.setattr(torch.distributed, "destroy_process_group", lambda: None)
    environment = TORCHRUN | {"RANK": "3", "LOCAL_RANK": "3", "WORLD_SIZE": "4"}

    with joined(environment) as place:
        assert given == [place.device("auto")] == ["cuda:1"]


@pytest.mark.parametrize("name", ["test_efficientnet", "test_resnet"])
def test_batch_norms_of_several_gpus_keep_their_activations(monkeypatch, name):
    """Synchronized, a network has the weights' names and the output that it had before."""
    monkeypatch.setattr(torch.nn.parallel, "DistributedDataParallel", lambda net, **_: net)
    network = untrained(name, size=32, seed=0).eval()
    pixels = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    names = list(network.state_dict())
    with torch.inference_mode():
        wanted = network(pixels)

    wrapped = Processes(0, 2, 0).wrapped(network, torch.device("cuda", 0))

    norms = [m for m in wrapped.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    synchronized = [m for m in wrapped.modules() if isinstance(m, torch.nn.SyncBatchNorm)]
    with torch.inference_mode():
        found = wrapped(pixels)
    assert (len(norms), len(synchronized) > 0) == (0, True)
    assert list(wrapped.state_dict()) == names
    torch.testing.assert_close(found, wanted)


def test_processes_wait_long_for_one_another():
    """The first process may validate for hours while the others wait."""
    assert LONGEST_WAIT.total_seconds() >= 24 * 3600


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> Path:
    """The folder in which two processes on this CPU trained the toy."""
    folder = tmp_path_factory.mktemp("two")
    program = str(ROOT / "tests" / "learn" / "torchrun_toy.py")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": str(ROOT),
    }
    with (folder / "stderr").open("w") as told:
        torchrun = subprocess.Popen(
            [*command, program, str(folder)], env=environment, cwd=folder, stderr=told
        )
        try:
            code = torchrun.wait(timeout=300)
        finally:
            torchrun.terminate()  # and with it, if it still runs, the processes it started
            torchrun.wait()
    assert code == 0, (folder / "stderr").read_text()
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_two_processes_train_as_one(two, tmp_path, name):
    """Both end with the weights and the history that one process gets from the same batches."""
    alone = toy(OBJECTIVES[name], Processes()).trainer(tmp_path)
    alone.run()

    for rank in (0, 1):
        weights = load_file(two / f"{name}-{rank}.safetensors")
        for key, tensor in alone._network.state_dict().items():
            torch.testing.assert_close(weights[key], tensor, atol=1e-5, rtol=1e-4)
        history = json.loads((two / f"{rank}.json").read_text())[name]
        for row, own in zip(history, alone.progress.history, strict=True):
            assert row == pytest.approx(own, abs=1e-4, rel=1e-4)


@pytest.mark.slow
def test_only_the_first_process_writes(two):
    """The other process leaves no checkpoint, also of a network with batch norms."""
    names = {path.relative_to(two).parts[0] for path in two.rglob("*.safetensors")}
    written = sorted(path.name[:5] for path in (two / "rank-0" / "norm").iterdir())

    assert "rank-1" not in names
    assert written == ["best-", "check"]


@pytest.mark.slow
def test_patients_that_cannot_be_dealt_out_are_refused(two):
    """Three patients a batch for two processes: each of them says so."""
    for rank in (0, 1):
        told = json.loads((two / f"{rank}.json").read_text())["odd"]
        assert "3 patients a batch cannot be dealt out to 2 processes" in told


@pytest.mark.slow
def test_torch_has_nothing_to_complain_about(two):
    """No warning of PyTorch or gloo reaches the user."""
    assert "Warning" not in (two / "stderr").read_text()
