"""A server that waits for an acknowledgement only so long (consumer_timeout) does not have a long task run twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.amqp.conftest import RabbitPlace
from tests.faults.conftest import HOLD, RECORD
from tests.support.rabbitmq_server import RabbitMQServer
from tests.support.wait import wait_for


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[RabbitMQServer]:
    """Return a node that waits for two seconds; other nodes wait for half an hour."""
    with RabbitMQServer(tmp_path / "rabbitmq", settings={"consumer_timeout": 2_000}) as node:
        # How often its channels look: once a minute, unless it is told so, for which its file has no word.
        node.evaluate("application:set_env(rabbit, channel_tick_interval, 1000).")
        yield node


def test_a_task_that_runs_for_longer_runs_once_and_others_run_meanwhile(
    impatient: RabbitMQServer, tmp_path: Path
) -> None:
    place = RabbitPlace(tmp_path, impatient.url_of("/"))
    worker = place.worker()
    gate = tmp_path / "gate"
    held = place.client.send_task(HOLD, ("long", str(gate)))
    wait_for(lambda: "long" in place.ledger.runs(), "the run has begun", limit=30)
    for number in range(3):
        closed = worker.log.count("consumer_timeout")
        wait_for(
            lambda closed=closed: worker.log.count("consumer_timeout") > closed,
            "the server's patience to end",
            limit=30,
        )
        assert place.client.send_task(RECORD, (number,)).get(timeout=30) == number
    gate.touch()
    assert held.get(timeout=30) == "long"
    wait_for(lambda: impatient.lengths().get("celery") == 0, "everything is acknowledged", limit=30)
    assert len(place.ledger.runs()["long"]) == 1
    assert worker.stop() == 0
    wait_for(lambda: impatient.lengths().get("celery") == 0, "nothing came back", limit=30)
    place.close()
