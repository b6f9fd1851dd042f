"""The nursery, driven by hand in the core's place."""

from __future__ import annotations

import errno
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress

import pytest

from fastq.pool import nursery
from tests.support.processes import alive, children_of
from tests.support.wait import wait_for

RECORD = struct.Struct("<IIIi")
BORN, GONE, FAILED = 1, 2, 3


class Upbringing:
    """Children that say who they are and do as they are told by a letter."""

    def in_nursery(self) -> None:
        """Nothing to do."""

    def before_fork(self, slot: int) -> None:
        """Make the fork fail for one slot, as if processes had run out."""
        if slot == 99:
            raise OSError(errno.EAGAIN, "no more processes")

    def in_child(self, seat: nursery.Seat) -> None:
        """Say hello, then obey."""
        end = socket.socket(fileno=seat.socket_fd)
        end.sendall(f"{os.getpid()} {seat.slot} {os.fstat(seat.page_fd).st_ino}\n".encode())
        while True:
            word = end.recv(1)
            if word == b"x":
                raise SystemExit(7)
            if word == b"s":
                inherited = subprocess.run(
                    [sys.executable, "-c", "import signal; print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)"],
                    capture_output=True,
                    check=True,
                )
                end.sendall(inherited.stdout)
            if word == b"f":
                descriptors = len(os.listdir("/dev/fd"))
                end.sendall(f"{descriptors}\n".encode())
            if not word:
                return


class Core:
    """The core's end of the control socket."""

    def __init__(self) -> None:
        self.process = nursery.start(Upbringing())
        self.control = socket.socket(fileno=self.process.control_fd)
        self.control.settimeout(10)
        self.page = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the core
        self.ends: list[socket.socket] = []

    def spawn(self, slot: int) -> socket.socket:
        ours, theirs = socket.socketpair()
        ours.settimeout(10)
        socket.send_fds(self.control, [RECORD.pack(1, slot, 0, 0)], [theirs.fileno(), self.page.fileno()])
        theirs.close()
        self.ends.append(ours)
        return ours

    def hear(self) -> tuple[int, ...]:
        return RECORD.unpack(self.control.recv(RECORD.size, socket.MSG_WAITALL))

    def quit(self) -> None:
        self.control.sendall(RECORD.pack(2, 0, 0, 0))

    def ended(self) -> int | None:
        pid, status = os.waitpid(self.process.pid, os.WNOHANG)
        return status if pid else None

    def close(self) -> None:
        self.control.close()
        for end in self.ends:
            end.close()
        self.page.close()
        with suppress(ChildProcessError):
            wait_for(lambda: self.ended() is not None, "the nursery has ended")


@pytest.fixture
def core() -> Iterator[Core]:
    made = Core()
    yield made
    made.close()


def line(end: socket.socket) -> list[str]:
    data = b""
    while not data.endswith(b"\n"):
        data += end.recv(1024)
    return data.decode().split()


def test_a_child_is_born_with_its_socket_its_slot_and_the_page(core: Core) -> None:
    end = core.spawn(5)
    kind, slot, pid, _ = core.hear()
    assert (kind, slot) == (BORN, 5)
    assert line(end) == [str(pid), "5", str(os.fstat(core.page.fileno()).st_ino)]


def test_the_end_of_a_child_is_told_with_its_status(core: Core) -> None:
    end = core.spawn(0)
    _, _, pid, _ = core.hear()
    end.sendall(b"x")
    kind, slot, gone, status = core.hear()
    assert (kind, slot, gone) == (GONE, 0, pid)
    assert os.WEXITSTATUS(status) == 7


def test_a_killed_child_is_told_and_its_socket_ends(core: Core) -> None:
    end = core.spawn(1)
    core.spawn(2)
    pid = core.hear()[2]
    core.hear()
    line(end)
    os.kill(pid, signal.SIGKILL)
    kind, slot, gone, status = core.hear()
    assert (kind, slot, gone, os.WTERMSIG(status)) == (GONE, 1, pid, signal.SIGKILL)
    assert end.recv(1) == b"", "neither the nursery nor a sibling holds the child's end"


