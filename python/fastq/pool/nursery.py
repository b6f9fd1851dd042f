"""The nursery: a process with one thread for ever, which alone forks the children of a worker.

A process whose threads run cannot be forked safely, and the worker's parent has threads as soon as its core runs. So
this one is forked before, with the app imported and no thread, and forks whenever the core asks. The core talks to it
without Python: a dead child is replaced even while the parent's interpreter is held.

Records of 16 bytes, four little-endian 32-bit integers: kind, slot, pid, status (rust/core/src/pool/nursery.rs)::

    from the core   1 SPAWN  slot 0 0        with SCM_RIGHTS [the child's socket, the slot page]
                    2 QUIT   0    0 0        kill what is left, reap, exit
    to the core     1 BORN   slot pid 0
                    2 GONE   slot pid status   as waitpid tells it
                    3 FAILED slot 0 errno      the fork failed

End of file on the control socket is the parent's death: the nursery kills its children, reaps them and leaves.
"""

from __future__ import annotations

import errno
import gc
import os
import select
import signal
import socket
import struct
import sys
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NamedTuple, NoReturn, Protocol

from fastq.pool import deathsig

__all__ = ["Nursery", "NurseryProcess", "Seat", "Upbringing", "start"]

_RECORD: Final = struct.Struct("<IIIi")

SPAWN: Final = 1
QUIT: Final = 2
BORN: Final = 1
GONE: Final = 2
FAILED: Final = 3

_HELD: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""Signals that a terminal or a supervisor sends to the whole group and that are meant for the parent alone. They get
handlers that do nothing: an ignored signal would stay ignored in programs that tasks start."""


class Seat(NamedTuple):
    """What a child is born with: its end of the socket pair, the slot page, the number of its slot."""

    socket_fd: int
    page_fd: int
    slot: int


class NurseryProcess(NamedTuple):
    """The nursery as its parent knows it: process id, and the descriptor that the core takes over."""

    pid: int
    control_fd: int


class Upbringing(Protocol):
    """What the processes of a pool do, told to the nursery that makes them."""

    def in_nursery(self) -> None:
        """Called once, in the nursery, before it serves."""

    def before_fork(self, slot: int) -> None:
        """Called in the nursery before each fork."""

    def in_child(self, seat: Seat) -> None:
        """The life of a child; it exits with status 0 when this returns."""


def start(upbringing: Upbringing) -> NurseryProcess:
    """Fork the nursery and return its process id and the parent's end of the control socket.

    To be called before this process has threads or connections: the nursery inherits all of them.

    Raises:
        OSError: no socket pair, or the fork failed.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    deathsig.prepare()
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    try:
        pid = _fork()
    except OSError:
        ours.close()
        theirs.close()
        raise
    if pid == 0:
        _leave_after(lambda: _serve(ours, theirs, parent, upbringing))
    theirs.close()
    return NurseryProcess(pid, ours.detach())


def _serve(ours: socket.socket, theirs: socket.socket, parent: int, upbringing: Upbringing) -> None:
    ours.close()
    deathsig.die_with_parent(parent)
    upbringing.in_nursery()
    # Frozen objects are never looked at by the collector, so their pages stay shared with the children.
    gc.collect()
    gc.freeze()
    Nursery(theirs, upbringing).serve()


