"""Settings of connections to Redis do what they say."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest

from fastq import FastQ
from fastq.exceptions import OperationalError
from fastq.exceptions import TimeoutError as OutOfTime
from tests.path.redis.conftest import Watched
from tests.support.proxy import Proxy
from tests.support.wait import wait_for

T = TypeVar("T")

MakeApp = Callable[..., FastQ]

LIMIT = 30.0


def at_once(count: int, work: Callable[[], object]) -> None:
    """Run some work in several threads that begin together."""
    gate = threading.Barrier(count)

    def one(_: int) -> None:
        gate.wait(LIMIT)
        work()

    with ThreadPoolExecutor(count) as threads:
        list(threads.map(one, range(count), timeout=LIMIT))


def aside(work: Callable[[], T]) -> Future[T]:
    """Begin some work in a thread of its own."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


@pytest.mark.parametrize(("limit", "kept"), [(1, 1), (3, 3), (0, 0), (None, 0)])
def test_connections_that_are_kept_for_calling(
    server: Watched, make_app: MakeApp, limit: int | None, kept: int
) -> None:
    app = make_app(broker_pool_limit=limit)

    at_once(8, lambda: [app.send_task("shop.add") for _ in range(20)])

    assert server.do("LLEN", "celery") == 160
    wait_for(lambda: len(server.clients()) <= kept, f"no more than {kept} connections")


@pytest.mark.parametrize(("limit", "kept"), [(1, 1), (2, 2)])
def test_connections_that_are_kept_for_results(server: Watched, make_app: MakeApp, limit: int, kept: int) -> None:
    app = make_app(redis_max_connections=limit)
    app.backend.store_result("id", 1, "SUCCESS")

    at_once(8, lambda: [app.AsyncResult("id").get(timeout=LIMIT) for _ in range(20)])

    assert len(server.clients()) <= kept


def test_connections_bear_the_name_they_are_given(server: Watched, make_app: MakeApp) -> None:
    app = make_app(redis_client_name="results", broker_transport_options={"client_name": "calls"})
    app.send_task("x")
    app.backend.store_result("id", 1, "SUCCESS")

    assert sorted(line.partition(b" name=")[2].split()[0] for line in server.clients()) == [b"calls", b"results"]


def test_what_the_url_of_results_does_not_say_is_taken_from_settings(server: Watched, make_app: MakeApp) -> None:
    server.do("ACL", "SETUSER", "me", "on", ">open sesame", "~*", "&*", "+@all")
    app = make_app(
        backend="redis://",
        redis_host="127.0.0.1",
        redis_port=server.port,
        redis_db=3,
        redis_username="me",
        redis_password="open sesame",
    )

    app.backend.store_result("id", 1, "SUCCESS")

    assert b" user=me " in server.clients()[0]
    assert b" db=3 " in server.clients()[0]
    assert app.AsyncResult("id").get() == 1


def test_what_the_url_of_results_says_stands(server: Watched, make_app: MakeApp) -> None:
    app = make_app(backend=f"redis://127.0.0.1:{server.port}/5", redis_host="nowhere.invalid", redis_port=1, redis_db=3)

    app.backend.store_result("id", 1, "SUCCESS")

    assert b" db=5 " in server.clients()[0]


def test_an_operation_on_results_has_the_time_it_is_given(server: Watched, make_app: MakeApp) -> None:
    hurried, patient = make_app(redis_socket_timeout=0.2), make_app(redis_socket_timeout=None)
    for app in (hurried, patient):
        assert app.AsyncResult("id").state == "PENDING"

    with server.frozen():
        waiting = aside(lambda: patient.AsyncResult("id").state)
        with pytest.raises(OutOfTime, match=r"did not answer in time.*result_backend"):
            _ = hurried.AsyncResult("id").state
        assert not waiting.done()

    assert waiting.result(LIMIT) == "PENDING"


def test_connecting_has_the_time_it_is_given(make_app: MakeApp) -> None:
    with socket.socket() as deaf, socket.socket() as first, socket.socket() as second:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for filling in (first, second):  # the system takes no more than so many for a program that does not
            filling.setblocking(False)
            filling.connect_ex(deaf.getsockname())
        url = f"redis://127.0.0.1:{deaf.getsockname()[1]}/0"
        hurried = make_app(backend=url, redis_socket_timeout=None, redis_socket_connect_timeout=0.2)
        patient = make_app(backend=url, redis_socket_timeout=None)

        waiting = aside(lambda: patient.AsyncResult("id").state)
        with pytest.raises(OutOfTime, match="could not be reached in time"):
            _ = hurried.AsyncResult("id").state
        assert not waiting.done()

    with pytest.raises(OperationalError):
        waiting.result(LIMIT)


