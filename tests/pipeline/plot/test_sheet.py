"""Contact sheets from a store's answer and its manifest: which scans, and what if one is gone."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

import learner_index as li
from learner_index.data.manifest import read_manifest
from learner_index.data.records import Scan
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


def captions(figure):
    """What stands above each picture."""
    return [axis.get_title() for axis in figure.axes]


def told(figure):
    """Words in place of pictures."""
    return [text.get_text() for axis in figure.axes for text in axis.texts]


def test_the_query_and_its_hits_are_shown(folder, hits):
    """Patient, day, similarity and score of each, the query's from the manifest."""
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

    figure = contact_sheet(hits, tmp_path / "cohort.csv")

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

    panel = pictures.panel("s", "c")

    assert panel.pixels[4, 4] == 20
    assert pictures.seen == {"clip"}


def test_volumes_and_burned_in_words_are_told_of(tmp_path, monkeypatch, hits):
    """The middle slice with its spacing; a warning where pixels may show a name."""
    pixels = np.random.default_rng(0).random((4, 6, 8), np.float32)
    notes = ("burned-in annotation: pixels may show a name or a date",)
    scan = Scan(pixels, (5.0, 2.0, 1.0), "volume", notes)
    monkeypatch.setattr(sheet, "read_scan", lambda path, pick: scan)
    write_manifest(tmp_path / "m.csv", [{"scan_id": "s", "patient_id": "p", "path": "s.npy"}])
    pictures = Pictures.of(tmp_path / "m.csv")

    panel = pictures.panel("s", "c")

    np.testing.assert_array_equal(panel.pixels, pixels[2])
    assert panel.aspect == 2.0
    words = sheet.describe([hits], 1, pictures)
    assert "Of volumes, the middle slice. BURNED-IN ANNOTATION" in words


@pytest.mark.parametrize(
    ("shape", "cut"),
    [
        ((9, 8, 7), lambda v: v[4]),
        ((3, 8, 7), lambda v: v[1]),
        ((8, 3, 7), lambda v: v[::-1, 1]),
        ((8, 7, 3), lambda v: v[::-1, :, 1]),
    ],
    ids=["cube", "axial slab", "coronal slab", "sagittal slab"],
)
def test_volumes_are_cut_as_they_were_acquired(shape, cut):
    """A slab across its thin side, upright; its pixels keep their millimetres."""
    volume = np.random.default_rng(0).random(shape, np.float32)
    spacing = {"z": 5.0, "y": 2.0, "x": 1.0}

    pixels, aspect = sheet.middle_picture(Scan(volume, tuple(spacing.values()), "volume"))

    np.testing.assert_array_equal(pixels, cut(volume))
    sides = {(9, 8, 7): "yx", (3, 8, 7): "yx", (8, 3, 7): "zx", (8, 7, 3): "zy"}[shape]
    assert aspect == spacing[sides[0]] / spacing[sides[1]]


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
