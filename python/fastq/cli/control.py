"""`fastq control`: tell workers what to do."""

from __future__ import annotations

from typing import Any

import click

from fastq.cli.chosen import Chosen, app_options, chosen
from fastq.cli.output import json_option, print_json

__all__ = ["command"]

_destination = click.option(
    "-d", "--destination", metavar="NAME[,NAME…]", help="Only these workers, where the broker carries remote commands."
)
_terminate = click.option("--terminate", is_flag=True, help="Also end the runs of those that have begun.")
_signal = click.option("--signal", default="SIGTERM", show_default=True, help="What ends them, in the prefork pool.")
_expires = click.option("--expires", type=click.FloatRange(0), metavar="SECONDS", help="How long it is remembered.")


@click.group("control")
@app_options()
def command() -> None:
    """Tell the workers what to do."""


@command.command("revoke")
@app_options()
@click.argument("ids", nargs=-1, required=True, metavar="ID…")
@_terminate
@_signal
@_destination
@_expires
@json_option
@chosen
def revoke_command(
    choice: Chosen,
    ids: tuple[str, ...],
    terminate: bool,
    signal: str,
    destination: str | None,
    expires: float | None,
    as_json: bool,
) -> None:
    """Call off tasks by their ids.

    One that has not begun never runs; its state becomes REVOKED when a worker comes to its message.
    """
    options = {"terminate": terminate, "signal": signal, "destination": _names(destination), "expires": expires}
    _checked(choice.load().control.revoke, ids, **options)
    _say(ids, "terminated" if terminate else "revoked", as_json)


@command.command("terminate")
@app_options()
@click.argument("signal")
@click.argument("ids", nargs=-1, required=True, metavar="ID…")
@_destination
@_expires
@json_option
@chosen
def terminate_command(
    choice: Chosen, signal: str, ids: tuple[str, ...], destination: str | None, expires: float | None, as_json: bool
) -> None:
    """Call off tasks and end their runs: SIGNAL such as SIGTERM or SIGKILL, then their ids."""
    _checked(choice.load().control.terminate, ids, signal=signal, destination=_names(destination), expires=expires)
    _say(ids, "terminated", as_json)


@command.command("revoke_by_stamped_headers")
@app_options()
@click.argument("stamps", nargs=-1, required=True, metavar="NAME=VALUE…")
@_terminate
@_signal
@_destination
@_expires
@json_option
@chosen
def stamps_command(
    choice: Chosen,
    stamps: tuple[str, ...],
    terminate: bool,
    signal: str,
    destination: str | None,
    expires: float | None,
    as_json: bool,
) -> None:
    """Call off every task that bears one of these stamps, whose values are texts."""
    headers: dict[str, list[str]] = {}
    for stamp in stamps:
        name, equals, value = stamp.partition("=")
        if not equals:
            raise click.UsageError(f"{stamp!r} is no stamp: write NAME=VALUE.")
        headers.setdefault(name, []).append(value)
    options = {"terminate": terminate, "signal": signal, "destination": _names(destination), "expires": expires}
    _checked(choice.load().control.revoke_by_stamped_headers, headers, **options)
    _say(stamps, "terminated" if terminate else "revoked", as_json)


def _names(destination: str | None) -> list[str] | None:
    return [name.strip() for name in destination.split(",") if name.strip()] if destination else None


def _checked(call: Any, *arguments: Any, **options: Any) -> None:
    try:
        call(*arguments, **options)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _say(what: tuple[str, ...], how: str, as_json: bool) -> None:
    if as_json:
        print_json({how: list(what)})
        return
    for one in what:
        click.echo(f"{one}: {how}")
