"""`map`: a folder to look at, a summary to read, and what it refuses."""

import json

import pytest


def test_it_writes_a_folder_and_says_what_next(program, store):
    """Page, picture and map; the summary on stdout, files and the next step on stderr."""
    done = program("map", store, "-o", "m")

    assert done.code == 0
    assert sorted(file.name for file in store.parent.joinpath("m").iterdir()) == [
        "map.html", "map.json", "map.png", "map.safetensors"
    ]  # fmt: skip
    assert "PCA, seed 0: PC 1" in done.out
    assert "6 of 3 patients" in done.out
    assert "page and picture: m/map.html, m/map.png" in done.err
    assert "next: learner-index trajectory c.zarr --patient p0" in done.err


def test_the_next_step_is_about_whom_one_asked(program, store):
    """With --patient the path to look at is that patient's."""
    done = program("map", store, "-o", "m", "--patient", "p2")

    assert "next: learner-index trajectory c.zarr --patient p2" in done.err


def test_the_next_step_keeps_the_conditions(program, store):
    """Whom a condition left out does not come back by the line to paste."""
    done = program("map", store, "-o", "m", "--where", "site == A")

    assert "--where 'site == A'" in done.err.splitlines()[-1]


def test_the_folder_is_named_after_the_store(program, store):
    """Without -o it is maps/c."""
    assert program("map", store).code == 0
    assert (store.parent / "maps" / "c" / "map.html").exists()


def test_json_is_the_whole_answer(program, store):
    """Every scan has its place, and nothing else is on stdout."""
    done = program("map", store, "-o", "m", "--json", "--where", "day == 0")

    told = json.loads(done.out)
    assert [scan["scan_id"] for scan in told["scans"]] == ["p0d0", "p1d0", "p2d0"]
    assert told["method"] == "pca"
    assert "next: learner-index similar c.zarr --patient p0" in done.err


def test_options_reach_the_map(program, store):
    """Color, path, formats, seed and thumbnails are those typed; then the map is kept."""
    words = ("--color", "site", "--patient", "p0", "--format", "svg", "--format", "pdf")

    done = program(
        "map", store, "-o", "m", *words, "--seed", 3, "--fit-scans", 4, "--method", "pca"
    )
    again = program("map", store, "-o", "m", "--thumbnails", "cohort.csv")

    folder = store.parent / "m"
    card = json.loads((folder / "map.json").read_text())
    assert done.code == again.code == 0
    assert (card["seed"], card["most_fitted"], card["fitted"]["n_scans"]) == (3, 4, 4)
    assert (folder / "map.svg").exists()
    assert (folder / "map.pdf").exists()
    assert "2 scans placed on it" in again.out
    assert "data:image/png" in (folder / "map.html").read_text()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--color", "helth_score"), 1, "did you mean 'health_score'"),
        (("--patient", "p9"), 1, "no patient 'p9' among 3"),
        (("--method", "umap"), 1, "choose --method pca"),
        (("--method", "tsne"), 2, "not one of"),
        (("--format", "gif"), 2, "not one of"),
        (("--kept", "nowhere"), 1, "no map in 'nowhere'"),
        (("--where", "day > 90"), 1, "none of 6 scans fulfils day > 90"),
    ],
)
def test_wrong_words_are_one_line_and_leave_nothing(program, store, words, code, said):
    """Nothing is written, and the next step is named."""
    done = program("map", store, "-o", "m", *words)

    assert done.code == code
    assert said in " ".join(done.err.replace("│", " ").split())
    assert done.out == ""
    assert not (store.parent / "m").exists()
