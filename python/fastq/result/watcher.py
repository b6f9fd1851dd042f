"""Waiting for results from coroutines: one thread per backend waits for all of them.

The thread begins with the first and ends when nobody has waited for a second. It does everything that may block; event
loops add what they wait for, under the lock, and futures are resolved on their own loops only.
"""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING, Final

from fastq.exceptions import ConnectionClosed
from fastq.exits import close_at_exit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastq._seam import Record
    from fastq.backends.base import Backend
    from fastq.backends.watch import Watch

__all__ = ["Watcher", "watcher_of"]

LINGER: Final = 1.0
"""Seconds that the thread waits for more before it ends."""


class _Waiter:
    """One who waits for a result."""

    __slots__ = ("future", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.future: asyncio.Future[Record] = loop.create_future()


class Watcher:
    """Waits for the results of one backend, in the process in which it was made."""

    def __init__(self, backend: Backend) -> None:
        """Wait for nothing yet; no thread runs."""
        self._backend = backend
        self._lock = threading.Lock()
        self._waiters: dict[str, list[_Waiter]] = {}
        self._fresh: list[str] = []
        """Tasks that the thread has not asked for yet."""
        self._stale: list[str] = []
        """Tasks that nobody waits for any more."""
        self._thread: threading.Thread | None = None
        self._watch: Watch | None = None
        self._closing = False
        self._process = os.getpid()

    async def record(self, task_id: str) -> Record:
        """Return the record of a task once it has ended.

        Raises:
            FastQError: the store failed, or may not be used.
        """
        waiter = _Waiter(asyncio.get_running_loop())
        self._add(task_id, waiter)
        try:
            return await waiter.future
        finally:
            self._drop(task_id, waiter)

    def close(self, wait: float = 10.0) -> None:
        """End the thread, and with it every wait; waits for it, at most `wait` seconds."""
        if self._process != os.getpid():
            return  # its lock may be held by a thread that is not here
        with self._lock:
            thread = self._thread
            self._closing = thread is not None
            self._nudge()
        if thread is not None and thread is not threading.current_thread():
            thread.join(wait)

    def _add(self, task_id: str, waiter: _Waiter) -> None:
        with self._lock:
            self._waiters.setdefault(task_id, []).append(waiter)
            self._fresh.append(task_id)
            if self._thread is not None:
                self._nudge()
                return
            self._thread = threading.Thread(target=self._run, name="fastq-results", daemon=True)
        close_at_exit(self)
        self._thread.start()

    def _drop(self, task_id: str, waiter: _Waiter) -> None:
        with self._lock:
            waiters = self._waiters.get(task_id)
            if waiters is None or waiter not in waiters:
                return
            waiters.remove(waiter)
            if not waiters:
                del self._waiters[task_id]
                self._stale.append(task_id)
                self._nudge()

    def _nudge(self) -> None:
        """Have the thread look at what changed."""
        if self._watch is not None:
            self._watch.interrupt()

    # -------------------------------------------------------------- in the thread

    def _run(self) -> None:
        try:
            watch = self._backend.watch()
            with self._lock:
                self._watch = watch
            while self._turn(watch):
                pass
        except Exception as error:  # noqa: BLE001 - it belongs to those who wait
            self._end(error)

    def _turn(self, watch: Watch) -> bool:
        """Wait for something; tell whether to go on."""
        with self._lock:
            if self._closing:
                raise ConnectionClosed("The app was closed while a result was awaited.")
            fresh, self._fresh = {task: None for task in self._fresh if task in self._waiters}, []
            stale, self._stale = [task for task in self._stale if task not in self._waiters], []
        if stale:
            watch.remove(stale)
        if fresh:
            watch.add(self._ask(list(fresh)))
        with self._lock:
            is_idle = not self._waiters
        ended = watch.next(LINGER if is_idle else None)
        self._tell({record.task_id: record for record in ended})
        with self._lock:
            if not is_idle or ended or self._waiters or self._fresh:
                return True
            self._leave()
            return False

    def _ask(self, fresh: list[str]) -> list[str]:
        """Look once before listening: most results that are asked for late are there, and a server may be away.

        Returns:
            Those that have not ended; none when the store failed, for then those who wait have the error.
        """
        backend = self._backend
        try:
            found = [record for record in backend.load(fresh) if record is not None and backend.has_ended(record)]
        except Exception as error:  # noqa: BLE001 - it belongs to those who wait
            self._tell(dict.fromkeys(fresh, error))
            return []
        ended = {record.task_id: record for record in found}
        self._tell(ended)
        return [task for task in fresh if task not in ended]

    def _end(self, error: Exception) -> None:
        """End the thread because of an error, which all who wait get."""
        with self._lock:
            waiting = list(self._waiters)
            self._leave()
        self._tell(dict.fromkeys(waiting, error))

    def _leave(self) -> None:
        """End the thread; the lock is held."""
        self._thread = self._watch = None
        self._fresh, self._stale, self._closing = [], [], False

    def _tell(self, outcomes: Mapping[str, Record | Exception]) -> None:
        """Give records, or errors, to those who wait for these tasks."""
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Waiter, Record | Exception]]] = {}
        with self._lock:
            for task_id, outcome in outcomes.items():
                for waiter in self._waiters.pop(task_id, ()):
                    by_loop.setdefault(waiter.loop, []).append((waiter, outcome))
        for loop, told in by_loop.items():
            try:
                loop.call_soon_threadsafe(_resolve, told)
            except RuntimeError:  # the loop is closed: nobody waits any more
                continue


def _resolve(told: Sequence[tuple[_Waiter, Record | Exception]]) -> None:
    for waiter, outcome in told:
        if waiter.future.done():
            continue
        if isinstance(outcome, Exception):
            waiter.future.set_exception(outcome)
        else:
            waiter.future.set_result(outcome)


def watcher_of(backend: Backend) -> Watcher:
    """Return what waits for the results of a backend; made on first use, and anew in a forked process."""
    # Without a lock, which a thread might hold while another one forks: of two that are made at once one is kept.
    process = os.getpid()
    return backend.watchers.get(process) or backend.watchers.setdefault(process, Watcher(backend))
