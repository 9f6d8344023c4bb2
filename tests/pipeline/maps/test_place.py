"""A store on its map: fitted once, kept, and new scans placed on it."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import learner_index as li
from learner_index.analysis.maps.neighborly import NeighborMap
from learner_index.config import MapLook, MapOptions
from learner_index.data.split import PatientSplit
from learner_index.errors import NotEnoughDataError, QueryError, SpaceMismatchError
from learner_index.pipeline.maps.fit import fit_map
from learner_index.pipeline.maps.kept import ARRAYS, CARD, has_map
from learner_index.pipeline.maps.place import _arrow_words, _shares, named_apart
from tests.pipeline.maps.cohort_toy import make_store
from tests.toy import ToySource


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store of twelve patients, which no test changes."""
    return make_store(tmp_path_factory.mktemp("store"))


def test_every_scan_has_a_place_and_every_change_an_arrow(store):
    """24 scans of 12 patients, an arrow each; small cohorts get PCA."""
    found = li.open_store(store).map()

    assert (len(found), found.n_patients, len(found.arrows)) == (24, 12, 12)
    assert found.method == "pca"
    assert found.scans["is_fitted"].all()
    assert np.isfinite(found.scans[["x", "y"]].to_numpy()).all()
    assert "content_hash" not in found.scans


def test_a_change_is_drawn_from_visit_to_visit(store):
    """On a projection an arrow ends where the later visit lies; planted moves agree."""
    arrows = li.open_store(store).map().arrows

    ends = arrows[["x", "y"]].to_numpy() + arrows[["dx", "dy"]].to_numpy()
    assert np.allclose(ends, arrows[["end_x", "end_y"]], atol=1e-6)
    ways = arrows[["dx", "dy"]] / np.linalg.norm(arrows[["dx", "dy"]], axis=1)[:, None]
    assert np.linalg.norm(ways.mean()) > 0.95
    assert arrows["delta_score"].tolist() == [-3] * 12


def test_views_are_centered_apart(store):
    """The two views' patients have the same mean place: a view is no group of its own."""
    found = li.open_store(store).map().scans

    means = found.groupby("view")[["x", "y"]].mean().to_numpy()

    assert np.allclose(means[0], means[1], atol=1e-6)


def test_a_kept_map_is_used_again_and_stays_as_it_is(store, tmp_path):
    """The second call reads what the first wrote, and gives the same bits."""
    folder = tmp_path / "map"
    first = li.open_store(store).map(folder)
    written = (folder / ARRAYS).read_bytes()

    second = li.open_store(store).map(folder)

    assert second.is_kept
    assert not first.is_kept
    assert np.array_equal(first.scans[["x", "y"]], second.scans[["x", "y"]])
    assert first.arrows.equals(second.arrows)
    assert (folder / ARRAYS).read_bytes() == written


def test_new_scans_are_placed_and_old_ones_stay(tmp_path):
    """After more patients came, and a refit of the reference, nobody has moved."""
    folder, store = tmp_path / "map", make_store(tmp_path)
    before = li.open_store(store).map(folder)
    make_store(tmp_path, n_patients=15)
    li.open_store(store).refit()

    after = li.open_store(store).map(folder)

    assert (len(after), after.n_placed, after.n_fitted) == (30, 6, 24)
    old = after.scans.set_index("scan_id").loc[before.scans["scan_id"]]
    assert np.array_equal(old[["x", "y"]], before.scans[["x", "y"]])
    assert np.allclose(after.arrows["x"][:12], before.arrows["x"], atol=1e-6)
    assert any("6 scans were placed on the kept map" in note for note in after.notes)


def test_a_map_of_a_part_is_the_same_map(store):
    """`where` chooses who is drawn; places and arrows stay those of the whole."""
    cohort = li.open_store(store)

    whole, part = cohort.map(), cohort.map(where=["site == A", "day <= 3"])

    assert part.n_patients == 5
    assert len(part.arrows) == 5
    own = whole.scans[whole.scans["site"] == "A"]
    assert np.array_equal(part.scans[["x", "y"]], own[["x", "y"]])


def test_arrows_need_both_visits_drawn(store):
    """Of first visits alone there is no change, and a note says so."""
    found = li.open_store(store).map(where="day == 0")

    assert not len(found.arrows)
    assert any("no arrows" in note for note in found.notes)


def test_a_capped_sample_is_of_as_many_patients_as_it_can(store):
    """Of 12 scans to fit on, each patient gives one; the rest are placed."""
    found = li.open_store(store).map(most_fitted=12)

    assert (found.n_fitted, found.n_fitted_patients, found.n_placed) == (12, 12, 12)
    assert 0 < found.quality["n_kept_placed"] <= found.quality["n_nearest"]
    assert cohort_part(store).quality["n_kept_placed"] is None


def cohort_part(store):
    """A map of which a part is drawn: scans that were placed cannot be judged."""
    return li.open_store(store).map(most_fitted=12, where="site == A")


def test_the_encoder_s_own_patients_are_called_so(tmp_path):
    """A first note says SEEN BY ENCODER and of how many."""
    split = PatientSplit({"p00": "train", "p01": "val"})
    store = make_store(tmp_path, source=ToySource(split=split))

    found = li.open_store(store).map()

    assert found.notes[0].startswith("SEEN BY ENCODER: 2 of 12 patients drawn")


