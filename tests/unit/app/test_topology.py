"""Exchanges, queues and bindings as kombu names them, and what the core is told of them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from fastq import Broadcast, Exchange, Queue, binding
from fastq._seam import QueueSpec
from fastq.app.topology import worker_direct
from fastq.exceptions import ImproperlyConfigured


def test_a_queue_says_all_that_a_broker_must_know() -> None:
    queue = Queue(
        "a",
        Exchange("x", "topic", durable=False, auto_delete=True, arguments={"alternate-exchange": "lost"}),
        "k.#",
        durable=False,
        auto_delete=True,
        queue_arguments={"x-queue-mode": "lazy"},
        binding_arguments={"b": 1},
        consumer_arguments={"x-priority": 5},
        max_priority=9,
    )
    assert queue.specs() == [
        QueueSpec(
            "a",
            exchange="x",
            exchange_type="topic",
            routing_key="k.#",
            durable=False,
            auto_delete=True,
            arguments='{"x-queue-mode":"lazy","x-max-priority":9}',
            exchange_durable=False,
            exchange_auto_delete=True,
            exchange_arguments='{"alternate-exchange":"lost"}',
            binding_arguments='{"b":1}',
            consumer_arguments='{"x-priority":5}',
        )
    ]


def test_every_binding_has_its_key_and_its_arguments() -> None:
    queue = Queue("a", bindings=[binding(Exchange("x"), "k", {"n": 1}), binding("y", "")])
    assert [(spec.exchange, spec.routing_key, orjson.loads(spec.binding_arguments)) for spec in queue.specs()] == [
        ("", "", {}),
        ("x", "k", {"n": 1}),
        ("y", "", {}),
    ]


def test_one_binding_needs_no_list() -> None:
    assert Queue("a", bindings=binding("x", "k")).bindings == (binding("x", "k"),)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "exchange",
    [Exchange(), Exchange("amq.topic", "topic"), Exchange("x", no_declare=True), Exchange("x", passive=True)],
)
def test_an_exchange_that_is_there_is_not_declared(exchange: Exchange) -> None:
    assert Queue("a", exchange).specs()[0].exchange_no_declare


def test_an_exclusive_queue_goes_with_its_connection() -> None:
    spec = Queue("a", exclusive=True).specs()[0]
    assert (spec.exclusive, spec.auto_delete) == (True, True)


def test_a_queue_that_is_there_is_taken_from_and_senders_do_not_declare_it() -> None:
    queue = Queue("a", max_priority=3, no_declare=True)
    assert queue.specs()[0].no_declare
    assert queue.specs_of_sender() == []
    assert not queue.needs_declaring


def test_a_queue_that_does_not_outlive_a_restart_has_more_than_a_name() -> None:
    assert Queue("a", durable=False).needs_declaring
    assert not Queue("a").needs_declaring


def test_an_argument_that_no_broker_knows_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match="arguments of 'a'"):
        Queue("a", queue_arguments={"x": object()}).specs()


def test_a_changed_queue_is_of_the_same_kind() -> None:
    changed = Broadcast("news").changed(routing_key="k", max_priority=3)
    assert isinstance(changed, Broadcast)
    assert (changed.routing_key, changed.arguments) == ("k", {"x-max-priority": 3})


def test_a_broadcast_is_a_queue_of_each_process() -> None:
    first, second = Broadcast("news"), Broadcast("news")
    assert first.name != second.name
    assert first.name.startswith("bcast.")
    assert (first.alias, first.where, first.auto_delete) == ("news", Exchange("news", "fanout"), True)
    assert Broadcast("news", "mine").name == "mine"
    assert Broadcast("news", "mine", unique=True).name.startswith("mine.")
    assert Broadcast("news", exchange="other", alias="n").where == Exchange("other")


def test_a_sender_declares_the_exchange_of_a_broadcast_alone() -> None:
    assert [(spec.name, spec.exchange, spec.exchange_type) for spec in Broadcast("news").specs_of_sender()] == [
        ("", "news", "fanout")
    ]


def test_the_queue_of_a_worker_is_where_celery_has_it() -> None:
    queue = worker_direct("fastq@host")
    assert (queue.name, queue.where, queue.routing_key) == ("fastq@host.dq2", Exchange("C.dq2"), "fastq@host")
    assert worker_direct(queue) is queue


class Foreign:
    """Stands for kombu's classes, which have more attributes than ours."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


def test_what_kombu_made_is_taken_over_whole() -> None:
    exchange = Foreign(name="x", type="topic", durable=False, arguments={"a": 1}, delivery_mode=1, channel=None)
    way = Foreign(exchange=Foreign(name="y", type="fanout"), routing_key=None, arguments=None)
    queue = Queue.of(
        Foreign(name="a", exchange=exchange, routing_key="k", bindings={way}, queue_arguments={"x-a": 1}, expires=2.0)
    )
    assert queue.where == Exchange("x", "topic", durable=False, arguments={"a": 1}, delivery_mode=1)
    assert queue.arguments == {"x-a": 1, "x-expires": 2000}
    assert [(spec.exchange, spec.routing_key) for spec in queue.specs()] == [("x", "k"), ("y", "")]


def test_a_broadcast_of_kombu_stays_one() -> None:
    kind = type("Broadcast", (Foreign,), {})
    made = Queue.of(kind(name="bcast.1", alias="news", exchange=Foreign(name="news", type="fanout"), auto_delete=True))
    assert isinstance(made, Broadcast)
    assert (made.name, made.alias, made.where) == ("bcast.1", "news", Exchange("news", "fanout"))


def test_an_entry_of_a_map_may_describe_its_exchange() -> None:
    queue = Queue.from_options("a", {"exchange": "x", "exchange_durable": False, "delivery_mode": 1})
    assert queue.where == Exchange("x", durable=False, delivery_mode=1)
