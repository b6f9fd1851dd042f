"""`app.control`: what is written into the record, and what is broadcast."""

from __future__ import annotations

import asyncio
import signal
import uuid
from typing import Any

import orjson
import pytest

from fastq import FastQ
from fastq.exceptions import NotSupported
from fastq.result import AsyncResult, EagerResult
from tests.unit.app.conftest import Recorder


class Broker(Recorder):
    """A producer that keeps what is called off; `can` is what it tells of the broker."""

    def __init__(self, *, revocations: bool = True, mailbox: bool = False) -> None:
        super().__init__()
        self.can = {"revocations": revocations, "mailbox": mailbox}
        self.record: list[tuple[list[dict[str, Any]], float]] = []

    def capabilities(self) -> dict[str, bool]:
        return self.can

    def revoke(self, demands: bytes, expires: float) -> None:
        self.record.append((orjson.loads(demands), expires))

    @property
    def commands(self) -> list[dict[str, Any]]:
        """The bodies of what was broadcast."""
        return [message.body for message in self.messages]


@pytest.fixture
def broker(app: FastQ) -> Broker:
    made = Broker()
    app.producer = made
    return made


@pytest.fixture
def shared(app: FastQ) -> Broker:
    """Return a broker that Celery's workers share."""
    made = Broker(mailbox=True)
    app.producer = made
    return made


def test_ids_come_in_every_shape(app: FastQ, broker: Broker) -> None:
    number = uuid.uuid4()
    app.control.revoke("1")
    app.control.revoke([number, app.AsyncResult("2")])
    app.control.revoke(app.AsyncResult("3"))
    app.control.revoke(iter(["4"]))
    assert [[one["id"] for one in demands] for demands, _ in broker.record] == [["1"], [str(number), "2"], ["3"], ["4"]]
    app.control.revoke([])
    assert len(broker.record) == 4
    for nothing in (None, "", [""]):
        with pytest.raises(ValueError, match="needs the id of a task"):
            app.control.revoke(nothing)


def test_a_signal_is_named_and_only_where_runs_are_ended(app: FastQ, broker: Broker) -> None:
    app.control.revoke("1", signal="KILL")
    app.control.revoke("1", terminate=True)
    app.control.terminate("1", signal="int")
    app.control.terminate("1", signal=signal.SIGKILL)
    assert [demands[0].get("signal") for demands, _ in broker.record] == [None, "SIGTERM", "SIGINT", "SIGKILL"]
    for wrong in ("SIGNAL", 0, -9, None):
        with pytest.raises(ValueError, match="There is no signal"):
            app.control.terminate("1", signal=wrong)  # type: ignore[arg-type]


def test_it_is_remembered_as_long_as_is_set_or_asked_for(app: FastQ, broker: Broker) -> None:
    app.control.revoke("1")
    app.control.revoke("1", expires=60)
    app.conf.task_revoke_expires = 5
    app.control.revoke_by_stamped_headers({"a": 1})
    assert [expires for _, expires in broker.record] == [10_800.0, 60, 5.0]


def test_stamps_are_called_off_one_by_one(app: FastQ, broker: Broker) -> None:
    app.control.revoke_by_stamped_headers({"a": [1, "x"], "b": "y"}, terminate=True)
    end = {"signal": "SIGTERM"}
    assert broker.record[0][0] == [
        {"stamp": "a", "value": 1, **end},
        {"stamp": "a", "value": "x", **end},
        {"stamp": "b", "value": "y", **end},
    ]


def test_where_celery_listens_it_is_broadcast_as_celery_does(app: FastQ, shared: Broker) -> None:
    app.control.revoke("1", terminate=True)
    app.control.revoke_by_stamped_headers({"a": "x"})
    assert len(shared.record) == 2
    assert [(body["method"], body["arguments"], body["destination"]) for body in shared.commands] == [
        ("revoke", {"task_id": ["1"], "terminate": True, "signal": "SIGTERM"}, None),
        ("revoke_by_stamped_headers", {"headers": {"a": "x"}, "terminate": False, "signal": "SIGTERM"}, None),
    ]
    assert shared.last.route == ("celery.pidbox", "", None, None)
    assert shared.last.headers == {"clock": 0, "expires": 0}
    app.conf.worker_enable_remote_control = False
    app.control.revoke("2")
    assert (len(shared.record), len(shared.commands)) == (3, 2)


