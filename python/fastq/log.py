"""Logging of workers and tasks: where lines go, how they look, and which task they belong to.

Loggers bear Celery's names, so that logging configurations written for it go on working:

=================== =========================================================================================
`celery`            fastq's own lines (`celery.worker`, `celery.pool`, `celery.app.trace`, …)
`celery.task`       lines of tasks: a format with the task's id and name; does not propagate
`celery.redirected` what tasks print
=================== =========================================================================================

Connect the signal `setup_logging` to leave all of it to a configuration of one's own.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from typing import TYPE_CHECKING, Any, Final, TextIO

from fastq import names, signals

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "ColorFormatter",
    "LoggingProxy",
    "TaskFormatter",
    "WorkerLogging",
    "finish_lines",
    "get_logger",
    "get_task_logger",
    "level_number",
    "name_process",
    "task_names_from",
]

BASE: Final = "celery"
TASKS: Final = "celery.task"
REDIRECTED: Final = "celery.redirected"
UNKNOWN: Final = "???"
"""Stands for the task's id and name in lines written outside of a task."""

_COLOURS: Final = {
    logging.DEBUG: "\033[34m",
    logging.WARNING: "\033[33m",
    logging.ERROR: "\033[31m",
    logging.CRITICAL: "\033[35m",
}
_RESET: Final = "\033[0m"


class _Process:
    """What lines say of the process that writes them. Set once, when it starts."""

    name: str | None = None
    current_task: Callable[[], tuple[str, str] | None] | None = None
    unfinished: bool = False
    """Something was printed whose line is not whole yet. Written by whoever prints, read when a task has ended."""


def name_process(name: str | None) -> None:
    """Set what `%(processName)s` says in this process, such as `ForkPoolWorker-1`; None: what logging says."""
    _Process.name = name


def finish_lines() -> None:
    """Log what this thread has printed of lines that never became whole. Costs nothing when there is none."""
    if _Process.unfinished:
        _Process.unfinished = False
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, LoggingProxy):
                stream.flush()


def task_names_from(current: Callable[[], tuple[str, str] | None] | None) -> None:
    """Set the function that returns id and name of the running task, or None outside of tasks."""
    _Process.current_task = current


def get_logger(name: str) -> logging.Logger:
    """Return the logger of that name."""
    return logging.getLogger(name)


def get_task_logger(name: str) -> logging.Logger:
    """Return a logger for the code of tasks: its lines carry the id and the name of the running task.

    Args:
        name: of the module, `__name__`. The logger keeps it, but hands its lines to `celery.task`.

    Raises:
        RuntimeError: the name is one of fastq's own.
    """
    if name in {BASE, TASKS}:
        raise RuntimeError(f"Logger name {name!r} is reserved.")
    logger = logging.getLogger(name)
    parent = logging.getLogger(TASKS)
    ancestor: logging.Logger | None = logger
    while ancestor is not None and ancestor is not parent:
        ancestor = ancestor.parent
    if ancestor is None:
        logger.parent = parent
    return logger


def level_number(level: str | int | None) -> int:
    """Return a log level as a number; None: WARNING.

    Raises:
        ValueError: there is no such level.
    """
    if level is None:
        return logging.WARNING
    if isinstance(level, int):
        return level
    found = logging.getLevelName(level.strip().upper()) if not level.strip().isdigit() else int(level)
    if not isinstance(found, int):
        raise ValueError(f"There is no log level {level!r}; known are DEBUG, INFO, WARNING, ERROR and CRITICAL.")
    return found


class ColorFormatter(logging.Formatter):
    """Writes a line, in the colour of its level where colours are wanted.

    Args:
        fmt: the format.
        use_color: whether to colour.
        datefmt: of dates.
    """

    def __init__(self, fmt: str | None = None, use_color: bool = True, datefmt: str | None = None) -> None:
        """Keep format and colours."""
        super().__init__(fmt, datefmt)
        self.use_color = use_color

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        if _Process.name is not None:
            record.processName = _Process.name
        text = super().format(record)
        colour = _COLOURS.get(record.levelno) if self.use_color else None
        return f"{colour}{text}{_RESET}" if colour else text


