"""Whatever happens to the broker: the worker resumes by itself, says so once each way, and nothing is lost."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import HOLD, Place
from tests.faults.redis.faults import CUTS, OUTAGES, SILENCES, Fault, Scene, new_password, no_memory, replica
from tests.faults.redis.story import BACK, LOST, Story
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer
from tests.support.wait import wait_for


@pytest.fixture
def place(server: RedisServer, proxy: Proxy, tmp_path: Path) -> Iterator[Place]:
    """Return an empty place, whose workers go by way of the proxy."""
    place = Place(tmp_path, server.url, proxy.url)
    yield place
    place.close()


@pytest.fixture
def story(place: Place, server: RedisServer, proxy: Proxy, chance: random.Random) -> Iterator[Story]:
    """Return a story under way, in which a worker gives up soon on a broker that does not answer."""
    story = Story(place, Scene(server, proxy, chance), {"answer_timeout": 1.5})
    yield story
    story.sender.stop()


PASSWORD = pytest.param(
    new_password, marks=pytest.mark.xfail(reason="a password that is not known ends the worker", strict=True)
)


@pytest.mark.parametrize(
    "fault",
    [*CUTS, *(PASSWORD if fault is new_password else fault for fault in OUTAGES), *SILENCES],
    ids=lambda fault: fault.__name__,
)
def test_a_worker_resumes_by_itself_says_so_once_each_way_and_loses_nothing(story: Story, fault: Fault) -> None:
    seconds = story.suffer(fault, 0.5).seconds
    story.end()
    print(f"{fault.__name__}: runs again after {seconds:.3f} s; lost {story.lost}, back {story.back}")
    assert (story.lost, story.back) in ([(0, 0), (1, 1)] if fault in CUTS else [(1, 1)])


@pytest.mark.xfail(reason="a renewal that is refused is taken for the loss of the lease", strict=True)
@pytest.mark.parametrize("fault", [no_memory, replica], ids=lambda fault: fault.__name__)
def test_a_task_that_runs_while_the_broker_refuses_to_write_runs_once(
    place: Place, server: RedisServer, proxy: Proxy, chance: random.Random, fault: Fault
) -> None:
    worker = place.worker(("-c", "1"), {"FASTQ_WORKER_LEASE": "3"})
    result = place.client.send_task(HOLD, ("held", str(place.folder / "open")))
    wait_for(lambda: "held" in place.ledger.runs(), "its start")
    with fault(Scene(server, proxy, chance)):
        worker.wait_for_log(LOST)
    worker.wait_for_log(BACK)
    place.worker(("-c", "1", "-n", "other"), {"FASTQ_WORKER_LEASE": "3"})
    ends = leases(server)
    wait_for(lambda: sum(1 for until in leases(server) if until > max(ends) + 3_000) == 2, "two workers that live")
    (place.folder / "open").touch()
    assert result.get(timeout=20) == "held"
    assert len(place.ledger.runs()["held"]) == 1


def leases(server: RedisServer) -> list[int]:
    """Return when each worker's lease ends, in milliseconds."""
    return [int(until) for until in server.do("ZRANGE", "fastq:workers", 0, -1, "WITHSCORES")[1::2]]
