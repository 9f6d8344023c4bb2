"""Steps down the gradient: AdamW, warm-up and cosine, clipping, averaged weights, saved whole."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from learner_index.config import TrainOptions


class Optimizer:
    """All that changes weights, and can be put away as tensors.

    The running average starts quickly (its decay grows with the steps to the one asked for), so
    that short runs do not average in the first weights.

    Args:
        network: what is trained.
        options: rate, decay, warm-up, clipping and averaging.
        n_steps: steps of the whole run; the rate reaches 0 one step after them.
        is_scaled: scale losses for float16 gradients.
        device: where the network is.
    """

    def __init__(
        self,
        network: nn.Module,
        options: TrainOptions,
        n_steps: int,
        is_scaled: bool,
        device: torch.device,
    ) -> None:
        from timm.optim import param_groups_weight_decay
        from timm.scheduler import CosineLRScheduler
        from timm.utils import ModelEmaV3

        self._network = network
        self._clip = options.clip_norm or float("inf")
        groups = param_groups_weight_decay(network, options.weight_decay)
        self._adam = torch.optim.AdamW(groups, lr=options.learning_rate)
        self._schedule = CosineLRScheduler(
            self._adam,
            t_initial=n_steps + 1,  # the step after the last would have rate 0
            warmup_t=round(options.warmup * n_steps),
            warmup_prefix=False,
            t_in_epochs=False,
        )
        self._average = (
            ModelEmaV3(network, decay=options.ema_decay, use_warmup=True)
            if options.ema_decay
            else None
        )
        self._scaler = torch.amp.GradScaler(device.type, enabled=is_scaled)
        self._n_done = 0

    @property
    def averaged(self) -> nn.Module:
        """The network with the running average of the weights; itself without averaging."""
        return self._network if self._average is None else self._average.module

    @property
    def rate(self) -> float:
        """Learning rate of the last step."""
        return float(self._adam.param_groups[0]["lr"])

    def step(self, loss: Tensor, check: Callable[[Tensor], None]) -> Tensor:
        """Differentiate and take one step; returns the gradient's norm before clipping.

        Args:
            loss: () to be lowered.
            check: called with the norm before weights change; may raise. With scaled losses it is
                called only once their scale is no longer to blame: overflows are skipped.
        """
        self._schedule.step_update(self._n_done + 1)
        self._adam.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self._scaler.unscale_(self._adam)
        norm = torch.nn.utils.clip_grad_norm_(self._network.parameters(), self._clip)
        if not self._scaler.is_enabled() or self._scaler.get_scale() < 1:
            check(norm)
        self._scaler.step(self._adam)
        self._scaler.update()
        self._n_done += 1
        if self._average is not None:
            self._average.update(self._network, step=self._n_done)
        return norm

    def tensors(self) -> dict[str, Tensor]:
        """Weights, averages, moments and counters by name; the next step changes them."""
        found = {f"network.{name}": t for name, t in self._network.state_dict().items()}
        if self._average is not None:
            average = self._average.module.state_dict()
            found |= {f"average.{name}": t for name, t in average.items()}
        for number, moments in self._adam.state_dict()["state"].items():
            found |= {f"adam.{number}.{name}": t for name, t in moments.items()}
        if self._scaler.is_enabled():
            values = self._scaler.state_dict()
            scaler = [values["scale"], values["_growth_tracker"]]
            found["scaler"] = torch.tensor(scaler, dtype=torch.float64)
        return found | {"n_done": torch.tensor(self._n_done)}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Take back what `tensors` gave."""
        self._network.load_state_dict(_below("network.", tensors))
        if self._average is not None:
            self._average.module.load_state_dict(_below("average.", tensors))
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in _below("adam.", tensors).items():
            number, _, name = key.partition(".")
            moments.setdefault(int(number), {})[name] = value
        groups = self._adam.state_dict()["param_groups"]
        self._adam.load_state_dict({"state": moments, "param_groups": groups})
        if "scaler" in tensors:
            scale, growth = tensors["scaler"].tolist()
            known = self._scaler.state_dict()
            self._scaler.load_state_dict({**known, "scale": scale, "_growth_tracker": int(growth)})
        self._n_done = int(tensors["n_done"])


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors whose name starts so, by the rest of their name."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
