"""Reads a Parquet file into columns of text, so that it is understood exactly as a CSV would be."""

from pathlib import Path
from typing import Any

from learner_index.data.records import Problem
from learner_index.errors import ManifestError


def read_parquet(path: Path, content: bytes) -> tuple[list[tuple[str, list[str]]], list[Problem]]:
    """Column names with their texts ("" for null), and columns whose type has no text.

    Raises:
        ManifestError: the bytes are no Parquet file, or a broken one.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(pa.BufferReader(content)).read()
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ManifestError(
            f"manifest {path} is no sound Parquet file ({reason}): write it again"
        ) from error
    columns: list[tuple[str, list[str]]] = []
    problems: list[Problem] = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        if name.startswith("__index_level_"):  # pandas' own row labels
            continue
        cells = _texts(column)
        if cells is None:
            message = f"column {name!r} holds {column.type}: write it as text or numbers"
            problems.append(Problem("", "", message))
        else:
            columns.append((name.strip(), cells))
    return columns, problems


def _texts(column: Any) -> list[str] | None:
    """A column's values as text; None for types without one (lists, structures, bytes)."""
    import pyarrow as pa

    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        return None
    if pa.types.is_floating(column.type):
        return ["" if value is None else _float_text(value) for value in column.to_pylist()]
    try:
        texts = column.cast(pa.string()).to_pylist()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    return ["" if text is None else str(text) for text in texts]


def _float_text(value: float) -> str:
    """17.0 as "17": ids turn into floats when one of them is missing."""
    text = repr(float(value))
    return text.removesuffix(".0") if len(text) < 15 else text
