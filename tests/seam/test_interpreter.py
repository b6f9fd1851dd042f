"""The core never waits for the interpreter: a worker goes on while Python is held in its parent."""

from __future__ import annotations

import ctypes
import dataclasses
import os
import signal
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from fastq import _core
from fastq._seam import DONE, Outcome, Record, Route
from tests.seam.workers import config, policy

JOBS = 1000
JOB_SECONDS = 0.0002
HELD_SECONDS = 2.0

SPAWN, QUIT = 1, 2
BORN = 1
RECORD = struct.Struct("<IIIi")


def run_jobs(port: _core.Port) -> NoReturn:
    """Be a child: run short jobs until the parent is gone."""
    while True:
        try:
            job = port.next()
        except EOFError:
            os._exit(0)
        assert job is not None
        until = time.perf_counter() + JOB_SECONDS
        while time.perf_counter() < until:
            pass
        port.finish(job, Outcome(DONE, (Record(job.id, "SUCCESS", "application/json", b"1"),)))


def serve(control: socket.socket) -> NoReturn:
    """Be a nursery of the simplest kind: bear children when asked, and leave with the parent."""
    while True:
        record, descriptors, _, _ = socket.recv_fds(control, RECORD.size, 2)
        if not record or RECORD.unpack(record)[0] == QUIT:
            os._exit(0)
        slot = RECORD.unpack(record)[1]
        child = os.fork()
        if child == 0:
            control.close()
            run_jobs(_core.Port.from_fd(descriptors[0], descriptors[1], slot))
        for descriptor in descriptors:
            os.close(descriptor)
        control.sendall(RECORD.pack(BORN, slot, child, 0))


@contextmanager
def nursery() -> Iterator[int]:
    """Fork a nursery; the parent's end of its socket."""
    ours, theirs = socket.socketpair()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how the children ended
        ours.close()
        serve(theirs)
    theirs.close()
    yield ours.detach()
    os.waitpid(pid, 0)


def hold_the_interpreter(seconds: float) -> None:
    """Stay in C without releasing the interpreter."""
    library = ctypes.PyDLL(None)
    library.poll(None, 0, int(seconds * 1000))


def test_a_thousand_jobs_are_settled_while_the_interpreter_is_held(shared_url: str) -> None:
    producer, results = _core.Producer(shared_url), _core.Results(shared_url)
    ids = [_core.new_id() for _ in range(JOBS)]
    messages = [
        (Route("", "celery"), f'{{"task":"shop.add","id":"{task_id}"}}'.encode(), b"{}", b"[[], {}, {}]")
        for task_id in ids
    ]
    with nursery() as nursery_fd:
        settings = dataclasses.replace(config(shared_url), children=1, nursery_fd=nursery_fd)
        worker = _core.Worker(settings, [policy("shop.add")])
        worker.start()
        while not any(event.kind == "child-up" for event in worker.attend(10)):
            pass

        producer.publish_many(messages)
        before = worker.stats()["committed"]
        hold_the_interpreter(HELD_SECONDS)
        after = worker.stats()["committed"]

        assert before < JOBS
        assert after == JOBS
        assert all(results.load(ids))
        worker.stop("warm")
        while not any(event.kind == "stopped" for event in worker.attend(10)):
            pass
        del worker
