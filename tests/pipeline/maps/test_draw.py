"""The folder of a map: whole or not at all."""

import json
import shutil

import pytest

import learner_index as li
from learner_index.config import MapLook, MapOptions
from learner_index.errors import (
    ManifestError,
    MapFormatError,
    QueryError,
    RunWriteError,
    SettingsError,
)
from learner_index.pipeline.maps import thumbnails
from tests.pipeline.maps.cohort_toy import make_store
from tests.toy import ToySource


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store of six patients, with its manifest beside it."""
    return make_store(tmp_path_factory.mktemp("store"), n_patients=6)


def manifest_of(store, folder=None):
    """The store's manifest, or a copy of it with its scans."""
    if folder is None:
        return store.with_suffix(".csv")
    shutil.copytree(store.parent / "scans", folder / "scans")
    return shutil.copy(store.with_suffix(".csv"), folder / "cohort.csv")


def names(folder):
    """What lies in a folder."""
    return sorted(file.name for file in folder.iterdir())


def test_a_page_a_picture_and_the_map_are_written(store, tmp_path):
    """All files are there, pictures in each format asked for."""
    look = MapLook(formats=("png", "svg", "pdf"), patients=("p01",))

    found = li.draw_map(store, tmp_path / "map", look=look)

    assert names(tmp_path / "map") == [
        "map.html", "map.json", "map.pdf", "map.png", "map.safetensors", "map.svg"
    ]  # fmt: skip
    assert len(found) == 12
    card = json.loads((tmp_path / "map" / "map.json").read_text())
    assert (card["method"], card["seed"], card["fitted"]["n_patients"]) == ("pca", 0, 6)
    assert card["space"] == "toy"
    assert "p01" not in json.dumps(card)


def test_drawn_again_the_map_stays_and_the_picture_changes(store, tmp_path):
    """Another color makes another page on the same map."""
    folder = tmp_path / "map"
    li.draw_map(store, folder)
    kept = (folder / "map.safetensors").read_bytes(), (folder / "map.json").read_bytes()
    page = (folder / "map.html").read_text()

    found = li.draw_map(store, folder, look=MapLook(color="site"))

    assert found.is_kept
    assert (
        (folder / "map.safetensors").read_bytes(),
        (folder / "map.json").read_bytes(),
    ) == kept
    assert (folder / "map.html").read_text() != page


def test_another_folder_s_map_is_used_and_copied(store, tmp_path):
    """`kept` names the map; the new folder can stand alone."""
    li.draw_map(store, tmp_path / "one")

    found = li.draw_map(store, tmp_path / "two", kept=tmp_path / "one")

    assert found.is_kept
    assert (tmp_path / "two" / "map.safetensors").read_bytes() == (
        tmp_path / "one" / "map.safetensors"
    ).read_bytes()
    with pytest.raises(MapFormatError, match="no map in"):
        li.draw_map(store, tmp_path / "three", kept=tmp_path / "none")
    assert not (tmp_path / "three").exists()
    with pytest.raises(SettingsError, match="choose one"):
        li.draw_map(store, tmp_path / "two", MapOptions(refit=True), kept=tmp_path / "one")


@pytest.mark.parametrize(
    ("look", "error", "words"),
    [
        (MapLook(color="sit"), QueryError, "did you mean 'site'"),
        (MapLook(color="content_hash"), QueryError, "no column 'content_hash'"),
        (MapLook(patients=("p0l",)), QueryError, "no patient 'p0l'"),
        (MapLook(formats=("gif",)), SettingsError, "no format 'gif'"),
    ],
)
def test_nothing_is_written_when_something_is_wrong(store, tmp_path, look, error, words):
    """A wrong name is refused before anything is fitted."""
    with pytest.raises(error, match=words):
        li.draw_map(store, tmp_path / "map", look=look)
    assert not (tmp_path / "map").exists()


def test_a_file_in_the_way_is_refused(store, tmp_path):
    """A folder cannot be made below a file."""
    (tmp_path / "map").write_text("mine")

    with pytest.raises(SettingsError, match="is a file: name a folder"):
        li.draw_map(store, tmp_path / "map")


def test_a_disk_that_refuses_is_one_line(store, tmp_path, monkeypatch):
    """The folder is named, and what to do."""

    def refuse(folder, kept):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("learner_index.pipeline.maps.draw.write_map", refuse)

    with pytest.raises(RunWriteError, match=r"cannot be written .No space left on device.: make"):
        li.draw_map(store, tmp_path / "map")


def test_nothing_is_written_when_a_picture_cannot_be_made(store, tmp_path, monkeypatch):
    """Page, pictures and map are made before the first of them is written."""

    def fail(drawing, ending):
        raise ValueError(ending)

    monkeypatch.setattr("learner_index.pipeline.maps.draw.picture_of", fail)

    with pytest.raises(ValueError, match="svg"):
        li.draw_map(store, tmp_path / "map", look=MapLook(formats=("svg",)))
    assert not (tmp_path / "map").exists()


