"""What a store looks like on disk: AnnData's encodings on Zarr v3, one chunk a file.

`stores/README.md` says the same in words. Nothing here touches a disk.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from learner_index.errors import StoreFormatError

LAYOUT = 1
CHUNK_BYTES = 4 << 20
COLUMN_ROWS = 16_384
INDEX = "scan_id"
PLAIN_TEXT = frozenset({INDEX, "patient_id", "content_hash", "encoder_role"})
"""Text columns that are never missing; they need no mask."""

_ANNDATA = {"encoding-type": "anndata", "encoding-version": "0.1.0"}
_ARRAY = {"encoding-type": "array", "encoding-version": "0.2.0"}
_TEXT = {"encoding-type": "string-array", "encoding-version": "0.2.0"}
_GROUPS = {
    "text": {"encoding-type": "nullable-string-array", "encoding-version": "0.1.0"},
    "flag": {"encoding-type": "nullable-boolean", "encoding-version": "0.1.0"},
}
MAPPING = {"encoding-type": "dict", "encoding-version": "0.1.0"}


@dataclass(frozen=True, slots=True)
class RowArray:
    """One array that has a value for each row."""

    path: str
    dtype: str
    attributes: Mapping[str, str]
    chunk_rows: int


def root_attributes(generation: int) -> dict[str, Any]:
    """Attributes of the root group; readers compare `generation` around each bulk read."""
    return {**_ANNDATA, "layout": LAYOUT, "generation": generation}


def frame_attributes(index: str, columns: list[str]) -> dict[str, Any]:
    """Attributes of an AnnData data frame group."""
    return {
        "encoding-type": "dataframe",
        "encoding-version": "0.2.0",
        "_index": index,
        "column-order": columns,
    }


def embedding_array(width: int) -> RowArray:
    """The (n, e) matrix X; a chunk is about 4 MB of whole rows."""
    return RowArray("X", "float32", _ARRAY, max(1, CHUNK_BYTES // (4 * width)))


def group_attributes(name: str, kind: str) -> Mapping[str, str] | None:
    """Attributes of the group that holds a column; None for a column that is one array."""
    return None if name in PLAIN_TEXT else _GROUPS.get(kind)


def column_arrays(name: str, kind: str) -> list[RowArray]:
    """The arrays of one column, in the order `encode_column` gives their values.

    Raises:
        StoreFormatError: the name cannot be a path in a Zarr group.
    """
    is_path = name.isprintable() and len(name.encode("utf-8", "replace")) <= 200
    if not is_path or not name or set("/\\") & set(name) or name.startswith((".", "__")):
        raise StoreFormatError(f"{name!r} cannot be a column of a store: rename it in the manifest")
    if name in ("zarr.json", "_index"):
        raise StoreFormatError(f"'{name}' means something else in a store: rename that column")
    path = f"obs/{name}"
    if name in PLAIN_TEXT:
        return [RowArray(path, "string", _TEXT, COLUMN_ROWS)]
    if kind == "number":
        return [RowArray(path, "float64", _ARRAY, COLUMN_ROWS)]
    mask = RowArray(f"{path}/mask", "bool", _ARRAY, COLUMN_ROWS)
    if kind == "flag":
        return [RowArray(f"{path}/values", "bool", _ARRAY, COLUMN_ROWS), mask]
    return [RowArray(f"{path}/values", "string", _TEXT, COLUMN_ROWS), mask]


def encode_column(name: str, kind: str, values: "pd.Series[Any]") -> list[NDArray[Any]]:
    """A column's values as the arrays of `column_arrays`, each (n,)."""
    if name in PLAIN_TEXT:
        return [_text(values)]
    if kind == "number":
        return [values.to_numpy(dtype=np.float64, na_value=np.nan)]
    mask = values.isna().to_numpy(dtype=bool)
    if kind == "flag":
        return [values.astype("boolean").to_numpy(dtype=bool, na_value=False), mask]
    return [_text(values), mask]


def _text(values: "pd.Series[Any]") -> NDArray[Any]:
    """Text as Python strings, "" where missing; what UTF-8 cannot hold raises ValueError."""
    text: NDArray[Any] = values.astype("string").fillna("").to_numpy(dtype=object)
    "".join(text).encode()
    return text


def decode_column(name: str, kind: str, arrays: list[NDArray[Any]]) -> "pd.Series[Any]":
    """The inverse of `encode_column`: pandas "string", float64 or "boolean"."""
    if name in PLAIN_TEXT:
        return pd.Series(pd.array(arrays[0].astype(object), dtype="string"))
    if kind == "number":
        return pd.Series(arrays[0])
    values, mask = arrays
    if kind == "flag":
        return pd.Series(pd.arrays.BooleanArray(values.astype(bool), mask.astype(bool)))
    text = values.astype(object)
    text[mask] = pd.NA
    return pd.Series(pd.array(text, dtype="string"))


def kind_of(attributes: Mapping[str, Any]) -> str:
    """The kind of a stored column, read off its encoding.

    Raises:
        StoreFormatError: an encoding this version does not write.
    """
    encoding = attributes.get("encoding-type")
    for kind, own in _GROUPS.items():
        if encoding == own["encoding-type"]:
            return kind
    if encoding == "array":
        return "number"
    if encoding == "string-array":
        return "text"
    raise StoreFormatError(f"a column is encoded as '{encoding}', which this version cannot read")
