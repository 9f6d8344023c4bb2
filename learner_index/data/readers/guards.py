"""What keeps a bad file from hurting: size limits, silence, and one kind of error.

Messages never quote a library's own text, which may hold a path or a header's value; the
original error stays reachable as the cause.
"""

import logging
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from learner_index.errors import LearnerIndexError, ScanError

MAX_PIXELS = 2**30
Pick = Callable[[int], NDArray[np.intp]]


@dataclass(frozen=True, slots=True)
class Request:
    """What the caller of `read_scan` asked for.

    Attributes:
        pick: from a clip's number of frames to the ascending frame indices wanted; None: all.
        tags: DICOM keywords wanted as text, already checked.
        max_pixels: largest number of pixels that may be decoded.
    """

    pick: Pick | None = None
    tags: Sequence[str] = ()
    max_pixels: int = MAX_PIXELS

    def check_size(self, f: int, h: int, w: int) -> None:
        """Refuse a scan by the dimensions in its header, before anything is decoded.

        Raises:
            ScanError: a dimension is not positive, or there are more pixels than allowed.
        """
        if min(f, h, w) < 1:
            raise ScanError(f"empty: {f} frames of {h} × {w} pixels; export the scan again")
        if f * h * w > self.max_pixels:
            raise ScanError(
                f"oversized: the header claims {f} × {h} × {w} pixels, the limit is "
                f"{self.max_pixels}; shrink the scan or raise the limit"
            )

    def indices(self, n: int, h: int, w: int) -> NDArray[np.intp]:
        """Frames to decode of a clip with n frames of h × w pixels, checked against the limit.

        Raises:
            ScanError: the clip is empty or too large, or `pick` names frames it does not have.
        """
        self.check_size(1 if self.pick else n, h, w)
        if self.pick is None:
            return np.arange(n, dtype=np.intp)
        chosen = np.asarray(self.pick(n), dtype=np.intp) if n > 0 else np.zeros(0, np.intp)
        self.check_size(len(chosen), h, w)
        if chosen[0] < 0 or chosen[-1] >= n or np.any(np.diff(chosen) < 0):
            raise ScanError(f"frames picked are not ascending within 0..{n - 1}; mend `pick`")
        return chosen


_LOGGERS = ("nibabel.global", "pydicom")  # they repeat header values, one of them on stderr


class _Silence:
    """Ignores every warning while anyone is reading; safe when several threads are."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers = 0
        self._filters = ExitStack()

    def __enter__(self) -> None:
        """First reader in: put the warnings' filters away."""
        with self._lock:
            if self._readers == 0:
                self._filters.enter_context(warnings.catch_warnings(action="ignore"))
                for name in _LOGGERS:
                    logger = logging.getLogger(name)
                    self._filters.callback(setattr, logger, "disabled", logger.disabled)
                    logger.disabled = True
            self._readers += 1

    def __exit__(self, *_: object) -> None:
        """Last reader out: put them back."""
        with self._lock:
            self._readers -= 1
            if self._readers == 0:
                self._filters.close()


_SILENCE = _Silence()


@contextmanager
def fenced(what: str) -> Iterator[None]:
    """Turn whatever a library raises into a one-line ScanError, and let no warning out.

    Args:
        what: the kind of file, as the message shall call it.

    Raises:
        ScanError: anything went wrong inside.
    """
    try:
        with _SILENCE, np.errstate(all="ignore"):
            yield
    except (LearnerIndexError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except MemoryError as error:
        raise ScanError(f"{what} needs more memory than there is; shrink the scan") from error
    except PermissionError as error:
        raise ScanError(f"{what} may not be read; ask for permission to read it") from error
    except EOFError as error:
        raise ScanError(f"{what} is truncated; copy or export it again") from error
    except BaseException as error:  # a Rust decoder's panic is no Exception
        name = type(error).__name__
        raise ScanError(f"{what} is damaged ({name}); copy or export it again") from error
