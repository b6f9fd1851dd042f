"""No results: `disabled://`. States are dropped; asking for one says why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from fastq._seam import Record
from fastq.backends.base import Backend, Capability
from fastq.exceptions import NotSupported

__all__ = ["DisabledBackend", "ResultsDisabled"]


class ResultsDisabled(NotSupported, NotImplementedError):
    """No result backend is configured, so nothing is known of any task: set result_backend."""


class DisabledBackend(Backend):
    """Keeps nothing."""

    capability = Capability(stores=False)

    def save(self, records: Sequence[Record]) -> None:
        """Drop the records."""

    def load(self, task_ids: Sequence[str]) -> NoReturn:
        """Raise: there is nothing to load."""
        raise ResultsDisabled

    def forget(self, task_ids: Sequence[str]) -> NoReturn:
        """Raise: there is nothing to forget."""
        raise ResultsDisabled

    def wait(self, task_ids: Sequence[str], timeout: float | None = None) -> NoReturn:
        """Raise at once: waiting would never end."""
        raise ResultsDisabled
