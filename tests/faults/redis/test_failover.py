"""The master dies, its replica takes over: workers and clients that ask a sentinel go on with that one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import HOLD, Place
from tests.support.redis_sentinel import Sentinel
from tests.support.redis_server import RedisServer
from tests.support.wait import wait_for

LIMIT = 60.0
OPTIONS = {"master_name": "shop"}


@pytest.fixture
def replica(server: RedisServer, tmp_path: Path) -> Iterator[RedisServer]:
    """Return a server that has everything the first one has."""
    (tmp_path / "replica").mkdir()
    with RedisServer(tmp_path / "replica") as replica:
        # Its first copy would wait five seconds for other replicas that might want one.
        server.do("CONFIG", "SET", "repl-diskless-sync-delay", 0)
        replica.do("REPLICAOF", "127.0.0.1", server.port)
        wait_for(lambda: is_level(server, replica), "the replica", limit=LIMIT)
        yield replica


@pytest.fixture
def sentinel(server: RedisServer, replica: RedisServer, tmp_path: Path) -> Iterator[Sentinel]:
    """Return what watches over both."""
    (tmp_path / "sentinel").mkdir()
    sentinel = Sentinel(tmp_path / "sentinel", server.port, "shop", down_after=300)
    wait_for(lambda: len(sentinel.do("SENTINEL", "REPLICAS", "shop")) == 1, "its knowledge of the replica", limit=LIMIT)
    yield sentinel
    sentinel.kill()


@pytest.fixture
def place(sentinel: Sentinel, tmp_path: Path) -> Iterator[Place]:
    """Return an empty place that is found by way of the sentinel."""
    place = Place(tmp_path, f"sentinel://127.0.0.1:{sentinel.port}")
    place.client.conf.update(broker_transport_options=OPTIONS, result_backend_transport_options=OPTIONS)
    for setting in ("BROKER", "RESULT_BACKEND"):
        place.environment[f"FASTQ_{setting}_TRANSPORT_OPTIONS"] = json.dumps(OPTIONS)
    yield place
    place.close()


def is_level(master: RedisServer, replica: RedisServer) -> bool:
    """Whether the replica has all that was written, and hears what is written next."""

    def told(server: RedisServer) -> dict[bytes, bytes]:
        lines = bytes(server.do("INFO", "replication")).splitlines()
        return dict(line.split(b":", 1) for line in lines if b":" in line)

    told_replica = told(replica)
    level = told(master)[b"master_repl_offset"] == told_replica[b"slave_repl_offset"]
    return level and told_replica[b"master_link_status"] == b"up"


def test_a_failover_loses_and_repeats_nothing_that_the_replica_had(
    place: Place, server: RedisServer, replica: RedisServer
) -> None:
    worker = place.worker(("-c", "2"))
    assert place.results(place.send(range(20))) == {number: number for number in range(20)}
    gate = place.folder / "open"
    held = [place.client.send_task(HOLD, (f"held-{number}", str(gate))) for number in range(4)]
    wait_for(lambda: len(place.ledger.runs()) == 22, "two that run and two that wait")
    wait_for(lambda: is_level(server, replica), "the replica to have everything")

    server.kill()
    gate.touch()
    wait_for(lambda: replica.do("ROLE")[0] == b"master", "the replica to be the master", limit=LIMIT)

    assert [result.get(timeout=LIMIT) for result in held] == [f"held-{number}" for number in range(4)]
    assert place.results(place.send(range(100, 120))) == {number: number for number in range(100, 120)}
    assert place.ledger.repeated() == []
    assert worker.stop() == 0, worker.log[-2000:]
    assert place.left() == 0
