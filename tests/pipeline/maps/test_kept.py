"""A map on disk: the same map again, or one line that says what is wrong."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from learner_index.analysis.maps.linear import LinearMap
from learner_index.analysis.maps.neighborly import NeighborMap
from learner_index.errors import MapFormatError, SpaceMismatchError
from learner_index.pipeline.maps import kept as kept_module
from learner_index.pipeline.maps.kept import (
    ARRAYS,
    CARD,
    KeptMap,
    has_map,
    is_same_map,
    read_map,
    scan_marks,
    write_map,
)

POINTS = np.random.default_rng(0).normal(size=(40, 5))
OBS = pd.DataFrame({"scan_id": ["a", "b"], "content_hash": ["1", "2"]})


def kept(method):
    """A map as it is kept, fitted by hand."""
    fitted = LinearMap.fit(POINTS, np.arange(40))
    if method == "umap":
        units = (POINTS / np.linalg.norm(POINTS, axis=1, keepdims=True)).astype(np.float32)
        fitted = NeighborMap(units, POINTS[:, :2].astype(np.float32), 1.5, 15)
    card = {
        "method": method, "seed": 0, "most_fitted": 5000, "space": "toy", "modality": "",
        "views": ["L1", "L2"], "fitted": {"n_scans": 2, "n_patients": 2}, "quality": {},
    }  # fmt: skip
    marks = np.sort(scan_marks(OBS.iloc[:1], "toy"))
    return KeptMap(fitted, np.ones((2, 5)), np.zeros(5), marks, card)


@pytest.mark.parametrize("method", ["pca", "umap"])
def test_read_again_it_places_to_the_same_bit(tmp_path, method):
    """Places, arrows and who was fitted are those of the map that was written."""
    own = kept(method)

    write_map(tmp_path, own)
    again = read_map(tmp_path)

    assert np.array_equal(again.map.place(POINTS + 0.1), own.map.place(POINTS + 0.1))
    assert np.array_equal(again.map.arrows(POINTS, POINTS)[0], own.map.arrows(POINTS, POINTS)[0])
    assert again.is_fitted(OBS).tolist() == [True, False]
    assert np.array_equal(again.view_means, own.view_means)


class StoppedError(Exception):
    """The process ended here."""


@pytest.mark.parametrize("step", ["write_arrays", "replace_file"])
def test_a_write_that_is_interrupted_leaves_the_old_map(tmp_path, monkeypatch, step):
    """Until the new card is there the old map stays; written again, nothing is left over."""
    old, new = kept("pca"), replace(kept("pca"), center=np.ones(5))
    write_map(tmp_path, old)
    real = getattr(kept_module, step)

    def stop(target, content):
        if step == "write_arrays":
            real(target, content)
        raise StoppedError

    monkeypatch.setattr(kept_module, step, stop)
    with pytest.raises(StoppedError):
        write_map(tmp_path, new)

    assert np.array_equal(read_map(tmp_path).center, old.center)
    monkeypatch.setattr(kept_module, step, real)
    write_map(tmp_path, new)
    assert np.array_equal(read_map(tmp_path).center, new.center)
    assert sorted(file.name for file in tmp_path.iterdir()) == [CARD, ARRAYS]


def test_a_write_that_ends_after_the_card_is_the_new_map(tmp_path):
    """Arrays that did not take the old ones' place yet are read where they lie."""
    write_map(tmp_path, kept("umap"))
    older = (tmp_path / ARRAYS).read_bytes()
    new = replace(kept("umap"), center=np.ones(5))
    write_map(tmp_path, new)
    mark = json.loads((tmp_path / CARD).read_text())["arrays"]
    (tmp_path / ARRAYS).rename(tmp_path / f"map.{mark}.safetensors")
    (tmp_path / ARRAYS).write_bytes(older)

    assert np.array_equal(read_map(tmp_path).center, new.center)


def test_one_map_is_told_from_another(tmp_path):
    """By its arrays; a card that cannot be read is no map's."""
    one, copy, other = (tmp_path / name for name in ("one", "copy", "other"))
    write_map(one, kept("pca"))
    write_map(copy, read_map(one))
    write_map(other, kept("umap"))

    assert is_same_map(one, copy)
    assert not is_same_map(one, other)
    broken_card(copy)
    assert not is_same_map(one, copy)


def test_no_pickle_and_no_name_is_in_it(tmp_path):
    """The arrays are plain numbers, and no scan is named."""
    write_map(tmp_path, kept("pca"))

    content = (tmp_path / ARRAYS).read_bytes() + (tmp_path / CARD).read_bytes()

    assert sorted(file.name for file in tmp_path.iterdir()) == [CARD, ARRAYS]
    assert b"scan_id" not in content
    assert content[8:9] == b"{"  # safetensors' own header


def test_a_new_picture_of_an_old_scan_is_a_new_scan():
    """The mark stands for id, bytes and space together."""
    changed = OBS.assign(content_hash=["9", "2"])

    assert scan_marks(OBS, "toy")[1] == scan_marks(changed, "toy")[1]
    assert scan_marks(OBS, "toy")[0] != scan_marks(changed, "toy")[0]
    assert scan_marks(OBS, "toy")[1] != scan_marks(OBS, "other")[1]


def test_refuses_another_space_or_modality():
    """A map of one encoder says nothing of another's embeddings."""
    own = kept("pca")
    own.require_space("toy", "")

    with pytest.raises(SpaceMismatchError, match="map is of space toy, and the store of space new"):
        own.require_space("new", "")
    with pytest.raises(SpaceMismatchError, match="'ct' is asked for"):
        own.require_space("toy", "ct")


def test_a_folder_without_a_map_says_so(tmp_path):
    """The next step is named."""
    assert not has_map(tmp_path)
    with pytest.raises(MapFormatError, match=r"no map in .*`learner-index map` makes one"):
        read_map(tmp_path)


def broken_card(folder):
    (folder / CARD).write_text("{")


def later_format(folder):
    (folder / CARD).write_text(json.dumps({"format": 99}))


def lost_arrays(folder):
    (folder / ARRAYS).unlink()


def cut_arrays(folder):
    (folder / ARRAYS).write_bytes((folder / ARRAYS).read_bytes()[:-40])


def other_arrays(folder):
    write_map(folder / "other", replace(kept("pca"), center=np.ones(5)))
    (folder / "other" / ARRAYS).replace(folder / ARRAYS)


def lost_key(folder):
    card = json.loads((folder / CARD).read_text())
    del card["views"]
    (folder / CARD).write_text(json.dumps(card))


def other_views(folder):
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps({**card, "views": ["L1"]}))


def other_method(folder):
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps({**card, "method": "tsne"}))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (broken_card, "cannot be read"),
        (later_format, "format 99, this version reads 1"),
        (lost_arrays, "damaged .its arrays cannot be read"),
        (cut_arrays, "damaged .its arrays cannot be read"),
        (other_arrays, "map.safetensors and map.json are of two maps"),
        (lost_key, "damaged .'views'"),
        (other_views, r"view_means of shape \(2, 5\) is not \(1, 5\)"),
        (other_method, "damaged .'tsne'"),
    ],
)
def test_damage_is_one_line_with_the_next_step(tmp_path, damage, words):
    """Whatever was altered, the folder is named and --refit is offered."""
    write_map(tmp_path, kept("pca"))
    damage(tmp_path)

    with pytest.raises(MapFormatError, match=words) as told:
        read_map(tmp_path)
    assert "--refit" in str(told.value)
