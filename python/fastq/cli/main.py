"""The command `fastq` and its sub-commands, each loaded when it is called: `fastq --help` imports none of them."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from fastq.cli.chosen import Chosen, app_options
from fastq.platforms import green

if TYPE_CHECKING:
    from fastq.app.protocol import App

__all__ = ["COMMANDS", "EXIT_USAGE", "cli", "main"]

EXIT_USAGE: Final = 64
"""sysexits.h: the command was used incorrectly."""

EXIT_INTERRUPTED: Final = 130
"""What shells use for a program that Ctrl-C ended."""

COMMANDS: Final = {
    "call": "Send a task; print its id, or with --wait its result.",
    "control": "Tell the workers what to do: revoke tasks, end their runs.",
    "dead": "Look at the messages that were set aside, put them back or drop them.",
    "demo": "Show fastq at work on this computer: no server, no set-up.",
    "purge": "Erase the messages that wait in queues.",
    "queues": "Show how much waits in each queue.",
    "report": "Show versions and settings, for a bug report.",
    "result": "Show the state and the result of a task.",
    "shell": "Open a Python shell with the app and its tasks.",
    "status": "Show the workers that are alive.",
    "worker": "Start a worker.",
    "workflow": "Show what a task has sent, and how all of it stands.",
}
"""Every command, with the line that the list shows; its module in fastq.cli has its name."""

LATER: Final = {
    "amqp": "`fastq queues` shows the queues, `fastq purge` empties them.",
    "beat": "Until it is, let cron or a systemd timer run `fastq call`.",
    "events": "`fastq status` and `fastq queues` show what goes on.",
    "graph": "`fastq workflow` shows what a task has sent, `fastq report` how the app is set up.",
    "inspect": "`fastq status` shows the workers, `fastq queues` what waits and runs.",
    "list": "`fastq queues` shows the queues.",
    "logtool": "With -l INFO every run has a line that grep finds.",
    "migrate": "Let workers empty the old broker before the app moves to the new one.",
    "multi": "Let systemd start the workers, one unit each: `fastq worker -n NAME@%h`.",
    "upgrade": "Old names of settings are understood as they are.",
}
"""Commands that Celery's users know and that this version does not have: what to use instead."""


class Commands(click.Group):
    """A group whose commands are modules."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"fastq.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one may have been meant."""
        if args[0] in LATER:
            raise click.UsageError(f"`fastq {args[0]}` is not part of this version. {LATER[args[0]]}", ctx)
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            # Not at the top: `fastq --help` has no use for it.
            from fastq.text import closest

            near = closest(args[0], COMMANDS)
            if near is None or "Did you mean" in error.message:
                raise
            raise click.UsageError(f"{error.message.rstrip('.')}. Did you mean {near}?", ctx) from error

    def main(self, *args: Any, **extra: Any) -> NoReturn:
        """Run, and leave the process: what goes wrong is one line on standard error, and an exit code."""
        try:
            code = super().main(*args, **{**extra, "standalone_mode": False})
        except click.ClickException as error:
            _show(error)
            sys.exit(error.exit_code)
        except click.Abort as error:
            if not isinstance(error.__cause__, KeyboardInterrupt):
                click.echo("Nothing was done.", err=True)
            sys.exit(EXIT_INTERRUPTED if isinstance(error.__cause__, KeyboardInterrupt) else 1)
        except BrokenPipeError:
            # Whoever read our output has had enough. Python would complain when it flushes what is left.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno())  # type: ignore[union-attr]
            sys.exit(1)
        sys.exit(code if isinstance(code, int) else 0)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """Write the list of commands from the table, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what fails becomes one line and an exit code."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            from fastq.cli.failure import as_failure

            failure = as_failure(error)
            if failure is None:
                raise
            raise failure from error


def _show(error: click.ClickException) -> None:
    """Print an error as one line; for wrong use the line says where the options are explained."""
    if isinstance(error, click.BadParameter):
        _blame_variable(error)
    if isinstance(error, click.UsageError) and not isinstance(error, click.exceptions.NoArgsIsHelpError):
        where = f" See: {error.ctx.command_path} --help" if error.ctx is not None else ""
        click.echo(f"Error: {error.format_message()}{where}", err=True)
    else:
        error.show()


def _blame_variable(error: click.BadParameter) -> None:
    """Have an error name the variable of the environment that a value came from, not an option nobody has given."""
    ctx, parameter = error.ctx, error.param
    if ctx is None or parameter is None or parameter.name is None:
        return
    if ctx.get_parameter_source(parameter.name) is click.core.ParameterSource.ENVIRONMENT:
        named = f"{ctx.auto_envvar_prefix}_{parameter.name}".upper()
        error.param, error.param_hint = None, f"the environment variable {named}"


def _print_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    import fastq

    click.echo(f"fastq {fastq.__version__}")
    ctx.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "FASTQ"})
@app_options(hidden=False)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and leave.",
)
def cli() -> None:
    """Run functions in other processes, reliably and fast.

    The options below may also stand after the command. Every option has an environment variable too, such as FASTQ_APP
    or FASTQ_WORKER_CONCURRENCY.

    Start with:  fastq demo
    """


def main(argv: Sequence[str] | None = None, app: App | None = None) -> NoReturn:
    """Run the command line and leave the process with its exit code.

    Args:
        argv: the arguments after the program's name; None: those of this process.
        app: the app to work on, when the caller is that app.
    """
    if green.is_wanted(sys.argv[1:] if argv is None else argv, os.environ) and not green.patch():
        click.echo("Error: -P gevent needs the package gevent: pip install 'fastq-tasks[gevent]'", err=True)
        sys.exit(EXIT_USAGE)
    # Wrong use has exit code 64 (sysexits.h); 2, which click takes, is the shell's own to many scripts.
    click.UsageError.exit_code = EXIT_USAGE
    cli.main(args=None if argv is None else list(argv), prog_name="fastq", obj=Chosen(given=app))
