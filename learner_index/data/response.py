"""The records that answer what a response head predicts, and the tables they are written as."""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from learner_index.data.replace import replace_file
from learner_index.data.show import Card, Shown, plural
from learner_index.errors import SettingsError

if TYPE_CHECKING:
    import pandas as pd

_PART_WORDS = {
    "base": "an average example without change",
    "change_on_axis": "change along the severity axis",
    "change_off_axis": "change off the axis",
    "start_on_axis": "start along the axis",
    "start_off_axis": "start off the axis",
    "middle_on_axis": "middle along the axis",
    "middle_off_axis": "middle off the axis",
    "past": "past visits",
    "together": "together",
}
SUFFIXES = (".csv", ".json", ".parquet")
BETWEEN = " | "
"""What stands between the words of one cell of a table."""


@dataclass(frozen=True, slots=True)
class NearExample:
    """An example of another patient, of whom it is known what came about.

    Attributes:
        patient_id: whose.
        from_day: of the visit it starts from.
        to_day: of the visit whose outcome it is; None where the outcome has no visit.
        outcome: what came about.
        distance: in the head's standardized features of the embeddings; smaller is more alike.
        rank: 1 + other patients with a nearer example, whatever came about of it.
    """

    patient_id: str
    from_day: float
    to_day: float | None
    outcome: str
    distance: float
    rank: int


