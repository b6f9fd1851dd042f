"""Logging of workers and tasks."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastq import log, signals
from fastq.conf import Settings
from fastq.log import ColorFormatter, LoggingProxy, TaskFormatter, WorkerLogging, finish_lines

LOGGERS = ("", "celery", "celery.task", "celery.redirected", "multiprocessing")


@pytest.fixture(autouse=True)
def untouched_loggers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put everything back that setting up logging changes for the whole process."""
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [(logger.handlers[:], logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.handlers = []
    yield
    for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
        for handler in logger.handlers:
            handler.close()
        logger.handlers, logger.level, logger.propagate = handlers, level, propagate
        logger.manager._clear_cache()  # type: ignore[attr-defined]
    log.task_names_from(None)
    log.name_process(None)


@pytest.fixture
def conf() -> Settings:
    plain = {"worker_log_format": "%(levelname)s %(processName)s %(message)s", "worker_redirect_stdouts": False}
    return Settings(
        {**plain, "worker_task_log_format": "%(task_name)s[%(task_id)s] %(message)s"}, environ={}, directory=""
    )


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def test_lines_of_the_program_and_of_tasks_have_their_formats(conf: Settings, stream: io.StringIO) -> None:
    assert WorkerLogging(conf).setup("INFO", stream)
    log.task_names_from(lambda: ("1-2", "shop.add"))

    log.get_logger("celery.worker").info("ready")
    log.get_task_logger("shop.tasks").info("adding %s", 2)
    logging.getLogger("other").debug("unheard")

    assert stream.getvalue().splitlines() == ["INFO MainProcess ready", "shop.add[1-2] adding 2"]


def test_outside_of_tasks_the_task_is_unknown(conf: Settings, stream: io.StringIO) -> None:
    WorkerLogging(conf).setup("INFO", stream)
    log.task_names_from(lambda: None)

    log.get_task_logger("shop.tasks").info("x")
    log.get_task_logger("shop.tasks").info("y", extra={"task_id": "1", "task_name": "shop.add"})

    assert stream.getvalue().splitlines() == ["???[???] x", "shop.add[1] y"]


def test_a_task_logger_keeps_its_name_and_hands_its_lines_to_that_of_tasks() -> None:
    logger = log.get_task_logger("postal.mail")

    assert logger.name == "postal.mail"
    assert logger.parent is logging.getLogger("celery.task")
    assert log.get_task_logger("postal.mail") is logger
    assert log.get_task_logger("celery.task.x").parent is logging.getLogger("celery.task")


@pytest.mark.parametrize("name", ["celery", "celery.task"])
def test_our_own_names_are_reserved(name: str) -> None:
    with pytest.raises(RuntimeError, match=r"is reserved"):
        log.get_task_logger(name)


def test_logging_is_set_up_once(conf: Settings, stream: io.StringIO) -> None:
    logs = WorkerLogging(conf)

    assert not logs.already_setup
    assert logs.setup("INFO", stream)
    assert not logs.setup("DEBUG", stream)
    assert logs.already_setup
    assert logging.getLogger().level == logging.INFO


def test_handlers_that_were_there_are_removed_only_when_hijacking(conf: Settings, stream: io.StringIO) -> None:
    mine = logging.StreamHandler(io.StringIO())
    logging.getLogger().addHandler(mine)

    conf.worker_hijack_root_logger = False
    WorkerLogging(conf).setup("INFO", stream)
    assert mine in logging.getLogger().handlers
    logging.getLogger().info("x")
    assert stream.getvalue() == ""

    conf.worker_hijack_root_logger = True
    WorkerLogging(conf).setup("INFO", stream)
    assert mine not in logging.getLogger().handlers


def test_who_listens_to_setup_logging_does_it_alone(conf: Settings, stream: io.StringIO) -> None:
    told: list[dict[str, Any]] = []
    conf.worker_redirect_stdouts = True

    def receiver(**named: Any) -> None:
        told.append(named)

    signals.setup_logging.connect(receiver)
    try:
        assert not WorkerLogging(conf).setup("INFO", stream)
    finally:
        signals.setup_logging.disconnect(receiver)

    assert (told[0]["loglevel"], told[0]["logfile"], told[0]["colorize"]) == (logging.INFO, stream, False)
    assert all(getattr(handler, "stream", None) is not stream for handler in logging.getLogger().handlers)
    assert not isinstance(sys.stdout, LoggingProxy)


def test_handlers_can_be_added_after_the_set_up(conf: Settings, stream: io.StringIO) -> None:
    told: list[str] = []

    def receiver(logger: logging.Logger, loglevel: int, **_: Any) -> None:
        told.append(f"{logger.name} {loglevel}")

    signals.after_setup_logger.connect(receiver)
    signals.after_setup_task_logger.connect(receiver)
    try:
        WorkerLogging(conf).setup("ERROR", stream)
    finally:
        signals.after_setup_logger.disconnect(receiver)
        signals.after_setup_task_logger.disconnect(receiver)

    assert told == ["root 40", "celery.task 40"]


def test_each_pool_process_has_a_file_where_the_name_says_so(conf: Settings, tmp_path: Path) -> None:
    logs = WorkerLogging(conf)
    logs.setup("INFO", tmp_path / "%n%I.log", hostname="w1@host")
    logging.getLogger().info("parent")

    log.name_process("ForkPoolWorker-2")
    logs.set_up_child(2)
    logging.getLogger().info("child")
    log.get_task_logger("shop").info("task")

    assert (tmp_path / "w1.log").read_text() == "INFO MainProcess parent\n"
    assert (tmp_path / "w1-2.log").read_text() == "INFO ForkPoolWorker-2 child\n???[???] task\n"


def test_pool_processes_share_a_file_otherwise(conf: Settings, tmp_path: Path) -> None:
    logs = WorkerLogging(conf)
    logs.setup("INFO", tmp_path / "%n.log", hostname="w1@host")
    handlers = logging.getLogger().handlers[:]

    logs.set_up_child(2)

    assert logging.getLogger().handlers == handlers


@pytest.mark.parametrize(
    ("asked", "setting", "logfile", "expected"),
    [(True, False, "x", True), (False, True, None, False), (None, True, "x", True), (None, None, "x", False)],
)
def test_colours_are_as_asked_else_as_set_else_for_terminals(
    conf: Settings, asked: bool | None, setting: bool | None, logfile: str | None, expected: bool
) -> None:
    conf.worker_log_color = setting

    assert WorkerLogging(conf).supports_color(asked, logfile) is expected


def test_lines_are_coloured_on_a_terminal_only(conf: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "__stderr__", Terminal())
    assert WorkerLogging(conf).supports_color()
    assert not WorkerLogging(conf).supports_color(logfile="x")
    monkeypatch.setattr(sys, "__stderr__", None)
    assert not WorkerLogging(conf).supports_color()


def test_the_colour_is_that_of_the_level() -> None:
    record = logging.makeLogRecord({"msg": "oh", "levelno": logging.ERROR, "levelname": "ERROR"})
    calm = logging.makeLogRecord({"msg": "fine", "levelno": logging.INFO})

    assert ColorFormatter("%(message)s").format(record) == "\033[31moh\033[0m"
    assert ColorFormatter("%(message)s").format(calm) == "fine"
    assert TaskFormatter("%(message)s %(task_id)s", use_color=False).format(record) == "oh ???"


@pytest.mark.parametrize(
    ("level", "number"), [(None, 30), ("info", 20), (" DEBUG ", 10), (15, 15), ("25", 25), ("FATAL", 50)]
)
def test_levels_are_names_or_numbers(level: str | int | None, number: int) -> None:
    assert log.level_number(level) == number


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no log level 'LOUD'"):
        log.level_number("LOUD")


def test_what_is_printed_is_logged_line_by_line(conf: Settings, stream: io.StringIO) -> None:
    logs = WorkerLogging(conf)
    logs.setup("INFO", stream, redirect_stdouts=True)

    print("one", "two")
    print("three", end="")
    print(" four\n\nfive", file=sys.stderr, end="")
    sys.stdout.flush()
    sys.stderr.flush()

    assert stream.getvalue().splitlines() == [
        "WARNING MainProcess one two",
        "WARNING MainProcess  four",
        "WARNING MainProcess three",
        "WARNING MainProcess five",
    ]


def test_an_unfinished_line_is_logged_when_its_task_has_ended(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(sys, "stderr", LoggingProxy(logging.getLogger("celery.redirected"), logging.INFO))
    sys.stderr.write("no end")
    assert caplog.messages == []
    finish_lines()
    finish_lines()
    assert caplog.messages == ["no end"]


def test_a_redirected_stream_passes_for_a_text_file() -> None:
    proxy = LoggingProxy(logging.getLogger("celery.redirected"), logging.INFO, sys.__stdout__)

    assert not proxy.isatty()
    assert proxy.encoding == sys.__stdout__.encoding  # type: ignore[union-attr]
    assert proxy.write("abc") == 3
    proxy.writelines(["\n"])
    proxy.close()


def test_a_handler_that_fails_does_not_log_its_failure_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    logger = logging.getLogger("celery.redirected")
    proxy = LoggingProxy(logger, logging.ERROR)
    calls = []

    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            calls.append(record)
            proxy.write("it failed\n")

    logger.addHandler(Broken())
    proxy.write("a line\n")

    assert len(calls) == 1
