"""A store as researchers use it: one object whose methods carry the commands' names.

What reads files, embeds or writes is imported where it is used: most questions need none of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from learner_index.config import (
    EncoderOptions,
    MapOptions,
    ProgressionOptions,
    SimilarOptions,
    TrajectoryOptions,
)
from learner_index.data.records import Hits
from learner_index.data.reference import Reference
from learner_index.data.show import Card, Shown
from learner_index.data.suggest import close_names
from learner_index.errors import QueryError
from learner_index.pipeline.asked import SimilarAsk
from learner_index.pipeline.roles import with_seen_note
from learner_index.search.similar import similar
from learner_index.search.table import SearchTable
from learner_index.store.paths import check_store_path
from learner_index.store.reader import StoreReader

if TYPE_CHECKING:
    from learner_index.data.axis import AxisReport
    from learner_index.data.maps import CohortMap
    from learner_index.data.progression import Progressions, Trajectory
    from learner_index.pipeline.progression.source import ChangeSource

Options = TypeVar("Options", SimilarOptions, ProgressionOptions, TrajectoryOptions, MapOptions)


def open_store(path: str | Path) -> "Cohort":
    """A store, ready for questions.

    Args:
        path: the store's folder, ending in .zarr.

    Raises:
        StoreNotFoundError: nothing is there.
        StoreFormatError: it is no store, or of a later version's layout.

    Example:
        >>> import learner_index as li
        >>> cohort = li.open_store("stores/cohort.zarr")  # doctest: +SKIP
        >>> cohort.similar(patient="P017", k=5).to_frame()  # doctest: +SKIP
    """
    return Cohort(Path(path))


class Cohort(Shown):
    """The scans of one store as they were committed when it was opened.

    Attributes:
        path: the store's folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = check_store_path(path)
        self._reader = StoreReader(path)
        self._settings = self._reader.settings()
        self._table: SearchTable | None = None
        self._changes: ChangeSource | None = None

    def __repr__(self) -> str:
        """One line: what it is and how large."""
        return (
            f"Cohort({self.path.name}: {'SIMULATED, ' * self._is_simulated}{len(self)} scans of "
            f"{self.table.obs['patient_id'].nunique()} patients, {self._reader.width} values each)"
        )

    def _card(self) -> Card:
        """The store in a small table."""
        from learner_index.pipeline.cohort_card import cohort_card

        return cohort_card(self.path.name, self.table.obs, self._settings)

    def __len__(self) -> int:
        """Number of scans."""
        return self._reader.n_rows

    @property
    def obs(self) -> pd.DataFrame:
        """One row a scan: ids, day, view, health score (higher is healthier) and all else kept.

        A copy: changing it changes no answer.
        """
        return self.table.obs.copy()

    @property
    def embeddings(self) -> NDArray[np.float32]:
        """(n, e) embeddings, row-aligned with `obs`; read-only, copy them to change them."""
        return self.table.embeddings

    @property
    def settings(self) -> dict[str, Any]:
        """What the store remembers: encoder card, score rule, clock, versions."""
        return self._settings

    @property
    def _is_simulated(self) -> bool:
        return bool(self._settings.get("is_simulated", False))

    @property
    def reference(self) -> Reference | None:
        """Statistics fitted once on named patients; None before the first build ended."""
        return self._reader.reference()

    @property
    def table(self) -> SearchTable:
        """The rows in the form searches share."""
        if self._table is None:
            embeddings = self._reader.embeddings()
            embeddings.setflags(write=False)
            self._table = SearchTable(
                embeddings,
                self._reader.obs(),
                clock=self._settings["clock"],
                reference=self._reader.reference(with_changes=False),
            )
        return self._table

    @property
    def changes(self) -> "ChangeSource":
        """Visits and transitions, worked out when first asked for."""
        from learner_index.pipeline.progression.source import ChangeSource

        if self._changes is None:
            self._changes = ChangeSource(
                self.path, self._reader.generation, self.table, self._reader.reference
            )
        return self._changes

    def similar(
        self,
        *,
        patient: str | None = None,
        scan: str | None = None,
        file: str | Path | None = None,
        vector: ArrayLike | None = None,
        day: float | None = None,
        visit: str | None = None,
        view: str | None = None,
        modality: str | None = None,
        options: SimilarOptions | None = None,
        encoder: EncoderOptions | None = None,
        **changes: Any,
    ) -> Hits:
        """Patients (visits, scans) that look like a patient, a visit, a scan, a file or a vector.

        Args:
            patient: a patient: all their scans; with `day` or `visit`, one visit. Beside `file`
                or `vector`: whom these belong to, so that they are not found themselves.
            scan: one stored scan.
            file: a scan outside the store, embedded with the store's own encoder.
            vector: (e,) or (q, e) embeddings of the store's space.
            day: day of the visit meant.
            visit: id of the visit meant.
            view: view of the file or vector.
            modality: modality of the file or vector.
            options: what is asked for; see `SimilarOptions`.
            encoder: names the weights again when the store's cache has lost them.
            **changes: single fields of `SimilarOptions`, such as k=5 or where=["site == A"].

        Returns:
            The hits, best first, with everything needed to judge them. A note says SEEN BY
            ENCODER when the query's patient, or a hit's, is one the encoder was trained or tuned
            on: such patients look alike, or not, because it was told so.

        Raises:
            QueryError: nothing or too much is asked, or it cannot be answered.
        """
        chosen = changed(options or SimilarOptions(), changes)
        ask = SimilarAsk(
            patient, scan, None if file is None else Path(file), vector, day, visit, view, modality
        )
        query = ask.query(self.table, self.path, self._settings["encoder"], encoder)
        hits = similar(self.table, query, chosen)
        told = with_seen_note(self.table, hits, query.patient_ids)
        return replace(told, is_simulated=self._is_simulated)

    def progression(
        self,
        *,
        patient: str | None = None,
        from_day: float | None = None,
        to_day: float | None = None,
        direction: str | None = None,
        from_where: str | Sequence[str] = (),
        to_where: str | Sequence[str] = (),
        vector: ArrayLike | None = None,
        options: ProgressionOptions | None = None,
        **changes: Any,
    ) -> "Progressions":
        """Patients who changed like this one, from a similar state, in a similar time.

        Args:
            patient: whose change: between the latest two visits ("baseline" and "all": the first
                and the latest), or between `from_day` and `to_day`. Beside a direction, groups or
                a vector: who starts there, at the latest visit or on `from_day`.
            from_day: day of the earlier visit.
            to_day: day of the later visit.
            direction: "improving" or "worsening": along the severity axis.
            from_where: conditions on scans; the direction runs from their mean
            to_where: to the mean of the scans that fulfil these.
            vector: (e,) a difference of two embeddings of the store's space.
            options: how; see `ProgressionOptions`.
            **changes: single fields of `ProgressionOptions`, such as k=5 or direction_only=True.

        Returns:
            The hits, best first, with the parts of their similarity, their outcomes, and whether
            they have more in common than chance.

        Raises:
            QueryError: nothing or too much is asked, or it cannot be answered.
        """
        from learner_index.pipeline.progression.progression import progression
        from learner_index.pipeline.progression.question import Ask

        ask = Ask(patient, from_day, to_day, direction, texts(from_where), texts(to_where), vector)
        chosen = changed(options or ProgressionOptions(), changes)
        return replace(progression(self.changes, ask, chosen), is_simulated=self._is_simulated)

    def trajectory(
        self, patient: str, *, options: TrajectoryOptions | None = None, **changes: Any
    ) -> "Trajectory":
        """One patient's visits in order, what changed between them, and who took the same path.

        Args:
            patient: whose.
            options: how; see `TrajectoryOptions`.
            **changes: single fields of `TrajectoryOptions`, such as k=0 for no other patients.

        Raises:
            QueryError: no such patient, or an option that cannot be met.
        """
        from learner_index.pipeline.progression.trajectory import trajectory

        chosen = changed(options or TrajectoryOptions(), changes)
        return replace(trajectory(self.changes, patient, chosen), is_simulated=self._is_simulated)

    def severity_axis(self, modality: str | None = None) -> "AxisReport":
        """The axis along which health falls, with every scan's place on it.

        Args:
            modality: the one meant, where the store has several.

        Raises:
            QueryError: no such modality.
            NotEnoughDataError: too few patients have a health score.
        """
        from learner_index.pipeline.progression.axis import severity_axis

        return replace(severity_axis(self.changes, modality), is_simulated=self._is_simulated)

    def map(
        self,
        folder: str | Path | None = None,
        *,
        options: MapOptions | None = None,
        **changes: Any,
    ) -> "CohortMap":
        """The scans on a plane, and the changes of patients as arrows on it.

        Args:
            folder: where the map is kept: used again if one is there, else fitted and written, so
                that scans added later are placed on the same map. None: nothing is kept.
            options: how; see `MapOptions`.
            **changes: single fields of `MapOptions`, such as method="pca" or seed=1.

        Raises:
            QueryError: an option that cannot be met.
            SpaceMismatchError: the map in the folder is of another encoder.
            NotEnoughDataError: too few scans.
        """
        from learner_index.pipeline.maps.place import map_cohort

        chosen = changed(options or MapOptions(), changes)
        place = None if folder is None else Path(folder)
        return map_cohort(self.changes, self._settings, chosen, place)

    def refit(self, patients: Sequence[str] | None = None) -> Reference:
        """Fit the reference again, on these patients or on all; raises the store's generation.

        Raises:
            QueryError: the store has no such patient.
            NotEnoughDataError: the store has no scan.
            StoreLockedError: another process is writing.
        """
        from learner_index.pipeline.progression.reference import fit_whole_reference
        from learner_index.store.writer import open_writer

        with open_writer(self.path) as writer:
            present = writer.read()
            obs = present.obs()
            _check_patients(patients or (), set(obs["patient_id"]))
            reference = fit_whole_reference(present.embeddings(), obs, patients)
            writer.add_reference(reference)
        self._reader = StoreReader(self.path)
        self._settings, self._table, self._changes = self._reader.settings(), None, None
        return reference


def _check_patients(wanted: Sequence[str], known: set[str]) -> None:
    """Every patient named is in the store.

    Raises:
        QueryError: one is not.
    """
    for name in wanted:
        if name not in known:
            raise QueryError(
                f"no patient {name!r} among {len(known)}{close_names(name, sorted(known))}: "
                "ids are the manifest's"
            )


def texts(value: str | Sequence[str] | None) -> tuple[str, ...]:
    """Conditions given as one text, several or None, as a tuple."""
    return (value,) if isinstance(value, str) else tuple(value or ())


def changed(options: Options, changes: Mapping[str, Any]) -> Options:
    """Options with single fields changed; texts, lists and None become tuples.

    Raises:
        QueryError: there is no such option.
    """
    known = options.__dataclass_fields__
    unknown = sorted(set(changes) - set(known))
    if unknown:
        raise QueryError(f"unknown option {unknown[0]!r}: known are {', '.join(known)}")
    listed = {name: texts(changes[name]) for name in ("where", "match") if name in changes}
    return replace(options, **{**changes, **listed})
