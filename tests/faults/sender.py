"""A producer that never gives up, and what became of everything it sent."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from fastq.exceptions import FastQError
from tests.faults.conftest import RECORD, Place

_PAUSE = 0.005
"""Seconds between two tasks: less than the workers of a test can do."""


@dataclass(frozen=True)
class Sent:
    """One call; times as of the monotonic clock."""

    number: int
    began: float
    ended: float
    task_id: str | None
    refusal: str | None

    @property
    def seconds(self) -> float:
        """How long the call took."""
        return self.ended - self.began


class Sender(threading.Thread):
    """Sends tasks with ever higher numbers from a thread, until it is told to stop.

    Args:
        place: where to.
        first: number.
    """

    def __init__(self, place: Place, first: int = 0) -> None:
        super().__init__(name="sender", daemon=True)
        self._place = place
        self.next = first
        """The number after those in `sent`."""
        self._enough = threading.Event()
        self.sent: list[Sent] = []
        """Written by the thread, which appends only."""

    def run(self) -> None:
        """Send."""
        while not self._enough.wait(_PAUSE):
            self.sent.append(self._send(self.next))
            self.next += 1

    def stop(self) -> None:
        """Send no more."""
        self._enough.set()
        self.join(60)
        assert not self.is_alive(), "a call of the producer hangs"

    def confirmed(self) -> dict[int, str]:
        """Return number and id of the tasks that were confirmed."""
        return {sent.number: sent.task_id for sent in list(self.sent) if sent.task_id}

    def refused(self) -> list[Sent]:
        """Return the calls that raised."""
        return [sent for sent in list(self.sent) if sent.refusal]

    def under_way(self, spans: list[tuple[float, float]]) -> set[str]:
        """Return the numbers whose call was under way at some time in one of these spans."""
        return {
            str(sent.number)
            for sent in self.sent
            if any(sent.began <= end and begin <= sent.ended for begin, end in spans)
        }

    def _send(self, number: int) -> Sent:
        began = time.monotonic()
        task_id, refusal = None, None
        try:
            task_id = self._place.client.send_task(RECORD, (number,)).id
        except FastQError as error:
            refusal = f"{type(error).__name__}: {error}"
        return Sent(number, began, time.monotonic(), task_id, refusal)
