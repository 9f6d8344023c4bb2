"""Ask a response head: of a patient, of new scans, or of a whole store."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from learner_index.config.response import ResponseOptions
from learner_index.data.response import Predictions
from learner_index.errors import HeadFormatError, QueryError, SettingsError
from learner_index.pipeline.cohort import open_store, texts
from learner_index.pipeline.response.answers import Asking, ask_head
from learner_index.pipeline.response.asked import Rows
from learner_index.pipeline.response.headfolder import CARD, SavedHead, read_head

if TYPE_CHECKING:
    from learner_index.pipeline.source import EncoderSource

Progress = Callable[[int, int], None]


def predict_response(
    head: Path | str,
    store: Path | str,
    *,
    patient: str | None = None,
    manifest: Path | str | None = None,
    at: str | None = None,
    where: str | Sequence[str] = (),
    k: int = 5,
    encoder: "EncoderSource | None" = None,
    changes: Mapping[str, Any] | None = None,
    workers: int = 2,
    progress: Progress = lambda done, total: None,
) -> Predictions:
    """What a head says, how sure it is, and what speaks for it.

    A head that predicts is given nothing that lies after the visit it predicts from.

    Args:
        head: folder of a fitted head.
        store: of the head's space; its examples with known outcomes may speak.
        patient: the one meant; None: all of the store or manifest.
        manifest: new scans to be asked about instead of the store's, embedded on the fly.
        at: predict: the visit predicted from: "first", "every", "latest", "treatment" or "day N".
            None: the one the head was fitted with.
        where: conditions on the visit that is started from, beside those of the head. Of a whole
            store, examples that do not fulfil the head's own are left out; of a patient or new
            scans, the head abstains from them.
        k: patients that vote, and that speak, at most; 0: none.
        encoder: gives the encoder for new scans; None: the one in the store's cache.
        changes: fields of `ManifestOptions` to read the manifest with.
        workers: threads that read new scans.
        progress: told scans embedded and scans to embed.

    Raises:
        HeadFormatError: there is no such head, or it is damaged.
        StoreError, SpaceMismatchError: the store cannot be read, or is of another space.
        QueryError: no such patient, or a column that the head needs is not there.
        SettingsError, NotEnoughDataError: an option does not fit; there is nothing to ask.
        ManifestError, EncoderError: as of `embed_manifest`.
    """
    saved = read_head(Path(head))
    options = _options_of(saved, head)
    asking = Asking(
        head=str(head),
        patient=None if patient is None else str(patient),
        manifest=None if manifest is None else Path(manifest),
        at=_visit(options, at),
        where=texts(where),
        k=_whole(k),
    )
    cohort = open_store(store)
    saved.require_space(cohort.settings["encoder"]["space"], cohort.path.name)
    own = new = Rows(cohort.table.embeddings, cohort.table.obs, cohort.path.name)
    if asking.manifest is not None:
        new = _new_scans(
            cohort.path, asking.manifest, changes or {}, encoder, workers=workers, progress=progress
        )
    found = ask_head(saved, options, asking, own, new)
    return found.record(is_simulated=bool(cohort.settings.get("is_simulated")))


def _options_of(saved: SavedHead, folder: Path | str) -> ResponseOptions:
    """What the head was fitted with.

    Raises:
        HeadFormatError: its card has options that this version does not know.
    """
    card = saved.card
    try:
        given = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in card["options"].items()
        }
        return ResponseOptions(**{**given, "modality": card["modality"]})
    except (TypeError, AttributeError) as problem:
        raise HeadFormatError(
            f"{CARD} in {str(folder)!r} is damaged ({problem}): fit the head again"
        ) from problem


def _visit(options: ResponseOptions, at: str | None) -> str | None:
    """The visit predicted from; None where the head detects.

    Raises:
        SettingsError: one is named for a head that detects.
    """
    if options.task == "predict":
        return options.at if at is None else at
    if at is not None:
        raise SettingsError("--at is for heads that predict, and this one detects: leave it out")
    return None


def _whole(k: Any) -> int:
    """How many patients may speak.

    Raises:
        QueryError: it is no whole number from 0.
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 0:
        raise QueryError(f"k is {k!r}: give a whole number from 0")
    return k


def _new_scans(
    store: Path,
    manifest: Path,
    changes: Mapping[str, Any],
    encoder: "EncoderSource | None",
    *,
    workers: int,
    progress: Progress,
) -> Rows:
    """A manifest's scans, embedded as the store would."""
    from learner_index.pipeline.newscans import embed_manifest

    new = embed_manifest(
        store, manifest, changes=changes, encoder=encoder, workers=workers, progress=progress
    )
    return Rows(new.embeddings, new.obs, manifest.name, new.skipped, new.notes)
