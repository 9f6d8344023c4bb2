"""Reports of a patient and of a cohort: `li.report_patient` and `li.report_cohort`."""

import json
from pathlib import Path
from typing import Any

from learner_index.data.replace import replace_file
from learner_index.errors import SettingsError
from learner_index.pipeline.cohort import Cohort
from learner_index.pipeline.reports.cohort import AskedOfCohort, gather_cohort
from learner_index.pipeline.reports.cohort_page import cohort_page
from learner_index.pipeline.reports.page import Page
from learner_index.pipeline.reports.patient import Asked, gather_patient
from learner_index.pipeline.reports.patient_page import patient_page
from learner_index.pipeline.reports.records import CohortReport, PatientReport
from learner_index.pipeline.reports.render import render

SUFFIXES = (".html", ".htm")


class Report:
    """A report, ready to be read, printed or kept.

    Attributes:
        title: of the page.
        html: the whole page; it needs no other file, no network and no script. Equal stores and
            options give equal text.
        missing: titles of the sections that could not be given, with the reason of each.
        most_alike: of a patient's report, the patient who looks most alike; None without one.
    """

    def __init__(self, record: PatientReport | CohortReport, page: Page) -> None:
        self._record = record
        self.title = page.title
        self.html = render(page)
        hits = record.similar if isinstance(record, PatientReport) else None
        self.most_alike = hits[0].patient_id if hits else None
        self.missing = {one.title: one.missing for one in page.sections if one.missing}

    def __repr__(self) -> str:
        """What it is about, and how long."""
        return f"Report({self.title!r}, {len(self.html) / 1000:,.0f} kB)"

    def to_dict(self) -> dict[str, Any]:
        """What was gathered, as JSON-ready values."""
        return self._record.to_dict()

    def to_json(self) -> str:
        """The same as a JSON text, missing values as null."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False, ensure_ascii=False)

    def save(self, path: str | Path) -> Path:
        """Write the page, whole or not at all.

        Args:
            path: ends in .html; its folder is made.

        Raises:
            SettingsError: another ending, or the file cannot be written.
        """
        path = Path(path)
        check_suffix(path)
        try:
            replace_file(path, [self.html.encode()])
        except OSError as problem:
            is_file = isinstance(problem, FileExistsError | NotADirectoryError)
            told = "a part of its folder's name is a file" if is_file else problem.strerror
            reason = told or str(problem)
            raise SettingsError(f"{path} cannot be written: {reason}") from problem
        return path


def report_patient(
    cohort: Cohort,
    patient: str,
    *,
    head: str | Path | None = None,
    thumbnails: str | Path | None = None,
    k: int = 5,
    modality: str | None = None,
) -> Report:
    """All that a store tells of one patient, as one page: path, look-alikes, outcomes, limits.

    Args:
        cohort: the store.
        patient: whose report.
        head: folder of a response head; None: no response is predicted.
        thumbnails: manifest the store was built from, to show the scans found; None: none.
        k: patients alike, of each kind.
        modality: the one meant, where the store has several.

    Raises:
        QueryError: no such patient or modality, or k below 1.
        HeadFormatError, SpaceMismatchError: the head cannot be used with this store.
        ManifestError: the manifest cannot be read, or is of other scans.

    Example:
        >>> import learner_index as li
        >>> cohort = li.open_store("demo/cohort.zarr")  # doctest: +SKIP
        >>> li.report_patient(cohort, "sim-lus-0047").save("patient.html")  # doctest: +SKIP
    """
    folder = None if head is None else Path(head)
    manifest = None if thumbnails is None else Path(thumbnails)
    found = gather_patient(cohort, Asked(str(patient), k, folder, manifest, modality))
    return Report(found, patient_page(found))


def report_cohort(
    cohort: Cohort,
    *,
    evaluation: str | Path | None = None,
    head: str | Path | None = None,
    seed: int = 0,
) -> Report:
    """What a store's data hold, what its space is worth, and what may mislead, as one page.

    Args:
        cohort: the store.
        evaluation: folder that `evaluate` wrote; None: none.
        head: folder of a response head; None: none.
        seed: of the shuffles behind the confounder audit.

    Raises:
        NotEnoughDataError: the store has no scan.
        SettingsError: there is no evaluation in the folder.
        HeadFormatError, SpaceMismatchError: the head cannot be used with this store.

    Example:
        >>> import learner_index as li
        >>> cohort = li.open_store("demo/cohort.zarr")  # doctest: +SKIP
        >>> li.report_cohort(cohort).save("cohort.html")  # doctest: +SKIP
    """
    results, fitted = (None if one is None else Path(one) for one in (evaluation, head))
    found = gather_cohort(cohort, AskedOfCohort(results, fitted, seed))
    return Report(found, cohort_page(found, cohort))


def check_output(path: str | Path, store: Path) -> None:
    """Refuse, before anything is computed, a place where no report can be written.

    Args:
        path: of the report.
        store: it is about.

    Raises:
        SettingsError: the name does not end in .html, is a folder, or lies inside the store.
    """
    path = Path(path)
    check_suffix(path)
    if path.is_dir():
        raise SettingsError(f"{path} cannot be written: it is a folder")
    if store.resolve() in path.resolve().parents:
        raise SettingsError(f"{path} lies inside the store: name another folder")


def check_suffix(path: str | Path) -> None:
    """Refuse a name under which no report can be written.

    Raises:
        SettingsError: it does not end in .html.
    """
    if Path(path).suffix.lower() not in SUFFIXES:
        raise SettingsError(f"{path}: a report is written as .html")
