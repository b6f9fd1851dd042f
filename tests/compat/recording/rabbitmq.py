"""Make calls and serve topologies on RabbitMQ; say on standard output what comes next, and await a line each time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import kombu
from kombu.common import Broadcast

from tests.compat.calls import CALLS
from tests.compat.recording.served import open_shop
from tests.compat.shop import Shop
from tests.compat.topologies import REFUSED, TOPOLOGIES, Kinds, topology_of

_WITHIN = 30.0
"""Seconds that anything may take."""
_BESIDE = os.environ["RECORDED_SERVER_URL"]
"""The server itself: what is asked there is not heard."""
_QUIET = {"worker_enable_remote_control": False, "worker_send_task_events": False}

_pause = threading.Event()
_kinds = Kinds(kombu.Exchange, kombu.Queue, Broadcast, kombu.binding)


def main() -> None:
    """Record messages, topologies, delays and answers."""
    shop = open_shop({})
    for call in CALLS:
        if call.name in REFUSED:
            continue
        _mark(f"message-{call.name}", call.description)
        call.send(shop)
    with kombu.Connection(_BESIDE) as connection:
        connection.default_channel.queue_delete("celery")  # nobody shall run what was sent to be recorded
    for name in TOPOLOGIES:
        _record_topology(name)
    _record_answers()
    _mark("", "the end")


def _mark(name: str, description: str) -> None:
    """Say what follows."""
    print(json.dumps({"name": name, "description": description}), flush=True)
    sys.stdin.readline()


def _record_topology(name: str) -> None:
    settings = topology_of(name, _kinds)
    queue = next(iter(settings.get("task_queues", ())), None)
    consumed = settings.get("task_default_queue", "celery") if queue is None else queue.name
    _mark(f"worker-{name}", f"a worker starts with the topology {name!r}: what it declares and takes from")
    with _worker(name, consumed):
        if name == "exclusive":
            return  # nobody else may send to it
        _mark(f"sent-{name}", "a client declares and sends, as the default queue says")
        shop = open_shop({**settings, **_QUIET})
        shop.quiet.apply_async((name,), ignore_result=True)
        if name.startswith("quorum"):
            _mark(f"delayed-{name}", "a client sends something for later")
            shop.quiet.apply_async((name,), countdown=90, ignore_result=True)
        _mark("ignored", "nothing of the rest is kept")
        shop.app.close()


def _record_answers() -> None:
    """Record results sent to whoever has asked."""
    _mark("ignored", "a worker starts")
    with _worker("default", "celery", backend="rpc://"):
        shop = open_shop(_QUIET)
        shop.app.conf.result_backend = "rpc://"
        for name, send in _ANSWERS.items():
            _mark(f"answer-{name}", "a call, its run and its answer")
            result = send(shop)
            with suppress(Exception):
                result.get(timeout=_WITHIN)
        _mark("ignored", "nothing of the rest is kept")


_ANSWERS: dict[str, Callable[[Shop], Any]] = {
    "success": lambda shop: shop.add.delay(1, 2),
    "failure": lambda shop: shop.fail.delay("builtin"),
    "started": lambda shop: shop.tracked.delay("x"),
    "progress": lambda shop: shop.progress.delay(),
}


@contextmanager
def _worker(topology: str, queue: str, backend: str = "disabled://") -> Iterator[None]:
    """Have a worker of one process serve a topology."""
    command = [sys.executable, "-m", "celery", "-A", "tests.compat.recording.served", "worker", "-c", "1"]
    command += ["-n", "w@host", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    environment = {
        **os.environ,
        "RECORDED_TOPOLOGY": topology,
        "RECORDED_SETTINGS": json.dumps({**_QUIET, "result_backend": backend}),
        "C_FORCE_ROOT": "1",
    }
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(lambda: _consumers(queue) > 0, f"the worker of {topology}")
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_WITHIN)
        process.kill()
        process.wait()


def _consumers(queue: str) -> int:
    with kombu.Connection(_BESIDE) as connection, suppress(connection.channel_errors):
        return int(connection.default_channel.queue_declare(queue, passive=True).consumer_count)
    return int(_exclusive(queue))


def _exclusive(queue: str) -> bool:
    """Whether a queue is there that only another connection may look at."""
    with kombu.Connection(_BESIDE) as connection:
        try:
            connection.default_channel.queue_declare(queue, passive=True)
        except connection.channel_errors as error:
            return getattr(error, "code", None) == 405
    return False


def _wait(fact: Callable[[], object], what: str) -> None:
    end = time.monotonic() + _WITHIN
    while not fact():
        if time.monotonic() > end:
            raise SystemExit(f"waited {_WITHIN:g} s for {what}")
        _pause.wait(0.1)


if __name__ == "__main__":
    main()
