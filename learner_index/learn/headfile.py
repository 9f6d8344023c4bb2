"""A response head's arrays as one safetensors file; nothing in it can run."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from learner_index.data.replace import replace_file
from learner_index.errors import HeadFormatError


def write_arrays(arrays: Mapping[str, NDArray[np.generic]], path: Path) -> None:
    """Write arrays, whole or not at all.

    Raises:
        OSError: the disk refused.
    """
    from safetensors.numpy import save

    plain = {name: np.ascontiguousarray(values) for name, values in arrays.items()}
    replace_file(path, [save(plain)])


def read_arrays(path: Path) -> dict[str, NDArray[np.generic]]:
    """The arrays of a file.

    Raises:
        HeadFormatError: it is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return dict(load(path.read_bytes()))
    except (OSError, SafetensorError, ValueError, KeyError) as problem:
        raise HeadFormatError(
            f"{path.name} of the head in {str(path.parent)!r} cannot be read: restore it, or fit "
            "the head again"
        ) from problem