def test_many_children_that_end_together_are_all_told(core: Core) -> None:
    ends = [core.spawn(slot) for slot in range(8)]
    born = {core.hear()[2] for _ in ends}
    for end in ends:
        end.close()
    gone = {core.hear()[2] for _ in ends}
    assert gone == born


def test_a_fork_that_fails_is_told_and_the_nursery_goes_on(core: Core) -> None:
    end = core.spawn(99)
    assert core.hear() == (FAILED, 99, 0, errno.EAGAIN)
    assert end.recv(1) == b"", "the child's end was closed"
    core.spawn(1)
    assert core.hear()[0] == BORN


def test_told_to_quit_it_kills_and_reaps_its_children_and_leaves(core: Core) -> None:
    core.spawn(0)
    pid = core.hear()[2]
    core.quit()
    kind, _, gone, status = core.hear()
    assert (kind, gone, os.WTERMSIG(status)) == (GONE, pid, signal.SIGKILL)
    assert core.control.recv(1) == b""
    wait_for(lambda: core.ended() == 0, "the nursery has ended")
    assert not alive([pid])


def test_when_the_parent_is_gone_no_child_is_left(core: Core) -> None:
    core.spawn(0)
    core.spawn(1)
    pids = [core.hear()[2], core.hear()[2]]
    core.control.close()
    wait_for(lambda: not alive(pids), "the children are gone")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux kills children at their parent's death")
def test_a_killed_nursery_takes_its_children_with_it(core: Core) -> None:
    core.spawn(0)
    pid = core.hear()[2]
    os.kill(core.process.pid, signal.SIGKILL)
    wait_for(lambda: not alive([pid]), "the child is gone")
    assert core.control.recv(1) == b""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1])
def test_signals_for_the_whole_group_end_neither_nursery_nor_child(core: Core, number: int) -> None:
    end = core.spawn(0)
    _, _, pid, _ = core.hear()
    line(end)
    for process in (core.process.pid, pid):
        os.kill(process, number)
    end.sendall(b"s")
    assert line(end) == ["False"], "a program that a task starts does not inherit an ignored signal"
    core.spawn(1)
    assert core.hear()[0] == BORN


def test_descriptors_do_not_grow_with_the_children(core: Core) -> None:
    counts = []
    for slot in range(4):
        end = core.spawn(slot)
        core.hear()
        line(end)
        end.sendall(b"f")
        counts.append(line(end))
        end.close()
        core.hear()
    assert len({tuple(count) for count in counts}) == 1


def test_a_record_that_comes_in_pieces_is_put_together(core: Core) -> None:
    ours, theirs = socket.socketpair()
    core.ends.append(ours)
    record = RECORD.pack(1, 3, 0, 0)
    socket.send_fds(core.control, [record[:5]], [theirs.fileno(), core.page.fileno()])
    core.control.sendall(record[5:])
    theirs.close()
    assert core.hear()[:2] == (BORN, 3)


def test_a_demand_that_comes_without_descriptors_is_answered(core: Core) -> None:
    core.control.sendall(RECORD.pack(1, 3, 0, 0))
    assert core.hear() == (FAILED, 3, 0, errno.EMFILE)
    core.spawn(3)
    assert core.hear()[:2] == (BORN, 3)


def test_a_record_of_an_unknown_kind_is_passed_over(core: Core) -> None:
    core.control.sendall(RECORD.pack(77, 0, 0, 0))
    core.spawn(1)
    assert core.hear()[:2] == (BORN, 1)


def test_the_nursery_has_one_child_per_slot_and_no_other(core: Core) -> None:
    core.spawn(0)
    core.spawn(1)
    pids = sorted([core.hear()[2], core.hear()[2]])
    assert sorted(children_of(core.process.pid)) == pids
