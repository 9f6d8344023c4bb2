"""Contact sheets from a store's answer and its manifest: which scans, and what if one is gone."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

import learner_index as li
from learner_index.data.content import content_hash
from learner_index.data.manifest import read_manifest
from learner_index.data.records import QueryScan, Scan
from learner_index.errors import ManifestError, NotEnoughDataError
from learner_index.pipeline.build import build
from learner_index.pipeline.plot import sheet
from learner_index.pipeline.plot.sheet import Pictures, contact_sheet
from tests.analysis.plots.tidy import caption, title, untidy
from tests.toy import ToySource, make_cohort, write_manifest


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A toy cohort and its store: every third scan is a clip."""
    made = tmp_path_factory.mktemp("sheet")
    make_cohort(made, n_patients=4)
    build(made / "cohort.csv", made / "c.zarr", ToySource())
    return made


@pytest.fixture(scope="module")
def hits(folder):
    return li.open_store(folder / "c.zarr").similar(scan="p0d0", k=3)


def stored(file):
    """A stored scan with the bytes of a file."""
    return QueryScan(file.stem, "p", None, None, content_hash(file))


def captions(figure):
    """What stands above each picture."""
    return [axis.get_title() for axis in figure.axes]


def told(figure):
    """Words in place of pictures."""
    return [text.get_text() for axis in figure.axes for text in axis.texts]


def test_the_query_and_its_hits_are_shown(folder, hits):
    """Patient, day, similarity and score of each, as the store has them."""
    figure = contact_sheet(hits, folder / "cohort.csv", unit="S/F")

    assert captions(figure)[0] == "query p0\nday 0\nS/F 100"
    for hit, shown in zip(hits, captions(figure)[1:], strict=True):
        assert shown == (
            f"{hit.rank}. {hit.patient_id}\nday {hit.day:g}, sim {hit.similarity:.2f}\n"
            f"S/F {hit.health_score:g}"
        )
    assert title(figure) == "Scans most like p0d0"
    assert "n = 3 hits among 6 scans of 3 patients. sim: similarity (centered)" in caption(figure)
    assert untidy(figure) == []


def test_fewer_hits_than_found(folder, hits):
    """A sheet can show the first of the hits only."""
    figure = contact_sheet(hits, read_manifest(folder / "cohort.csv"), k=1, title="mine")

    assert len(figure.axes) == 2
    assert title(figure) == "mine"


def test_every_query_scan_begins_a_row(folder):
    """A patient's hits stand beside the scan they are like."""
    hits = li.open_store(folder / "c.zarr").similar(patient="p1", k=3)

    figure = contact_sheet(hits, folder / "cohort.csv")

    queries = [shown for shown in captions(figure) if shown.startswith("query")]
    assert len(queries) == len({hit.query_scan_id for hit in hits})


def test_a_vector_has_no_picture(folder):
    """What is not stored is a grey panel, and the hits are there."""
    cohort = li.open_store(folder / "c.zarr")

    figure = contact_sheet(cohort.similar(vector=cohort.embeddings[0], k=2), folder / "cohort.csv")

    assert captions(figure)[0] == "query"
    assert told(figure) == ["not a\nstored scan"]
    assert title(figure) == "Scans most like a vector"


def test_a_gone_or_broken_file_is_a_grey_panel(folder, hits, tmp_path):
    """Each says why; the others are shown."""
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    gone, broken = (tmp_path / "scans" / f"{hit.scan_id}.npy" for hit in hits[:2])
    gone.unlink()
    broken.write_bytes(b"nothing")
    torn = replace(hits[1], content_hash=content_hash(broken))

    figure = contact_sheet(replace(hits, hits=(hits[0], torn, hits[2])), tmp_path / "cohort.csv")

    assert told(figure) == ["file is\nmissing", "file cannot\nbe read"]
    assert len(figure.axes) == 4


def test_a_scan_that_the_manifest_lacks_is_a_grey_panel(folder, hits):
    """A later row of the store that this manifest does not list."""
    other = replace(hits, hits=(hits[0], replace(hits[1], scan_id="new", health_score=None)))

    figure = contact_sheet(other, folder / "cohort.csv")

    assert told(figure) == ["not in the\nmanifest"]
    assert captions(figure)[2].endswith("no score")


def test_clips_show_their_middle_frame(tmp_path):
    """Of five frames the third, and the caption says so."""
    frames = np.stack([np.full((8, 8), 10 * i, np.uint8) for i in range(5)])
    frames[:, 0, 0] = 255
    np.save(tmp_path / "s.npy", frames)
    write_manifest(tmp_path / "m.csv", [{"scan_id": "s", "patient_id": "p", "path": "s.npy"}])
    pictures = Pictures.of(tmp_path / "m.csv")

    panel = pictures.panel(stored(tmp_path / "s.npy"), "c")

    assert panel.pixels[4, 4] == 20
    assert pictures.seen == {"clip"}