def test_another_map_in_the_folder_is_not_replaced(store, tmp_path):
    """`kept` never takes a map's place silently; its own copy may be drawn again."""
    li.draw_map(store, tmp_path / "one")
    li.draw_map(store, tmp_path / "two", MapOptions(most_fitted=6))
    before = (tmp_path / "two" / "map.json").read_bytes()

    with pytest.raises(SettingsError, match=r"two holds another map than .*one: name another fold"):
        li.draw_map(store, tmp_path / "two", kept=tmp_path / "one")

    assert (tmp_path / "two" / "map.json").read_bytes() == before
    li.draw_map(store, tmp_path / "three", kept=tmp_path / "one")
    assert li.draw_map(store, tmp_path / "three", kept=tmp_path / "one").is_kept


def test_burned_in_annotation_is_told():
    """A reader's warning reaches whoever passes the page on."""
    notes = thumbnails._notes(5, 5, is_burned=True)

    assert any("BURNED-IN ANNOTATION" in note for note in notes)


def test_thumbnails_come_only_when_asked_for(store, tmp_path):
    """Then the page holds one a scan, and a note says what that means."""
    plain = li.draw_map(store, tmp_path / "map")
    assert "image/png" not in data_block(tmp_path)

    found = li.draw_map(store, tmp_path / "map", look=MapLook(thumbnails=manifest_of(store)))

    assert data_block(tmp_path).count("data:image/png") == 12
    assert any("pictures of scans" in note for note in found.notes)
    assert not any("pictures" in note for note in plain.notes)


def test_too_many_thumbnails_are_refused(store, tmp_path, monkeypatch):
    """The number that fits is told, and how to choose."""
    monkeypatch.setattr(thumbnails, "MOST", 10)

    with pytest.raises(QueryError, match=r"12 scans are too many for thumbnails, 10 fit .*--where"):
        li.draw_map(store, tmp_path / "map", look=MapLook(thumbnails=manifest_of(store)))
    li.draw_map(
        store,
        tmp_path / "map",
        MapOptions(where=("day == 0",)),
        MapLook(thumbnails=manifest_of(store)),
    )


def test_broken_scans_have_no_picture(store, tmp_path):
    """A scan that cannot be read any more is counted, and the others are shown."""
    manifest = manifest_of(store, tmp_path)
    lines = manifest.read_text().splitlines()
    manifest.write_text("\n".join([lines[0], *lines[2:]]) + "\n")
    (tmp_path / "scans" / "p01d0.npy").write_bytes(b"no scan")

    found = li.draw_map(store, tmp_path / "map", look=MapLook(thumbnails=manifest))

    assert "1 scan has no picture: not in the manifest, or broken" in found.notes
    assert "1 scan has no picture: the manifest's file is not the stored scan" in found.notes


def test_other_files_of_the_same_ids_are_not_shown(store, tmp_path):
    """Two files have changed places: neither is shown, the ten others are."""
    manifest = manifest_of(store, tmp_path)
    one, other = tmp_path / "scans" / "p00d0.npy", tmp_path / "scans" / "p01d0.npy"
    swapped = one.read_bytes(), other.read_bytes()
    other.write_bytes(swapped[0])
    one.write_bytes(swapped[1])

    found = li.draw_map(store, tmp_path / "map", look=MapLook(thumbnails=manifest))

    assert data_block(tmp_path).count("data:image/png") == 10
    assert "2 scans have no picture: the manifest's file is not the stored scan" in found.notes


def test_a_store_built_with_options_has_thumbnails(store, tmp_path):
    """What the manifest needed to be built, scores and paths alike, pictures do not ask for."""
    made = store.with_suffix(".csv").read_text()
    lists = tmp_path / "lists"
    lists.mkdir()
    changed = made.replace("health_score", "sf").replace("scans/", f"{store.parent}/scans/")
    (lists / "m.csv").write_text(changed)
    options = {"score_column": "sf", "allow_outside": True}
    li.build(lists / "m.csv", lists / "c.zarr", ToySource(), manifest_changes=options)

    li.draw_map(lists / "c.zarr", tmp_path / "map", look=MapLook(thumbnails=lists / "m.csv"))

    assert data_block(tmp_path).count("data:image/png") == 12


def test_a_manifest_of_other_scans_is_refused(store, tmp_path):
    """Thumbnails of a manifest that lists none of the scans are no thumbnails."""
    other = manifest_of(store, tmp_path)
    other.write_text(other.read_text().replace("p0", "q0").replace("scans/q0", "scans/p0"))

    with pytest.raises(ManifestError, match="lists none of the 12 scans drawn"):
        li.draw_map(store, tmp_path / "map", look=MapLook(thumbnails=other))


def data_block(folder):
    """The part of the page that holds the scans."""
    page = (folder / "map" / "map.html").read_text()
    return page.split('id="data">')[1].split("</script>")[0]
