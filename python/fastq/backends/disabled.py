"""No results: `disabled://`. States are dropped; asking for one says why there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from fastq.backends.base import Backend, Capability
from fastq.exceptions import NotSupported

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastq._seam import Record

__all__ = ["DisabledBackend", "ResultsDisabled"]


class ResultsDisabled(NotSupported, NotImplementedError):  # noqa: N818 - named like its base
    """No result backend is configured, so nothing is known of any task: set result_backend."""


class DisabledBackend(Backend):
    """Keeps nothing."""

    capability = Capability(stores=False)

    def save(self, records: Sequence[Record]) -> None:
        """Drop the records."""

    def load(self, task_ids: Sequence[str]) -> NoReturn:  # noqa: ARG002
        """Raise: there is nothing to load."""
        raise ResultsDisabled

    def forget(self, task_ids: Sequence[str]) -> NoReturn:  # noqa: ARG002
        """Raise: there is nothing to forget."""
        raise ResultsDisabled

    def wait(self, task_ids: Sequence[str], timeout: float | None = None) -> NoReturn:  # noqa: ARG002
        """Raise at once: waiting would never end."""
        raise ResultsDisabled
