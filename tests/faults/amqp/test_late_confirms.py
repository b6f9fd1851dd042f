"""A client's call does not wait for the server's word, and yet what it has sent arrives, whatever breaks."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from fastq import FastQ
from fastq.exceptions import OperationalError
from tests.faults.conftest import RECORD
from tests.support.call import Call
from tests.support.proxy import Cut, Proxy
from tests.support.rabbitmq_server import RabbitMQServer
from tests.support.wait import wait_for

MakeClient = Callable[..., FastQ]


@pytest.fixture
def way(node: RabbitMQServer, vhost: str, proxy: Proxy) -> str:
    """Return the URL of an empty virtual host, by way of the proxy."""
    return node.url_of(vhost).replace(f":{node.port}/", f":{proxy.url.rsplit(':', 1)[1].split('/')[0]}/")


@pytest.fixture
def make_client(way: str) -> Iterator[MakeClient]:
    """Return what makes clients of that host, which have sent one message already: it made the queue."""
    made: list[FastQ] = []

    def make(**settings: object) -> FastQ:
        client = FastQ("late", broker=way, backend="disabled://", set_as_current=False)
        client.conf.update(broker_publish_timeout=2.0, **settings)
        client.send_task(RECORD, (-1,))
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


def send(client: FastQ, numbers: Sequence[int]) -> list[str]:
    return [client.send_task(RECORD, (number,)).id for number in numbers]


@pytest.fixture
def count(node: RabbitMQServer, vhost: str) -> Callable[[], int]:
    """Return what tells how many messages are in the queue, but for the client's first."""
    return lambda: node.lengths(vhost).get("celery", 1) - 1


def test_a_call_returns_before_the_server_has_answered_and_flush_waits_for_it(
    make_client: MakeClient, proxy: Proxy, count: Callable[[], int]
) -> None:
    client = make_client()
    with proxy.stalled():
        send(client, range(5))
        with pytest.raises(TimeoutError, match="did not confirm 5 messages"):
            client.producer.flush(0.1)
    client.producer.flush()
    wait_for(lambda: count() == 5, "all have arrived, once", limit=30)


def test_closing_waits_once_for_a_server_that_does_not_answer(
    make_client: MakeClient, proxy: Proxy, count: Callable[[], int]
) -> None:
    client = make_client()
    with proxy.stalled():
        send(client, range(5))
        call = Call(client.close).end(limit=30)
        assert call.error is None
        assert 2.0 <= call.seconds < 3.5, "once the time for a call (2 s), not twice"
    wait_for(lambda: count() >= 5, "all have arrived: they are sent on as long as the process lives", limit=30)


@pytest.mark.parametrize("how", [Cut.END, Cut.RESET])
def test_what_a_broken_connection_took_with_it_is_sent_again_without_another_call(
    make_client: MakeClient, proxy: Proxy, count: Callable[[], int], how: Cut
) -> None:
    client = make_client()
    with proxy.stalled():
        send(client, range(20))
        proxy.cut(how)
    wait_for(lambda: count() == 20, "all have arrived, once", limit=30)


def test_a_server_that_is_killed_gets_again_what_it_had_not_confirmed(
    make_client: MakeClient, node: RabbitMQServer, proxy: Proxy, count: Callable[[], int]
) -> None:
    client = make_client()
    with proxy.stalled():
        send(client, range(20))
        node.kill()

    def is_refused() -> bool:
        try:
            client.send_task(RECORD, (20,), retry=False)
        except OperationalError:
            return True
        return False

    # As soon as the end of the connection has come through.
    wait_for(is_refused, "a call that says that nobody is there")
    node.start()
    wait_for(lambda: count() >= 20, "all have arrived", limit=60)
    client.producer.flush(30.0)


def test_a_server_that_stays_silent_is_given_up_and_asked_anew(
    make_client: MakeClient, proxy: Proxy, count: Callable[[], int]
) -> None:
    client = make_client()
    proxy.cut_after(1, Cut.FORGOTTEN, replies=False)
    send(client, range(3))
    wait_for(lambda: count() >= 3, "all have arrived", limit=30)


def test_so_many_may_be_unconfirmed_and_the_next_call_says_that_nobody_answers(
    make_client: MakeClient, proxy: Proxy, count: Callable[[], int]
) -> None:
    client = make_client()
    with proxy.stalled():
        call = Call(lambda: send(client, range(2_000))).end(limit=30)
        assert isinstance(call.error, OperationalError), call.error
    client.producer.flush(30.0)
    wait_for(lambda: 1_024 <= count() < 2_000, "what was sent has arrived", limit=30)


def test_a_queue_that_was_deleted_is_made_again_for_what_comes_back(
    make_client: MakeClient, node: RabbitMQServer, vhost: str
) -> None:
    client = make_client()
    node.delete_queue("celery", vhost)
    send(client, range(3))
    client.producer.flush()
    wait_for(lambda: node.lengths(vhost).get("celery") == 3, "all have arrived", limit=30)


def test_with_confirm_publish_each_call_waits(make_client: MakeClient, proxy: Proxy, count: Callable[[], int]) -> None:
    client = make_client(broker_transport_options={"confirm_publish": True})
    with proxy.stalled(), pytest.raises(OperationalError):
        client.send_task(RECORD, (0,), retry=False)
    send(client, [1])
    assert count() >= 1


PROGRAM = f"""
import os, sys
from fastq import FastQ

app = FastQ("late", broker=sys.argv[1], backend="disabled://")
app.conf.broker_publish_timeout = 2.0
app.send_task("{RECORD}", (-1,))
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[2])):
    app.send_task("{RECORD}", (number,))
print("sent", flush=True)
if len(sys.argv) > 3 and os.fork() == 0:
    app.send_task("{RECORD}", (-2,))
    app.close()
    os._exit(0)
"""


def start(way: str, *arguments: object) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", PROGRAM, way, *map(str, arguments)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(words, text=True, cwd=Path(__file__).parents[3], env=dict(os.environ), **pipes)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_the_end_of_a_process_waits_for_what_it_has_sent(way: str, count: Callable[[], int]) -> None:
    out, err = start(way, 500).communicate("\n", timeout=60)
    assert (out, err) == ("sent\n", "")
    assert count() == 500


def test_a_process_that_ends_while_nobody_answers_says_what_may_be_lost(way: str, proxy: Proxy) -> None:
    process = start(way, 7)
    with proxy.stalled():
        out, err = process.communicate("\n", timeout=60)
    assert out == "sent\n"
    assert "did not confirm 7 messages, which may be lost" in err


def test_a_forked_process_leaves_to_its_parent_what_that_has_sent(
    way: str, proxy: Proxy, count: Callable[[], int]
) -> None:
    process = start(way, 50, "fork")
    assert process.stdout is not None
    assert process.stdin is not None
    with proxy.stalled():
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "sent\n"
    process.communicate(timeout=60)
    wait_for(lambda: count() == 51, "each has arrived, once", limit=30)
