"""One fault after the other, by chance, under one worker and one sender: nothing is lost, and nothing stalls."""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from statistics import median

import pytest

from tests.faults.amqp.conftest import RabbitPlace
from tests.faults.amqp.faults import Fault, hang_up, kill, restart
from tests.faults.sender import Sender
from tests.support.proxy import Cut, Proxy
from tests.support.rabbitmq_server import RabbitMQServer
from tests.support.wait import wait_for

STALLED = 30.0
"""Seconds after which a worker that does nothing is taken for stuck."""


@pytest.fixture
def faults(node: RabbitMQServer, vhost: str, proxy: Proxy, chance: random.Random) -> dict[str, tuple[Fault, int]]:
    """Return what can happen, by name, and how often it does. Each is over when its block ends."""

    @contextlib.contextmanager
    def cut() -> Iterator[None]:
        proxy.cut(chance.choice([Cut.END, Cut.RESET]))
        yield

    @contextlib.contextmanager
    def cut_at_a_byte(replies: bool) -> Iterator[None]:
        proxy.cut_after(chance.randint(1, 5_000), chance.choice([Cut.END, Cut.RESET]), replies=replies)
        wait_for(proxy.has_cut, "the cut", limit=30)
        yield

    return {
        "cut": (cut, 6),
        "cut in a reply": (lambda: cut_at_a_byte(True), 6),
        "cut in a request": (lambda: cut_at_a_byte(False), 6),
        "no way": (proxy.closed, 3),
        "hang up": (partial(hang_up, node, vhost), 3),  # the sender's connections, too
        "restart": (partial(restart, node), 2),
        "kill": (partial(kill, node), 2),
    }


def test_faults_without_end_lose_nothing_and_stall_nothing(
    place: RabbitPlace, faults: dict[str, tuple[Fault, int]], chance: random.Random, long: bool
) -> None:
    count = int(os.environ.get("FASTQ_FAULTS_COUNT", "300")) if long else 8
    worker, ledger, sender = place.worker(), place.ledger, Sender(place)
    seconds: dict[str, list[float]] = defaultdict(list)
    sender.start()

    def go_on(entries: int) -> None:
        enough = ledger.entries() + entries
        wait_for(lambda: ledger.entries() >= enough, f"{entries} more lines\n{worker.log[-2000:]}", limit=STALLED)

    try:
        names = list(faults)
        for name in chance.choices(names, weights=[faults[name][1] for name in names], k=count):
            go_on(chance.randint(0, 80))
            with faults[name][0]():
                pass
            back = time.monotonic()
            # Two runs may end that had begun before.
            go_on(6)
            seconds[name].append(time.monotonic() - back)
    finally:
        sender.stop()
    place.client.producer.flush(30.0)
    sent = sender.confirmed()
    wait_for(lambda: not ledger.lost(sent), "every task that was sent has run", limit=90)
    assert worker.stop() == 0, worker.log[-2000:]
    print(f"{count} faults, {len(sender.sent)} calls, {len(sender.refused())} refused, "
          f"{len(ledger.repeated())} repeated runs")  # fmt: skip
    everything = [taken for some in seconds.values() for taken in some]
    for name, taken in [*sorted(seconds.items()), ("all", everything)]:
        print(f"  {name:18} {len(taken):4}  p50 {median(taken):.3f}  slowest {max(taken):.3f}")
