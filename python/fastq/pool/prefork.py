"""Child processes, born by the nursery, replaced by the core."""

from __future__ import annotations

import logging
import os
import select
import signal
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Final

from fastq.pool import nursery
from fastq.pool.base import ATTEND_SECONDS, Pool
from fastq.pool.child import Childhood
from fastq.text import join_words

if TYPE_CHECKING:
    from fastq._core import Worker as Core

__all__ = ["PreforkPool"]

_logger: Final = logging.getLogger("celery.pool")

_LEAVE_SECONDS: Final = 2.0
"""How long the nursery may take to kill and reap what is left."""
_PAUSE_SECONDS: Final = 0.002


class PreforkPool(Pool):
    """A process per slot. The core keeps them alive; this process only waits for Events."""

    name: ClassVar[str] = "prefork"
    has_limits: ClassVar[bool] = True

    _nursery: nursery.NurseryProcess | None = None

    @property
    def children(self) -> int:
        """One per slot; as many as there are always."""
        least = self.settings.least
        return self.settings.concurrency if least is None else least

    @property
    def most_children(self) -> int:
        """As many as may run at once."""
        return self.settings.concurrency

    def prepare(self) -> int:
        """Fork the nursery."""
        threads = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
        if threads:
            _logger.info(
                "The app has started %s before its worker: no pool process has them, and a lock that one holds just "
                "now stays locked there. Start threads in worker_process_init instead.",
                join_words(threads),
            )
        self._nursery = nursery.start(self.childhood())
        return self._nursery.control_fd

    def childhood(self) -> Childhood:
        """Return what the children do."""
        return Childhood(self.app, self.settings)

    def serve(self, core: Core, attend: Callable[[float], bool]) -> None:  # noqa: ARG002 - it feeds the children
        """Wait for Events until the worker has stopped."""
        while attend(ATTEND_SECONDS):
            pass

    def close(self) -> None:
        """Reap the nursery, which ends when the core lets go of its socket; end it if it does not."""
        if self._nursery is None:
            return
        pid, self._nursery = self._nursery.pid, None
        if not _reaped_within(pid, _LEAVE_SECONDS):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    def info(self) -> dict[str, Any]:
        """Return what is to be known of it."""
        return {**super().info(), "nursery": self._nursery.pid if self._nursery else None}


def _reaped_within(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while True:
        try:
            reaped, _ = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            return True  # somebody in this process reaps every child
        if reaped:
            return True
        if time.monotonic() > deadline:
            return False
        select.select([], [], [], _PAUSE_SECONDS)
