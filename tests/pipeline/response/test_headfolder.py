"""A head on disk is the head that was written, or one line that says why not."""

import json
from dataclasses import replace

import numpy as np
import pytest

from learner_index.errors import HeadFormatError, SpaceMismatchError
from learner_index.learn.headfile import read_arrays, write_arrays
from learner_index.pipeline.response.headfolder import (
    ARRAYS,
    CARD,
    FORMAT,
    Axis,
    SavedHead,
    card_of,
    patient_mark,
    read_card,
    read_head,
    write_head,
)
from learner_index.pipeline.response.procedure import fit_head
from tests.pipeline.response.fitting import OPTIONS, pool_for, rows_of

NAMES = ("multinomial", "antisymmetric", "ordinal")
CLINICAL = replace(OPTIONS, with_clinical=True)
ABOUT = {
    "space": "toy",
    "task": "detect",
    "modality": "",
    "options": {},
    "data": {},
    "patients": sorted(patient_mark(name, "toy") for name in ("P1", "P2")),
    "seen_by_encoder": {"n_patients": 0, "share": 0.0},
    "limits": [],
    "notes": ["one", "two"],
    "width": 3,
    "target": {"name": "change", "classes": ["worsened", "stable", "improved"]},
}


@pytest.fixture(scope="module")
def pool():
    return pool_for(rows_of(80), CLINICAL)


def saved_of(pool, patients=80, axis=None, **asked):
    fitted = fit_head(pool, np.arange(patients), replace(CLINICAL, **asked), 0)
    return SavedHead(fitted, axis, {**card_of(fitted), **ABOUT})


@pytest.fixture(scope="module")
def saved(pool):
    return saved_of(pool, axis=Axis(np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.0, -0.5])))


@pytest.fixture
def folder(tmp_path, saved):
    write_head(tmp_path / "head", saved)
    return tmp_path / "head"


@pytest.mark.parametrize("weight", ["none", "balanced"])
@pytest.mark.parametrize("name", NAMES)
def test_a_head_read_again_answers_bit_for_bit(tmp_path, pool, name, weight):
    """Probabilities, sets and reasons, on scans it knows and on strange ones."""
    saved = saved_of(pool, head=name, class_weight=weight)
    rows = [{**row, "treatment": "C", "age": np.nan} for row in rows_of(20, seed=5)]
    strange = pool_for([{**row, "view": "R9"} for row in rows], CLINICAL)

    write_head(tmp_path, saved)

    read = read_head(tmp_path)
    for asked in (pool, strange):
        first, second = (one.fitted.answer(asked.material, asked.examples) for one in (saved, read))
        np.testing.assert_array_equal(first.probability, second.probability)
        np.testing.assert_array_equal(first.sets, second.sets)
        assert first.reasons == second.reasons
        assert first.features.tobytes() == second.features.tobytes()
    assert read.fitted.model.kind.name == name
    assert read.fitted.sets == saved.fitted.sets
    assert read.fitted.model.temperature == saved.fitted.model.temperature
    assert card_of(read.fitted) | {"parts": 0} == card_of(saved.fitted) | {"parts": 0}


def test_a_head_without_sets_and_axis_stays_without(tmp_path, pool):
    """None is None again."""
    write_head(tmp_path, saved_of(pool, patients=20))

    read = read_head(tmp_path)

    assert read.fitted.sets is None
    assert read.axis is None
    assert read.fitted.notes == ("one", "two")


def test_a_head_that_lacks_a_class_is_kept(tmp_path, pool):
    """Minus infinity is a number like others in its arrays."""
    some = replace(pool, code=np.minimum(pool.code, 1))

    saved = saved_of(some)
    write_head(tmp_path, saved)

    first, second = (
        one.fitted.model.probability(pool.material, pool.examples)
        for one in (saved, read_head(tmp_path))
    )
    np.testing.assert_array_equal(first, second)


def test_the_axis_comes_back(folder, saved):
    """And splits differences as before."""
    delta = np.random.default_rng(0).standard_normal((5, 3))

    read = read_head(folder)

    np.testing.assert_array_equal(read.axis.along(delta), saved.axis.along(delta))
    np.testing.assert_allclose(
        read.axis.along(delta)[0], (delta[0] @ [1, 2, 3]) * np.array([0.5, 0, -0.5])
    )
    assert Axis.of(None) is None


def test_two_files_and_nothing_that_runs(folder):
    """A card that JSON knows without NaN, and arrays; both written the same again."""
    names = {file.name for file in folder.iterdir()}
    card = json.loads(
        (folder / CARD).read_text("utf-8"), parse_constant=lambda name: pytest.fail(name)
    )

    assert names == {CARD, ARRAYS}
    assert card["format"] == FORMAT
    assert read_card(folder) == card
    first = [(folder / name).read_bytes() for name in (CARD, ARRAYS)]
    write_head(folder, replace(read_head(folder), card=card))
    assert [(folder / name).read_bytes() for name in (CARD, ARRAYS)] == first


def test_who_was_learned_from(folder):
    """By marks of names, which are other marks in another space."""
    read = read_head(folder)

    assert read.was_fitted_on(["P2", "P3", "P1", "p1"]) == [True, False, True, False]
    assert patient_mark("P1", "toy") != patient_mark("P1", "other")
    assert len(patient_mark("P1", "toy")) == 16


