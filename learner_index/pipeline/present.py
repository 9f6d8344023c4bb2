"""The store a build works on, as it stands: each part is read once, until something is written."""

from typing import Any

import pandas as pd

from learner_index.data.reference import Reference
from learner_index.pipeline.sync import plain_list
from learner_index.store.reader import StoreReader
from learner_index.store.writer import StoreWriter


class Present:
    """What is committed now, remembered between the steps of a build.

    Args:
        writer: the store's; whoever changes the store through it calls `forget` afterwards.
    """

    def __init__(self, writer: StoreWriter) -> None:
        self._writer = writer
        self.forget()

    def forget(self) -> None:
        """Look again at the next question."""
        self._reader: StoreReader | None = None
        self._obs: pd.DataFrame | None = None
        self._ids: list[str] | None = None
        self._settings: dict[str, Any] | None = None
        self._references: list[Reference | None] = []

    @property
    def exists(self) -> bool:
        """Whether there is a store."""
        return self._writer.exists

    @property
    def reader(self) -> StoreReader:
        """The store, opened."""
        if self._reader is None:
            self._reader = self._writer.read()
        return self._reader

    @property
    def obs(self) -> pd.DataFrame:
        """All columns; not to be changed."""
        if self._obs is None:
            self._obs = self.reader.obs()
        return self._obs

    @property
    def ids(self) -> list[str]:
        """Scan ids, row by row; not to be changed."""
        if self._ids is None:
            self._ids = plain_list(self.obs["scan_id"])
        return self._ids

    @property
    def settings(self) -> dict[str, Any]:
        """All of `uns`; not to be changed."""
        if self._settings is None:
            self._settings = self.reader.settings()
        return self._settings

    @property
    def reference(self) -> Reference | None:
        """The reference; None before one was fitted."""
        if not self._references:
            self._references.append(self.reader.reference())
        return self._references[0]
