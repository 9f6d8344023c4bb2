"""Every error raised on purpose; messages name what was found, where, and the next step.

LearnerIndexError
├── ManifestError (ValueError)            the table cannot be used as it is
├── ScanError (ValueError)                one scan cannot be used; the others can
│   ├── ScanNotFoundError (FileNotFoundError)
│   └── UnsupportedScanError
├── EncoderError (ValueError)             an encoder, its weights or its settings do not fit
│   ├── SpaceMismatchError                embeddings of two spaces would be mixed
│   └── EncoderMemoryError (MemoryError)  a batch does not fit into the device's memory
├── StoreError
│   ├── StoreNotFoundError (FileNotFoundError)
│   ├── StoreExistsError (FileExistsError)
│   ├── StoreFormatError (ValueError)     not a store, or of a layout this version cannot read
│   ├── StoreDamagedError                 content lost or altered since it was committed
│   ├── StoreLockedError                  another process is writing
│   ├── StoreChangedError                 swapped for another generation while being read
│   └── StoreWriteError (OSError)         disk full, read-only folder and the like
├── QueryError (ValueError)               a search that cannot be answered as asked
├── SettingsError (ValueError)            a setting is unknown, of the wrong type or out of range
├── SplitError (ValueError)               a patient would be in two roles
├── RunError                              a pretraining run cannot be used or cannot go on
│   ├── RunFormatError (ValueError)       no run, of another version, or of other settings
│   ├── RunWriteError (OSError)           disk full, read-only folder and the like
│   └── DivergedError (ArithmeticError)   the loss is no longer a finite number
├── HeadFormatError (ValueError)          no response head, or one this version cannot read
├── MapFormatError (ValueError)           no kept map, or one this version cannot read
└── NotEnoughDataError (ValueError)       a statistic would rest on too little
"""


class LearnerIndexError(Exception):
    """Any failure with a message written for the person who runs the program."""


class ManifestError(LearnerIndexError, ValueError):
    """The manifest cannot be read, or has problems that must be mended first."""


class ScanError(LearnerIndexError, ValueError):
    """One scan is broken, empty, constant, not finite, oversized or truncated."""


class ScanNotFoundError(ScanError, FileNotFoundError):
    """A scan's file or folder does not exist."""


class UnsupportedScanError(ScanError):
    """A scan is of a kind no reader understands."""


class EncoderError(LearnerIndexError, ValueError):
    """An encoder cannot be made: unknown backbone, weights that do not fit, impossible settings."""


class SpaceMismatchError(EncoderError):
    """A query or row comes from another space than the store holds."""


class EncoderMemoryError(EncoderError, MemoryError):
    """A batch does not fit into the device's memory; no scan is to blame."""


class StoreError(LearnerIndexError):
    """A store cannot be read or written."""


class StoreNotFoundError(StoreError, FileNotFoundError):
    """There is no store at this path."""


class StoreExistsError(StoreError, FileExistsError):
    """Something is already there, and it is not to be replaced."""


class StoreFormatError(StoreError, ValueError):
    """The folder is no store, or its layout is one this version cannot read."""


class StoreDamagedError(StoreError):
    """Committed content is missing or altered."""


class StoreLockedError(StoreError):
    """Another process holds the writer's lock."""


class StoreChangedError(StoreError):
    """The store was swapped for another generation during a read; open it again."""


class StoreWriteError(StoreError, OSError):
    """The file system refused a write; what was committed before is intact."""


class QueryError(LearnerIndexError, ValueError):
    """A query names something unknown, or asks what these data cannot answer."""


class SettingsError(LearnerIndexError, ValueError):
    """A setting is unknown, of the wrong type, or out of range."""


class SplitError(LearnerIndexError, ValueError):
    """A patient would be trained on and held out at once."""


class RunError(LearnerIndexError):
    """A pretraining run cannot be used, or cannot go on."""


class RunFormatError(RunError, ValueError):
    """The folder is no run, or one of another version or with other settings."""


class RunWriteError(RunError, OSError):
    """The file system refused a write; the last checkpoint is intact."""


class DivergedError(RunError, ArithmeticError):
    """The loss or a gradient is no longer finite; the last good checkpoint is kept.

    Attributes:
        scan_ids: the scans of the batch it happened on.
    """

    scan_ids: tuple[str, ...] = ()


class HeadFormatError(LearnerIndexError, ValueError):
    """The folder is no response head, or one that is damaged or of another version."""


class MapFormatError(LearnerIndexError, ValueError):
    """The folder is no kept map, or one that is damaged or of another version."""


class NotEnoughDataError(LearnerIndexError, ValueError):
    """Too few patients, visits or scans for the statistic asked for."""
