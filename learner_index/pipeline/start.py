"""The finished run that a training starts from: which one, what it decides, whom it has seen.

`run.json` names it by its space, never by its folder, and keeps its patients: whoever trained any
run of a chain counts as seen by the last one.
"""

from collections.abc import Mapping
from typing import Any

from learner_index.config import PretrainOptions
from learner_index.data.manifest import Manifest
from learner_index.data.split import ROLES, PatientSplit, Role, check_no_shared_content
from learner_index.errors import EncoderError, RunFormatError, SettingsError, SplitError
from learner_index.learn.blocks import last_block
from learner_index.learn.encoder import load_encoder
from learner_index.learn.fit import DEFAULT_SPEC
from learner_index.learn.weights import build_backbone, parse_spec
from learner_index.pipeline.roles import NOBODY, RunEncoder, run_encoder
from learner_index.pipeline.runs import split_of
from learner_index.pipeline.source import require_run_settings
from learner_index.pipeline.trainingset import TrainingSet

_RUN = "run:"
_FEWEST = 2  # patients that validate
_DEFAULT_SIZE = 224


def starting_run(
    options: PretrainOptions, known: Mapping[str, Any], *, is_done: bool
) -> RunEncoder | None:
    """The finished run that was named as encoder; None: a network was, or all is done.

    Args:
        options: what was asked for.
        known: what `run.json` says of a run that goes on; nothing of a new one.
        is_done: nothing is left to train.

    Raises:
        EncoderError: what was named is neither a network nor a run.
        RunFormatError: it is no finished run, not the one that `known` started from, or that one
            has to be named again.
    """
    spec = options.encoder.spec
    if not is_run_name(spec):
        run, before = run_encoder(spec), (known.get("start_weights") or {}).get("run")
        if run is not None and before not in (None, run.card["space"]):
            raise RunFormatError(
                f"{spec!r} is not the run that this one started from (space {before}): "
                "name that one with --encoder RUN"
            )
        return run
    if is_done:
        return None
    if not known:
        raise EncoderError(f"{spec!r} names no folder: give that of the run, --encoder RUN")
    raise RunFormatError(
        f"the run started from {spec}, whose folder it does not remember: "
        "name it again with --encoder RUN"
    )


def is_run_name(spec: str | None) -> bool:
    """Whether an encoder is named as `run.json` names a starting run."""
    return spec is not None and spec.startswith(_RUN)


def run_name(run: RunEncoder) -> str:
    """A run by its space, which tells no folder."""
    return f"{_RUN}{run.card['space']}"


def start_record(run: RunEncoder) -> dict[str, str]:
    """What `run.json` says of a starting run: its space, network, training data and patients."""
    return {
        "run": str(run.card["space"]),
        "spec": str(run.card["spec"]),
        "trained_on": str(run.card["trained_on"]),
        "split": run.split.fingerprint,
    }


def check_encoder(options: PretrainOptions, run: RunEncoder | None) -> None:
    """Refuse an encoder that cannot be trained as was asked for, before the cohort is read.

    Raises:
        SettingsError: folds with a starting run, or all but the last block of an untrained
            network held still.
        EncoderError: the network cannot be built, or its last block cannot be told.
        SpaceMismatchError: a setting is not the starting run's, or its files do not fit.
    """
    wanted, is_last = options.encoder, options.training.blocks == "last"
    if run is None:
        spec = parse_spec(wanted.spec or DEFAULT_SPEC)
        if is_last and spec.source == "untrained":
            raise SettingsError(
                f"training.blocks is last and {spec} is untrained, so nothing would be worth "
                "holding still: name a finished run with --encoder RUN, or trained weights"
            )
        size = _DEFAULT_SIZE if wanted.size is None else wanted.size
        backbone = build_backbone(spec, size=size, seed=options.training.seed).module
    else:
        if options.split.folds is not None:
            raise SettingsError(
                "--folds and a starting run are given: patients it has seen are unseen in no "
                "fold; leave --folds out, or take a network"
            )
        require_run_settings(wanted, run)
        backbone = load_encoder(run.folder, device="cpu").network.backbone
    if is_last:
        last_block(backbone)


def check_column(manifest: Manifest, options: PretrainOptions) -> None:
    """Refuse roles of the manifest's column `split` beside those of a starting run.

    Raises:
        SplitError: there is such a column, and it would be used.
    """
    if manifest.texts("split") and options.split.use_column:
        raise SplitError(
            f"column split of {manifest.path.name} cannot give roles beside a starting run's: "
            "--set split.use_column=false draws them"
        )


def seen_before(
    run: RunEncoder | None, options: PretrainOptions, known: Mapping[str, Any]
) -> PatientSplit:
    """Roles that patients have already, by a starting run or by the finished run itself."""
    if run is not None:
        return run.split
    return split_of(known) if is_run_name(options.encoder.spec) else NOBODY


def merged(one: PatientSplit, other: PatientSplit) -> PatientSplit:
    """Every patient of either split in the stronger of both roles: train, then val, then unseen."""
    splits = (one, other)
    names = {name for split in splits for role in ROLES for name in getattr(split, role)}
    return _split({name: min((s.role_of(name) for s in splits), key=ROLES.index) for name in names})


def joined_roles(
    cohort: TrainingSet, options: PretrainOptions, before: PatientSplit
) -> tuple[tuple[PatientSplit, ...], tuple[str, ...]]:
    """The cohort's patients in the roles that training may give them, and notes on who moved.

    Args:
        cohort: whose patients are named.
        options: how roles are drawn where nobody has one yet.
        before: the roles the starting run gave.

    Returns:
        One split, or one a fold; then the notes.

    Raises:
        SplitError: too few are left to validate, or the same bytes have two roles.
        NotEnoughDataError: too few patients.
    """
    splits = cohort.splits(options)
    if before == NOBODY:
        return splits, ()
    (drawn,) = splits
    whole = merged(before, drawn)
    found = _split({name: whole.role_of(name) for name in set(cohort.patients)})
    if options.split.val_share > 0 and len(found.val) < _FEWEST:
        n_lost = len(set(drawn.val) - set(found.val))
        raise SplitError(
            f"patients left to validate: {len(found.val)}, because the starting run was trained on "
            f"{n_lost} of those drawn for it: give the --seed and shares it was split with, add "
            "patients it has not seen, or --val-share 0"
        )
    check_no_shared_content(found, cohort.patients, cohort.hashes, cohort.scan_ids)
    return (found,), _notes(drawn, found)


def _notes(drawn: PatientSplit, found: PatientSplit) -> tuple[str, ...]:
    """How many patients keep a role of the starting run instead of the one they drew."""
    trained = set(found.train) - set(drawn.train)
    tuned = set(found.val) - set(drawn.val)
    told = ((trained, "trained", "train"), (tuned, "validated", "validate"))
    return tuple(
        f"patients who {did} the run this one starts from, and so {do} here too: {len(who)}"
        for who, did, do in told
        if who
    )


def _split(roles: Mapping[str, Role]) -> PatientSplit:
    """Patients by role."""
    return PatientSplit(**{role: tuple(n for n, r in roles.items() if r == role) for role in ROLES})
