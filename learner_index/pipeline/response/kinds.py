"""Which response heads there are, and whether one can do a task; a new head is one new file."""

import importlib
import pkgutil
import re
from collections.abc import Sequence
from importlib.util import find_spec

from learner_index.config.response import Task
from learner_index.data.heads import HeadKind
from learner_index.data.suggest import close_names
from learner_index.errors import SettingsError

PACKAGES = ("learner_index.analysis.heads", "learner_index.learn.heads")
_HAS_KIND = re.compile(r"^KIND\b", re.MULTILINE)


def kind_names(packages: Sequence[str] = PACKAGES) -> tuple[str, ...]:
    """Names of all heads, in alphabetical order; none of their files is run.

    Args:
        packages: every module in their folders that sets `KIND` is a head.

    Raises:
        SettingsError: two files have one name.
    """
    return tuple(sorted(_modules(packages)))


def head_kind(name: str, task: Task | None = None, packages: Sequence[str] = PACKAGES) -> HeadKind:
    """The head of this name; no other is imported.

    Args:
        name: as in `kind_names`.
        task: what it must be able to do; None: anything.
        packages: as in `kind_names`.

    Raises:
        SettingsError: there is none, it cannot do the task, or its file has another name.
    """
    modules = _modules(packages)
    if name not in modules:
        known = sorted(modules)
        raise SettingsError(
            f"no head {name!r}{close_names(name, known)}: choose one of {', '.join(known)}"
        )
    kind = _kind_in(modules[name])
    if task is not None and task not in kind.tasks:
        able = ", ".join(kinds(task, packages)) or "none"
        raise SettingsError(
            f"the {name} head is for {' and '.join(kind.tasks)}, not for {task}: "
            f"choose one of {able}"
        )
    return kind


def kinds(task: Task | None = None, packages: Sequence[str] = PACKAGES) -> dict[str, HeadKind]:
    """All heads by name, in alphabetical order, or those that can do a task.

    Raises:
        SettingsError: a file and the head in it have different names.
    """
    found = [_kind_in(module) for _, module in sorted(_modules(packages).items())]
    return {kind.name: kind for kind in found if task is None or task in kind.tasks}


def _modules(packages: Sequence[str]) -> dict[str, str]:
    """Full module name of each head, by its file's name."""
    found: dict[str, str] = {}
    for package in packages:
        for file in pkgutil.iter_modules(importlib.import_module(package).__path__):
            module = f"{package}.{file.name}"
            if not _sets_kind(module):
                continue
            if file.name in found:
                raise SettingsError(
                    f"two heads are called {file.name!r}, {found[file.name]} and {module}: "
                    "rename one"
                )
            found[file.name] = module
    return found


def _sets_kind(module: str) -> bool:
    """Whether a module's text sets `KIND`, without running it."""
    spec = find_spec(module)
    loader = spec.loader if spec is not None else None
    read = getattr(loader, "get_source", None)
    return read is not None and bool(_HAS_KIND.search(read(module) or ""))


def _kind_in(module: str) -> HeadKind:
    """The head a module sets."""
    kind: HeadKind = importlib.import_module(module).KIND
    file = module.rpartition(".")[2]
    if kind.name != file:
        raise SettingsError(
            f"the head in {file}.py calls itself {kind.name!r}: give both the same name"
        )
    return kind
