"""Queues by name, and which of them workers consume."""

from __future__ import annotations

from typing import Any

import pytest

from fastq import Exchange, FastQ, Queue
from fastq.app.queues import Queues, binding
from fastq.exceptions import ImproperlyConfigured, QueueNotFound


def test_queues_are_given_as_objects_or_as_a_map() -> None:
    by_list = Queues([Queue("a", Exchange("x", "topic"), "k")])
    by_map = Queues({"a": {"exchange": "x", "exchange_type": "topic", "binding_key": "k"}})
    assert by_list["a"] == by_map["a"]


def test_an_unknown_key_of_a_queue_is_named() -> None:
    with pytest.raises(ImproperlyConfigured, match="colour"):
        Queues({"a": {"colour": "red"}})


def test_objects_of_another_library_are_taken_for_what_they_are() -> None:
    class Foreign:
        name, routing_key, alias, durable = "a", "k", None, True

        class exchange:  # noqa: N801
            name, type = "x", "fanout"

    queue = Queue.of(Foreign())
    assert (queue.name, queue.where, queue.routing_key) == ("a", Exchange("x", "fanout"), "k")


def test_the_limits_of_a_queue_become_its_arguments() -> None:
    queue = Queue("a", expires=2.5, message_ttl=60, max_length=9, max_priority=4, queue_arguments={"x-own": 1})
    assert queue.arguments == {
        "x-own": 1,
        "x-expires": 2500,
        "x-message-ttl": 60_000,
        "x-max-length": 9,
        "x-max-priority": 4,
    }
    assert queue.needs_declaring


def test_every_binding_is_declared() -> None:
    queue = Queue("a", Exchange("x"), "k", bindings=(binding(Exchange("y", "topic"), "l.#"),))
    assert [(spec.exchange, spec.exchange_type, spec.routing_key) for spec in queue.specs()] == [
        ("x", "direct", "k"),
        ("y", "topic", "l.#"),
    ]


def test_a_missing_queue_is_created_if_allowed() -> None:
    queues = Queues([Queue("a")], missing_type="quorum")
    assert queues["b"].arguments == {"x-queue-type": "quorum"}
    with pytest.raises(QueueNotFound, match="task_queues defines a"):
        _ = Queues([Queue("a")], create_missing=False)["b"]


def test_workers_consume_all_queues_unless_some_are_chosen() -> None:
    queues = Queues([Queue("a"), Queue("b", alias="bee"), Queue("c")])
    assert list(queues.consume_from) == ["a", "b", "c"]
    queues.deselect("c")
    assert list(queues.consume_from) == ["a", "b"]
    queues.select("bee,d")
    assert list(queues.consume_from) == ["b", "d"]
    queues.select_add("e")
    assert list(queues.consume_from) == ["b", "d", "e"]


def test_a_queue_that_may_not_be_created_cannot_be_chosen() -> None:
    with pytest.raises(ImproperlyConfigured, match="'b'"):
        Queues([Queue("a")], create_missing=False).select(["b"])


def test_the_settings_make_the_default_queue(app: FastQ) -> None:
    app.conf.task_default_queue_type = "quorum"
    app.conf.task_queue_max_priority = 9
    queue = app.queues["celery"]
    assert (queue.where, queue.routing_key) == (Exchange("celery"), "celery")
    assert queue.arguments == {"x-queue-type": "quorum", "x-max-priority": 9}


def test_what_a_queue_leaves_open_of_its_binding_is_the_default() -> None:
    news = Exchange("news", "fanout")
    queues = Queues(
        [Queue("a"), Queue("b", news), Queue("c", routing_key="k"), Queue("d", news, "k")],
        default_exchange=Exchange("celery"),
        default_routing_key="celery",
    )
    assert [(queue.where.name, queue.routing_key) for queue in queues.values()] == [
        ("celery", "celery"), ("news", "celery"), ("celery", "k"), ("news", "k"),
    ]  # fmt: skip


def test_the_banner_shows_queues_in_order() -> None:
    queues = Queues([Queue("b", Exchange("x", "topic"), "k"), Queue("a", Exchange("a"), "a")])
    lines: Any = queues.format(indent=2).splitlines()
    assert lines[0].startswith(".> a")
    assert lines[1] == "  .> b                exchange=x(topic) key=k"
