"""`learner-index verify` and `compact`: look after a store."""

import typer

from learner_index.commands import options as shared
from learner_index.commands.nextstep import say_next
from learner_index.commands.show import plural, print_json, say


def verify(store: shared.StorePath, json: shared.Json = False) -> None:
    """Check every promise a store makes, checksums included; exit 1 if one is broken.

    Example: learner-index verify stores/cohort.zarr
    """
    from learner_index.pipeline.info import verify_report

    found = verify_report(store)
    if json:
        print_json(found.to_dict())
    else:
        for problem in found.problems:
            typer.echo(f"damaged {problem}")
        typer.echo(
            f"{store.name}: {plural(found.n_scans, 'scan')}, "
            f"{plural(len(found.problems), 'problem')}"
        )
        if found.problems:
            say("restore the store from a copy, or delete it and build it again")
    if found.problems:
        raise typer.Exit(1)
    if not json:
        say_next("info", store)


def compact(store: shared.StorePath) -> None:
    """Rewrite a store in this version's layout, without leftovers; its rows stay as they are.

    Example: learner-index compact stores/cohort.zarr
    """
    from learner_index.pipeline.info import compact_store

    before, after = compact_store(store)
    typer.echo(f"{store.name}: {before / 1e6:.1f} MB before, {after / 1e6:.1f} MB now")
    say_next("verify", store)