@pytest.mark.parametrize("again", [True, False])
def test_an_operation_that_took_too_long_is_repeated_if_the_setting_says_so(
    server: Watched, make_app: MakeApp, again: bool
) -> None:
    with Proxy(server.port) as proxy:
        app = make_app(backend=proxy.url, redis_socket_timeout=0.5, redis_retry_on_timeout=again)
        app.backend.store_result("id", 5, "SUCCESS")
        (known,) = server.clients()
        with proxy.stalled():
            asked = aside(lambda: app.AsyncResult("id").state)
            if again:
                is_new = lambda: any(line.split()[0] != known.split()[0] for line in server.clients())  # noqa: E731
                wait_for(is_new, "another connection")
            else:
                with pytest.raises(OutOfTime):
                    asked.result(LIMIT)
        assert not again or asked.result(LIMIT) == "SUCCESS"


def probes(port: int) -> list[tuple[int, int]]:
    """Return, for each socket of this process that is connected to a port, whether it is probed and after how long."""
    found = []
    for number in map(int, os.listdir("/proc/self/fd")):
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(number)) as copy:
            if copy.getpeername()[1:2] == (port,):
                probed = copy.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                found.append((probed, copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)))
    return found


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="the system does not list descriptors there")
def test_idle_connections_are_probed_if_the_settings_say_so(server: Watched, make_app: MakeApp) -> None:
    options = {"socket_keepalive": True, "socket_keepalive_options": {socket.TCP_KEEPIDLE: 77}}
    app = make_app(redis_socket_keepalive=True, broker_transport_options=options)
    plain = make_app()
    for one in (app, plain):
        one.send_task("x")
        one.backend.store_result("id", 1, "SUCCESS")

    probed = [after for is_probed, after in probes(server.port) if is_probed]

    assert len(probed) == 2
    assert 77 in probed


@pytest.mark.parametrize(("interval", "asked"), [(0.1, True), (None, False)])
def test_a_connection_that_was_idle_is_asked_whether_it_lives(
    server: Watched, make_app: MakeApp, interval: float | None, asked: bool
) -> None:
    app = make_app(redis_backend_health_check_interval=interval)
    app.backend.store_result("id", 1, "SUCCESS")
    before = server.calls("ping")
    # The server counts whole seconds as they begin: 1 may be a moment, 2 is more than a second.
    wait_for(lambda: b" idle=2 " in server.clients()[0], "it to be idle for a second")

    assert app.AsyncResult("id").state == "SUCCESS"

    assert (server.calls("ping") > before) is asked


@pytest.mark.parametrize(
    "settings",
    [
        {"result_backend_always_retry": True, "result_backend_max_sleep_between_retries_ms": 50},
        {"result_backend_transport_options": {"retry_policy": {"max_retries": 1000, "interval_max": 0.05}}},
    ],
    ids=["always", "policy"],
)
def test_a_server_that_is_away_for_a_while_is_waited_for(
    server: Watched, make_app: MakeApp, settings: dict[str, Any]
) -> None:
    app = make_app(**settings)
    app.backend.store_result("id", 5, "SUCCESS")
    server.kill()

    asked = aside(lambda: app.AsyncResult("id").state)
    stored = aside(lambda: app.backend.store_result("other", 6, "SUCCESS"))
    with pytest.raises(OperationalError):
        _ = make_app().AsyncResult("id").state
    assert not asked.done()
    server.start()

    assert (asked.result(LIMIT), stored.result(LIMIT)) == ("SUCCESS", 6)
    assert app.AsyncResult("other").get(timeout=LIMIT) == 6


def test_keys_bear_the_prefixes_of_their_options(server: Watched, make_app: MakeApp) -> None:
    app = make_app(
        broker_transport_options={"global_keyprefix": "calls:"},
        result_backend_transport_options={"global_keyprefix": "results"},
    )
    app.send_task("x")
    app.backend.store_result("id", 1, "SUCCESS")

    assert set(server.do("KEYS", "*")) == {b"calls:celery", b"calls:fastq:queues", b"results_celery-task-meta-id"}


def test_results_on_the_brokers_server_are_reached_as_the_broker_is(server: Watched, make_app: MakeApp) -> None:
    app = make_app(backend=None, broker_transport_options={"client_name": "both", "global_keyprefix": "calls:"})

    app.backend.store_result("id", 1, "SUCCESS")

    assert b" name=both " in server.clients()[0]
    assert server.do("KEYS", "*") == [b"celery-task-meta-id"]
