"""Asking a head of a manifest's new scans: embedded on the fly, with nothing stored."""

from dataclasses import replace

import pytest

from learner_index.errors import ManifestError, QueryError
from learner_index.pipeline.response.predict import predict_response
from tests.pipeline.response.asking import head_at, scan_row, scanned_cohort
from tests.toy import ToySource, write_manifest


@pytest.fixture(scope="module")
def ward(tmp_path_factory):
    """A store of real scans of 24 patients by the toy encoder, and two heads fitted on it."""
    folder = tmp_path_factory.mktemp("ward")
    store = scanned_cohort(folder)
    head_at(folder / "detect", store, alpha=0.3)
    head_at(folder / "clinical", store, with_clinical=True, clinical=("age",), alpha=0.3)
    return folder


def ask(ward, head="detect", **asked):
    """A question to one of the heads."""
    return predict_response(ward / head, ward / "c.zarr", **asked)


def said(prediction):
    """A prediction without what came about."""
    return replace(prediction, outcome=None)


def new_manifest(folder, *rows):
    """A manifest of some rows."""
    return write_manifest(folder / "new.csv", list(rows))


def test_the_manifest_of_a_store_is_answered_as_the_store(ward):
    """Scans the store knows need no encoder; answers are the same, but outcomes are not told."""
    source = ToySource()

    found = ask(ward, manifest=ward / "cohort.csv", encoder=source)

    assert source.loads == 0
    whole = ask(ward)
    assert list(found) == [said(own) for own in whole]
    assert found.query["manifest"] == "cohort.csv"
    assert any(note.startswith("c.zarr has scans of p0, p1, p10, …, too") for note in found.notes)


def test_new_scans_are_embedded_and_answered(ward, tmp_path):
    """A new patient who gets worse is told from one who gets better; bad scans are skipped."""
    rows = [scan_row(tmp_path, "p90", day, 50 - 20 * day) for day in range(2)]
    rows += [scan_row(tmp_path, "p91", day, 50 + 20 * day) for day in range(2)]
    gone = {**rows[0], "scan_id": "gone", "path": "scans/gone.npy", "day": 9}
    source, seen = ToySource(), []

    found = ask(
        ward,
        manifest=new_manifest(tmp_path, *rows, gone),
        encoder=source,
        progress=lambda done, total: seen.append((done, total)),
    )

    assert [(own.patient_id, own.from_day, own.to_day) for own in found] == [
        ("p90", 0, 1),
        ("p91", 0, 1),
    ]
    assert [own.likeliest for own in found] == ["worsened", "improved"]
    assert {own.outcome for own in found} == {None}
    assert all(len(own.nearest) == 5 for own in found)
    assert not any(own.is_fitted_on for own in found)
    assert (source.loads, seen[-1]) == (1, (4, 4))
    assert [text.partition(":")[0] for text in found.skipped] == ["line 6 gone"]


def test_one_patient_of_a_manifest(ward, tmp_path):
    """The others are not told of; a name that is not in it is refused, whoever the store has."""
    rows = [scan_row(tmp_path, name, day, 50) for name in ("p90", "p91") for day in range(2)]
    manifest = new_manifest(tmp_path, *rows)

    found = ask(ward, manifest=manifest, patient="p91", encoder=ToySource())

    assert [own.patient_id for own in found] == ["p91"]
    with pytest.raises(QueryError, match=r"no patient 'p3' among 2 of new\.csv"):
        ask(ward, manifest=manifest, patient="p3", encoder=ToySource())


def test_a_manifest_without_a_clinical_column_is_refused(ward, tmp_path):
    """The column is named before anything is predicted."""
    rows = [scan_row(tmp_path, "p90", day, 50) for day in range(2)]

    with pytest.raises(QueryError, match=r"given the clinical column age, which new\.csv has not"):
        ask(ward, "clinical", manifest=new_manifest(tmp_path, *rows), encoder=ToySource())


def test_a_manifest_of_another_modality_is_refused(ward, tmp_path):
    """A head speaks of the scans it was fitted on."""
    rows = [scan_row(tmp_path, "p90", day, 50, modality="us") for day in range(2)]

    with pytest.raises(QueryError, match=r"scans of modality none, and new\.csv has us"):
        ask(ward, manifest=new_manifest(tmp_path, *rows), encoder=ToySource())


def test_an_empty_manifest_is_refused(ward, tmp_path):
    """One line says that it has no scans."""
    (tmp_path / "new.csv").write_text("scan_id,patient_id,path\n")

    with pytest.raises(ManifestError, match=r"new\.csv"):
        ask(ward, manifest=tmp_path / "new.csv", encoder=ToySource())
