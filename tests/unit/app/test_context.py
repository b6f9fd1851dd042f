"""What `task.request` knows, and when it looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from fastq.app import current
from fastq.app.context import Context

if TYPE_CHECKING:
    from fastq import FastQ


class Job:
    """A job that counts how often its parts are asked for."""

    id, name, queue = "id-1", "shop.add", "celery"
    exchange, routing_key, priority, redelivered = "", "celery", 3, True
    deaths, ignore_result = 2, True

    def __init__(self, **headers: Any) -> None:
        self.asked: list[str] = []
        self._headers = headers

    @property
    def headers(self) -> bytes:
        self.asked.append("headers")
        return orjson.dumps(self._headers)

    @property
    def properties(self) -> bytes:
        self.asked.append("properties")
        return orjson.dumps({"correlation_id": "id-1", "reply_to": "r", "priority": 3})


def request_of(job: Job) -> Context:
    return Context.from_job(job, "celery@host")  # type: ignore[arg-type]


def test_nothing_is_decoded_before_it_is_asked_for() -> None:
    job = Job(retries=2)
    request = request_of(job)
    assert (request.id, request.task, request.hostname, request.called_directly) == (
        "id-1",
        "shop.add",
        "celery@host",
        False,
    )
    assert job.asked == []
    assert (request.retries, request.root_id, request.retries) == (2, None, 2)
    assert job.asked == ["headers"]
    assert (request.reply_to, request.correlation_id) == ("r", "id-1")
    assert job.asked == ["headers", "properties"]


def test_custom_headers_are_attributes_and_gathered_in_headers() -> None:
    request = request_of(Job(retries=0, x_trace="t"))
    assert request.x_trace == "t"
    assert request.headers == {"x_trace": "t"}
    assert request_of(Job(retries=0)).headers is None


def test_headers_are_read_once_and_only_what_is_asked_for_is_kept() -> None:
    job = Job(retries=2, group="g", x_trace="t")
    request = request_of(job)
    assert (request.headers, request.group, request.retries, request.x_trace) == ({"x_trace": "t"}, "g", 2, "t")
    assert job.asked == ["headers"]
    request.update(retries=5)
    assert request.retries == 5
    assert "'group': 'g'" in repr(request)


def test_a_header_does_not_set_what_the_run_gathers() -> None:
    request = request_of(Job(outgoing="x", children="x", deaths=9))
    assert (request.retries, request.outgoing, request.children, request.deaths) == (0, [], [], 2)


def test_what_the_core_says_wins_over_headers() -> None:
    request = request_of(Job(ignore_result=False, id="other"))
    assert (request.ignore_result, request.id, request.deaths) == (True, "id-1", 2)
    assert request.delivery_info == {"exchange": "", "routing_key": "celery", "priority": 3, "redelivered": True}


def test_links_are_read_from_the_embed() -> None:
    request = request_of(Job())
    request.embed = {"callbacks": [1], "errbacks": None, "chain": [], "chord": None}
    assert (request.callbacks, request.errbacks, request.chain) == ([1], None, [])


def test_defaults_are_those_of_a_direct_call() -> None:
    request = Context()
    assert request.called_directly is True
    assert (request.retries, request.is_eager, request.children, request.delivery_info) == (0, False, [], None)
    assert request.get("nothing", 5) == 5
    with pytest.raises(AttributeError, match="nothing"):
        _ = request.nothing


def test_outgoing_messages_are_taken_once() -> None:
    request = Context()
    assert request.take_outgoing() == ()
    request.outgoing.append("message")  # type: ignore[arg-type]
    assert request.take_outgoing() == ("message",)
    assert request.take_outgoing() == ()


def test_a_request_is_updated_and_cleared() -> None:
    request = Context({"id": 1}, retries=3)
    request.update(id=2)
    assert (request.id, request.retries) == (2, 3)
    request.clear()
    assert request.id is None


def test_the_request_of_a_task_is_that_of_its_innermost_run(app: FastQ) -> None:
    @app.task
    def one() -> None: ...

    @app.task
    def two() -> None: ...

    one.push_request(id="1")
    two.push_request(id="2")
    one.push_request(id="3")
    assert (one.request.id, two.request.id) == ("3", "2")
    assert current.get_current_task() is one
    one.pop_request()
    assert (one.request.id, two.request.id) == ("1", "2")
    two.pop_request()
    one.pop_request()
    assert (one.request.id, current.get_current_task()) == (None, None)


def test_only_a_worker_makes_the_current_worker_task(app: FastQ) -> None:
    @app.task
    def inner() -> Any:
        return current.get_current_worker_task()

    @app.task
    def outer() -> Any:
        return inner()

    assert outer() is None
    outer.push_request(called_directly=False)
    assert inner() is outer
    outer.pop_request()


def test_execution_options_say_what_a_retry_needs() -> None:
    request = request_of(
        Job(
            root_id="r",
            parent_id="p",
            group="g",
            timelimit=[10, 5],
            retries=1,
            origin="o",
            stamped_headers=["s"],
            stamps={"s": [1]},
            x_custom=1,
        )
    )
    options = request.as_execution_options()
    assert options["task_id"] == "id-1"
    assert (options["group_id"], options["time_limit"], options["soft_time_limit"]) == ("g", 10, 5)
    assert (options["stamped_headers"], options["s"]) == (["s"], [1])
    assert options["headers"] == {"x_custom": 1}
