"""Frames per second of an encoder on a CPU, against eager PyTorch with the same weights.

Both embed the same frames in one process, turn by turn, on the same pinned number of threads:
`python benchmarks/encoder.py --threads 2 --repeats 7`. The ratio is what counts; goal 1.8.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from learner_index.config import Preprocessing
from learner_index.learn.encoder import Encoder, make_encoder

CASES = {
    "tf_efficientnet_lite0, images of 224": ("timm:tf_efficientnet_lite0", 224, 1),
    "resnet18 with shift, 8 frames of 112": ("timm:resnet18", 112, 8),
}


def eager(encoder: Encoder, frames: NDArray[np.float32]) -> Callable[[], object]:
    """The encoder's own network as PyTorch runs it: one batch, contiguous, batch norms apart."""
    mean, std = encoder.card["normalization"].values()

    def run() -> object:
        with torch.inference_mode():
            return encoder.network((torch.from_numpy(frames)[:, :, None] - mean) / std)

    return run


def interleaved(runs: list[Callable[[], object]], repeats: int) -> list[list[float]]:
    """Seconds of each run, taken turn by turn after two rounds of warming up."""
    seconds: list[list[float]] = [[] for _ in runs]
    for turn in range(repeats + 2):
        for run, taken in zip(runs, seconds, strict=True):
            start = time.perf_counter()
            run()
            if turn >= 2:
                taken.append(time.perf_counter() - start)
    return seconds


def report(title: str, spec: str, size: int, n_frames: int, options: argparse.Namespace) -> None:
    """Print one case: frames per second of both, median ratio and its range over turns."""
    settings = Preprocessing(size=size, frames=n_frames)
    encoder = make_encoder(
        spec, preprocessing=settings, batch_size=options.batch_size, device="cpu"
    )
    shape = (options.batch_size, n_frames, size, size)
    frames = np.random.default_rng(0).random(shape, dtype=np.float32)
    runs = [eager(encoder, frames), lambda: encoder.embed(frames)]
    slow, fast = interleaved(runs, options.repeats)
    ratios = sorted(a / b for a, b in zip(slow, fast, strict=True))
    per_second = [shape[0] * n_frames / statistics.median(taken) for taken in (slow, fast)]
    print(
        f"{title}: eager {per_second[0]:.1f} frames/s, ours {per_second[1]:.1f} frames/s, "
        f"ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    )


def main() -> None:
    """Run every case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--batch-size", type=int, default=8)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(
        f"PyTorch {torch.__version__}, {options.threads} threads, batch of {options.batch_size}, "
        f"{options.repeats} turns"
    )
    for title, case in CASES.items():
        report(title, *case, options)


if __name__ == "__main__":
    main()
