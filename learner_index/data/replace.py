"""Files that change whole: all bytes are on the disk before the name points to them."""

import os
from collections.abc import Iterable
from pathlib import Path


def replace_file(
    target: Path, parts: Iterable[bytes | memoryview], temporary: Path | None = None
) -> None:
    """Give a file new content; whoever reads it sees the old or the new one, never a part.

    Args:
        target: file to replace or make; its folder is made too.
        parts: the bytes, piece by piece.
        temporary: name to write under, on the same file system; None: a hidden one beside it.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = temporary or target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with fresh.open("wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(target)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
