"""Training in several processes, as torchrun starts them; one process is the ordinary case."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed, nn

from learner_index.errors import SettingsError

LONGEST_WAIT = timedelta(days=1)  # the first process validates while the others wait
_NUMBERS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_PORT")


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among all that train together.

    Attributes:
        rank: number of this process, 0 is the one that writes.
        world: number of processes.
        local: number of this process on its machine, which decides its GPU.
    """

    rank: int = 0
    world: int = 1
    local: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this process validates and writes."""
        return self.rank == 0

    def device(self, wanted: str) -> str:
        """Name of the device this process computes on: of several, each has a GPU of its own.

        Args:
            wanted: "auto", "cpu", "cuda" or, of one process, "cuda:N".

        Raises:
            SettingsError: several processes would share one numbered GPU.
        """
        if self.world > 1 and wanted.startswith("cuda:"):
            raise SettingsError(
                f"encoder.device is {wanted} for {self.world} processes, which cannot share one "
                "GPU: give auto, cuda or cpu, and choose GPUs with CUDA_VISIBLE_DEVICES"
            )
        if self.world == 1 or wanted not in ("auto", "cuda") or not torch.cuda.is_available():
            return wanted
        return f"cuda:{self.local % torch.cuda.device_count()}"

    def gathered(self, local: Tensor) -> Tensor:
        """(world·b, …) the rows of all processes in order; gradients flow into the own ones.

        Each process computes the loss of the whole batch, but differentiates its own rows only;
        `scaled` makes up for the mean that DistributedDataParallel takes over processes.
        """
        if self.world == 1:
            return local
        parts = [torch.empty_like(local) for _ in range(self.world)]
        distributed.all_gather(parts, local.detach().contiguous())
        parts[self.rank] = local
        return torch.cat(parts)

    def scaled(self, loss: Tensor) -> Tensor:
        """The loss to differentiate, so that summed gradients are those of one process."""
        return loss * self.world if self.world > 1 else loss

    def wrapped(self, network: nn.Module, device: torch.device) -> nn.Module:
        """The network with its gradients averaged over processes after each step."""
        if self.world == 1:
            return network
        from timm.layers import convert_sync_batchnorm
        from torch.nn.parallel import DistributedDataParallel

        if device.type == "cuda":
            network = convert_sync_batchnorm(network)  # PyTorch's would drop timm's activations
        devices = [device.index] if device.type == "cuda" else None
        wrapped = DistributedDataParallel(network, device_ids=devices)
        # Buffers stay as they are: those of synchronized batch norms are equal, and copying others
        # at each call would hang processes whose scans come in different numbers of lengths.
        wrapped.broadcast_buffers = False
        return wrapped

    def united(self, own: set[int]) -> set[int]:
        """What is in the set of any process."""
        if self.world == 1:
            return own
        found: list[Any] = [None] * self.world
        distributed.all_gather_object(found, own)
        return own.union(*found)

    def shared(self, value: Any) -> Any:
        """What the first process has, in all processes."""
        if self.world == 1:
            return value
        box = [value]
        distributed.broadcast_object_list(box, src=0)
        return box[0]


@contextmanager
def joined(environment: Mapping[str, str] | None = None) -> Iterator[Processes]:
    """This process's place, with the others connected for as long as the block lasts.

    Args:
        environment: as torchrun sets it; None: the process's own.

    Raises:
        SettingsError: the environment is not torchrun's.
    """
    place = _place(os.environ if environment is None else environment)
    if place.world == 1:
        yield place
        return
    backend = "gloo"
    if torch.cuda.is_available():
        backend = "cpu:gloo,cuda:nccl"
        torch.cuda.set_device(place.device("auto"))
    distributed.init_process_group(backend, timeout=LONGEST_WAIT)
    try:
        yield place
    finally:
        distributed.destroy_process_group()


def _place(environment: Mapping[str, str]) -> Processes:
    """This process among all, as torchrun numbers them.

    Raises:
        SettingsError: a number is missing or makes no sense.
    """
    if environment.get("WORLD_SIZE", "1") == "1":
        return Processes()
    found = {name: environment.get(name, "") for name in (*_NUMBERS, "MASTER_ADDR")}
    if all(found[name].isdecimal() for name in _NUMBERS) and found["MASTER_ADDR"]:
        place = Processes(*(int(found[name]) for name in _NUMBERS[:3]))
        if place.rank < place.world and place.local < place.world:
            return place
    shown = ", ".join(f"{name} is {value or 'missing'}" for name, value in found.items())
    raise SettingsError(
        f"these are not the settings of one process of several ({shown}): "
        "start them with torchrun, or unset WORLD_SIZE"
    )
