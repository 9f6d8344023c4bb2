"""The Python reference as pages: `python -m tests.guards.api_reference` writes docs/reference."""

from pathlib import Path

import learner_index

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
PAGES = {
    "stores": (
        "Stores and questions",
        "A store, the questions it answers, and the answers.",
        """open_store Cohort SimilarOptions Hits Hit ProgressionOptions Progressions
        ProgressionHit Change TrajectoryOptions Trajectory AxisReport Reference Gain
        GainDifference measure_gain compare_gains""",
    ),
    "building": (
        "Manifests, scans and building",
        "From a folder of scans to a store.",
        """write_manifest check_cohort read_manifest ManifestOptions read_scan Scan preprocess
        Preprocessing build BuildOptions ChosenEncoder EncoderOptions simulate""",
    ),
    "training": (
        "Pretraining and evaluation",
        "An encoder from health scores, and what it is worth.",
        """list_objectives pretrain PretrainOptions PretrainResult read_pretrain_options
        evaluate EvaluateOptions Evaluation""",
    ),
    "response": (
        "Response to treatment",
        "A head on the embeddings, and what it says.",
        "fit_response ResponseOptions ResponseFit predict_response Predictions Prediction",
    ),
    "looking": (
        "Maps and reports",
        "A cohort on a plane, and pages to read and print.",
        "draw_map MapOptions MapLook CohortMap report_patient report_cohort Report",
    ),
    "plot": (
        "Figures",
        "`import learner_index as li`, then `li.plot`.",
        "plot plot.interactive",
    ),
    "errors": ("Errors", "Everything raised on purpose.", "errors"),
}


def index() -> str:
    """The front page: every public name, and the page it is on."""
    lines = [
        "# Python",
        "",
        "Public names, all of them in `import learner_index as li`. Commands call the functions of",
        "the same name. All else may change without notice.",
    ]
    for page, (title, about, names) in PAGES.items():
        links = [f"[`{name}`]({page}.md#learner_index.{name})" for name in names.split()]
        lines += ["", f"## [{title}]({page}.md)", "", about, "", ", ".join(links)]
    return "\n".join(lines) + "\n"


def page(title: str, about: str, names: str) -> str:
    """A page with the docstring of each name."""
    parts = [f"# {title}", about, *(f"::: learner_index.{name}" for name in names.split())]
    return "\n\n".join(parts) + "\n"


def reference() -> dict[str, str]:
    """File name -> content of every page of docs/reference."""
    return {"index.md": index()} | {f"{name}.md": page(*parts) for name, parts in PAGES.items()}


def names_on_pages() -> list[str]:
    """Public names as they stand on the pages, in order."""
    return [n for _, _, names in PAGES.values() for n in names.split() if "." not in n]


if __name__ == "__main__":
    missing = set(learner_index.__all__) - set(names_on_pages())
    if missing:
        raise SystemExit(f"on no page: {', '.join(sorted(missing))}; give each one in PAGES")
    for name, text in reference().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
