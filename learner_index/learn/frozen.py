"""Encoders: preprocessed frames in, embeddings out, always by the same arithmetic.

On a CPU each scan is computed alone on one thread, on a GPU in padded batches of one size; so a
row's bytes depend on nothing but its scan. Making encoders by name is `encoder`'s job.
"""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learner_index.config import Preprocessing
from learner_index.errors import EncoderError, EncoderMemoryError
from learner_index.learn.card import Origin, make_card
from learner_index.learn.device import device_label, pick_device, pick_precision
from learner_index.learn.encoderfile import write_encoder
from learner_index.learn.fuse import fused_copy
from learner_index.learn.lanes import map_alone
from learner_index.learn.network import Network

_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Encoder:
    """A frozen network that embeds scans; implements `data.records.Embedder`.

    Args:
        network: copied, itself left as it is, so that it can go on being trained; the weights it
            has now name the space.
        origin: where the network comes from.
        preprocessing: what was done to the frames it will be given.
        batch_size: most scans in one call.
        device: "auto", "cpu", "cuda" or "cuda:N".
        precision: "auto", "fp32", "bf16" or "fp16".
    """

    def __init__(
        self,
        network: Network,
        origin: Origin,
        preprocessing: Preprocessing,
        *,
        batch_size: int = 8,
        device: str = "auto",
        precision: str = "auto",
    ) -> None:
        if batch_size < 1:
            raise EncoderError(f"batch_size is 1 or more, not {batch_size}")
        self._device = pick_device(device)
        self._precision = pick_precision(precision, self._device)
        self._batch_size = batch_size
        self._preprocessing = preprocessing
        self._mean, self._std = origin.mean, origin.std
        self.network = deepcopy(network).cpu().eval()
        self._fast = _for_inference(self.network, preprocessing).to(self._device)
        self._card = make_card(
            origin,
            preprocessing,
            self.network.state_dict(),
            embedding_width=network.width,
            n_parameters=sum(parameter.numel() for parameter in network.parameters()),
            batch_size=batch_size,
            device=device_label(self._device),
            precision=self._precision,
        )

    @property
    def card(self) -> Mapping[str, Any]:
        """JSON-ready description; a copy, so that nobody can alter the encoder's own."""
        return deepcopy(self._card)

    @property
    def space(self) -> str:
        """Fingerprint of the space its embeddings lie in."""
        return str(self._card["space"])

    @property
    def width(self) -> int:
        """Number of values e in an embedding."""
        return self.network.width

    @property
    def batch_size(self) -> int:
        """Most scans in one call; what is computed has one fixed shape, whatever is given."""
        return self._batch_size

    @property
    def preprocessing(self) -> Preprocessing:
        """What must have been done to the frames."""
        return self._preprocessing

    def embed(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Embeddings of preprocessed scans.

        Args:
            frames: (b, f, h, w) grey values in 0..1, b at most `batch_size`; f is 1 for images
                and `preprocessing.frames` for clips and volumes.

        Returns:
            (b, e) float32. A row's bytes do not depend on the other rows or on its place, nor
            on a CPU on the number of threads.

        Raises:
            EncoderError: another shape or type, or an embedding that is not finite.
        """
        self._check(frames)
        if len(frames) == 0:
            return np.empty((0, self.width), np.float32)
        pixels = torch.from_numpy(np.ascontiguousarray(frames)).unsqueeze(2)  # (b, f, 1, h, w)
        run = self._run_alone if self._device.type == "cpu" else self._run_padded
        embeddings: NDArray[np.float32] = run(pixels).numpy()
        broken = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
        if len(broken):
            raise EncoderError(
                f"the embedding of scan {broken[0] + 1} of {len(frames)} in the batch is not "
                f"finite (precision {self._precision}): check its pixels, or take precision fp32"
            )
        return embeddings

    def save(self, folder: Path) -> None:
        """Write weights and card into a folder, made if absent; `load_encoder` reads them back.

        Raises:
            EncoderError: the folder cannot be written.
        """
        write_encoder(folder, self.network.state_dict(), self._card)

    def _check(self, frames: NDArray[np.float32]) -> None:
        """Refuse what the network was not prepared for."""
        size, clip = self._preprocessing.size, self._preprocessing.frames
        if frames.dtype != np.float32:
            raise EncoderError(f"frames must be float32 in 0..1, not {frames.dtype}")
        fits = frames.ndim == 4 and frames.shape[1] in (1, clip)
        if not fits or frames.shape[2:] != (size, size):
            raise EncoderError(
                f"frames of shape {frames.shape} do not fit: this encoder takes "
                f"(scans, 1 or {clip}, {size}, {size})"
            )
        if len(frames) > self._batch_size:
            raise EncoderError(
                f"{len(frames)} scans in one batch: this encoder takes {self._batch_size} at most"
            )

    def _forward(self, pixels: Tensor) -> Tensor:
        """(b, e) embeddings of (b, f, 1, h, w) grey values; safe to call from several threads."""
        with torch.inference_mode():
            output = self._fast((pixels - self._mean) / self._std)
        embedding: Tensor = output.embedding
        return embedding

    def _run_alone(self, pixels: Tensor) -> Tensor:
        """On a CPU: each scan by itself, on one thread."""
        return torch.cat(map_alone(self._forward, torch.split(pixels, 1)))

    def _run_padded(self, pixels: Tensor) -> Tensor:
        """On a GPU: one batch of the fixed size, filled up with black scans."""
        n_scans = len(pixels)
        full = pixels.new_zeros((self._batch_size, *pixels.shape[1:]))
        full[:n_scans] = pixels
        half = _HALF.get(self._precision)
        exact = torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=False
        )
        try:
            with exact, torch.autocast(self._device.type, half, enabled=half is not None):
                embeddings = self._forward(full.to(self._device))
        except torch.OutOfMemoryError as problem:
            raise EncoderMemoryError(
                f"the GPU has not enough memory for {self._batch_size} scans at once: "
                "take a smaller --batch-size"
            ) from problem
        return embeddings[:n_scans].float().cpu()


def _for_inference(network: Network, preprocessing: Preprocessing) -> torch.nn.Module:
    """A faster copy, tried on random frames of the size to come."""
    size, frames = preprocessing.size, preprocessing.frames
    noise = torch.rand(1, frames, 1, size, size, generator=torch.Generator().manual_seed(0))
    try:
        return fused_copy(network, noise - 0.5)
    except (RuntimeError, ValueError, AssertionError, TypeError, IndexError) as problem:
        if isinstance(problem, EncoderError):
            raise
        raise EncoderError(
            f"the backbone cannot take frames of {size} x {size}: {problem}"
        ) from problem
