"""Results in the store of the core: `sqlite:///path` and `memory://`.

A worker never writes these from Python: records travel in the Outcome of a run, and the core stores them in the same
transaction that acknowledges the message. This side is what clients see, and what a run outside of a worker uses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from fastq._core import Results, url_info
from fastq.backends.base import Backend, Capability

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastq._seam import Record
    from fastq.app.protocol import App

__all__ = ["NativeBackend", "comes_with_results"]


def comes_with_results(broker_url: str) -> bool:
    """Tell whether the core keeps results on the same server as this broker.

    Raises:
        ImproperlyConfigured: the URL cannot be read.
    """
    return bool(url_info(broker_url)["native_store"])


class NativeBackend(Backend):
    """Results that the core keeps."""

    def __init__(self, app: App, url: str) -> None:
        """Keep URL and options; the store is opened at the first use.

        Raises:
            ImproperlyConfigured: the URL cannot be read. The core says so at the first use only.
        """
        super().__init__(app, url)
        url_info(url)
        in_process = url.startswith("memory:")
        self.capability = Capability(native=True, shared=not in_process, push=True, expires=True)
        options = app.conf.result_backend_transport_options or {}
        self._results = Results(url, orjson.dumps(options, default=str).decode())

    def save(self, records: Sequence[Record]) -> None:
        """Write records; see `Backend.save`."""
        self._results.save(records, self.expires_seconds)

    def load(self, task_ids: Sequence[str]) -> list[Record | None]:
        """Return the records of these tasks; see `Backend.load`."""
        return self._results.load(task_ids)

    def forget(self, task_ids: Sequence[str]) -> None:
        """Delete the records of these tasks."""
        self._results.forget(task_ids)

    def wait(self, task_ids: Sequence[str], timeout: float | None = None) -> list[Record]:
        """Return the records of those tasks that have ended; woken by whoever writes them."""
        return self._results.wait(task_ids, timeout)

    def clean(self) -> int:
        """Delete what has expired; return how many results that were."""
        return self._results.clean()

    def close(self) -> None:
        """Close the store; a later use opens it again."""
        self._results.close()
