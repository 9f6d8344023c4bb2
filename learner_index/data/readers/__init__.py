"""Readers of scan files; `read_scan` is the one door, each other module knows one kind of file."""

from learner_index.data.readers.guards import MAX_PIXELS
from learner_index.data.readers.read import is_scan_file, known_suffixes, read_scan

__all__ = ["MAX_PIXELS", "is_scan_file", "known_suffixes", "read_scan"]