def test_volumes_and_burned_in_words_are_told_of(tmp_path, monkeypatch, hits):
    """The middle slice with its spacing; a warning where pixels may show a name."""
    pixels = np.random.default_rng(0).random((4, 6, 8), np.float32)
    notes = ("burned-in annotation: pixels may show a name or a date",)
    scan = Scan(pixels, (5.0, 2.0, 1.0), "volume", notes)
    monkeypatch.setattr(sheet, "read_stored", lambda path, stored_hash: scan)
    write_manifest(tmp_path / "m.csv", [{"scan_id": "s", "patient_id": "p", "path": "s.npy"}])
    pictures = Pictures.of(tmp_path / "m.csv")

    panel = pictures.panel(QueryScan("s", "p", None, None), "c")

    np.testing.assert_array_equal(panel.pixels, pixels[2])
    assert panel.aspect == 2.0
    words = sheet.describe([hits], 1, pictures)
    assert "Of volumes, the middle slice. BURNED-IN ANNOTATION" in words


def test_the_querys_score_is_the_stores(tmp_path):
    """A score that falls with health is turned for the query as it is for its hits."""
    make_cohort(tmp_path, n_patients=3)
    changes = {"score_direction": "lower"}
    build(tmp_path / "cohort.csv", tmp_path / "c.zarr", ToySource(), manifest_changes=changes)
    hits = li.open_store(tmp_path / "c.zarr").similar(scan="p0d0", k=2)

    figure = contact_sheet(hits, tmp_path / "cohort.csv")

    assert captions(figure)[0] == "query p0\nday 0\nscore -100"
    assert captions(figure)[1].endswith(f"score {hits[0].health_score:g}")


def test_a_score_column_of_another_name_is_told(tmp_path):
    """The manifest's options are the store's: pictures need none of them."""
    rows = make_cohort(tmp_path, n_patients=3)
    for row in rows:
        row |= {"sf": row.pop("health_score"), "path": str(tmp_path / row["path"])}
    (tmp_path / "lists").mkdir()
    manifest = write_manifest(tmp_path / "lists" / "m.csv", rows)
    changes = {"score_column": "sf", "allow_outside": True}
    build(manifest, tmp_path / "c.zarr", ToySource(), manifest_changes=changes)
    hits = li.open_store(tmp_path / "c.zarr").similar(scan="p0d0", k=2)

    figure = contact_sheet(hits, manifest)

    assert captions(figure)[0] == "query p0\nday 0\nscore 100"
    assert told(figure) == []


def test_other_files_of_the_same_ids_are_not_shown(folder, hits, tmp_path):
    """Another cohort whose scans have equal ids: no picture is of the wrong person."""
    make_cohort(tmp_path, n_patients=4)
    for row, file in enumerate(sorted((tmp_path / "scans").iterdir())):
        np.save(file, np.full((8, 8), row, np.uint8))

    figure = contact_sheet(hits, tmp_path / "cohort.csv")

    assert told(figure) == ["not the\nstored scan"] * 4


def test_seen_patients_are_told_whatever_the_title(folder, hits):
    """A title of one's own keeps the words."""
    seen = replace(hits, notes=("SEEN BY ENCODER: it knows them",))

    assert title(contact_sheet(seen, folder / "cohort.csv", title="mine")) == (
        "mine (SEEN BY ENCODER)"
    )


def test_captions_hold_no_path(folder, hits):
    """Pseudonyms and days only: no folder and no file name."""
    figure = contact_sheet(hits, folder / "cohort.csv")

    assert not any(folder.name in words or ".npy" in words for words in captions(figure))
    assert folder.name not in caption(figure)


def test_refuses_another_manifest_and_no_hits(folder, hits, tmp_path):
    """A manifest of other scans, one with errors, or nobody found: one clear line."""
    row = {"scan_id": "x", "patient_id": "p", "path": "x.npy"}
    write_manifest(tmp_path / "other.csv", [row])
    write_manifest(tmp_path / "twice.csv", [row, row])

    with pytest.raises(ManifestError, match=r"other\.csv lists none of the 3 scans found"):
        contact_sheet(hits, tmp_path / "other.csv")
    with pytest.raises(ManifestError, match="error"):
        contact_sheet(hits, tmp_path / "twice.csv")
    with pytest.raises(NotEnoughDataError, match="no hit to show"):
        contact_sheet(replace(hits, hits=()), folder / "cohort.csv")
