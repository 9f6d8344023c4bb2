"""Objectives are found by their files, chosen by name, and set within their cards."""

import importlib
import sys

import pytest
import torch

import learner_index.learn.objectives as package
from learner_index.config import ObjectiveOptions
from learner_index.errors import SettingsError
from learner_index.learn.objectives.registry import checked_settings, objective, objectives

PLANTED = """
from learner_index.learn.objectives.record import Card

CARD = Card("{name}", "Nothing", "{kind}", "standard", "0", "Nobody.", "Planted by a test.")

def loss(embedding, score, patient, visit, *, prediction, labels):
    return 0 * prediction.sum()
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty package `planted_objectives`, which can be imported, and its folder."""
    place = tmp_path / "planted_objectives"
    place.mkdir()
    (place / "__init__.py").write_text("", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield place
    for name in [name for name in sys.modules if name.startswith("planted_objectives")]:
        del sys.modules[name]


def plant(folder, file, name, kind="contrastive"):
    """Write a file with an objective into the package."""
    text = PLANTED.format(name=name, kind=kind)
    (folder / f"{file}.py").write_text(text, encoding="utf-8")


def test_every_objective_is_listed_regression_first():
    """The order is by kind, then by alphabet, whatever the file system's."""
    assert list(objectives()) == [
        "huber",
        "mse",
        "antisymmetric_delta",
        "direction",
        "kernel_exp",
        "learner_distreg",
        "learner_pair",
        "learner_softnce",
        "learner_weighted",
        "rnc",
        "yaware",
    ]


def test_a_new_file_is_a_new_objective(folder):
    """A planted file is found; one without card and loss is not taken for an objective."""
    plant(folder, "alpha", "alpha")
    plant(folder, "beta", "beta", kind="regression")
    (folder / "helper.py").write_text("CARD = None\n", encoding="utf-8")

    found = objectives(importlib.import_module("planted_objectives"))

    assert list(found) == ["beta", "alpha"]
    assert found["alpha"].card.note == "Planted by a test."
    nothing = torch.zeros(1)
    assert found["alpha"].loss(*[nothing] * 4, prediction=nothing, labels=None) == 0


def test_refuses_a_file_under_another_name(folder):
    """The name an objective is chosen by is its file's, so no two can have the same."""
    plant(folder, "gamma", "delta")
    planted = importlib.import_module("planted_objectives")

    with pytest.raises(SettingsError, match=r"objective in gamma\.py calls itself 'delta'"):
        objectives(planted)


def test_cards_are_named_after_their_files():
    """Each of ours is in the file of its name."""
    assert all(hasattr(package, name) for name in objectives())


def test_the_default_exists():
    """What is trained for when nobody says is an objective there is."""
    assert objective(ObjectiveOptions().name).card.name == "learner_weighted"


def test_refuses_an_unknown_objective():
    """The message names near misses and all there are."""
    with pytest.raises(SettingsError, match=r"'lerner_pair' \(did you mean 'learner_pair'.*mse"):
        objective("lerner_pair")


def test_settings_are_completed_by_defaults():
    """Given settings, as floats, among all others, in the card's order."""
    found = checked_settings(objective("learner_pair").card, {"pairs": "all", "margin": 2})

    assert list(found.items()) == [
        ("metric", "cosine"),
        ("margin", 2.0),
        ("threshold", 0.1),
        ("pairs", "all"),
    ]
    assert isinstance(found["margin"], float)


@pytest.mark.parametrize(("name", "value"), [("threshold", 0), ("gamma", 0.0), ("margin", 1e-9)])
def test_numbers_may_reach_their_ends(name, value):
    """Threshold and gamma may be 0; a margin may be as small as one likes."""
    assert checked_settings(objective("learner_weighted").card, {name: value})[name] == value


@pytest.mark.parametrize(
    ("chosen", "given", "message"),
    [
        ("learner_pair", {"margn": 1.0}, r"no setting 'margn' \(did you mean 'margin'\?\): it has"),
        ("mse", {"margin": 1.0}, "mse has no setting 'margin': it has none"),
        ("rnc", {"pairs": "al"}, "pairs of rnc is one of inter, inter.visit, all, not 'al'"),
        ("rnc", {"pairs": 3.0}, "pairs of rnc is one of inter, inter.visit, all, not 3.0"),
        ("rnc", {"temperature": "2"}, "temperature of rnc is a number above 0, not '2'"),
        ("rnc", {"temperature": True}, "temperature of rnc is a number above 0, not True"),
        ("rnc", {"temperature": 0}, "temperature of rnc is a number above 0, not 0"),
        ("rnc", {"temperature": float("nan")}, "is a number above 0, not nan"),
        ("huber", {"delta": float("inf")}, "delta of huber is a number above 0, not inf"),
        ("learner_pair", {"threshold": -0.1}, "is a number from 0 up, not -0.1"),
    ],
)
def test_refuses_settings_that_do_not_fit(chosen, given, message):
    """Unknown, misspelt, of the wrong type, out of range: each with what would fit."""
    with pytest.raises(SettingsError, match=message):
        checked_settings(objective(chosen).card, given)
