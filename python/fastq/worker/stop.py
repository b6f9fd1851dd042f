"""How a worker is told to stop: which signal means what, and what the second one means.

::

    signal            running           stopping warm     stopping soft     stopping cold
    INT (Ctrl-C)      warm              cold              cold              leave at once
    TERM              warm
    QUIT              cold              cold              cold              leave at once
    HUP               warm, then start the same command again; with a terminal, which was closed then: warm

Warm: take no more, give back what has not started, finish what runs. Cold: end what runs; it goes back to its queue.
With `worker_soft_shutdown_timeout` a cold stop that finds tasks running begins soft: they have so many seconds.
USR1 writes the stacks of all threads to standard error. USR2 is ignored.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import sys
import threading
from collections import deque
from enum import IntEnum
from typing import TYPE_CHECKING, Final, Literal

from fastq import signals
from fastq.exceptions import WorkerTerminate
from fastq.execute import journal
from fastq.text import plural

if TYPE_CHECKING:
    from types import FrameType

    from fastq._core import Worker as Core

__all__ = ["Stage", "Stopping", "next_stage"]

_logger: Final = logging.getLogger("celery.worker")


class Stage(IntEnum):
    """How far a stop has gone."""

    RUNNING = 0
    WARM = 1
    SOFT = 2
    COLD = 3
    LEAVE = 4


_TABLE: Final = {
    "INT": {Stage.RUNNING: Stage.WARM, Stage.WARM: Stage.COLD, Stage.SOFT: Stage.COLD, Stage.COLD: Stage.LEAVE},
    "TERM": {Stage.RUNNING: Stage.WARM},
    "QUIT": {Stage.RUNNING: Stage.COLD, Stage.WARM: Stage.COLD, Stage.SOFT: Stage.COLD, Stage.COLD: Stage.LEAVE},
    "HUP": {Stage.RUNNING: Stage.WARM},
}


_HOW: Final[dict[Stage, Literal["warm", "soft", "cold"]]] = {
    Stage.WARM: "warm",
    Stage.SOFT: "soft",
    Stage.COLD: "cold",
}


def next_stage(stage: Stage, name: str, *, softly: bool = False) -> Stage:
    """Return the stage that the signal called `name` (without SIG) leads to; `softly`: not to a cold stop at once."""
    following = _TABLE.get(name, {}).get(stage, stage)
    return Stage.SOFT if softly and following is Stage.COLD and stage < Stage.SOFT else following


class Stopping:
    """The stop of one worker. Signal handlers leave a note; the main thread acts on it between two waits."""

    def __init__(
        self, core: Core, node: str, *, inline: bool = False, term_is_cold: bool = False, soft_seconds: float = 0.0
    ) -> None:
        """Take no signal yet: see `install`.

        Args:
            core: the running core.
            node: name of the worker.
            inline: jobs run on the main thread, so a handler acts by itself.
            term_is_cold: TERM means what QUIT means.
            soft_seconds: that tasks which run have before a cold stop.
        """
        self._core = core
        self._node = node
        self._inline = inline
        self._term_is_cold = term_is_cold
        self._soft_seconds = soft_seconds
        self._notes: deque[str] = deque()
        self._before: dict[int, object] = {}
        self._has_terminal = False
        self.stage = Stage.RUNNING
        self.restart = False
        """The same command is to be started again when this worker has stopped."""

    @property
    def exit_code(self) -> int:
        """0 for a stop that let running tasks finish, 1 for one that did not."""
        return 0 if self.stage <= Stage.SOFT else 1

    def install(self) -> None:
        """Take the signals of this process; only its main thread can."""
        if threading.current_thread() is not threading.main_thread():
            return
        numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR2]
        # With a terminal, HUP says that it was closed: nobody is there to restart for. Under nohup it stays ignored.
        self._has_terminal = sys.__stdout__ is not None and sys.__stdout__.isatty()
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            numbers.append(signal.SIGHUP)
        for number in numbers:
            self._before[number] = signal.signal(number, self._note)
        # Signals end the wait for Events.
        signal.set_wakeup_fd(self._core.wakeup_fd(), warn_on_full_buffer=False)
        try:
            # Not sys.stderr, which may lead to the log by now.
            faulthandler.register(signal.SIGUSR1, sys.__stderr__ or -1, all_threads=True)
        except (OSError, ValueError, RuntimeError, AttributeError):
            _logger.debug("Stacks cannot be written on SIGUSR1: standard error is no file.")

    def uninstall(self) -> None:
        """Give the signals back to whoever had them."""
        if not self._before:
            return
        signal.set_wakeup_fd(-1)
        faulthandler.unregister(signal.SIGUSR1)
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal returned
        self._before.clear()

    def heed(self) -> None:
        """Act on the signals that have come."""
        while self._notes:
            self.act(self._notes.popleft())

    def act(self, name: str) -> None:
        """Do what the signal called `name` (without SIG) asks for."""
        meaning = "QUIT" if name == "TERM" and self._term_is_cold else name
        softly = self._soft_seconds > 0 and self._running() > 0 and not self._inline
        stage = next_stage(self.stage, meaning, softly=softly)
        if stage == self.stage:
            return
        self.stage, self.restart = stage, meaning == "HUP" and not self._has_terminal
        if stage is Stage.LEAVE:
            _logger.critical("SIG%s once more: leaving at once. Other workers take the tasks over.", name)
            logging.shutdown()
            os._exit(1)
        how = stage.name.capitalize()
        signals.worker_shutting_down.send(sender=self._node, sig=f"SIG{name}", how=how, exitcode=self.exit_code)
        self._announce(name, stage)
        self._core.stop(_HOW[stage])

    def _running(self) -> int:
        return int(self._core.stats().get("in_slots", 0))

    def _announce(self, name: str, stage: Stage) -> None:
        running = self._running()
        tasks = f"{running} running {plural(running, 'task')}"
        if stage is Stage.COLD:
            _logger.warning(
                "SIG%s: stopping at once. %s back to the queue.", name, f"{tasks} go{'es' * (running == 1)}"
            )
        elif stage is Stage.SOFT:
            _logger.warning(
                "SIG%s: stopping when %s ended, at the latest in %g s. Once more stops at once.",
                name,
                f"{tasks} {_have(running)}",
                self._soft_seconds,
            )
        elif not running:
            _logger.warning("SIG%s: stopping. No task is running.", name)
        elif name == "INT":
            _logger.warning(
                "SIGINT: stopping when %s ended. Press Ctrl-C again to stop at once.", f"{tasks} {_have(running)}"
            )
        else:
            _logger.warning("SIG%s: stopping when %s ended. SIGQUIT stops at once.", name, f"{tasks} {_have(running)}")

    def _note(self, number: int, _frame: FrameType | None) -> None:
        name = signal.Signals(number).name.removeprefix("SIG")
        if not self._inline:
            self._notes.append(name)
            return
        stage = self.stage
        self.act(name)
        if self.stage is Stage.COLD and stage is not Stage.COLD:
            # A job runs on this thread, or none does: either way nothing after this line is wanted.
            journal.close()
            raise WorkerTerminate(1)


def _have(count: int) -> str:
    return "has" if count == 1 else "have"
