"""Whatever becomes of the broker, its queues or the way there: nothing confirmed is lost, and work goes on."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import pytest

from fastq.exceptions import OperationalError
from tests.faults.amqp.conftest import RabbitPlace
from tests.faults.amqp.faults import Fault, hang_up, kill, restart
from tests.faults.conftest import HOLD
from tests.support.proxy import Cut, Proxy
from tests.support.rabbitmq_server import RabbitMQServer
from tests.support.wait import wait_for

RESUMES_WITHIN = 2.0
"""Seconds after the broker is back until a worker takes from it again."""
NOTICED_WITHIN = 12.0
"""Seconds until both sides have noticed that a connection is dead: the server after three heartbeats of four."""
SLACK = 4.0
"""Seconds that a busy machine may add."""


@pytest.fixture
def faults(node: RabbitMQServer, vhost: str, proxy: Proxy) -> dict[str, Fault]:
    """Return what can happen, by name. Each is over when its block ends: the broker is back."""

    @contextlib.contextmanager
    def cut() -> Iterator[None]:
        # Both sides are told: a server that is not keeps what it has delivered until its heartbeats tell it.
        proxy.cut(Cut.RESET)
        yield

    @contextlib.contextmanager
    def deleted() -> Iterator[None]:
        # Empty by now, so nothing goes with it.
        node.delete_queue("celery", vhost)
        yield

    @contextlib.contextmanager
    def withdrawn() -> Iterator[None]:
        node.permit("guest", vhost, configure="^$", write="^$", read="^$")
        node.hang_up(vhost)
        try:
            yield
        finally:
            node.permit("guest", vhost)

    return {
        "restart": partial(restart, node),
        "killed": partial(kill, node),
        "hang up": partial(hang_up, node, vhost),
        "cut": cut,
        "closed": proxy.closed,
        "stalled": proxy.stalled,
        "deleted": deleted,
        "withdrawn": withdrawn,
    }


SHORT = ("restart", "hang up", "cut", "closed", "stalled", "deleted", "withdrawn")
LONG = (*SHORT, "killed")


def _have_run(place: RabbitPlace, keys: Iterable[object]) -> bool:
    return not place.ledger.lost(keys)


def _starts(place: RabbitPlace, key: str) -> int:
    return len(place.ledger.runs().get(key, ()))


def test_a_worker_goes_on_after_every_fault(place: RabbitPlace, faults: dict[str, Fault], long: bool) -> None:
    worker = place.worker()
    count, took = 0, {}
    for name in LONG * 3 if long else SHORT:
        before = range(count, count + 20)
        place.send(before)
        wait_for(lambda before=before: _have_run(place, before), f"what came before {name}", limit=60)
        with faults[name]():
            pass
        back = time.monotonic()
        after = range(before.stop, before.stop + 20)
        place.send(after)
        wait_for(lambda after=after: _have_run(place, after), f"what came after {name}", limit=60)
        took[name] = time.monotonic() - back
        count = after.stop
    print({name: round(seconds, 2) for name, seconds in took.items()})
    late = {name: seconds for name, seconds in took.items() if seconds > RESUMES_WITHIN + SLACK}
    assert not late, f"{late}\n{worker.log}"


def test_a_connection_that_is_dead_and_tells_nobody_is_given_up_by_both_sides(place: RabbitPlace, proxy: Proxy) -> None:
    worker = place.worker()
    place.send(range(20))
    wait_for(lambda: _have_run(place, range(20)), "what came before", limit=60)
    # That of its queues, and the one that hears; what it sends goes over a third.
    assert proxy.freeze() >= 2
    frozen = time.monotonic()
    # The server pushes these into the dead connection, too.
    place.send(range(20, 40))
    wait_for(lambda: _have_run(place, range(20, 40)), "what came afterwards", limit=60)
    took = time.monotonic() - frozen
    assert took < NOTICED_WITHIN + RESUMES_WITHIN + SLACK, f"{took}\n{worker.log}"


def test_a_run_that_outlasts_its_connection_is_not_begun_again(
    place: RabbitPlace, node: RabbitMQServer, vhost: str, tmp_path: Path
) -> None:
    worker = place.worker()
    gate = tmp_path / "gate"
    result = place.client.send_task(HOLD, ("once", str(gate)))
    wait_for(lambda: _starts(place, "once") == 1, "the run has begun", limit=30)
    node.hang_up(vhost)
    worker.wait_for_log("can be reached again")
    gate.touch()
    assert result.get(timeout=30) == "once"
    wait_for(lambda: not node.lengths(vhost).get("celery"), "the message is acknowledged", limit=30)
    assert _starts(place, "once") == 1


def test_an_alarm_blocks_calls_in_time_and_not_the_worker(
    place: RabbitPlace, node: RabbitMQServer, tmp_path: Path
) -> None:
    place.worker()
    gate = tmp_path / "gate"
    place.client.conf.broker_publish_timeout = 2.0
    place.client.send_task(HOLD, ("held", str(gate)), ignore_result=True)
    wait_for(lambda: _starts(place, "held") == 1, "the run has begun", limit=30)
    with node.memory_alarm():
        # The server says so when somebody sends: that message waits on the way.
        place.client.send_task(HOLD, ("waits", str(gate)), ignore_result=True)
        with pytest.raises(TimeoutError, match="did not confirm 1 message"):
            place.client.producer.flush(0.2)
        began = time.monotonic()
        with pytest.raises(OperationalError, match=r"takes no messages|did not answer"):
            place.client.send_task(HOLD, ("late", str(gate)), ignore_result=True, retry=False)
        assert time.monotonic() - began < 15
        gate.touch()
        wait_for(lambda: _have_run(place, ["held"]), "the run has ended", limit=30)
    place.client.send_task(HOLD, ("after", str(gate)), ignore_result=True)
    wait_for(lambda: _have_run(place, ["waits", "after"]), "work goes on", limit=60)
