"""What a build did, as one record that commands and notebooks print."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from learner_index.data.records import Problem
from learner_index.data.show import Card, Shown, plural
from learner_index.pipeline.sync import Difference


@dataclass(slots=True, repr=False)
class BuildResult(Shown):
    """What a build did.

    Attributes:
        store: the store's path.
        n_rows: scans in the store now.
        n_patients: patients in the store now.
        n_seen: patients among them that the encoder was trained or tuned on.
        n_embedded: scans whose embedding was computed.
        n_shared: scans that share the embedding of another scan with the same bytes.
        n_changed: stored scans whose file had changed and that were embedded again.
        n_unchanged: stored scans left as they were.
        n_pruned: rows dropped because the manifest no longer lists them.
        difference: columns brought into step; None for a new store.
        unlisted: stored scans the manifest no longer lists, kept.
        skipped: scans left out, each with its reason.
        notes: what a person should know, such as burned-in annotation.
        generation: the store's generation.
        n_reference_patients: patients of the store its reference was fitted on.
        n_reference_gone: patients the reference was fitted on who are no longer in the store.
        encode_s: seconds from the first scan read to the last embedding handed on.
        is_trained: whether the encoder has learned from anything.
        limits: what these scans cannot answer, where scans were embedded.
    """

    store: Path
    n_rows: int = 0
    n_patients: int = 0
    n_seen: int = 0
    n_embedded: int = 0
    n_shared: int = 0
    n_changed: int = 0
    n_unchanged: int = 0
    n_pruned: int = 0
    difference: Difference | None = None
    unlisted: tuple[str, ...] = ()
    skipped: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)
    generation: int = 0
    n_reference_patients: int = 0
    n_reference_gone: int = 0
    encode_s: float = 0.0
    is_trained: bool = True
    limits: tuple[str, ...] = ()

    @property
    def scans_per_s(self) -> float:
        """Scans per second of reading, encoding and writing; 0 when none was embedded."""
        return (self.n_embedded + self.n_shared) / self.encode_s if self.encode_s else 0.0

    def _card(self) -> Card:
        """How many scans of how many patients, and what was done for them."""
        done = ("embedded", "shared", "changed", "unchanged", "pruned")
        title = f"Store {self.store.name}: {plural(self.n_rows, 'scan')} of "
        caption = ", ".join(f"{name} {getattr(self, f'n_{name}'):,}" for name in done)
        return Card(
            title + plural(self.n_patients, "patient"),
            caption=f"{caption}, skipped {len(self.skipped):,}",
            notes=tuple(map(str, (*self.skipped, *self.notes))),
        )

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON-ready values."""
        return {**asdict(self), "store": str(self.store), "scans_per_s": self.scans_per_s}
