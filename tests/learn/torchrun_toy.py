"""What each process of the torchrun test does: trains the toy, notes what it saw, and ends."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from learner_index.config import BatchOptions, ObjectiveOptions, TrainOptions
from learner_index.errors import SettingsError
from learner_index.learn.processes import Processes, joined
from learner_index.learn.trainer import Validation
from tests.learn.training_toy import STILL, Setup, make_world, tiny_network


def toy(objective: ObjectiveOptions, processes: Processes, *, has_norm: bool = False) -> Setup:
    """Mixed images and clips, such that processes differ in the lengths of their scans."""
    world = make_world(n_short=12)
    rows = world.rows(16, 24)
    return Setup(
        world=world,
        objective=objective,
        training=TrainOptions(epochs=2, patience=0),
        augment=STILL,
        network=lambda: tiny_network(has_norm=has_norm),
        more={
            "processes": processes,
            "validation": Validation(rows, lambda e, p: {"val_spearman": float(e.std())}),
        },
    )


OBJECTIVES = {
    "both": ObjectiveOptions("learner_weighted"),
    "contrast": ObjectiveOptions("learner_softnce", regression_weight=0.0),
}


def main(folder: Path) -> None:
    """Train each objective, save this process's weights; then ask for a batch that cannot be."""
    with joined() as processes:
        own = folder / f"rank-{processes.rank}"
        history = {}
        for name, objective in OBJECTIVES.items():
            setup = toy(objective, processes)
            trainer = setup.trainer(own / name)
            trainer.run()
            weights = {key: t.contiguous() for key, t in trainer._network.state_dict().items()}
            save_file(weights, folder / f"{name}-{processes.rank}.safetensors")
            history[name] = trainer.progress.history
        toy(OBJECTIVES["both"], processes, has_norm=True).trainer(own / "norm").run()
        odd = replace(toy(OBJECTIVES["both"], processes), batches=BatchOptions(3, 2))
        try:
            odd.trainer(own / "odd").run()
        except SettingsError as problem:
            history["odd"] = str(problem)
        (folder / f"{processes.rank}.json").write_text(json.dumps(history))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
