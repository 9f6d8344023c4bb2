"""What pretraining costs beside the network: the objective, the step around it, and decoding.

Usage: python benchmarks/pretrain.py [--encoder timm:resnet18] [--size 96] [--frames 8]
Everything is a ratio within one run: the trainer's steps on cached scans take turns with a bare
forward and backward of the same network on one batch in memory.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from learner_index.config import (
    AugmentOptions,
    BatchOptions,
    ObjectiveOptions,
    Preprocessing,
    TrainOptions,
)
from learner_index.data.decoded import DecodedCache
from learner_index.learn.batches import PatientBatches
from learner_index.learn.feed import Feed
from learner_index.learn.network import Network
from learner_index.learn.objectives.joint import JointLoss
from learner_index.learn.objectives.record import LabelScale
from learner_index.learn.objectives.registry import objectives
from learner_index.learn.trainer import Examples, Trainer
from learner_index.learn.weights import build_backbone, parse_spec

PATIENTS, VISITS = 32, 4


def network(asked):
    """The network that is trained."""
    backbone = build_backbone(parse_spec(asked.encoder), size=asked.size)
    return Network(backbone.module, backbone.features, temporal_shift=True)


def bare_step_s(asked, n_scans, n_rounds):
    """Seconds of a forward and backward on one batch in memory, and nothing else."""
    net = network(asked).to(memory_format=torch.channels_last).train()
    pixels = torch.rand(n_scans, asked.frames, 1, asked.size, asked.size)

    def step():
        net.zero_grad(set_to_none=True)
        net(pixels).embedding.square().mean().backward()

    step()
    for _ in range(n_rounds):
        start_s = time.perf_counter()
        step()
        yield time.perf_counter() - start_s


def trainer(asked, folder, cache):
    """A trainer on cached scans of random pixels, `learner_weighted`."""
    rng = np.random.default_rng(0)
    n = PATIENTS * VISITS
    settings = Preprocessing(size=asked.size, frames=asked.frames)
    paths = []
    for row in range(n):
        path = folder / f"{row}.npy"
        np.save(path, rng.integers(0, 255, (asked.frames, asked.size, asked.size), np.uint8))
        paths.append(path)
    patient, visit = np.repeat(np.arange(PATIENTS), VISITS), np.arange(n)
    score = rng.normal(size=n)

    def read(row):
        return cache.frames(f"{row:032d}", paths[row], settings, jitter=True)

    for row in range(n):
        read(row)
    options = TrainOptions(epochs=asked.rounds + 1)
    return Trainer(
        network(asked),
        (0.5, 0.25),
        examples=Examples([str(row) for row in range(n)], score, patient, visit),
        batches=PatientBatches(patient, visit, score, BatchOptions(), 0),
        feed=Feed(read, asked.frames, AugmentOptions(), 0),
        loss=JointLoss.of(ObjectiveOptions(), LabelScale.fit(score)),
        options=options,
        folder=folder,
        device=torch.device("cpu"),
    )


def step_table(asked):
    """The trainer's step against the bare one, in alternating rounds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cache = DecodedCache(folder / "cache", 4 << 30)
        ours, bare = [], []
        marks = []
        trained = trainer(asked, folder, cache)
        rounds = bare_step_s(asked, 32, 10_000)

        def watch(event):
            now = time.perf_counter()
            if event.step > 1:  # the first step of an epoch waits for its batch
                ours.append(now - marks[-1])
            bare.append(next(rounds))
            marks.append(time.perf_counter())

        trained._watch = watch
        trained.run()
        hits = cache.hits / (cache.hits + cache.misses)
        start_s = time.perf_counter()
        for row in range(32):
            trained._feed.read(row)
        read_s = time.perf_counter() - start_s
    ratio = statistics.median(bare) / statistics.median(ours)
    print(f"bare forward + backward, 32 scans: {statistics.median(bare):.3f} s (median)")
    print(f"trainer's step: {statistics.median(ours):.3f} s; bare / trainer = {ratio:.2f}")
    print(
        f"decoded scans of a batch, from the cache: {read_s:.4f} s, "
        f"{read_s / statistics.median(ours):.1%} of a step; hits {hits:.0%}"
    )


def objective_table(asked):
    """Each objective at 256 x 128 against a bare step of 256 scans."""
    one = statistics.median(bare_step_s(asked, 32, 3))
    step_s = 8 * one
    rng = torch.Generator().manual_seed(0)
    score = torch.randn(256, generator=rng)
    patient, visit = torch.arange(256) // 2, torch.arange(256)
    labels = LabelScale.fit(score.numpy())
    print(f"\nbare step of 256 scans: {step_s:.2f} s (8 x 32)\n")
    print("| objective | forward + backward, ms | share of the step |")
    print("|---|---|---|")
    for name in objectives():
        loss = JointLoss.of(ObjectiveOptions(name), labels)
        times = []
        for _ in range(15):
            embedding = torch.randn(256, 128, generator=rng, requires_grad=True)
            prediction = torch.randn(256, generator=rng, requires_grad=True)
            start_s = time.perf_counter()
            loss(embedding, score, patient, visit, prediction=prediction).total.backward()
            times.append(time.perf_counter() - start_s)
        found = statistics.median(times)
        print(f"| {name} | {1e3 * found:.1f} | {found / step_s:.2%} |")


def main():
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", default="timm:resnet18")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args()
    step_table(asked)
    objective_table(asked)


if __name__ == "__main__":
    main()
