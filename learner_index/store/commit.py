"""The one function that makes written rows visible: replace the root `zarr.json` in one rename."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from learner_index.errors import (
    StoreDamagedError,
    StoreError,
    StoreFormatError,
    StoreNotFoundError,
)
from learner_index.store.layout import INDEX, LAYOUT
from learner_index.store.paths import (
    Step,
    cache_folder,
    no_step,
    stores_near,
    sync_paths,
    write_json_atomically,
)

ROOT = "zarr.json"
PREVIOUS = "previous.zarr"
SWAP_WAIT_S = 2.0


def read_root(path: Path) -> dict[str, Any]:
    """The committed root metadata of a store.

    Where a swap takes two renames, readers wait out the moment between them.

    Raises:
        StoreNotFoundError: nothing is there.
        StoreFormatError: something else is there, or a layout of a later version.
        StoreDamagedError: the metadata contradicts itself.
    """
    root = _parse(path, _root_text(path))
    layout, members = root["attributes"]["layout"], members_of(root)
    if layout > LAYOUT:
        raise StoreFormatError(
            f"{path.name} has layout {layout} and this version reads up to {LAYOUT}: "
            "update learner-index"
        )
    if any(part == ".." for name in members for part in name.split("/")):
        raise StoreFormatError(f"{path.name} names files outside itself: do not use it")
    lost = [name for name in ("X", "obs", *_column_paths(members)) if name not in members]
    if lost:
        raise StoreDamagedError(
            f"{path.name} has no {', '.join(lost)}: restore it from a copy, "
            "or delete it and build it again"
        )
    return root


def _root_text(path: Path) -> str:
    """The root metadata file, waited for while the store is between two renames."""
    deadline = time.monotonic() + SWAP_WAIT_S
    is_second_look = False
    while True:
        try:
            return (path / ROOT).read_text(encoding="utf-8")
        except FileNotFoundError:
            if not is_between_renames(path):
                if is_second_look:
                    raise _absence(path) from None
                is_second_look = True  # the swap may have ended between these two lines
                continue
            if time.monotonic() > deadline:
                raise StoreNotFoundError(
                    f"the writer of {path.name} was stopped while it put a new generation in "
                    "place: run `learner-index build` again, it finishes that"
                ) from None
            time.sleep(0.005)
        except NotADirectoryError:
            raise StoreFormatError(
                f"{path.name} is a file, but no store: unpack it if it is an archive"
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise StoreFormatError(f"{path.name} cannot be read: {reason}") from error


def is_between_renames(path: Path) -> bool:
    """Whether the store's folder was moved away and the next one is not in its place yet."""
    return not path.exists() and (cache_folder(path) / PREVIOUS).exists()


def _absence(path: Path) -> StoreError:
    """What to say when there is no root metadata."""
    if path.is_dir():
        return StoreFormatError(
            f"{path.name} is a folder, but no store: no {ROOT} in it{stores_near(path)}"
        )
    return StoreNotFoundError(
        f"no store {path.name}{stores_near(path)}: make one with "
        f"`learner-index build MANIFEST -o {path}`"
    )


def _parse(path: Path, text: str) -> dict[str, Any]:
    """The root metadata, with everything in it that all of this package relies on."""
    try:
        root = dict(json.loads(text))
        attributes = root["attributes"]
        attributes["layout"], attributes["generation"] = (
            int(attributes["layout"]),
            int(attributes["generation"]),
        )
        for metadata in root["consolidated_metadata"]["metadata"].values():
            if is_array(metadata):
                chunk_files(metadata)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, ZeroDivisionError):
        raise StoreFormatError(
            f"{path.name} is no store of this program: its root metadata is of another kind"
        ) from None
    return root


def _column_paths(members: dict[str, dict[str, Any]]) -> list[str]:
    """Paths that the column order of `obs` promises."""
    attributes = members.get("obs", {}).get("attributes", {})
    return [f"obs/{name}" for name in (INDEX, *attributes.get("column-order", ()))]


def members_of(root: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Path -> metadata of every committed group and array."""
    return dict(root["consolidated_metadata"]["metadata"])


def is_array(metadata: dict[str, Any]) -> bool:
    """Whether metadata describes an array rather than a group."""
    return bool(metadata["node_type"] == "array")


def chunk_files(metadata: dict[str, Any], first_row: int = 0) -> list[str]:
    """Paths, relative to an array, of its chunks from the one that holds `first_row` on."""
    shape = metadata["shape"]
    if not shape:
        return ["c"]
    rows = metadata["chunk_grid"]["configuration"]["chunk_shape"][0]
    tail = "/0" * (len(shape) - 1)
    return [f"c/{i}{tail}" for i in range(first_row // rows, -(-shape[0] // rows))]


def commit(
    path: Path,
    attributes: dict[str, Any],
    members: Mapping[str, dict[str, Any]],
    scratch: Path,
    step: Step = no_step,
) -> None:
    """Make everything written under these members visible, all at once.

    Args:
        path: the store's folder.
        attributes: attributes of the root group.
        members: path -> metadata of every group and array the store shall have; they are
            sorted, as zarr cannot nest them otherwise.
        scratch: folder on the same file system for the temporary file.
        step: called with the name of each step.
    """
    root = {
        "attributes": attributes,
        "zarr_format": 3,
        "consolidated_metadata": {
            "kind": "inline",
            "must_understand": False,
            "metadata": dict(sorted(members.items(), key=lambda item: item[0].split("/"))),
        },
        "node_type": "group",
    }
    step("commit: before the root is replaced")
    write_json_atomically(path / ROOT, root, scratch)
    step("commit: root replaced")


def metadata_below(path: Path, below: str = "") -> dict[str, dict[str, Any]]:
    """Path -> metadata of every group and array in a folder, parents before children."""
    nodes = sorted(file.parent.relative_to(path) for file in (path / below).rglob(ROOT))
    return {node.as_posix(): _member(path / node) for node in nodes if node.parts}


def _member(path: Path) -> dict[str, Any]:
    """Metadata of one group or array; groups carry the empty mark zarr gives nested ones."""
    metadata = dict(json.loads((path / ROOT).read_text(encoding="utf-8")))
    if not is_array(metadata):
        metadata["consolidated_metadata"] = {
            "kind": "inline",
            "must_understand": False,
            "metadata": {},
        }
    return metadata


def own_metadata(path: Path, name: str) -> dict[str, Any] | None:
    """What an array or group says of itself, perhaps ahead of the commit; None when lost."""
    try:
        return dict(json.loads((path / name / ROOT).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError):
        return None


def sync_members(path: Path, members: Mapping[str, dict[str, Any]], first_row: int) -> None:
    """Flush every folder that got a file since `first_row` was the next row.

    The files themselves were flushed before they got their names.
    """
    folders: list[Path] = []
    for name, metadata in members.items():
        node = path / name
        folders.append(node)
        if is_array(metadata):
            chunks = [(node / chunk).parent for chunk in chunk_files(metadata, first_row)]
            folders += [*chunks, node / "c"]
    sync_paths([*folders, path])
