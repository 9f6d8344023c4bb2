"""Does looking alike mean being alike? Simulated seeds, and the real cohorts if they are there.

Usage: python benchmarks/first_results.py [FOLDER OF REAL COHORTS]
Prints a Markdown table; every interval is by patient.
"""

import sys
import tempfile
from pathlib import Path

import learner_index as li

SEEDS = (0, 1, 2)
REAL = {
    "covid_blues": {"score_column": "severity", "score_direction": "lower"},
    "mhh_cxr": {"score_column": "icu", "score_direction": "lower"},
}


def row(name: str, manifest: Path, encoder: li.EncoderOptions, **build: object) -> None:
    """Build a store in a temporary folder and print what looking alike is worth."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "cohort.zarr"
        li.build(manifest, store, li.ChosenEncoder(encoder), **build)
        gain = li.measure_gain(li.open_store(store))
    digits = 0 if gain.chance > 10 else 2
    print(
        f"| {name} | {gain.n_patients} | {gain.n_scans} | {gain.near:.{digits}f} | "
        f"{gain.chance:.{digits}f} | {gain.chance - gain.near:.{digits}f} "
        f"({gain.low:.{digits}f} to {gain.high:.{digits}f}) |",
        flush=True,
    )


def main() -> None:
    """Simulated cohorts first, then real ones."""
    print("| cohort, encoder | patients | scans | nearest 5 | others | closer by (95 % interval) |")
    print("|---|---|---|---|---|---|")
    small = {"size": 96, "frames": 4}
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as folder:
            cohort = li.simulate(Path(folder) / "sim", tier="smoke", seed=seed)
            for name, spec in (("ImageNet", "imagenet"), ("untrained", "timm:resnet10t")):
                options = li.EncoderOptions(spec=spec, **small)
                row(f"simulated LUS, seed {seed}, {name}", cohort.manifest, options)
    real = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2] / "shared" / "data"
    for name, changes in REAL.items():
        manifest = real / name / "cohort.csv"
        if not manifest.exists():
            print(f"{name} is not there: left out")
            continue
        for words, width in (("128 values", None), ("1280 values", 0)):
            options = li.EncoderOptions(width=width)
            title = f"{name}, {changes['score_column']}, ImageNet, {words}"
            row(title, manifest, options, manifest_changes=changes)


if __name__ == "__main__":
    main()
