"""Connections of a client: how many there are, what goes over them, and that none is left behind."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

from fastq import FastQ
from tests.path.redis.conftest import Watched
from tests.support.wait import wait_for

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

LIMIT = 30.0


def in_threads(count: int, work: Callable[[int], object]) -> list[threading.Thread]:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    return threads


def joined(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join(LIMIT)
        assert not thread.is_alive()


class Child:
    """A forked process: does some work, says so, waits until it is told to go, and leaves."""

    def __init__(self, work: Callable[[], object]) -> None:
        done, tell_done = os.pipe()
        told, tell = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                work()
                os.write(tell_done, b".")
                os.read(told, 1)
            except BaseException as error:
                os.write(2, f"{error!r}\n".encode())
                os._exit(1)
            os._exit(0)
        os.close(told)
        os.close(tell_done)
        self._done, self._tell = done, tell

    def wait_until_done(self) -> None:
        assert os.read(self._done, 1) == b"."

    def leave(self) -> int:
        os.write(self._tell, b".")
        os.close(self._tell)
        os.close(self._done)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_a_call_is_one_command_once_its_queue_is_known(server: Watched, add: Any) -> None:
    add.delay(1)
    before = int(server.do("INFO", "stats").partition(b"total_commands_processed:")[2].split()[0])
    for number in range(10):
        add.delay(number)
    after = int(server.do("INFO", "stats").partition(b"total_commands_processed:")[2].split()[0])

    assert after - before == 10 + 1, "and the command that asks"
    assert server.do("LLEN", "celery") == 11


def test_one_thread_has_one_connection(server: Watched, add: Any) -> None:
    for number in range(100):
        add.delay(number)

    assert len(server.clients()) == 1


def test_twenty_threads_share_a_few_connections_and_leave_none(server: Watched, app: FastQ, add: Any) -> None:
    most: list[int] = []

    def send(_: int) -> None:
        for number in range(200):
            add.delay(number)
        most.append(len(server.clients()))

    joined(in_threads(20, send))

    assert server.do("LLEN", "celery") == 4000
    assert max(most) <= app.conf.broker_pool_limit
    app.close()
    wait_for(lambda: not server.clients(), "the end of all connections")


def test_a_connection_that_was_ended_is_replaced_without_a_word(server: Watched, add: Any) -> None:
    add.delay(1)
    for _ in range(3):
        server.hang_up()
        add.delay(1)

    assert server.do("LLEN", "celery") == 4
    assert len(server.clients()) == 1


def test_a_server_that_was_restarted_gets_the_next_call(server: Watched, add: Any) -> None:
    add.delay(1)
    server.kill()
    server.start()

    add.delay(2)

    assert server.do("LLEN", "celery") == 2


def test_children_have_connections_of_their_own_and_leave_none(server: Watched, app: FastQ, add: Any) -> None:
    add.delay(0)

    children = [Child(lambda: [add.delay(number) for number in range(20)]) for _ in range(5)]
    for child in children:
        child.wait_until_done()
    add.delay(0)

    assert server.do("LLEN", "celery") == 2 + 5 * 20
    assert len(server.clients()) == 1 + 5
    assert [child.leave() for child in children] == [0] * 5
    wait_for(lambda: len(server.clients()) == 1, "the end of the children's connections")


def test_a_connection_ends_although_a_child_has_inherited_it(server: Watched, app: FastQ, add: Any) -> None:
    add.delay(0)
    waiting = in_threads(1, lambda _: app.AsyncResult("id").get(timeout=LIMIT))
    wait_for(lambda: server.clients("pubsub"), "the thread that waits")
    child = Child(lambda: None)
    child.wait_until_done()

    app.backend.store_result("id", 1, "SUCCESS")
    joined(waiting)
    app.close()

    wait_for(lambda: not server.clients() and not server.clients("pubsub"), "the end of all connections")
    assert child.leave() == 0


def test_forks_while_threads_send_and_wait_disturb_nobody(server: Watched, app: FastQ, add: Any) -> None:
    def send_and_wait(number: int) -> None:
        for turn in range(20):
            add.delay(turn)
        assert app.AsyncResult(str(number)).get(timeout=LIMIT) == number

    threads = in_threads(6, send_and_wait)

    def in_child() -> None:
        for turn in range(10):
            add.delay(turn)
        app.backend.store_result(f"child {os.getpid()}", 1, "SUCCESS")
        assert app.AsyncResult(f"child {os.getpid()}").get(timeout=LIMIT) == 1

    children = [Child(in_child) for _ in range(4)]
    for child in children:
        child.wait_until_done()
    for number in range(6):
        app.backend.store_result(str(number), number, "SUCCESS")
    joined(threads)

    assert [child.leave() for child in children] == [0] * 4
    assert server.do("LLEN", "celery") == 6 * 20 + 4 * 10


def test_any_number_of_threads_wait_over_one_connection(server: Watched, app: FastQ) -> None:
    found: dict[int, Any] = {}

    def wait(number: int) -> None:
        found[number] = app.AsyncResult(str(number)).get(timeout=LIMIT)

    threads = in_threads(30, wait)
    wait_for(lambda: len(server.do("PUBSUB", "CHANNELS")) == 30, "all to listen")
    listening, asking = server.clients("pubsub"), server.clients()
    assert len(listening) == 1
    assert len(asking) <= app.conf.broker_pool_limit

    server.do("CLIENT", "KILL", "TYPE", "pubsub")
    for number in range(30):
        app.backend.store_result(str(number), number, "SUCCESS")
    joined(threads)

    assert found == {number: number for number in range(30)}
    wait_for(lambda: not server.do("PUBSUB", "CHANNELS"), "nothing to be listened for")
    app.close()
    wait_for(lambda: not server.clients() and not server.clients("pubsub"), "the end of all connections")


def test_waiting_goes_on_over_a_restart_of_the_server(server: Watched, app: FastQ) -> None:
    found: list[Any] = []
    threads = in_threads(2, lambda number: found.append(app.AsyncResult(str(number)).get(timeout=LIMIT)))
    wait_for(lambda: len(server.do("PUBSUB", "CHANNELS")) == 2, "all to listen")

    server.kill()
    server.start()
    for number in range(2):
        app.backend.store_result(str(number), number, "SUCCESS")
    joined(threads)

    assert sorted(found) == [0, 1]