def test_a_map_fitted_on_seen_patients_says_so_of_unseen_ones(tmp_path):
    """Where only patients are drawn whom the encoder has not seen, the map still knows others."""
    split = PatientSplit({"p00": "train", "p01": "val"})
    store = make_store(tmp_path, source=ToySource(split=split))

    found = li.open_store(store).map(where="site == B")

    assert found.notes[0] == (
        "the map was fitted on 2 patients the encoder was trained or tuned on; none of those "
        "drawn is"
    )


def test_a_single_patient_has_no_map(tmp_path):
    """The line is about maps, and names what to do."""
    store = make_store(tmp_path, n_patients=1)

    for modality in (None, ""):
        with pytest.raises(NotEnoughDataError, match=r"a map needs two patients .* has 1: build"):
            li.open_store(store).map(modality=modality)


def test_columns_of_the_store_called_as_a_map_s_are_kept(tmp_path):
    """A column x of the manifest is drawn as manifest_x, and can color the map."""
    store = make_store(tmp_path, extra={"x": 7.0, "is_fitted": "mine"})
    look = MapLook(color="manifest_x")

    found = li.draw_map(store, tmp_path / "map", look=look)

    assert set(found.scans["manifest_x"]) == {7.0}
    assert set(found.scans["manifest_is_fitted"]) == {"mine"}
    assert found.scans["is_fitted"].all()
    twice = named_apart(pd.DataFrame({"y": [1], "manifest_y": [2]}))
    assert twice.to_dict("list") == {"manifest_y_": [1], "manifest_y": [2]}


def test_agreement_on_arrows_stands_beside_chance(store):
    """A UMAP's record and notes say how far neighbors agree on arrows, and on permuted ones."""
    cohort = li.open_store(store)
    followed = cohort.changes.followed("consecutive")
    assert cohort.map().quality["median_share"] is None
    sample = np.eye(4, dtype=np.float32)
    flat = NeighborMap(sample, np.arange(8, dtype=np.float32).reshape(4, 2), 1.0, 3)
    kept = replace(fit_map(followed, cohort.settings, MapOptions()), map=flat)
    umap = replace(kept, card={**kept.card, "method": "umap"})

    quality = _shares(followed.visits, umap, np.arange(12))

    assert 0 < quality["median_share_by_chance"] <= 1
    (note,) = _arrow_words(quality)
    assert note.startswith(f"neighbors agree on arrows by {quality['median_share']:.2f} (median")
    assert _arrow_words({}) == ()


def test_another_encoder_s_map_is_refused(store, tmp_path):
    """A map kept of one space is of no use to another."""
    li.open_store(store).map(tmp_path / "map")
    (tmp_path / "other").mkdir()
    other = make_store(tmp_path / "other", source=ToySource("other"))

    with pytest.raises(SpaceMismatchError, match="map is of space toy, and the store of space oth"):
        li.open_store(other).map(tmp_path / "map")


def test_a_kept_map_is_not_silently_another(store, tmp_path):
    """Another seed than the kept one's is refused; refit fits it."""
    cohort = li.open_store(store)
    cohort.map(tmp_path / "map")

    with pytest.raises(QueryError, match="has seed 0, not 4: say --refit"):
        cohort.map(tmp_path / "map", seed=4)
    assert cohort.map(tmp_path / "map", seed=4, refit=True).seed == 4
    assert cohort.map(tmp_path / "map").seed == 4


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method": "tsne"}, "no method 'tsne': choose auto, pca or umap"),
        ({"seed": -1}, "seed is -1"),
        ({"most_fitted": True}, "most_fitted is True: give a whole number from 3"),
        ({"where": "sit == A"}, "did you mean 'site'"),
        ({"modality": "ct"}, "no modality 'ct'"),
    ],
)
def test_refuses_options_that_mean_nothing(store, changes, words):
    """One line, before anything is fitted or written."""
    with pytest.raises(QueryError, match=words):
        li.open_store(store).map(**changes)


def test_refuses_to_draw_nobody(store, tmp_path):
    """When no scan fulfils the conditions, nothing is written."""
    with pytest.raises(NotEnoughDataError, match="none of 24 scans fulfils site == Z"):
        li.open_store(store).map(tmp_path / "map", where="site == Z")
    assert not has_map(tmp_path / "map")
    assert not (tmp_path / "map" / CARD).exists()


def test_embeddings_that_are_no_numbers_are_refused(store, monkeypatch):
    """NaN has no place; `verify` is named."""
    cohort = li.open_store(store)
    followed = cohort.changes.followed("consecutive")
    broken = replace(followed, embeddings=np.full_like(followed.embeddings, np.nan))
    monkeypatch.setattr(cohort.changes, "followed", lambda mode, modality: broken)

    with pytest.raises(QueryError, match="NaN or infinity: run verify"):
        cohort.map()


def test_a_map_of_simulated_scans_says_so_on_a_real_store(store, tmp_path):
    """What the map was fitted on is told wherever it is used."""
    folder = tmp_path / "map"
    li.open_store(store).map(folder)
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps({**card, "is_simulated": True}))

    found = li.open_store(store).map(folder)

    assert found.notes[0] == "the map was fitted on SIMULATED scans"
    assert not found.is_simulated