@dataclass(frozen=True, slots=True, repr=False)
class Prediction(Shown):
    """What a head says of one example, why, and how far to trust it.

    Attributes:
        patient_id: whose.
        task: "detect" or "predict".
        from_day: of the visit it starts from.
        to_day: of the later visit; None where none is looked at (predict).
        treatment: in force; None where none is written.
        probabilities: of each class, adding up to 1.
        likeliest: the most probable class.
        set: classes that cannot be ruled out; the outcome is among them for the share of patients
            that `Predictions.set_share` tells. None: the head has no sets.
        reasons: why it abstains; none where it answers.
        votes: of the k nearest other patients, how many had each class.
        nearest: examples of other patients that speak for the likeliest class, the nearest first.
        log_odds: log probability of the likeliest class less the mean of the others'; above 0.
        parts: what adds up to `log_odds`: "base" is that of an average example without change,
            each other part what a group of features adds to it. "_on_axis" is what lies along the
            severity axis, "_off_axis" all else. "together" is what they add only in common;
            linear heads have no such part.
        is_fitted_on: the patient helped to fit or calibrate the head.
        is_seen: the encoder was trained or tuned on the patient.
        outcome: what came about, where the store knows; no part of the answer.
        is_simulated: the head, or the store, is of simulated patients.
    """

    patient_id: str
    task: str
    from_day: float
    to_day: float | None
    treatment: str | None
    probabilities: Mapping[str, float]
    likeliest: str
    set: tuple[str, ...] | None
    reasons: tuple[str, ...]
    votes: Mapping[str, int]
    nearest: tuple[NearExample, ...]
    log_odds: float
    parts: Mapping[str, float]
    is_fitted_on: bool
    is_seen: bool
    outcome: str | None = None
    is_simulated: bool = False

    @property
    def is_abstaining(self) -> bool:
        """Whether there is a reason not to rely on it."""
        return bool(self.reasons)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, nested as the record is."""
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        for name in ("probabilities", "votes", "parts"):
            found[name] = dict(found[name])
        found["set"] = None if self.set is None else list(self.set)
        found["reasons"] = list(self.reasons)
        names = NearExample.__dataclass_fields__
        found["nearest"] = [{name: getattr(each, name) for name in names} for each in self.nearest]
        return {**found, "is_abstaining": self.is_abstaining}

    def to_row(self) -> dict[str, Any]:
        """One flat row: what `Predictions.to_frame` shows of it."""
        return {
            **{name: getattr(self, name) for name in _FIRST},
            **{f"p_{name}": share for name, share in self.probabilities.items()},
            "set": None if self.set is None else BETWEEN.join(self.set),
            "is_abstaining": self.is_abstaining,
            "reasons": BETWEEN.join(self.reasons),
            "log_odds": self.log_odds,
            **{f"part_{name}": value for name, value in self.parts.items()},
            "votes": BETWEEN.join(f"{name}: {n}" for name, n in self.votes.items()),
            "nearest": BETWEEN.join(each.patient_id for each in self.nearest),
            **{name: getattr(self, name) for name in _LAST},
        }

    def _card(self) -> Card:
        """The classes with their probabilities, and why it abstains."""
        rows = [
            (name, share, None if self.set is None else name in self.set, self.votes.get(name))
            for name, share in self.probabilities.items()
        ]
        days = "" if self.to_day is None else f" to {self.to_day:g}"
        marks = [
            word
            for word, is_so in (("FITTED ON", self.is_fitted_on), ("SEEN BY ENCODER", self.is_seen))
            if is_so
        ]
        return Card(
            f"Prediction ({self.task}) for {self.patient_id}, day {self.from_day:g}{days}",
            ("class", "probability", "in_set", "votes"),
            rows,
            f"likeliest: {self.likeliest}; votes: of the nearest other patients",
            (*marks, *(f"abstains: {reason}" for reason in self.reasons)),
            self.is_simulated,
            rest="to_dict()",
        )


_FIRST = ("patient_id", "task", "from_day", "to_day", "treatment", "likeliest")
_LAST = ("is_fitted_on", "is_seen", "outcome")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Predictions(Shown, Sequence[Prediction]):
    """What a head says of a patient, of new scans, or of a whole store.

    Attributes:
        query: what was asked, JSON-ready.
        rows: one prediction an example, by patient and day.
        task: "detect" or "predict".
        target: the outcome, as a person reads it.
        classes: in their order, worst first where they are ordinal.
        space: of the embeddings.
        head: name of the head's kind.
        set_share: share of patients whose outcome the sets hold; None without sets.
        adds_up: the parts are exact, as the head is linear; else each is what the answer loses
            when its features are set to the average, and "together" is the rest.
        is_simulated: the head, or the store, is of simulated patients.
        skipped: scans of a manifest that could not be used, with place and reason.
        limits: what the head is not for.
        notes: what a person should know, the worst first.
    """

    query: Mapping[str, Any]
    rows: tuple[Prediction, ...]
    task: str
    target: str
    classes: tuple[str, ...]
    space: str
    head: str
    set_share: float | None
    adds_up: bool
    is_simulated: bool
    skipped: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Number of predictions."""
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        """The prediction (or tuple of predictions) at a position."""
        return self.rows[index]

    def __iter__(self) -> Iterator[Prediction]:
        """Predictions, by patient and day."""
        return iter(self.rows)

    def to_dict(self) -> dict[str, Any]:
        """The whole answer as JSON-ready values."""
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        for name in ("classes", "skipped", "limits", "notes"):
            found[name] = list(found[name])
        del found["rows"]
        rows = [row.to_dict() for row in self.rows]
        return {**found, "query": dict(self.query), "predictions": rows}

    def to_json(self) -> str:
        """The whole answer as a JSON text, missing values as null."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False, ensure_ascii=False)

    def to_frame(self) -> "pd.DataFrame":
        """One flat row a prediction.

        Columns: patient_id, task, from_day, to_day, treatment, likeliest; p_CLASS, the probability
        of each class; set, reasons, votes and nearest as words between bars; is_abstaining,
        log_odds and part_NAME as in `Prediction`; is_fitted_on, is_seen; and outcome, what came
        about where it is known, which is no part of the answer.
        """
        import pandas as pd

        kinds = {"to_day": "float64", **dict.fromkeys(("treatment", "set", "outcome"), "string")}
        rows = [row.to_row() for row in self.rows]
        return pd.DataFrame(rows).astype(kinds) if rows else pd.DataFrame()

    def write(self, path: Path | str) -> None:
        """Write `to_frame` as .csv or .parquet, or the whole answer as .json, all or nothing.

        Raises:
            SettingsError: another ending, or the file cannot be written.
        """
        path = Path(path)
        check_suffix(path)
        try:
            replace_file(path, [self._bytes(path.suffix.lower())])
        except OSError as problem:
            reason = problem.strerror or str(problem)
            raise SettingsError(f"{path} cannot be written: {reason}") from problem

    def _card(self) -> Card:
        """A row a prediction: the probabilities, the set, and whether it abstains."""
        rows = [
            (
                row.patient_id,
                row.from_day,
                row.to_day,
                row.likeliest,
                row.probabilities[row.likeliest],
                None if row.set is None else BETWEEN.join(row.set),
                row.is_abstaining,
                row.outcome,
            )
            for row in self.rows
        ]
        sets = "no sets"
        if self.set_share is not None:
            sets = (
                f"sets hold the outcome of {100 * self.set_share:.4g} % of patients like those "
                "the head was calibrated on"
            )
        n_patients = len({row.patient_id for row in self.rows})
        caption = (
            f"{self.target}; {plural(n_patients, 'patient')}; head {self.head}; {sets}; the "
            "outcome, where it is known, is no part of the answer"
        )
        names = ("patient_id", "from_day", "to_day", "likeliest", "p", "set", "abstains", "outcome")
        title = f"{plural(len(self), 'prediction')} ({self.task})"
        return Card(title, names, rows, caption, self.notes, self.is_simulated)

    def _bytes(self, suffix: str) -> bytes:
        """What a file with such an ending holds."""
        if suffix == ".json":
            return f"{self.to_json()}\n".encode()
        if suffix == ".csv":
            return self.to_frame().to_csv(index=False, lineterminator="\n").encode()
        buffer = io.BytesIO()
        self.to_frame().to_parquet(buffer, index=False)
        return buffer.getvalue()


def check_suffix(path: Path | str) -> None:
    """Refuse a name under which no answer can be written.

    Raises:
        SettingsError: it ends in neither .csv, .json nor .parquet.
    """
    if Path(path).suffix.lower() not in SUFFIXES:
        raise SettingsError(f"{path}: predictions are written as .csv, .json or .parquet")


def part_words(name: str) -> str:
    """What a part of a prediction's log odds is called where a person reads it."""
    return _PART_WORDS.get(name, name.replace("_", " "))