class Nursery:
    """Forks and reaps children as the core asks. Runs in a process of its own, on its only thread."""

    def __init__(self, control: socket.socket, upbringing: Upbringing) -> None:
        """Serve the core at the other end of `control`."""
        self._control = control
        self._upbringing = upbringing
        self._slots: dict[int, int] = {}
        """Slot by process id, of the children not reaped yet."""
        self._unread = b""
        self._descriptors: list[int] = []
        """Received with a record of which only a part has come."""
        self._pid = os.getpid()
        self._wakeup_read, self._wakeup_write = os.pipe()
        os.set_blocking(self._wakeup_read, False)
        os.set_blocking(self._wakeup_write, False)

    def serve(self) -> None:
        """Fork and reap until the core quits or is gone; no child is left when this returns."""
        for number in (*_HELD, signal.SIGCHLD):
            signal.signal(number, _do_nothing)
        signal.set_wakeup_fd(self._wakeup_write, warn_on_full_buffer=False)
        try:
            while self._turn():
                pass
        except (BrokenPipeError, ConnectionResetError):
            pass  # the parent died between two records
        finally:
            self._end_all()

    def _turn(self) -> bool:
        """Wait for one thing to happen and see to it; return whether to go on."""
        control = self._control.fileno()
        ready, _, _ = select.select([control, self._wakeup_read], [], [])
        if self._wakeup_read in ready:
            # A child that has not let go of the pipe yet may have read it first.
            with suppress(BlockingIOError):
                os.read(self._wakeup_read, 4096)
            self._reap()
        return self._obey() if control in ready else True

    def _obey(self) -> bool:
        """Read one record and do what it says; return whether to go on."""
        data, descriptors, _, _ = socket.recv_fds(
            # Never more than one record, so that descriptors belong to the record they came with.
            self._control,
            _RECORD.size - len(self._unread),
            2,
            getattr(socket, "MSG_CMSG_CLOEXEC", 0),
        )
        self._descriptors += descriptors
        if not data:
            return False
        self._unread += data
        if len(self._unread) < _RECORD.size:
            return True
        kind, slot, _, _ = _RECORD.unpack(self._unread)
        received, self._descriptors, self._unread = self._descriptors, [], b""
        if kind == SPAWN and len(received) == 2:
            self._spawn(Seat(received[0], received[1], slot))
        else:
            _close(received)
            if kind == SPAWN:
                # Lost on the way when this process has no room for more. The core counts on one answer to each demand.
                self._tell(FAILED, slot, 0, errno.EMFILE)
        return bool(kind != QUIT)

    def _spawn(self, seat: Seat) -> None:
        try:
            self._upbringing.before_fork(seat.slot)
            pid = _fork()
        except OSError as error:
            _close(seat[:2])
            self._tell(FAILED, seat.slot, 0, error.errno or 0)
            return
        if pid == 0:
            _leave_after(lambda: self._be_child(seat))
        _close(seat[:2])
        self._slots[pid] = seat.slot
        self._tell(BORN, seat.slot, pid, 0)

    def _be_child(self, seat: Seat) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._control.close()
        _close((self._wakeup_read, self._wakeup_write))
        deathsig.die_with_parent(self._pid)
        for descriptor in seat[:2]:
            os.set_inheritable(descriptor, False)
        self._upbringing.in_child(seat)

    def _reap(self) -> None:
        while self._slots:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            slot = self._slots.pop(pid, None)
            if slot is not None:
                self._tell(GONE, slot, pid, status)

    def _tell(self, kind: int, slot: int, pid: int, status: int) -> None:
        self._control.sendall(_RECORD.pack(kind, slot, pid, status))

    def _end_all(self) -> None:
        """Kill and reap every child, and say so if someone still listens."""
        for pid in self._slots:
            os.kill(pid, signal.SIGKILL)
        for pid, slot in self._slots.items():
            _, status = os.waitpid(pid, 0)
            with suppress(OSError):  # nobody listens: reaping goes on
                self._tell(GONE, slot, pid, status)
        self._slots.clear()
        self._control.close()


def _leave_after(main: Callable[[], object]) -> NoReturn:
    """Run `main` and end this process whatever happens: a forked process must never return into its parent's code."""
    status = 1
    try:
        main()
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:  # noqa: BLE001 - nothing may pass: above here is the parent's code
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(status)


def _fork() -> int:
    with warnings.catch_warnings():
        # Newer Pythons warn when the app has started threads; `PreforkPool.prepare` says so in the log, by name.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _close(descriptors: tuple[int, ...] | list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _do_nothing(_number: int, _frame: object) -> None:
    pass
