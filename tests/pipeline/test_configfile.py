"""Settings from a file and from what was typed: precedence, types, and what is refused."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from learner_index.config import AugmentOptions, PretrainOptions, ScoreOptions
from learner_index.errors import SettingsError
from learner_index.pipeline.configfile import options_from, read_pretrain_options, toml_value
from tests.pipeline.pretrain_toy import changed


def written(folder: Path, text: str) -> Path:
    """A settings file."""
    path = folder / "run.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_nothing_given_is_the_defaults():
    """No file and nothing typed."""
    assert read_pretrain_options() == PretrainOptions()


def test_what_is_typed_wins_over_the_file_and_the_file_over_the_base(tmp_path):
    """Typed, else the file's, else those of the run that goes on, else the defaults."""
    path = written(tmp_path, "[training]\nepochs = 5\nseed = 7\n")
    base = {"training": {"epochs": 1, "patience": 3}, "batches": {"scans": 4}}

    found = read_pretrain_options(path, {"training.epochs": 9}, base=base)

    assert found.training.epochs == 9
    assert found.training.seed == 7
    assert found.training.patience == 3
    assert found.batches.scans == 4
    assert found.training.learning_rate == PretrainOptions().training.learning_rate
    assert base == {"training": {"epochs": 1, "patience": 3}, "batches": {"scans": 4}}


def test_lists_become_tuples_and_whole_numbers_decimals(tmp_path):
    """TOML lists, a whole number where a decimal is wanted, an objective's own settings."""
    path = written(
        tmp_path,
        "[encoder]\nslice_range = [0, 0.5]\npixel_mm = 0\n"
        "[score]\nedges = [100, 200.5]\n"
        '[objective.settings]\ngamma = 2\nmetric = "euclidean"\n',
    )

    found = read_pretrain_options(path)

    assert found.encoder.slice_range == (0.0, 0.5)
    assert isinstance(found.encoder.pixel_mm, float)
    assert found.score.edges == (100.0, 200.5)
    assert found.objective.settings == {"gamma": 2, "metric": "euclidean"}


def test_an_objectives_own_setting_can_be_typed():
    """Three words with points; what the file's section has beside it stays."""
    found = read_pretrain_options(
        None,
        {"objective.settings.gamma": 3.0},
        base={"objective": {"settings": {"metric": "cosine"}}},
    )

    assert found.objective.settings == {"metric": "cosine", "gamma": 3.0}


def test_a_choice_can_be_left_open_again(tmp_path):
    """`none` undoes what the file has, since TOML has no word for nothing."""
    path = written(tmp_path, "[score]\nbins = 4\n")

    found = read_pretrain_options(path, {"score.bins": toml_value("none")})

    assert found.score.bins is None


@pytest.mark.parametrize(
    "options",
    [
        PretrainOptions(),
        PretrainOptions(
            score=ScoreOptions(class_column="severity", classes=("ill", "well")),
            augment=AugmentOptions(flip=False),
        ),
        changed(score={"edges": (1.0, 2.5)}, objective={"settings": {"gamma": 2.0}}),
    ],
)
def test_settings_survive_run_json(options):
    """As JSON and back they are equal, tuples and nothings included."""
    assert options_from(json.loads(json.dumps(asdict(options))), "run.json") == options


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[trainig]\nepochs = 3\n", r"run.toml: no section \[trainig\] \(did you mean 'training'"),
        (
            "[training]\nepoch = 3\n",
            r"run.toml: \[training\] has no 'epoch' \(did you mean 'epochs'",
        ),
        ("epochs = 3\n", r"run.toml: no section \[epochs\]"),
        ("training = 3\n", "run.toml: training is a section, not a value"),
        (
            '[training]\nepochs = "many"\n',
            "run.toml: training.epochs is 'many', give a valid integer",
        ),
        ("[training]\nepochs = 2.5\n", "run.toml: training.epochs is 2.5, give a valid integer"),
        ("[training]\nepochs = true\n", "run.toml: training.epochs is true, which it cannot be"),
        ("[augment]\nflip = 7\n", "run.toml: augment.flip is 7, give a valid boolean"),
        ('[encoder]\nanchor = "left"\n', "run.toml: encoder.anchor is 'left', give 'top' or"),
        ("[score]\nedges = [1, 'x']\n", "run.toml: score.edges.1 is 'x', give a valid number"),
        ("[training\n", "run.toml is no TOML file: .*line 1"),
        ("[training]\nseed = 1\nseed = 2\n", "run.toml is no TOML file: .*line 3"),
    ],
)
def test_refuses_a_wrong_file(tmp_path, text, message):
    """One line: file, section, setting, what was found and what is near or wanted."""
    with pytest.raises(SettingsError, match=message):
        read_pretrain_options(written(tmp_path, text))


def test_refuses_a_file_that_is_no_text(tmp_path):
    """Bytes that are not UTF-8."""
    path = tmp_path / "run.toml"
    path.write_bytes(b"\xff\xfe\x00")

    with pytest.raises(SettingsError, match="is no TOML file"):
        read_pretrain_options(path)


def test_refuses_an_absent_file(tmp_path):
    """The path and the system's reason."""
    with pytest.raises(SettingsError, match=r"gone.toml cannot be read \(No such file"):
        read_pretrain_options(tmp_path / "gone.toml")


@pytest.mark.parametrize("name", ["epochs", "training.", "training.epochs.more", ""])
def test_refuses_a_setting_that_is_no_name(name):
    """What is typed is SECTION.NAME."""
    with pytest.raises(SettingsError, match=r"give it as section.name=value"):
        read_pretrain_options(None, {"training.epochs": 4, name: 3})


def test_blames_the_file_only_for_its_own_errors(tmp_path):
    """A wrong value that was typed is not laid at the file's door."""
    path = written(tmp_path, "[training]\nepochs = 3\n")

    with pytest.raises(SettingsError, match=r"^the settings: training.epochs is 'x'"):
        read_pretrain_options(path, {"training.epochs": "x"})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("0.5", 0.5),
        ("1e-3", 0.001),
        ("true", True),
        ("[1, 2]", [1, 2]),
        ('"3"', "3"),
        ("cosine", "cosine"),
        ("none", None),
        ("timm:resnet18@w.safetensors", "timm:resnet18@w.safetensors"),
        ("2026-01-31", "2026-01-31"),
        ("", ""),
        ("a b", "a b"),
    ],
)
def test_typed_values_have_types(text, value):
    """As TOML reads them, else the text; a word that looks like a date stays a word."""
    assert toml_value(text) == value
    assert type(toml_value(text)) is type(value)