def test_a_destination_is_a_message_to_some_and_no_record(app: FastQ, shared: Broker) -> None:
    app.conf.control_exchange = "shop"
    app.control.revoke("1", destination=["a@b"])
    app.control.revoke("1", pattern="a@*")
    assert shared.record == []
    assert [(body["destination"], body["pattern"]) for body in shared.commands] == [(["a@b"], None), (None, "a@*")]
    assert shared.last.route.exchange == "shop.pidbox"


def test_workers_are_matched_in_the_two_ways_that_celery_knows(app: FastQ, shared: Broker) -> None:
    app.control.broadcast("ping", pattern="a@*")
    app.control.broadcast("ping", pattern="b@*", matcher="glob")
    app.control.revoke("1", pattern="^a@(x|y)$", matcher="pcre")
    app.control.revoke_by_stamped_headers({"a": "x"}, pattern="a@", matcher="pcre")
    assert [(body["pattern"], body["matcher"]) for body in shared.commands] == [
        ("a@*", "glob"),
        ("b@*", "glob"),
        ("^a@(x|y)$", "pcre"),
        ("a@", "pcre"),
    ]


@pytest.mark.parametrize(
    ("pattern", "matcher", "said"), [("*", "sql", "no matcher 'sql'"), ("(", "pcre", "no regular")]
)
def test_receivers_that_no_worker_could_tell_are_refused(
    app: FastQ, shared: Broker, pattern: str, matcher: str, said: str
) -> None:
    for tell in (
        lambda: app.control.broadcast("ping", pattern=pattern, matcher=matcher),
        lambda: app.control.revoke("1", pattern=pattern, matcher=matcher),
        lambda: app.control.revoke_by_stamped_headers({"a": 1}, pattern=pattern, matcher=matcher),
    ):
        with pytest.raises(ValueError, match=said):
            tell()
    assert shared.commands == shared.record == []


def test_a_broker_without_a_record_is_told_by_broadcast(app: FastQ) -> None:
    app.producer = broker = Broker(revocations=False, mailbox=True)
    app.control.revoke("1")
    assert (broker.record, len(broker.commands)) == ([], 1)
    app.producer = Broker(revocations=False)
    with pytest.raises(NotSupported, match="carries no remote commands"):
        app.control.revoke("1")


def test_replies_are_refused_with_a_sentence(app: FastQ, shared: Broker) -> None:
    with pytest.raises(NotSupported, match="replies"):
        app.control.revoke("1", reply=True)
    with pytest.raises(NotSupported, match="replies"):
        app.control.broadcast("ping", reply=True)
    with pytest.raises(NotSupported, match="replies"):
        app.AsyncResult("1").revoke(wait=True)
    assert (shared.record, shared.messages) == ([], [])


def test_results_call_their_tasks_off(app: FastQ, broker: Broker) -> None:
    result: AsyncResult[int] = app.AsyncResult("1")
    result.revoke()
    result.revoke(terminate=True, signal="KILL")
    result.revoke_by_stamped_headers({"a": 1})
    asyncio.run(result.arevoke(terminate=True))
    assert [demands[0] for demands, _ in broker.record] == [
        {"id": "1"},
        {"id": "1", "signal": "SIGKILL"},
        {"stamp": "a", "value": 1},
        {"id": "1", "signal": "SIGTERM"},
    ]


def test_an_eager_result_counts_as_called_off(app: FastQ, broker: Broker) -> None:
    result: EagerResult[int] = EagerResult("1", 3, "SUCCESS")
    result.revoke(terminate=True)
    assert (result.state, broker.record) == ("REVOKED", [])
