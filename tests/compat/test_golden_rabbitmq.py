"""RabbitMQ: what fastq says to it is what Celery said, to the letters of the types on the wire."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fastq import FastQ
from fastq.app.publish import make_producer
from tests.compat.calls import CALLS, Call
from tests.compat.rabbitmq import Heard, agree, listening, recorded
from tests.compat.rabbitmq_served import open_topology
from tests.compat.recordings import VERSIONS
from tests.compat.shop import Shop
from tests.compat.support import ACCEPTED, open_shop
from tests.compat.test_golden_messages import LEFT_OPEN, SHOWN_OTHERWISE
from tests.compat.topologies import REFUSED, TOPOLOGIES
from tests.support.wait import wait_for
from tests.support.worker import RunningWorker

CONSUME = "basic.consume"
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
def test_what_is_for_later_goes_to_its_exchange_and_says_when(version: str) -> None:
    """Celery's client sends it to the queues of delays; fastq leaves that to the worker, who has made them."""
    (theirs,) = recorded(version, "delayed-quorum-topic")
    with listening() as heard:
        shop = _open(heard, "quorum-topic")
        shop.quiet.apply_async(("quorum-topic",), countdown=90, ignore_result=True)
        ours = _published(heard.since())
        shop.app.close()

    own_key = theirs["routing_key"].rpartition(".")[2]
    agree(ours, {**theirs, "exchange": "delays", "routing_key": own_key}, differently={})


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", sorted(set(TOPOLOGIES) - {"quorum"}))
def test_a_worker_declares_and_takes_what_celerys_does(version: str, name: str, tmp_path: Path) -> None:
    """Queues of delays that a direct exchange never leads to ("quorum") fastq leaves out."""
    with listening() as heard:
        settings = {"HEARD_URL": heard.url, "HEARD_TOPOLOGY": name}
        theirs, ours = recorded(version, f"worker-{name}"), []
        wanted = {said["queue"] for said in _said(theirs, CONSUME)}

        def takes() -> bool:
            ours.extend(heard.since())
            return wanted <= {said["queue"] for said in _said(ours, CONSUME)}

        with RunningWorker("tests.compat.rabbitmq_served", tmp_path, ("-c", "1", "-n", "w@host"), settings):
            wait_for(takes, f"a consumer of each of {wanted}")

    for method in ("exchange.declare", "exchange.bind", "queue.declare", "queue.bind"):
        declared = _said(ours, method)
        assert [one for one in _said(theirs, method) if one not in declared] == []
    # Of an exclusive queue nobody else may be a consumer anyway, and fastq says so once more.
    taken = [(said["queue"], said["no_ack"], said["arguments"]) for said in _said(ours, CONSUME)]
    for said in _said(theirs, CONSUME):
        assert (said["queue"], said["no_ack"], said["arguments"]) in taken


def _said(commands: list[dict[str, Any]], method: str) -> list[dict[str, Any]]:
    """Return what was said by one method; how it was to be answered does not count, nor do questions.

    A number that needs 64 bits py-amqp writes as `L` and others as `l`: to RabbitMQ they are the same.
    """
    text = json.dumps([said for said in commands if said["method"] == method and not said.get("passive")])
    found: list[dict[str, Any]] = json.loads(text.replace('["L", ', '["l", '))
    return [{key: value for key, value in said.items() if key != "nowait"} for said in found]


def _open(heard: Heard, topology: str) -> Shop:
    shop = open_topology(heard.url, topology)
    shop.app.conf.accept_content = ACCEPTED
    return shop


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
