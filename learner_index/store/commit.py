"""The one function that makes written rows visible: replace the root `zarr.json` in one rename."""

import json
from pathlib import Path
from typing import Any

from learner_index.errors import StoreDamagedError, StoreFormatError, StoreNotFoundError
from learner_index.store.layout import LAYOUT
from learner_index.store.paths import Step, no_step, sync_paths, write_json_atomically

ROOT = "zarr.json"


def read_root(path: Path) -> dict[str, Any]:
    """The committed root metadata of a store.

    Raises:
        StoreNotFoundError: nothing is there.
        StoreFormatError: something else is there, or a layout of a later version.
    """
    try:
        root = json.loads((path / ROOT).read_text(encoding="utf-8"))
        attributes, members = root["attributes"], root["consolidated_metadata"]["metadata"]
        layout, _ = int(attributes["layout"]), int(attributes["generation"])
    except FileNotFoundError:
        if path.is_dir():
            raise StoreFormatError(
                f"{path.name} is a folder, but no store: no {ROOT} in it"
            ) from None
        raise StoreNotFoundError(
            f"no store {path.name}: make one with `learner-index build MANIFEST -o {path.name}`"
        ) from None
    except (NotADirectoryError, ValueError, KeyError, TypeError) as error:
        raise StoreFormatError(
            f"{path.name} is no store of this program: its root metadata lacks {error}"
        ) from error
    if layout > LAYOUT:
        raise StoreFormatError(
            f"{path.name} has layout {layout} and this version reads up to {LAYOUT}: "
            "update learner-index"
        )
    if "X" not in members:
        raise StoreDamagedError(f"{path.name} has no embeddings X: restore it from a copy")
    return dict(root)


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
    path: Path, attributes: dict[str, Any], paths: list[str], scratch: Path, step: Step = no_step
) -> None:
    """Make everything written under these paths visible, all at once.

    Args:
        path: the store's folder.
        attributes: attributes of the root group.
        paths: every group and array the store shall have, parents before children.
        scratch: folder on the same file system for the temporary file.
        step: called with the name of each step.
    """
    members = {name: _member(path / name) for name in paths}
    root = {
        "attributes": attributes,
        "zarr_format": 3,
        "consolidated_metadata": {"kind": "inline", "must_understand": False, "metadata": members},
        "node_type": "group",
    }
    step("commit: before the root is replaced")
    write_json_atomically(path / ROOT, root, scratch)
    step("commit: root replaced")


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


def sync_members(path: Path, paths: list[str], first_row: int) -> None:
    """Flush every file written since `first_row` was the next row, and the folders above them."""
    files: list[Path] = []
    for name in paths:
        node = path / name
        files += [node / ROOT, node]
        metadata = json.loads((node / ROOT).read_text(encoding="utf-8"))
        if is_array(metadata):
            per_row = name == "X" or name.startswith("obs/")
            for chunk in chunk_files(metadata, first_row if per_row else 0):
                files += [node / chunk, (node / chunk).parent]
            files.append(node / "c")
    sync_paths([*files, path])
