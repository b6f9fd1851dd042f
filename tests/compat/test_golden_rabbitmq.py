"""RabbitMQ: what fastq says to it is what Celery said, to the letters of the types on the wire."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

import fastq
from fastq import FastQ
from fastq.app.publish import make_producer
from tests.compat.calls import CALLS, Call
from tests.compat.rabbitmq import Heard, agree, listening, recorded
from tests.compat.recordings import VERSIONS
from tests.compat.shop import Shop
from tests.compat.support import ACCEPTED, open_shop
from tests.compat.test_golden_messages import LEFT_OPEN, SHOWN_OTHERWISE
from tests.compat.topologies import REFUSED, TOPOLOGIES, Kinds, topology_of

KINDS = Kinds(fastq.Exchange, fastq.Queue, fastq.Broadcast, fastq.binding)
MESSAGES = [
    pytest.param(version, call, id=f"{version}-{call.name}")
    for version in VERSIONS
    for call in CALLS
    if call.name not in REFUSED
]


@pytest.fixture(scope="module")
def heard() -> Iterator[Heard]:
    """Return a virtual host on which nothing is but what these tests put there."""
    with listening() as heard:
        yield heard


@pytest.fixture(scope="module")
def producer(heard: Heard) -> Iterator[Any]:
    """Return a connection that tests share: no message needs one of its own."""
    app = FastQ("shop", broker=heard.url, set_as_current=False)
    made = make_producer(app)
    yield made
    made.close()


@pytest.mark.parametrize(("version", "call"), MESSAGES)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_same_call_says_the_same(version: str, call: Call, heard: Heard, producer: Any) -> None:
    (theirs,) = recorded(version, f"message-{call.name}")
    heard.since()
    with open_shop(now=_sent_at(theirs)) as (shop, _):
        shop.app.producer = producer
        call.send(shop)
    ours = next(said for said in heard.since() if said["method"] == "basic.publish")

    differently = {"ignore_result": ["V", None]} if call.name in LEFT_OPEN else {}
    agree(ours, theirs, differently=differently, for_people=call.name in SHOWN_OTHERWISE)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", sorted(set(TOPOLOGIES) - {"exclusive"}))
def test_a_client_declares_what_celery_declares(version: str, name: str) -> None:
    """Of a queue that has a name and nothing else fastq says nothing: it is made when it is found missing."""
    with listening() as heard:
        shop = _open(heard, name)
        shop.quiet.apply_async((name,), ignore_result=True)
        ours, theirs = heard.since(), recorded(version, f"sent-{name}")
        shop.app.close()

    declared = _declared(ours)
    if name == "broadcast":
        assert declared == {"exchange.declare": [_exchange("news", "fanout")]}
    elif declared != {"queue.declare": [_queue(theirs, "light")]}:
        for method, expected in _declared(theirs).items():
            for one in expected:
                assert one in declared[method]
    agree(_published(ours), _published(theirs), differently={})


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_for_later_goes_the_way_of_the_delays(version: str) -> None:
    (theirs,) = recorded(version, "delayed-quorum-topic")
    with listening() as heard:
        shop = _open(heard, "quorum-topic")
        shop.quiet.apply_async(("quorum-topic",), countdown=90, ignore_result=True)
        ours = _published(heard.since())
        shop.app.close()

    key = theirs["routing_key"].split(".")
    seconds = int("".join(ours["routing_key"].split(".")[: len(key) - 1]), 2)
    assert ours["exchange"] == theirs["exchange"]
    assert ours["routing_key"].split(".")[-1] == key[-1]
    assert len(ours["routing_key"].split(".")) == len(key)
    assert 89 <= seconds <= 91


def _open(heard: Heard, topology: str) -> Shop:
    app = FastQ("shop", broker=heard.url, backend="disabled://", accept_content=ACCEPTED, set_as_current=False)
    for name, value in topology_of(topology, KINDS).items():
        setattr(app.conf, name, value)
    return Shop(app)


def _sent_at(command: dict[str, Any]) -> datetime | None:
    """Return when it was sent, as far as it says: its expiry is there as a time and as what was left of it."""
    expires, left = command["properties"]["headers"]["expires"][1], command["properties"].get("expiration")
    return datetime.fromisoformat(expires) - timedelta(milliseconds=int(left) + 0.5) if expires and left else None


def _published(commands: list[dict[str, Any]]) -> dict[str, Any]:
    return next(said for said in commands if said["method"] == "basic.publish")


def _declared(commands: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return what was declared, by method; questions whether something is there do not count."""
    found: dict[str, list[dict[str, Any]]] = {}
    for said in commands:
        if said["method"] in ("exchange.declare", "queue.declare", "queue.bind") and not said.get("passive"):
            found.setdefault(said["method"], []).append({key: said[key] for key in said if key != "nowait"})
    return found


def _exchange(name: str, kind: str) -> dict[str, Any]:
    return {
        "method": "exchange.declare", "exchange": name, "type": kind, "passive": False, "durable": True,
        "auto_delete": False, "internal": False, "arguments": {},
    }  # fmt: skip


def _queue(_theirs: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return {
        "method": "queue.declare", "queue": name, "passive": False, "durable": True, "exclusive": False,
        "auto_delete": False, "arguments": {},
    }  # fmt: skip
