"""Training in several processes, as torchrun starts them; one process is the ordinary case."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn

from learner_index.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among all that train together.

    Attributes:
        rank: number of this process, 0 is the one that writes.
        world: number of processes.
        local: number of this process on its machine, which is the number of its GPU.
    """

    rank: int = 0
    world: int = 1
    local: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this process validates and writes."""
        return self.rank == 0

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
        from torch.nn.parallel import DistributedDataParallel

        if device.type == "cuda":
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
            return DistributedDataParallel(network, device_ids=[device.index])
        return DistributedDataParallel(network)

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
    known = os.environ if environment is None else environment
    if int(known.get("WORLD_SIZE", "1")) == 1:
        yield Processes()
        return
    try:
        place = Processes(*(int(known[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")))
    except (KeyError, ValueError) as problem:
        raise SettingsError(
            f"WORLD_SIZE is set, but not what torchrun sets with it ({problem}): "
            "start several processes with torchrun"
        ) from problem
    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield place
    finally:
        distributed.destroy_process_group()
