"""A worker at work, a producer that sends, and one fault after the other: what is counted, and how."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from tests.faults.conftest import Place
from tests.faults.redis.faults import FOR_THE_WORKER_ONLY, Fault, Scene
from tests.faults.sender import Sender
from tests.support.follow import Follower
from tests.support.wait import wait_for

LOST = "The broker cannot be reached"
BACK = "The broker can be reached again"


@dataclass(frozen=True)
class Happened:
    """One fault; times as of the monotonic clock."""

    fault: Fault
    began: float
    ended: float
    resumed: float

    @property
    def seconds(self) -> float:
        """From the broker's return until the worker ran what had waited there."""
        return self.resumed - self.ended


class Story:
    """Goes on until it is ended.

    Args:
        place: whose workers go by way of the scene's proxy, and whose client does not.
        scene: where faults happen.
        options: of the worker's broker (broker_transport_options).
    """

    def __init__(self, place: Place, scene: Scene, options: Mapping[str, object] | None = None) -> None:
        self.place = place
        self.scene = scene
        self.worker = place.worker(("-c", "2"), {"FASTQ_BROKER_TRANSPORT_OPTIONS": json.dumps(options or {})})
        self.sender = Sender(place)
        self.happened: list[Happened] = []
        self.lost, self.back = 0, 0
        self._log = Follower(self.worker.log_file)
        self.sender.start()
        self.go_on(25)

    def go_on(self, runs: int) -> None:
        """Return when so many more have run."""
        enough = self.place.ledger.entries() + 2 * runs
        wait_for(lambda: self.place.ledger.entries() >= enough, f"{runs} more runs")

    def suffer(self, fault: Fault, seconds: float = 0.0) -> Happened:
        """Let a fault happen; return when the worker runs again what has waited.

        Args:
            fault: one that is over at once, or one that the worker is given time to notice.
            seconds: how long it lasts from then on.
        """
        self.read_log()
        lost, began = self.lost, time.monotonic()
        with fault(self.scene) as is_noticed:
            if is_noticed:
                wait_for(lambda: self.read_log().lost > lost, "the worker's notice", limit=30)
                threading.Event().wait(seconds)
        happened = Happened(fault, began, ended := time.monotonic(), self._resumed_after(ended))
        self.happened.append(happened)
        return happened

    def read_log(self) -> Story:
        """Count what the worker has said of its broker since."""
        for line in self._log.lines():
            self.lost += LOST in line
            self.back += BACK in line
        return self

    def end(self) -> None:
        """Stop everything, and hold that nothing was lost, and nothing repeated that was sent once."""
        self.sender.stop()
        confirmed, ledger = self.sender.confirmed(), self.place.ledger
        results = self.place.results(confirmed)
        assert results == {number: number for number in confirmed}
        assert ledger.lost(confirmed) == []
        # A call that met a fault may have sent its message twice, or sent it and raised.
        doubtful = self.sender.under_way(
            [(what.began, what.resumed) for what in self.happened if what.fault not in FOR_THE_WORKER_ONLY]
        )
        repeated = [run for run in ledger.repeated() if run.key not in doubtful]
        assert repeated == []
        assert set(ledger.runs()) - {str(number) for number in confirmed} <= doubtful
        wait_for(lambda: self.read_log().back == self.lost, "as many returns of the broker as losses")
        assert self.worker.stop() == 0, self.worker.log[-2000:]
        wait_for(lambda: self.place.left() == 0, "an empty queue")

    def _resumed_after(self, moment: float) -> float:
        """Return when the first message starts to run that waits now, or comes next."""
        waiting = self.scene.server.do("LINDEX", "celery", -1)
        first = _number(waiting) if waiting else self.sender.next

        def start() -> float | None:
            assert self.worker.running, f"the worker has ended\n{self.worker.log[-2000:]}"
            # One that is being sent may be refused yet: then the next that is not.
            last = first if waiting else self.sender.next
            starts = (self.place.ledger.first_start(number) for number in range(first, last + 1))
            return next((began for began in starts if began), None)

        return wait_for(start, f"the run of {first}, or of what follows it", limit=30) or moment


def _number(message: bytes) -> int:
    """Return the argument of a message (kombu's envelope, body in base64)."""
    (number,), *_ = json.loads(base64.b64decode(json.loads(message)["body"]))
    return int(number)
