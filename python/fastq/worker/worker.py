"""Worker: boots in order, parks its main thread, stops in order. It wires and decides nothing."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from fastq import _core, signals
from fastq.app.current import current_frame, get_current_app
from fastq.exceptions import WorkerTerminate
from fastq.log import UNKNOWN, WorkerLogging, task_names_from
from fastq.names import default_node, expand_file
from fastq.platforms.pidfile import PidFile
from fastq.platforms.title import set_title, worker_title
from fastq.pool.base import ATTEND_SECONDS, Pool, PoolSettings
from fastq.pool.choose import pool_class
from fastq.text import plural
from fastq.worker import checks
from fastq.worker.attend import Attendance
from fastq.worker.banner import banner
from fastq.worker.config import autoscale, concurrency, core_config, processes
from fastq.worker.options import WorkerOptions
from fastq.worker.policy import policies
from fastq.worker.privileges import refuse_pickle_as_root
from fastq.worker.queues import Consuming, select
from fastq.worker.stop import Stopping

if TYPE_CHECKING:
    from fastq.app.protocol import App

__all__ = ["Worker"]

_logger: Final = logging.getLogger("celery.worker")


class Worker(Consuming):
    """A worker of an app.

    Args:
        app: None: the current one.
        **options: as in `WorkerOptions`.

    Raises:
        ImproperlyConfigured: there is no such option.
    """

    def __init__(self, app: App | None = None, **options: Any) -> None:
        """Read the options; nothing is started yet."""
        self.app: App = app or get_current_app()
        self.options = WorkerOptions.of(options)
        self.hostname = default_node(self.options.hostname)
        checks.refuse_node_name(self.hostname)
        self.exitcode = 0
        self.restart = False
        """HUP came: the same command is to be started again."""
        self.pool: Pool | None = None
        self._core: _core.Worker | None = None
        self._logging = WorkerLogging(self.app.conf)

    # ------------------------------------------------------------------- boot

    def start(self) -> int:
        """Run until the worker is told to stop; return the exit code.

        The order matters: the app is imported before the nursery is forked, so that children share its pages; the
        nursery is forked before anything in this process has a thread or a connection.

        Raises:
            FastQError: it cannot start; the message names the setting.
            LockFailed: another worker holds the pid file.
            OSError: a file or process cannot be made.
        """
        # What is printed goes to the log while the worker runs; afterwards it is the caller's again.
        streams = sys.stdout, sys.stderr
        try:
            self._boot()
        finally:
            sys.stdout, sys.stderr = streams
        signals.worker_shutdown.send(sender=self)
        return self.exitcode

    def _boot(self) -> None:
        app, options, node = self.app, self.options, self.hostname
        signals.celeryd_init.send(sender=node, instance=self, conf=app.conf, options=options.as_dict())
        options.apply(app)
        checks.import_modules(app, options)
        app.finalize()
        signals.worker_init.send(sender=self)
        refuse_pickle_as_root(app.conf.accept_content)
        self._set_up_logging()
        signals.celeryd_after_setup.send(sender=node, instance=self, conf=app.conf)
        select(app, node, options.queues, options.exclude_queues)
        with self._pid_file():
            self.pool = pool = self._make_pool()
            checks.refuse_limits_without_children(options, pool)
            checks.refuse_scaling_without_children(app, pool)
            checks.refuse_negative_limits(app)
            checks.refuse_limits_without_server(app)
            checks.warn_of_limits(app, pool)
            config, table = core_config(app, node, pool), policies(app)
            try:
                core = _core.Worker(replace(config, nursery_fd=pool.prepare()), table)
                self._run(core, pool)
            finally:
                pool.close()

    def _make_pool(self) -> Pool:
        conf = self.app.conf
        bounds, chosen = autoscale(self.app), pool_class(conf.worker_pool)
        settings = PoolSettings(
            node=self.hostname,
            concurrency=bounds[1] if bounds else concurrency(self.app, chosen),
            processes=processes(self.app, chosen),
            least=bounds[0] if bounds else None,
            max_tasks_per_child=conf.worker_max_tasks_per_child,
            max_memory_per_child=conf.worker_max_memory_per_child,
            set_up_logging=self._logging.set_up_child,
        )
        return chosen(self.app, settings)

    def _set_up_logging(self) -> None:
        conf = self.app.conf
        task_names_from(_running_task)
        # Where tasks run on the thread that owns the terminal, a debugger must be able to talk to it.
        debuggable = pool_class(conf.worker_pool).inline and sys.stdin is not None and sys.stdin.isatty()
        try:
            self._logging.setup(
                self.options.loglevel,
                conf.worker_logfile,
                redirect_stdouts=False if debuggable else None,
                hostname=self.hostname,
            )
        except OSError as error:
            where = f"The log file (-f, worker_logfile) {error.filename}"
            raise type(error)(error.errno, error.strerror, where) from error
        checks.warn_of_settings(self.app)

    def _pid_file(self) -> AbstractContextManager[object]:
        path = self.app.conf.worker_pidfile
        return PidFile(expand_file(path, self.hostname)) if path else nullcontext()

    # -------------------------------------------------------------------- run

    def stop(self) -> None:
        """Stop warm, from any thread; `start` returns when the running tasks have ended."""
        if self._core is not None:
            self._core.stop("warm")

    def terminate(self) -> None:
        """Stop cold, from any thread: what runs is ended and goes back to its queue."""
        if self._core is not None:
            self._core.stop("cold")

    def _run(self, core: _core.Worker, pool: Pool) -> None:
        if self.options.purge:
            self._purge()
        self._say_hello(pool)
        if _logger.isEnabledFor(logging.INFO) or signals.task_received:
            core.watch(["received"])  # before the start: the first message may come with it
        core.start()
        self._core = core
        set_title(worker_title(f"{self.hostname}:MainProcess"))
        attendance = Attendance(
            self.app,
            self.hostname,
            consumer=self,
            on_ready=self._ready,
            on_limit=pool.limit_passed,
            on_termination=pool.terminated,
        )
        stopping = Stopping(
            core,
            self.hostname,
            inline=pool.inline,
            term_is_cold=self.options.term_is_cold,
            soft_seconds=self.app.conf.worker_soft_shutdown_timeout,
        )
        stopping.install()
        try:
            pool.serve(core, partial(self._attend, core, stopping, attendance))
        except WorkerTerminate:
            # Solo: the signal's handler ended the job on this thread; the core gives it back.
            while self._attend(core, stopping, attendance, ATTEND_SECONDS):
                pass
        finally:
            stopping.uninstall()
        clean = bool((attendance.stopped or {}).get("clean"))
        self.exitcode = stopping.exit_code if clean else 1
        self.restart = stopping.restart and clean

    @staticmethod
    def _attend(core: _core.Worker, stopping: Stopping, attendance: Attendance, timeout: float) -> bool:
        stopping.heed()
        for event in core.attend(timeout):
            attendance.see_to(event)
        return attendance.stopped is None

    def _purge(self) -> None:
        producer: Any = self.app.producer
        for name in self.app.queues.consume_from:
            count = producer.purge(name)
            _logger.warning("Queue %s purged: %d %s erased.", name, count, plural(count, "message"))

    def _say_hello(self, pool: Pool) -> None:
        if not self.options.quiet:
            self._say(banner(self.app, self.hostname, pool, with_tasks=_logger.isEnabledFor(logging.INFO)))

    def _say(self, text: str) -> None:
        if not self.options.quiet and sys.__stdout__ is not None:
            # Not sys.stdout, which may lead to the log by now.
            print(text, file=sys.__stdout__, flush=True)

    def _ready(self, fields: Mapping[str, Any]) -> None:
        _logger.info("%s is ready and takes from %s.", self.hostname, fields["queues"])
        if not _logger.isEnabledFor(logging.INFO) or self.app.conf.worker_logfile:
            self._say(f"{self.hostname} is ready and takes from {fields['queues']}.")
        checks.warn_of_namesake(self.app, self.hostname, os.getpid())
        signals.worker_ready.send(sender=self)


def _running_task() -> tuple[str, str] | None:
    """Return id and name of the task that runs here, for its log lines."""
    frame = current_frame()
    return None if frame is None else (frame.request.id or UNKNOWN, frame.task.name)
