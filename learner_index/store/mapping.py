"""Nested settings (encoder card, score rule, versions) as AnnData's `uns` dictionaries."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import zarr

from learner_index.store.layout import MAPPING

_TEXT = {"encoding-type": "string", "encoding-version": "0.2.0"}
_NUMBER = {"encoding-type": "numeric-scalar", "encoding-version": "0.2.0"}
_TEXTS = {"encoding-type": "string-array", "encoding-version": "0.2.0"}
_ARRAY = {"encoding-type": "array", "encoding-version": "0.2.0"}


def write_mapping(parent: zarr.Group, name: str, mapping: Mapping[str, Any]) -> None:
    """Write a nested mapping as a new group; entries that are None are left out.

    Args:
        parent: group to write into.
        name: the new group's name.
        mapping: text, numbers, flags, lists of one of these, arrays, or mappings of these.
    """
    group = parent.create_group(name, attributes=dict(MAPPING))
    for key, value in mapping.items():
        if value is None:
            continue
        if isinstance(value, Mapping):
            write_mapping(group, key, value)
        else:
            _write_value(group, key, value)


def _write_value(group: zarr.Group, key: str, value: Any) -> None:
    """One text, number, flag, list or array."""
    data = np.asarray(value)
    is_text = data.dtype.kind in "US" or (data.size == 0 and data.dtype == np.float64)
    marks = {(0, True): _TEXT, (0, False): _NUMBER, (1, True): _TEXTS}
    attributes = marks.get((data.ndim, is_text), _ARRAY)
    array = group.create_array(
        key,
        shape=data.shape,
        chunks=tuple(max(1, side) for side in data.shape),
        dtype="string" if is_text else data.dtype,
        attributes=dict(attributes),
        compressors=None,
        config={"write_empty_chunks": True},
    )
    array[...] = data.astype(object) if is_text else data


def read_mapping(
    root: zarr.Group, path: str, below: Sequence[str], *, is_plain: bool = True
) -> dict[str, Any]:
    """The inverse of `write_mapping`.

    Args:
        root: the store's group.
        path: the mapping's path.
        below: paths of the groups and arrays inside, all that shall be read.
        is_plain: JSON-ready lists, text, numbers and flags; else arrays, as they were written.
    """
    found: dict[str, Any] = {}
    for name in below:
        *parents, key = name.removeprefix(f"{path}/").split("/")
        place = found
        for parent in parents:
            place = place[parent]
        member = root[name]
        if isinstance(member, zarr.Group):
            place[key] = {}
        else:
            value = np.asarray(member[...])
            place[key] = value.tolist() if is_plain else value
    return found