def test_another_space_is_refused(folder):
    """With both named; its own is not."""
    read = read_head(folder)

    read.require_space("toy", "the store")
    with pytest.raises(SpaceMismatchError, match="space toy, and the store x is of other: name"):
        read.require_space("other", "the store x")


def one_line(folder):
    """Why a folder has no head."""
    with pytest.raises(HeadFormatError, match="head") as caught:
        read_head(folder)
    said = str(caught.value)
    assert "\n" not in said
    assert str(folder) in said
    return said


def test_no_folder_or_no_card(tmp_path, folder):
    """Says what makes a head."""
    (folder / CARD).unlink()
    (tmp_path / "file").write_text("x")

    for place in (folder, tmp_path / "none", tmp_path / "file"):
        assert "no response head in" in one_line(place)
        assert "`learner-index response fit` makes one" in one_line(place)


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b'{"format": 1', b"nonsense"])
def test_a_card_that_is_no_json(folder, text):
    """Cut short, empty, or not text."""
    (folder / CARD).write_bytes(text)

    assert "head.json in" in one_line(folder)
    assert "cannot be read" in one_line(folder)


@pytest.mark.parametrize("text", ["{}", "[]", "3", "null", '{"format": 2}', '{"format": "1"}'])
def test_a_card_of_another_version(folder, text):
    """Names both versions."""
    (folder / CARD).write_text(text)

    assert "this version reads 1: fit it again" in one_line(folder)


def rewritten(folder, change):
    """The card after a change."""
    card = json.loads((folder / CARD).read_bytes())
    change(card)
    (folder / CARD).write_text(json.dumps(card))


NEEDED = (
    *("space", "task", "modality", "options", "data", "patients", "seen_by_encoder", "limits"),
    *("notes", "width", "target", "head", "strength", "temperature", "sets", "applicability"),
    "encoding",
)


@pytest.mark.parametrize("name", NEEDED)
def test_a_card_that_lacks_something(folder, name):
    """Whatever of it is missing, it is named."""
    rewritten(folder, lambda card: card.pop(name))

    assert f"is damaged ('{name}'): fit it again" in one_line(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda card: card.update(encoding=[1, 2]),
        lambda card: card["encoding"].update(levels=["a"]),
        lambda card: card["encoding"].update(widths=[3, 3]),
        lambda card: card["encoding"].update(views=["L1", "R1"]),
        lambda card: card["encoding"].pop("fills"),
        lambda card: card["temperature"].update(other=1),
        lambda card: card["temperature"].update(value="hot"),
        lambda card: card["temperature"].update(value=None),
        lambda card: card["sets"].pop("quantile"),
        lambda card: card["applicability"].update(ranges=[{"name": "x"}]),
        lambda card: card.update(head="unknown"),
        lambda card: card.update(width=4),
        lambda card: card.update(target="change"),
        lambda card: card["target"]["classes"].append("dead"),
    ],
)
def test_a_card_whose_parts_do_not_belong_together(folder, change):
    """One line, no traceback."""
    rewritten(folder, change)

    assert "is damaged (" in one_line(folder)


ARRAY_NAMES = (
    *("view_means", "center", "scale", "is_odd", "prior", "share", "axis.pattern", "axis.reading"),
    *("applicability.center", "applicability.matrix", "applicability.distances"),
    *("head.coefficient", "head.intercept"),
)


@pytest.mark.parametrize("name", ARRAY_NAMES)
def test_arrays_that_are_missing(folder, name):
    """Each one is needed."""
    arrays = read_arrays(folder / ARRAYS)
    assert arrays.keys() == set(ARRAY_NAMES)
    del arrays[name]
    write_arrays(arrays, folder / ARRAYS)

    assert "is damaged (" in one_line(folder)


@pytest.mark.parametrize("name", [name for name in ARRAY_NAMES if "distances" not in name])
def test_arrays_of_another_shape(folder, name):
    """One number more along the last axis; or one axis more, but where it changes no answer."""
    arrays = read_arrays(folder / ARRAYS)
    own = arrays[name]
    longer = np.concatenate([own, own[..., :1]], axis=-1)
    for wrong in (longer, longer if name == "head.intercept" else own[None]):
        write_arrays({**arrays, name: wrong}, folder / ARRAYS)

        assert "is damaged (" in one_line(folder)


@pytest.mark.parametrize("name", ["view_means", "center", "scale", "prior", "head.coefficient"])
def test_arrays_that_are_no_numbers(folder, name):
    """NaN in a head would answer everything."""
    arrays = read_arrays(folder / ARRAYS)
    write_arrays({**arrays, name: np.full_like(arrays[name], np.nan)}, folder / ARRAYS)

    assert "is damaged (" in one_line(folder)


def test_arrays_cut_short_or_missing(folder):
    """The file is named."""
    whole = (folder / ARRAYS).read_bytes()
    for kept in (0, 10, len(whole) - 1):
        (folder / ARRAYS).write_bytes(whole[:kept])
        assert "head.safetensors of the head in" in one_line(folder)
    (folder / ARRAYS).unlink()
    assert "head.safetensors of the head in" in one_line(folder)
