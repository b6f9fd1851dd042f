"""`app.testing`: what was sent, and a worker that runs in the test's own thread, on a clock that the test turns."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, cast

from fastq import time
from fastq._core import Stepper
from fastq.contrib.testing.sent import Recorder, Sent, decode, expectation, shown
from fastq.execute.trace import Executor
from fastq.names import default_node
from fastq.pool.base import PoolSettings
from fastq.pool.child import hand_over
from fastq.pool.solo import SoloPool
from fastq.worker.attend import Attendance
from fastq.worker.config import core_config
from fastq.worker.policy import policies

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastq._core import Job, Port
    from fastq._seam import Outcome

__all__ = ["Testing"]

MOST_RUNS: Final = 10_000
"""So many runs without the clock moving are taken for tasks that send each other for ever."""


class Testing:
    """What a test does with an app whose broker is `memory://name?clock=hand`.

    The clock stands still until the test turns it, and nothing runs until the test says so: then everything that is
    due, in whatever queue, runs in the test's own thread, one after the other, as a worker would run it. Whatever tasks
    send while they run is sent, and runs when it is due. With another broker what was sent is recorded, and nothing
    else can be done.
    """

    __test__ = False  # pytest: no class of tests

    def __init__(self, app: Any) -> None:
        """Record what the app sends from now on."""
        self._app = app
        self._sent: list[Sent] = []
        self._worker: _Worker | None = None
        if "clock=hand" in app.conf.broker_url.partition("?")[2].split("&"):
            app.present = lambda: self._made().core.now()
        app.producer = Recorder(app.producer, self._note)

    # --------------------------------------------------------------------- sent

    @property
    def sent(self) -> list[Sent]:
        """What was sent since `clear`, in order: by the test, by the code under test, and by tasks as they ran."""
        return list(self._sent)

    def clear(self) -> None:
        """Forget what was sent; what waits in its queue still runs."""
        self._sent.clear()

    def assert_sent(
        self,
        name: str,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        count: int | None = None,
        queue: str | None = None,
    ) -> list[Sent]:
        """Check that a task was sent, and return the messages.

        Args:
            name: of the task.
            args: its positional arguments; None: any.
            kwargs: its keyword arguments; None: any.
            count: how often; None: at least once.
            queue: where to; None: anywhere.

        Raises:
            AssertionError: it was not; the text has what was sent instead.
        """
        sent = self.sent
        found = [message for message in sent if message.matches(name, args, kwargs, queue)]
        if not found if count is None else len(found) != count:
            often = "at least once" if count is None else f"{count} times"
            wanted = expectation(name, args, kwargs, queue)
            raise AssertionError(
                f"Expected to be sent {often}, but sent {len(found)} times: {wanted}\n"
                f"What was sent:\n{shown(sent, 'nothing')}"
            )
        return found

    def assert_nothing_sent(self) -> None:
        """Check that nothing was sent since `clear`.

        Raises:
            AssertionError: something was; the text has what.
        """
        if self.sent:
            raise AssertionError(f"Expected nothing to be sent, but this was:\n{shown(self.sent, 'nothing')}")

    # --------------------------------------------------------------------- time

    def now(self) -> datetime:
        """Return the time that the clock shows, in the app's time zone."""
        moment: datetime = self._app.now()
        return moment

    def run(self) -> int:
        """Run what is due now, and what that sends; return how many runs that were.

        Raises:
            ImproperlyConfigured: the broker is not `memory://name?clock=hand`.
            RuntimeError: called by a task; or tasks send each other for ever.
        """
        return self._made().run()

    def advance(self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0) -> int:
        """Turn the clock on, and run on the way what falls due, each at its time; return how many runs that were.

        Raises:
            ValueError: the sum is below zero.
            ImproperlyConfigured, RuntimeError: as from `run`.
        """
        step = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds).total_seconds()
        if step < 0:
            raise ValueError("A clock is turned on, never back.")
        worker = self._made()
        return worker.run_until(worker.core.now() + step)

    def advance_to(self, moment: datetime | str) -> int:
        """Turn the clock on to a time, which is in the app's time zone unless it has one; as `advance`."""
        worker = self._made()
        until = time.from_iso(moment, self._app.timezone).timestamp()
        if until < worker.core.now():
            raise ValueError("A clock is turned on, never back.")
        return worker.run_until(until)

    def close(self) -> None:
        """Forget queues and results."""
        self._app.present = None
        if isinstance(self._app.producer, Recorder):
            self._app.producer = self._app.producer.producer
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    def _made(self) -> _Worker:
        if self._worker is None:
            self._worker = _Worker(self._app, self._note)
        return self._worker

    def _note(self, message: Sequence[Any]) -> None:
        self._sent.append(decode(message))


class _Worker:
    """Runs one job after the other in whatever thread asks."""

    def __init__(self, app: Any, note: Any) -> None:
        """Begin to take from the queues of the settings."""
        self._app = app
        self._note = note
        self._running = False
        node = default_node("testing@")
        app.finalize(auto=True)
        self.core = Stepper(core_config(app, node, SoloPool(app, PoolSettings(node, 1))), policies(app))
        self._executor = Executor(app, hostname=node, store=self.core.store)
        self._attendance = Attendance(app, node, consumer=self, on_ready=lambda _: None)

    def run_until(self, moment: float) -> int:
        """Run what falls due until then, each at its time, and let the clock stand there."""
        runs = self.run()
        while (due := self.core.next_due()) is not None and due <= moment:
            self.core.turn(due)
            runs += self.run()
        self.core.turn(moment)
        return runs + self.run()

    def run(self) -> int:
        """Run what is due now."""
        if self._running:
            raise RuntimeError("A task cannot turn the clock, or run what is due: that is for the test.")
        self._running = True
        runs = 0
        try:
            # Tasks may have been declared since, or have other options.
            self.core.learn(policies(self._app))
            while (job := self.core.next()) is not None:
                runs += 1
                if runs > MOST_RUNS:
                    raise RuntimeError(f"{MOST_RUNS} runs without the clock moving: {job.name} is sent for ever.")
                hand_over(self._app, cast("Port", self), self._executor, job)
                self._attend()
            self._attend()
        finally:
            self._running = False
        return runs

    def finish(self, job: Job, outcome: Outcome) -> None:
        """Carry out what a run wants done, and note what it sends."""
        self.core.finish(job, outcome)
        for message in outcome.messages:
            self._note(message)

    def close(self) -> None:
        """End the loop of coroutine tasks, and forget the queues."""
        self._app.backend.writer = self._app.backend.save
        self._executor.close()
        self.core.close()

    def _attend(self) -> None:
        for event in self.core.events():
            self._attendance.see_to(event)
