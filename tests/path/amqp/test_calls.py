"""From a call to its result, over RabbitMQ."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fastq.exceptions import AccessRefused, NotSupported, OperationalError
from tests.support.redis_server import RedisServer
from tests.support.wait import wait_for

if TYPE_CHECKING:
    from fastq import FastQ
    from tests.support.worker import RunningWorker

LIMIT = 30.0

Serve = Callable[..., "RunningWorker"]


def test_a_call_is_run_and_its_result_comes_as_a_message(app: FastQ, serve: Serve) -> None:
    serve()
    results = [app.send_task("shop.add", (number, 1)) for number in range(50)]
    assert [result.get(timeout=LIMIT) for result in reversed(results)] == list(range(50, 0, -1))
    assert results[0].get(timeout=LIMIT) == 1, "what was read once is still known to its caller"
    assert app.producer.depths()[0]["ready"] == 0


def test_threads_await_results_side_by_side(app: FastQ, serve: Serve) -> None:
    serve()
    found: dict[int, Any] = {}

    def call(number: int) -> None:
        found[number] = app.send_task("shop.add", (number, number)).get(timeout=LIMIT)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: 2 * number for number in range(8)}


def test_a_forked_child_awaits_its_own_results(app: FastQ, serve: Serve) -> None:
    serve()
    before = app.send_task("shop.add", (1, 1))
    assert before.get(timeout=LIMIT) == 2
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if app.send_task("shop.add", (2, 3)).get(timeout=LIMIT) == 5 else 2
        finally:
            os._exit(code)
    assert app.send_task("shop.add", (3, 3)).get(timeout=LIMIT) == 6
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_many_calls_are_sent_together(app: FastQ, serve: Serve) -> None:
    @app.task(name="shop.add")
    def add(x: int, y: int) -> int:
        return x + y

    results = list(add.apply_async_many((number, number) for number in range(300)))
    serve()
    assert sum(result.get(timeout=LIMIT) for result in results) == sum(2 * number for number in range(300))


def test_results_may_lie_on_another_server(
    make_app: Callable[..., FastQ], serve: Serve, redis_server: RedisServer
) -> None:
    app = make_app(backend=redis_server.url)
    serve(FASTQ_RESULT_BACKEND=redis_server.url)
    assert app.send_task("shop.add", (2, 3)).get(timeout=LIMIT) == 5


def test_a_task_is_not_held_by_a_worker_until_it_is_due(app: FastQ, serve: Serve, tmp_path: Path, node: Any) -> None:
    serve(FASTQ_BROKER_NATIVE_DELAYED_DELIVERY_QUEUE_TYPE="classic")
    app.send_task("shop.note", (str(tmp_path / "late"), "late"), countdown=3600)

    def waits() -> bool:
        lengths: dict[str, int] = node.lengths(node.test_vhost)
        delayed = [name for name, count in lengths.items() if count and name.startswith("celery_delayed_")]
        return bool(delayed) and not lengths["celery"]

    wait_for(waits, "the task waits in a queue of delays", limit=LIMIT)


def test_a_call_that_may_not_use_the_server_says_so_at_once(make_app: Callable[..., FastQ], database_url: str) -> None:
    app = make_app(broker=database_url.replace("guest:guest", "guest:hunter2"))
    with pytest.raises(AccessRefused, match="user name or password") as raised:
        app.send_task("shop.add", (1, 1))
    assert "hunter2" not in str(raised.value)


def test_a_server_that_is_not_there_is_an_operational_error(make_app: Callable[..., FastQ]) -> None:
    app = make_app(broker="amqp://127.0.0.1:1//", broker_publish_timeout=1.0)
    with pytest.raises(OperationalError, match="RabbitMQ"):
        app.send_task("shop.add", (1, 1), retry=False)


def test_states_from_elsewhere_cannot_be_stored_as_messages(app: FastQ) -> None:
    with pytest.raises(NotSupported, match="rpc"):
        app.backend.store_result("id", 1, "SUCCESS")


def test_what_is_set_aside_is_shown_and_goes_back(app: FastQ, serve: Serve) -> None:
    serve()
    app.send_task("shop.nothing_of_this_name")
    letters = wait_for(lambda: app.producer.dead_letters(None, 5), "the task was set aside", limit=LIMIT)
    assert letters is not None
    assert letters[0]["task_name"] == "shop.nothing_of_this_name"
    assert app.producer.drop_dead(None, []) == 1
