"""Make every call and serve every run, saying on the wire itself (ECHO) what the next commands belong to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import redis

from tests.compat.calls import CALLS, WORKFLOWS
from tests.compat.recording.served import open_shop
from tests.compat.runs import EVENTS, RUNS, SETTINGS, Run
from tests.compat.shop import Shop

_WITHIN = 30.0
"""Seconds that anything may take."""
_DOOMED = "3f1a9f0e-9d2b-4d24-8f1e-00000000dead"

_pause = threading.Event()
_wire = redis.Redis.from_url(os.environ["RECORDED_REDIS_URL"], single_connection_client=True)


def main() -> None:
    """Record messages, results, events, and the commands of a worker's life."""
    shop = open_shop({})
    for call in (*CALLS, *WORKFLOWS):
        _mark(f"message-{call.name}", call.description)
        call.send(shop)
    for name, settings in SETTINGS.items():
        _record_runs([run for run in RUNS if run.settings == name], settings)
    _record_events()
    _record_commands()
    _mark("", "the end")


def _mark(name: str, description: str) -> None:
    """Say what follows; a name's first word decides which commands are kept."""
    _wire.echo(json.dumps({"name": name, "description": description}))


def _record_runs(runs: Sequence[Run], settings: Mapping[str, Any]) -> None:
    with _worker(settings) as shop:
        for run in runs:
            _mark(f"result-{run.name}", run.description)
            _finish(run, shop)


def _finish(run: Run, shop: Shop) -> None:
    result = run.send(shop)
    _wait(lambda: result.state == run.state, f"{run.name} to be {run.state}")


def _record_events() -> None:
    _mark("event-worker", "a worker comes and beats")
    with _worker({"task_send_sent_event": True}, "-E", "--heartbeat-interval", "1") as shop:
        _pause.wait(2.5)
        for run in EVENTS:
            _mark(f"event-{run.name}", run.description)
            _finish(run, shop)
            _pause.wait(0.2)  # events are gathered for a turn of the worker's loop
        _mark("event-worker-offline", "a worker goes")


def _record_commands() -> None:
    """Record the commands of a worker's life: starting, a delivery, control, revoking, a chord, stopping."""
    _mark("commands-start", "a worker starts: what it binds")
    with _worker({}) as shop:
        _mark("commands-delivery", "one task, from LPUSH to the end of its acknowledgement")
        _finish(Run("", "", lambda s: s.add.delay(1, 2)), shop)
        _wait(lambda: not _wire.hlen("unacked"), "the acknowledgement")
        _mark("commands-ping", "control: ping, and its reply")
        shop.app.control.ping(timeout=1.0)
        _mark("commands-revoke", "control: revoke")
        shop.app.control.revoke(_DOOMED, reply=True, timeout=1.0)
        _wire.delete(f"celery-task-meta-{_DOOMED}")  # revoking has stored that already
        _mark("result-revoked", "was revoked before it came")
        _finish(Run("", "", lambda s: s.add.apply_async((1, 2), task_id=_DOOMED), "REVOKED"), shop)
        _mark("commands-chord", "a chord is served: its counters and its body")
        _finish(Run("", "", lambda s: s.canvas.chord([s.add.s(1, 1), s.add.s(2, 2)], s.total.s())()), shop)
        _mark("commands-group-save", "the result of a group is saved")
        saved = shop.canvas.group(shop.add.s(1, 1), shop.add.s(2, 2)).apply_async()
        saved.save()
        _mark("commands-stop", "a worker stops while it holds a task for later")
        shop.add.apply_async((1, 2), countdown=3600)
        _wait(lambda: _wire.hlen("unacked"), "the delivery")


@contextmanager
def _worker(settings: Mapping[str, Any], *options: str) -> Iterator[Shop]:
    """Have a worker of one process serve the queue `celery`, alone on an empty server; the value calls its tasks."""
    _wire.flushall()
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "tests.compat.recording.served",
        "worker",
        "-c",
        "1",
        "-n",
        "w@host",
    ]
    command += ["-Q", "celery", "--without-gossip", "--without-mingle", *(options or ("--without-heartbeat",))]
    environment = {**os.environ, "RECORDED_SETTINGS": json.dumps(settings), "C_FORCE_ROOT": "1"}
    shop = open_shop(settings)
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(lambda: _wire.sismember("_kombu.binding.celery", b"celery\x06\x16\x06\x16celery"), "the worker")
        yield shop
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):  # now and then a worker that has nothing left to do goes on
            process.wait(_WITHIN)
        process.kill()
        process.wait()


def _wait(fact: Callable[[], object], what: str) -> None:
    end = time.monotonic() + _WITHIN
    while not fact():
        if time.monotonic() > end:
            raise SystemExit(f"waited {_WITHIN:g} s for {what}")
        _pause.wait(0.02)


if __name__ == "__main__":
    main()
