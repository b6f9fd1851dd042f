"""A worker is killed while another one lives: what it held runs again, at once where its death can be seen."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence

import pytest

from tests.faults.conftest import HOLD, Place
from tests.support.redis_server import RedisServer
from tests.support.wait import wait_for
from tests.support.worker import RunningWorker

HOUR = 3_600.0
"""A lease that does not run out during a test, in seconds."""
ELSEWHERE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
"""Launches a process where it cannot be seen from here, nor the other way round: as far as that goes, another host."""


def start(place: Place, name: str, lease: float, launcher: Sequence[str] = ()) -> RunningWorker:
    """Start a worker that holds two messages and runs both; let it take two tasks that wait for the gate `open`."""
    options = ("-c", "2", "--prefetch-multiplier", "1", "-n", name)
    worker = place.worker(options, {"FASTQ_WORKER_LEASE": str(lease)}, launcher)
    for number in range(2):
        key = f"{name}-{number}"
        place.client.send_task(HOLD, (key, str(place.folder / "open")), task_id=key)
        wait_for(lambda key=key: key in place.ledger.runs(), f"the start of {key}")  # type: ignore[misc]
    return worker


def kill_and_take_over(place: Place, victim: RunningWorker, *, limit: float) -> float:
    """Kill the victim; return the seconds until all it held runs again."""
    keys = ("victim-0", "victim-1")
    killed = time.monotonic()
    victim.kill()
    (place.folder / "open").touch()
    wait_for(lambda: all(len(place.ledger.runs()[key]) == 2 for key in keys), "the second runs", limit=limit)
    runs = place.ledger.runs()
    for key in (*keys, "survivor-0", "survivor-1"):
        assert place.client.AsyncResult(key).get(timeout=20) == key
    assert {key: len(found) for key, found in runs.items() if key not in keys} == {"survivor-0": 1, "survivor-1": 1}
    return max(runs[key][1].started for key in keys) - killed


def test_on_the_same_host_nobody_waits_for_the_lease(place: Place) -> None:
    victim, _ = start(place, "victim", HOUR), start(place, "survivor", HOUR)
    seconds = kill_and_take_over(place, victim, limit=20)
    print(f"same host: taken over after {seconds:.2f} s")


def test_a_worker_that_has_just_come_is_missed_as_soon(place: Place, server: RedisServer) -> None:
    start(place, "survivor", HOUR)
    ends = server.do("ZRANGE", "fastq:workers", 0, -1, "WITHSCORES")
    wait_for(lambda: server.do("ZRANGE", "fastq:workers", 0, -1, "WITHSCORES") != ends, "the first renewal")
    victim = start(place, "victim", HOUR)
    seconds = kill_and_take_over(place, victim, limit=5)
    print(f"same host, killed after its first tasks: taken over after {seconds:.2f} s")


@pytest.fixture
def elsewhere() -> Sequence[str]:
    """Return what launches a process on another host, so to speak."""
    if subprocess.run([*ELSEWHERE, "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("hiding a process in a namespace of its own needs root")
    return ELSEWHERE


def test_on_another_host_the_lease_runs_out_first(
    place: Place, server: RedisServer, elsewhere: Sequence[str], long: bool
) -> None:
    lease = 10.0 if long else 2.0
    victim = start(place, "victim", lease, elsewhere)
    start(place, "survivor", lease)
    sessions = server.do("ZRANGE", "fastq:workers", 0, -1)
    machines = {server.do("HGET", b"fastq:w:" + session, "machine") for session in sessions}
    assert len(machines) == 2, "one machine cannot see what lives on the other"
    seconds = kill_and_take_over(place, victim, limit=3 * lease)
    print(f"another host: taken over after {seconds:.2f} s, with a lease of {lease:g} s")