class TaskFormatter(ColorFormatter):
    """Writes a line with the fields `task_id` and `task_name`: of the running task, `???` outside of tasks."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        current = _Process.current_task
        task = current() if current is not None else None
        own = record.__dict__
        # A line about a task, written outside of it, brings its own.
        own.setdefault("task_id", task[0] if task else UNKNOWN)
        own.setdefault("task_name", task[1] if task else UNKNOWN)
        return super().format(record)


class LoggingProxy:
    """A text file that logs the lines written to it.

    Args:
        logger: where lines go.
        level: of the lines.
        original: the stream it stands for; asked for everything that is no writing.
    """

    def __init__(self, logger: logging.Logger, level: int, original: TextIO | None = None) -> None:
        """Stand for a stream."""
        self.logger = logger
        self.loglevel = level
        self._original = original
        self._local = threading.local()

    def write(self, data: Any) -> int:
        """Log the whole lines; keep the rest until its line is whole. Returns how much was written."""
        text = data if isinstance(data, str) else str(data)
        local = self._local
        if getattr(local, "busy", False):
            return len(text)  # a handler that fails reports that on stderr: do not log the report of a failed log
        *lines, local.rest = (getattr(local, "rest", "") + text).split("\n")
        if local.rest:
            _Process.unfinished = True
        self._log(lines)
        return len(text)

    def _log(self, lines: list[str]) -> None:
        self._local.busy = True
        try:
            for line in lines:
                if line.strip():
                    self.logger.log(self.loglevel, "%s", line.rstrip())
        finally:
            self._local.busy = False

    def writelines(self, lines: Any) -> None:
        """Log each of the lines."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Log what has been written of an unfinished line."""
        rest, self._local.rest = getattr(self._local, "rest", ""), ""
        if rest and not getattr(self._local, "busy", False):
            self._log([rest])

    def isatty(self) -> bool:
        """Return False: a log is no terminal."""
        return False

    def close(self) -> None:
        """Log the rest; the proxy can still be written to."""
        self.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)


