"""What `run.json` says of every run of one call: settings, start weights, cohort, machine, score.

It is meant to be shared: files are named without their folders, and by their content.
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from itertools import pairwise
from typing import Any

from learner_index.config import PretrainOptions
from learner_index.data.content import content_hash
from learner_index.errors import RunFormatError
from learner_index.learn.fit import DEFAULT_SPEC
from learner_index.learn.machine import machine_of
from learner_index.learn.weights import parse_spec
from learner_index.pipeline.lesson import Job
from learner_index.pipeline.roles import RunEncoder
from learner_index.pipeline.runs import versions
from learner_index.pipeline.settings import with_manifest
from learner_index.pipeline.start import is_run_name, run_name, start_record
from learner_index.pipeline.trainingset import TrainingSet


def base_record(job: Job, known: Mapping[str, Any]) -> dict[str, Any]:
    """What all runs of a call have in common.

    Args:
        job: the call.
        known: what `run.json` says of a run that goes on; nothing of a new one.
    """
    cohort, wanted = job.cohort, job.options.encoder
    machine = machine_of(wanted.device, wanted.precision, job.processes)
    return {
        **with_manifest({}, cohort.manifest),
        "cohort": cohort.manifest.path.name,
        "data": cohort.fingerprint,
        "options": shareable(job.options, job.start),
        "start_weights": start_weights(job.options, known, job.start),
        "versions": versions(),
        "machines": machines_of(known, machine),
        "health_score": _health_score(cohort, job.options),
    }


def shareable(options: PretrainOptions, start: RunEncoder | None = None) -> dict[str, Any]:
    """Settings as plain values that name no folder: a weights file without its own, no cache's.

    Args:
        options: what was asked for.
        start: the run it names as encoder, which its space stands for.
    """
    spec = options.encoder.spec or DEFAULT_SPEC
    if start is not None:
        spec = run_name(start)
    elif not is_run_name(spec):
        spec = str(parse_spec(spec))
    return asdict(
        replace(
            options,
            encoder=replace(options.encoder, spec=spec),
            cache=replace(options.cache, folder=None),
        )
    )


def start_weights(
    options: PretrainOptions, known: Mapping[str, Any], start: RunEncoder | None = None
) -> dict[str, str] | None:
    """The run, or name and content hash of the weights file, training starts from; None: neither.

    Args:
        options: what was asked for.
        known: as in `base_record`.
        start: the run, where one was named.

    Raises:
        RunFormatError: a run that goes on cannot find its file, or it has other bytes now.
        ScanError: the file cannot be read.
    """
    before: dict[str, str] | None = known.get("start_weights")
    if start is not None:
        return start_record(start)
    if known.get("state") == "done":
        return before
    spec = parse_spec(options.encoder.spec or DEFAULT_SPEC)
    if spec.file is None:
        return before
    before = before if before and "file" in before else None  # or a run, which `known` tells
    again = f"name it again with --encoder timm:{spec.architecture}@FILE"
    if not spec.file.is_file():
        if before is None:
            return None  # whoever builds the network tells
        raise RunFormatError(
            f"the run started from the weights file {before['file']}, whose folder it does not "
            f"remember: {again}"
        )
    found = {"file": spec.file.name, "hash": content_hash(spec.file)}
    if before and before["hash"] != found["hash"]:
        raise RunFormatError(
            f"{spec.file.name} is not the weights file the run started from: {again}"
        )
    return found


def machines_of(known: Mapping[str, Any], machine: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Where a run was trained, one entry a change."""
    before = list(known.get("machines") or [])
    return before if before and before[-1] == machine else [*before, dict(machine)]


def machine_notes(record: Mapping[str, Any]) -> tuple[str, ...]:
    """What a person should know of a run that goes on with other processes or threads."""
    legs = record["machines"]
    changed = [
        f"{word} {before[name]} became {now[name]}"
        for before, now in pairwise(legs)
        for name, word in (
            ("world", "processes"),
            ("threads", "threads"),
            ("device", "device"),
            ("precision", "precision"),
        )
        if before[name] != now[name]
    ]
    if not changed:
        return ()
    note = (
        f"{', '.join(changed)} since the run began: its weights are no longer bit for bit those "
        "of an undisturbed run"
    )
    return (note,)


def _health_score(cohort: TrainingSet, options: PretrainOptions) -> dict[str, Any]:
    """The score, θ, and what is known of how far θ can be trusted."""
    labels, reliability = cohort.labels, cohort.reliability()
    is_given = options.score.change_threshold is not None
    is_known = labels.kind.change_threshold is not None and not is_given
    return {
        "kind": labels.kind.name,
        "unit": labels.kind.unit,
        "threshold": labels.threshold,
        "threshold_source": "given" if is_given else labels.kind.threshold_source,
        "known_reliability": labels.kind.reliability if is_known else None,
        "reliability": asdict(reliability) if reliability else None,
        "n_at_ceiling": int(labels.is_ceiling.sum()),
    }
