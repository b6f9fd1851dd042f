"""A lease is renewed for as long as a worker lives, however long a task takes; a worker that lost it is fenced."""

from __future__ import annotations

import signal

from tests.faults.conftest import HOLD, RECORD, Place
from tests.support.redis_server import RedisServer
from tests.support.wait import wait_for


def test_a_task_that_outlasts_the_lease_many_times_runs_once(place: Place, server: RedisServer, long: bool) -> None:
    lease, seconds = (10, 90) if long else (2, 6)
    settings = {"FASTQ_WORKER_LEASE": str(lease)}
    result = place.client.send_task(HOLD, ("held", str(place.folder / "open")))
    place.worker(("-c", "1"), settings)
    wait_for(lambda: "held" in place.ledger.runs(), "its start")
    (session,) = server.do("ZRANGE", "fastq:workers", 0, -1)
    other = place.worker(("-c", "1", "-n", "other"), settings)
    seen: set[int] = set()

    def reaches() -> int:
        """Return by how many seconds the lease has been moved on, so far."""
        seen.add(int(server.do("ZSCORE", "fastq:workers", session)))
        return (max(seen) - min(seen)) // 1000

    wait_for(lambda: reaches() >= seconds, f"renewals over {seconds} s", limit=seconds + 60)
    (place.folder / "open").touch()
    assert result.get(timeout=20) == "held"
    assert len(place.ledger.runs()["held"]) == 1
    assert "dead worker" not in other.log
    print(f"{seconds} s on a lease of {lease} s: {len(seen) - 1} renewals, one run")


def test_what_a_worker_says_after_its_lease_was_lost_changes_nothing(place: Place) -> None:
    settings = {"FASTQ_WORKER_LEASE": "2"}
    result = place.client.send_task(HOLD, ("held", str(place.folder / "open")))
    asleep = place.worker(("-c", "1"), settings)
    wait_for(lambda: "held" in place.ledger.runs(), "its start")
    asleep.signal(signal.SIGSTOP)
    awake = place.worker(("-c", "1", "-n", "awake"), settings)
    wait_for(lambda: len(place.ledger.runs()["held"]) == 2, "the second run")
    (place.folder / "open").touch()
    assert result.get(timeout=20) == "held"
    wait_for(lambda: all(run.ended for run in place.ledger.runs()["held"]), "the end of the first run")
    assert awake.stop() == 0

    asleep.signal(signal.SIGCONT)
    asleep.wait_for_log("1 outcome came after this worker had lost its lease and was dropped")
    ids = place.send(range(20))
    assert place.results(ids) == {number: number for number in range(20)}
    assert place.ledger.repeated() == [place.ledger.runs()["held"][0]]
    assert asleep.stop() == 0
    assert place.left() == 0


def test_an_idle_worker_takes_what_comes_however_short_its_lease(place: Place, server: RedisServer) -> None:
    place.worker(("-c", "1"), {"FASTQ_WORKER_LEASE": "1"})
    begun = server.do("ZRANGE", "fastq:workers", 0, -1, "WITHSCORES")
    wait_for(lambda: server.do("ZRANGE", "fastq:workers", 0, -1, "WITHSCORES") != begun, "a renewal")
    assert place.client.send_task(RECORD, (1,)).get(timeout=5) == 1
