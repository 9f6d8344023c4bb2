"""Heads are found by their files and imported one at a time, when asked for."""

import sys

import pytest

from learner_index.config.response import ResponseOptions
from learner_index.errors import SettingsError
from learner_index.pipeline.response.kinds import head_kind, kind_names, kinds

PLANTED = """
from learner_index.data.heads import HeadKind

KIND = HeadKind("{name}", "nothing", {tasks}, False, True, (1.0,), None, None)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty package `planted_heads`, which can be imported, and its folder."""
    place = tmp_path / "planted_heads"
    place.mkdir()
    (place / "__init__.py").write_text("", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield place
    for name in [name for name in sys.modules if name.startswith("planted_heads")]:
        del sys.modules[name]


def plant(folder, file, name=None, tasks=("detect",)):
    """Write a file with a head into the package."""
    text = PLANTED.format(name=name or file, tasks=tasks)
    (folder / f"{file}.py").write_text(text, encoding="utf-8")


def test_every_head_is_listed():
    """By alphabet; what heads share is no head."""
    assert kind_names() == ("antisymmetric", "mlp", "multinomial", "ordinal")
    assert tuple(kinds()) == kind_names()


def test_the_default_does_both_tasks():
    """Who names no head can detect and predict."""
    for task in ("detect", "predict"):
        assert head_kind(ResponseOptions().head, task).name == "multinomial"


def test_a_new_file_is_a_new_head(folder):
    """A planted file is found beside ours; one without a kind is not taken for a head."""
    plant(folder, "zeta")
    (folder / "helper.py").write_text(
        "KINDS = None\nNO_KIND = KIND_OF = 1\n# KIND\n", encoding="utf-8"
    )
    packages = ("learner_index.analysis.heads", "planted_heads")

    assert kind_names(packages) == ("antisymmetric", "multinomial", "ordinal", "zeta")
    assert head_kind("zeta", "detect", packages).title == "nothing"
    assert list(kinds("predict", packages)) == ["multinomial", "ordinal"]


def test_only_the_one_wanted_is_imported(folder):
    """A head whose library is missing is listed, and stops nobody who wants another."""
    plant(folder, "alpha")
    (folder / "beta.py").write_text("import no_such_library\nKIND = 1\n", encoding="utf-8")

    assert kind_names(["planted_heads"]) == ("alpha", "beta")
    assert head_kind("alpha", "detect", ["planted_heads"]).name == "alpha"
    assert "planted_heads.beta" not in sys.modules


def test_refuses_a_file_under_another_name(folder):
    """The name a head is chosen by is its file's."""
    plant(folder, "gamma", "delta")

    with pytest.raises(SettingsError, match=r"head in gamma\.py calls itself 'delta': give"):
        head_kind("gamma", packages=["planted_heads"])


def test_refuses_two_files_of_one_name(folder):
    """A head of torch may not hide one of SciPy."""
    plant(folder, "ordinal")

    with pytest.raises(SettingsError, match=r"two heads are called 'ordinal', .*: rename one"):
        kind_names(("learner_index.analysis.heads", "planted_heads"))


def test_refuses_an_unknown_head():
    """The message names near misses and all there are."""
    wanted = r"no head 'multinomal' \(did you mean 'multinomial'\?\): choose .*, mlp, multinomial"
    with pytest.raises(SettingsError, match=wanted):
        head_kind("multinomal")


def test_refuses_a_task_it_cannot_do():
    """The message says what it is for, and which heads can."""
    wanted = (
        "antisymmetric head is for detect, not for predict: choose one of mlp, multinomial, ord"
    )
    with pytest.raises(SettingsError, match=wanted):
        head_kind("antisymmetric", "predict")
