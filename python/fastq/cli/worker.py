"""`fastq worker`: start a worker."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from typing import Any, Final

import click

from fastq.cli.chosen import Chosen, app_options, chosen

__all__ = ["command"]

_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "FATAL")
_RANGES: Final = {"concurrency": (1, 100_000), "processes": (1, 1024), "prefetch_multiplier": (0, 65_535)}
_NAMES: Final = "NAME[,NAME…]"


def _refuse(sentence: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    """Return a callback that refuses an option when it is given: better than accepting what has no effect."""

    def callback(_ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
        if value not in (None, False, ()):
            raise click.UsageError(f"{parameter.opts[-1]}: {sentence}")

    return callback


def _later(*names: str, sentence: str, **how: Any) -> Callable[[Any], Any]:
    return click.option(*names, expose_value=False, hidden=True, callback=_refuse(sentence), **how)


def _unneeded(*names: str, **how: Any) -> Callable[[Any], Any]:
    """Return an option that asks for what is so anyway."""
    return click.option(*names, expose_value=False, hidden=True, **how)


def _number_or_auto(_ctx: click.Context, parameter: click.Parameter, value: str | None) -> int | str | None:
    if value is None or value == "auto":
        return value
    least, most = _RANGES[parameter.name or ""]
    try:
        number = int(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is neither a number nor `auto`.", param=parameter) from None
    if not least <= number <= most:
        raise click.BadParameter(f"{value} is not between {least} and {most}, and not `auto`.", param=parameter)
    return number


def _names(_ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not value.replace(",", " ").strip():
        raise click.BadParameter(f"{value!r} names nothing.", param=parameter)
    return value


@click.command("worker")
@app_options()
@click.option(
    "-n", "--hostname", metavar="NAME", help="Node name: name@host, name@ or host; %h, %n, %d stand for this host."
)
@click.option("-c", "--concurrency", callback=_number_or_auto, metavar="N", help="Tasks that run at once [processors].")
@click.option(
    "--processes",
    callback=_number_or_auto,
    metavar="P",
    help="With -P asyncio: processes of -c tasks each.",
)
@click.option("--autoscale", metavar="MAX,MIN", help="As many processes as there is work for, between two bounds.")
@click.option(
    "-P",
    "--pool",
    metavar="POOL",
    help="prefork: a process per task (default); asyncio: many per process; threads; gevent; solo: one, here.",
)
@click.option("-Q", "--queues", callback=_names, metavar=_NAMES, help="Queues to take from, in place of the app's.")
@click.option("-X", "--exclude-queues", callback=_names, metavar=_NAMES, help="Queues not to take from.")
@click.option("-I", "--include", callback=_names, metavar="MODULE[,…]", help="More modules to import.")
@click.option(
    "-l", "--loglevel", default="WARNING", type=click.Choice(_LEVELS, case_sensitive=False), show_default=True
)
@click.option("-f", "--logfile", metavar="PATH", help="Log file instead of standard error; %n, %i … are replaced.")
@click.option("--pidfile", metavar="PATH", help="File that holds the process id; a second worker refuses to start.")
@click.option("--prefetch-multiplier", callback=_number_or_auto, metavar="N", help="Messages taken per slot, or auto.")
@click.option("--time-limit", type=click.FloatRange(0), metavar="SECONDS", help="A task that runs longer is killed.")
@click.option("--soft-time-limit", type=click.FloatRange(0), metavar="SECONDS", help="… gets SoftTimeLimitExceeded.")
@click.option("--max-tasks-per-child", type=click.IntRange(1), metavar="N", help="Tasks before a process is replaced.")
@click.option("--max-memory-per-child", type=click.IntRange(1), metavar="KIB", help="Memory before it is replaced.")
@click.option(
    "--stop-timeout", type=click.FloatRange(0), metavar="SECONDS", help="How long running tasks may take at a stop."
)
@click.option("--purge", "--discard", is_flag=True, help="Erase what waits in the queues first.")
@_unneeded("-O", "--optimization", type=click.Choice(["default", "fair"]))
@_unneeded("--without-gossip", is_flag=True)
@_unneeded("--without-mingle", is_flag=True)
@_unneeded("--without-heartbeat", is_flag=True)
@_later("-E", "--task-events", "--events", is_flag=True, sentence="events for monitors are not part of this version.")
@_later(
    "-D", "--detach", is_flag=True, sentence="not part of this version: let systemd, or nohup and &, start the worker."
)
@_later("-S", "--statedb", sentence="revoking tasks is not part of this version, so there is no state to keep.")
@_later("-B", "--beat", is_flag=True, sentence="periodic tasks are not part of this version.")
@_later("-s", "--schedule", "--schedule-filename", sentence="periodic tasks are not part of this version.")
@_later("--scheduler", sentence="periodic tasks are not part of this version.")
@_later("--disable-prefetch", is_flag=True, sentence="not part of this version: --prefetch-multiplier 1 comes closest.")
@_later("--heartbeat-interval", sentence="events for monitors are not part of this version.")
@_later(
    "--pool-start-method",
    type=click.Choice(["fork", "spawn"]),
    sentence="children are always forked, from a process that has no threads.",
)
@_later("--uid", sentence="not part of this version: let systemd (User=) or `su` start the worker.")
@_later("--gid", sentence="not part of this version: let systemd (Group=) start the worker.")
@_later("--umask", sentence="not part of this version: call `umask` before.")
@_later("--executable", sentence="not part of this version: call that Python with `-m fastq`.")
@click.argument("settings", nargs=-1, type=click.UNPROCESSED, metavar="[-- NAME=VALUE…]")
@chosen
def command(choice: Chosen, settings: tuple[str, ...], **options: Any) -> None:
    """Start a worker: it takes tasks from the queues and runs them.

    Ctrl-C once: it finishes the tasks that run and leaves. Twice: it leaves at once, and they go back to their queues.
    """
    try:
        app = choice.load(required=True)
        if settings:
            _check(settings)
            app.config_from_cmdline(settings)
        code, restart = _run(app, choice, options)
    except Exception as error:
        if options["loglevel"].upper() == "DEBUG" and not isinstance(error, click.UsageError):
            traceback.print_exc()
        raise
    if restart:
        # The same command again, in this same process: its id, and what watches it, stay.
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - no shell is wanted
    click.get_current_context().exit(code)


def _check(settings: tuple[str, ...]) -> None:
    """Refuse what stands behind `--` and no setting takes, as it was written."""
    from fastq.conf import OPTIONS, load, names

    for name, value in load.from_arguments(settings).items():
        known = names.new_name(name)
        if known is not None:
            OPTIONS[known].convert(value, f"-- {name}={value}")


def _run(app: Any, choice: Chosen, options: dict[str, Any]) -> tuple[int, bool]:
    from fastq.worker import Worker

    worker = Worker(
        app=app,
        quiet=choice.quiet,
        no_color=choice.no_color or bool(os.environ.get("NO_COLOR")),
        term_is_cold=os.environ.get("REMAP_SIGTERM") == "SIGQUIT",
        **{name: value for name, value in options.items() if value is not None},
    )
    return worker.start(), worker.restart
