"""Whatever happens to the broker: the worker resumes by itself, says so once each way, and nothing is lost."""

from __future__ import annotations

import time

import pytest

from tests.faults.conftest import HOLD, RECORD, Place
from tests.faults.redis.faults import (
    CUTS,
    OUTAGES,
    SILENCES,
    Fault,
    Scene,
    no_memory,
    no_way,
    replica,
    silence,
)
from tests.faults.redis.story import BACK, LOST, Story
from tests.support.proxy import Proxy
from tests.support.redis_server import Line, RedisServer
from tests.support.wait import wait_for


@pytest.mark.parametrize(
    "fault",
    [*CUTS, *OUTAGES, *SILENCES],
    ids=lambda fault: fault.__name__,
)
def test_a_worker_resumes_by_itself_says_so_once_each_way_and_loses_nothing(story: Story, fault: Fault) -> None:
    seconds = story.suffer(fault, 0.5).seconds
    story.end()
    print(f"{fault.__name__}: runs again after {seconds:.3f} s; lost {story.lost}, back {story.back}")
    assert (story.lost, story.back) in ([(0, 0), (1, 1)] if fault in CUTS else [(1, 1)])


@pytest.mark.parametrize("fault", [no_way, silence], ids=lambda fault: fault.__name__)
def test_a_longer_outage_is_one_line_each_way_too(story: Story, server: RedisServer, fault: Fault) -> None:
    begun = leases(server)
    wait_for(lambda: leases(server) != begun, "a renewal")
    story.suffer(fault, 4.0)
    story.end()
    assert (story.lost, story.back) == (1, 1)


@pytest.mark.parametrize("fault", [no_memory, replica], ids=lambda fault: fault.__name__)
def test_a_task_that_runs_while_the_broker_refuses_to_write_runs_once(
    place: Place, server: RedisServer, scene: Scene, fault: Fault
) -> None:
    worker = place.worker(("-c", "1"), {"FASTQ_WORKER_LEASE": "3"})
    result = place.client.send_task(HOLD, ("held", str(place.folder / "open")))
    wait_for(lambda: "held" in place.ledger.runs(), "its start")
    with fault(scene):
        worker.wait_for_log(LOST)
    worker.wait_for_log(BACK)
    place.worker(("-c", "1", "-n", "other"), {"FASTQ_WORKER_LEASE": "3"})
    ends = leases(server)
    wait_for(lambda: sum(1 for until in leases(server) if until > max(ends) + 3_000) == 2, "two workers that live")
    (place.folder / "open").touch()
    assert result.get(timeout=20) == "held"
    assert len(place.ledger.runs()["held"]) == 1


def test_an_outage_longer_than_the_lease_takes_nothing_from_workers_that_live(
    place: Place, server: RedisServer
) -> None:
    results, workers = [], []
    for name in ("first", "second"):
        options = ("-c", "1", "--prefetch-multiplier", "1", "-n", name)
        workers.append(place.worker(options, {"FASTQ_WORKER_LEASE": "3"}))
        results.append(place.client.send_task(HOLD, (name, str(place.folder / "open"))))
        wait_for(lambda name=name: name in place.ledger.runs(), f"the start of {name}")  # type: ignore[misc]
    last = max(leases(server))
    server.kill()
    wait_for(lambda: time.time() * 1000 > last + 500, "the end of every lease")
    server.start()
    wait_for(lambda: min(leases(server)) > last, "the renewal of both")
    for worker in workers:
        worker.wait_for_log(BACK)
    ends = leases(server)
    wait_for(lambda: min(leases(server)) > max(ends) + 3_000, "more renewals")
    (place.folder / "open").touch()
    assert [result.get(timeout=20) for result in results] == ["first", "second"]
    assert place.ledger.repeated() == []
    assert [worker.stop() for worker in workers] == [0, 0]


def test_a_worker_that_comes_back_after_a_restart_ends_nobody_else(
    way: Place, server: RedisServer, proxy: Proxy
) -> None:
    worker = way.worker(("-c", "1"))
    assert way.client.send_task(RECORD, (1,)).get(timeout=20) == 1
    with proxy.closed():
        server.kill()
        server.start()
        others = [Line(server.port) for _ in range(32)]
        worker.wait_for_log(LOST)
    worker.wait_for_log(BACK)
    assert way.client.send_task(RECORD, (2,)).get(timeout=20) == 2
    try:
        assert [line.do("PING") for line in others] == [b"PONG"] * len(others)
    finally:
        for line in others:
            line.close()


def leases(server: RedisServer) -> list[int]:
    """Return when each worker's lease ends, in milliseconds."""
    return [int(until) for until in server.do("ZRANGE", "fastq:workers", 0, -1, "WITHSCORES")[1::2]]
