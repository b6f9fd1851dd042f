from __future__ import annotations

import logging
import os
import signal
import sys
from typing import Any

import pytest

from fastq import signals
from fastq.exceptions import WorkerTerminate
from fastq.worker.stop import Stage, Stopping, next_stage

RUNNING, WARM, COLD, LEAVE = Stage.RUNNING, Stage.WARM, Stage.COLD, Stage.LEAVE


class Core:
    """A core that notes how it was stopped."""

    def __init__(self, running: int = 0) -> None:
        self.stopped: list[str] = []
        self._running = running
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)

    def stop(self, how: str) -> None:
        self.stopped.append(how)

    def stats(self) -> dict[str, Any]:
        return {"in_slots": self._running}

    def wakeup_fd(self) -> int:
        return self._write

    def close(self) -> None:
        os.close(self._read)
        os.close(self._write)


class Terminal:
    """A standard output that is a terminal."""

    def isatty(self) -> bool:
        return True


def stopping(core: Core, **how: Any) -> Stopping:
    return Stopping(core, "celery@here", **how)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("stage", "name", "expected"),
    [
        (RUNNING, "INT", WARM),
        (WARM, "INT", COLD),
        (COLD, "INT", LEAVE),
        (RUNNING, "TERM", WARM),
        (WARM, "TERM", WARM),
        (COLD, "TERM", COLD),
        (RUNNING, "QUIT", COLD),
        (WARM, "QUIT", COLD),
        (COLD, "QUIT", LEAVE),
        (RUNNING, "HUP", WARM),
        (WARM, "HUP", WARM),
        (RUNNING, "USR2", RUNNING),
    ],
)
def test_what_a_signal_means_at_each_stage(stage: Stage, name: str, expected: Stage) -> None:
    assert next_stage(stage, name) is expected


def test_one_ctrl_c_stops_warm_and_says_what_runs_and_what_a_second_does(caplog: pytest.LogCaptureFixture) -> None:
    core = Core(running=2)
    stop = stopping(core)
    stop.act("INT")
    assert (core.stopped, stop.exit_code) == (["warm"], 0)
    assert "2 running tasks have ended" in caplog.text
    assert "Press Ctrl-C again to stop at once" in caplog.text


def test_a_second_ctrl_c_stops_cold() -> None:
    core = Core()
    stop = stopping(core)
    stop.act("INT")
    stop.act("INT")
    assert (core.stopped, stop.exit_code) == (["warm", "cold"], 1)


@pytest.mark.parametrize("first", ["QUIT", "INT"])
def test_a_soft_stop_comes_before_a_cold_one_where_tasks_run_and_time_is_set(
    caplog: pytest.LogCaptureFixture, first: str
) -> None:
    core = Core(running=1)
    stop = stopping(core, soft_seconds=30.0)
    if first == "INT":
        stop.act("INT")
    stop.act("QUIT")
    assert (core.stopped[-1], stop.stage, stop.exit_code) == ("soft", Stage.SOFT, 0)
    assert "when 1 running task has ended, at the latest in 30 s. Once more stops at once." in caplog.text
    stop.act("QUIT")
    assert (core.stopped[-1], stop.stage, stop.exit_code) == ("cold", COLD, 1)


def test_a_cold_stop_waits_for_nothing_when_nothing_runs() -> None:
    core = Core(running=0)
    stopping(core, soft_seconds=30.0).act("QUIT")
    assert core.stopped == ["cold"]


def test_a_repeated_term_changes_nothing() -> None:
    core = Core()
    stop = stopping(core)
    stop.act("TERM")
    stop.act("TERM")
    assert core.stopped == ["warm"]


def test_term_can_be_made_to_stop_at_once() -> None:
    core = Core()
    stop = stopping(core, term_is_cold=True)
    stop.act("TERM")
    assert (core.stopped, stop.exit_code) == (["cold"], 1)


def test_hup_restarts_unless_a_stronger_signal_follows() -> None:
    stop = stopping(Core())
    stop.act("HUP")
    assert stop.restart
    stop.act("QUIT")
    assert not stop.restart


def test_hup_of_a_closed_terminal_stops_warm_and_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "__stdout__", Terminal())
    core = Core()
    stop = stopping(core)
    stop.install()
    try:
        os.kill(os.getpid(), signal.SIGHUP)
        stop.heed()
        assert (core.stopped, stop.restart, stop.exit_code) == (["warm"], False, 0)
    finally:
        stop.uninstall()
        core.close()


def test_a_usr2_changes_nothing() -> None:
    core = Core()
    stop = stopping(core, inline=True)
    stop.install()
    try:
        os.kill(os.getpid(), signal.SIGUSR2)
        assert (core.stopped, stop.stage) == ([], RUNNING)
    finally:
        stop.uninstall()
        core.close()


def test_the_signal_of_the_stop_is_sent_with_how_and_the_exit_code() -> None:
    told: list[dict[str, Any]] = []

    def hear(**named: Any) -> None:
        told.append({key: named[key] for key in ("sender", "sig", "how", "exitcode")})

    signals.worker_shutting_down.connect(hear)
    try:
        stopping(Core()).act("QUIT")
    finally:
        signals.worker_shutting_down.disconnect(hear)
    assert told == [{"sender": "celery@here", "sig": "SIGQUIT", "how": "Cold", "exitcode": 1}]


def test_a_signal_is_heeded_by_the_main_thread_when_it_looks(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    core = Core()
    stop = stopping(core)
    stop.install()
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        assert core.stopped == []
        stop.heed()
        assert core.stopped == ["warm"]
        assert os.read(core._read, 1), "the wait for Events was ended"
    finally:
        stop.uninstall()
        core.close()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_where_jobs_run_on_the_main_thread_a_cold_stop_interrupts_it() -> None:
    core = Core()
    stop = stopping(core, inline=True)
    stop.install()
    try:
        os.kill(os.getpid(), signal.SIGINT)
        assert core.stopped == ["warm"]
        with pytest.raises(WorkerTerminate):
            os.kill(os.getpid(), signal.SIGINT)
        assert core.stopped == ["warm", "cold"]
    finally:
        stop.uninstall()
        core.close()