class WorkerLogging:
    """Sets up logging for a worker (or another program) from its settings.

    Args:
        conf: settings: `worker_log_format` and its siblings, `worker_hijack_root_logger`, `worker_redirect_stdouts`.
    """

    def __init__(self, conf: Any) -> None:
        """Keep the settings; nothing is changed yet."""
        self._conf = conf
        self._setup: dict[str, Any] | None = None

    @property
    def already_setup(self) -> bool:
        """Whether `setup` has been called."""
        return self._setup is not None

    def setup(
        self,
        loglevel: str | int | None = None,
        logfile: str | os.PathLike[str] | TextIO | None = None,
        redirect_stdouts: bool | None = None,
        redirect_level: str | int | None = None,
        colorize: bool | None = None,
        hostname: str | None = None,
        index: int = 0,
    ) -> bool:
        """Set up the loggers, once; later calls do nothing.

        Args:
            loglevel: name or number; None: WARNING.
            logfile: path, with the codes of `names.expand_file`, or a stream; None: stderr.
            redirect_stdouts: log what is printed; None: as the settings say.
            redirect_level: level of that; None: as the settings say.
            colorize: None: as the settings say, else when lines go to a terminal.
            hostname: node name, for the codes in `logfile`.
            index: of the pool process, for the codes in `logfile`.

        Returns:
            Whether this call has set anything up; False too when a receiver of `setup_logging` did.
        """
        if self._setup is not None:
            return False
        conf = self._conf
        level = level_number(loglevel)
        node = names.default_node(hostname)
        self._setup = {"level": level, "logfile": logfile, "node": node, "colorize": colorize}
        colorize = self.supports_color(colorize, logfile)
        handled = signals.setup_logging.send(
            sender=None, loglevel=level, logfile=logfile, format=conf.worker_log_format, colorize=colorize
        )
        if handled:
            return False
        self._set_up_loggers(level, self._target(logfile, node, index), colorize)
        if conf.worker_redirect_stdouts if redirect_stdouts is None else redirect_stdouts:
            self.redirect_stdouts(redirect_level)
        return True

    def set_up_child(self, index: int) -> None:
        """Continue in a pool process: open its own file where the name of the log file says `%i` or `%I`.

        Args:
            index: of the process, from 1.
        """
        kept = self._setup
        if kept is None or not isinstance(kept["logfile"], (str, os.PathLike)):
            return
        path = os.fspath(kept["logfile"])
        if names.per_process(path):
            from logging.handlers import WatchedFileHandler

            for logger in (logging.getLogger(), logging.getLogger(TASKS)):
                for handler in list(logger.handlers):
                    if isinstance(handler, WatchedFileHandler):
                        _replace_file(logger, handler, names.expand_file(path, kept["node"], index))

    def supports_color(self, colorize: bool | None = None, logfile: Any = None) -> bool:
        """Tell whether lines are coloured: as asked, else as the settings say, else when they go to a terminal."""
        if colorize is None:
            colorize = self._conf.worker_log_color
        if colorize is not None:
            return bool(colorize)
        return logfile is None and _is_terminal(sys.__stderr__)

    def _target(self, logfile: Any, node: str, index: int) -> Callable[[], logging.Handler]:
        if logfile is None:
            return lambda: logging.StreamHandler(sys.__stderr__)
        if hasattr(logfile, "write"):
            return lambda: logging.StreamHandler(logfile)
        path = names.expand_file(os.fspath(logfile), node, index)
        return lambda: _open_file(path)

    def _set_up_loggers(self, level: int, target: Callable[[], logging.Handler], colorize: bool) -> None:
        conf = self._conf
        root = logging.getLogger()
        if conf.worker_hijack_root_logger:
            for name in ("", BASE, TASKS, REDIRECTED):
                _close_handlers(logging.getLogger(name))
        tasks = logging.getLogger(TASKS)
        tasks.propagate = False
        task_dates = conf.worker_task_log_datefmt or conf.worker_log_datefmt
        _add_handler(root, target, level, TaskFormatter(conf.worker_log_format, colorize, conf.worker_log_datefmt))
        _add_handler(tasks, target, level, TaskFormatter(conf.worker_task_log_format, colorize, task_dates))
        # multiprocessing writes at every step of its own; only its errors concern a worker.
        logging.getLogger("multiprocessing").setLevel(logging.ERROR)
        told = {"loglevel": level, "logfile": self._setup and self._setup["logfile"], "colorize": colorize}
        signals.after_setup_logger.send(sender=None, logger=root, format=conf.worker_log_format, **told)
        signals.after_setup_task_logger.send(sender=None, logger=tasks, format=conf.worker_task_log_format, **told)

    def redirect_stdouts(self, level: str | int | None = None, stdout: bool = True, stderr: bool = True) -> None:
        """Have what is printed logged by `celery.redirected`.

        Args:
            level: of the lines; None: `worker_redirect_stdouts_level`.
            stdout: redirect sys.stdout.
            stderr: redirect sys.stderr.
        """
        number = level_number(self._conf.worker_redirect_stdouts_level if level is None else level)
        logger = logging.getLogger(REDIRECTED)
        if stdout and not isinstance(sys.stdout, LoggingProxy):
            sys.stdout = LoggingProxy(logger, number, sys.stdout)
        if stderr and not isinstance(sys.stderr, LoggingProxy):
            sys.stderr = LoggingProxy(logger, number, sys.stderr)


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):  # there is none, or it is closed
        return False


def _add_handler(
    logger: logging.Logger, target: Callable[[], logging.Handler], level: int, formatter: logging.Formatter
) -> None:
    # A logger that has handlers was set up by the program itself, and `worker_hijack_root_logger` lets it be.
    if any(not isinstance(handler, logging.NullHandler) for handler in logger.handlers):
        return
    handler = target()
    handler.setFormatter(formatter)
    logger.addHandler(handler)
    logger.setLevel(level)


def _close_handlers(logger: logging.Logger) -> None:
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        if isinstance(handler, logging.FileHandler):
            handler.close()


def _open_file(path: str) -> logging.FileHandler:
    """Return what writes to a file, and to a new one when another program has moved it away."""
    from logging.handlers import WatchedFileHandler  # imports pickle and queue, which most workers have no use for

    return WatchedFileHandler(path, encoding="utf-8")


def _replace_file(logger: logging.Logger, handler: logging.FileHandler, path: str) -> None:
    replacement = _open_file(path)
    replacement.setFormatter(handler.formatter)
    logger.removeHandler(handler)
    handler.close()
    logger.addHandler(replacement)
