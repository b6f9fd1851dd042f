"""`fastq call`: send a task."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from fastq.cli.chosen import Chosen, app_options, chosen
from fastq.cli.output import json_option, print_json, print_value, timeout_option, warnings_in_a_line

__all__ = ["command"]

_SHOWN = 8
"""Tasks that are named when the one given is not known."""


def _json(kind: type, what: str) -> Any:
    """Return a callback that reads an option as JSON of one kind."""

    def callback(_ctx: click.Context, parameter: click.Parameter, value: str | None) -> Any:
        if value is None:
            return kind()
        from fastq.exceptions import DecodeError
        from fastq.serialization import json

        try:
            found = json.loads(value)
        except DecodeError as error:
            reason = error.__cause__ or error
            raise click.BadParameter(f"{value!r} is not JSON ({reason}). Write {what}.", param=parameter) from None
        if not isinstance(found, kind):
            raise click.BadParameter(f"{value} is of the wrong kind. Write {what}.", param=parameter)
        return found

    return callback


def _moment(_ctx: click.Context, parameter: click.Parameter, value: str | None) -> Any:
    """Read a number of seconds, or a time."""
    if value is None:
        return None
    try:
        return float(value)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        raise click.BadParameter(
            f"{value!r} is neither a number of seconds nor a time such as 2030-01-31T12:00:00+00:00.", param=parameter
        ) from None


def _time(ctx: click.Context, parameter: click.Parameter, value: str | None) -> Any:
    found = _moment(ctx, parameter, value)
    if isinstance(found, float):
        raise click.BadParameter("is a time such as 2030-01-31T12:00:00; for seconds use --countdown.", param=parameter)
    return found


@click.command("call")
@app_options()
@click.argument("name")
@click.option(
    "-a", "--args", callback=_json(list, 'a list, such as [1, "two"]'), metavar="JSON", help="Arguments: a list."
)
@click.option(
    "-k",
    "--kwargs",
    callback=_json(dict, 'an object, such as {"size": 3}'),
    metavar="JSON",
    help="Named arguments: an object.",
)
@click.option("--eta", callback=_time, metavar="TIME", help="Do not run it before: ISO 8601.")
@click.option("--countdown", type=float, metavar="SECONDS", help="Do not run it before so many seconds have passed.")
@click.option("--expires", callback=_moment, metavar="SECONDS|TIME", help="Do not run it later.")
@click.option("--queue", help="Queue to send it to.")
@click.option("--exchange", help="Exchange to send it to.")
@click.option("--routing-key", help="Routing key to send it with.")
@click.option("--priority", type=click.IntRange(0, 255), help="0 to 255; the higher goes first.")
@click.option("--serializer", help="Format of the arguments, such as json.")
@click.option("-w", "--wait", is_flag=True, help="Wait for the result and print it.")
@timeout_option("-t", "--timeout")
@json_option
@chosen
def command(
    choice: Chosen,
    name: str,
    args: list[Any],
    kwargs: dict[str, Any],
    wait: bool,
    timeout: float | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Send the task NAME and print its id; with --wait print its result.

    A last part of the name will do where it means one task: `add` for `shop.add`.
    """
    app = choice.load()
    if options["eta"] is not None and options["countdown"] is not None:
        raise click.UsageError("Give --eta or --countdown, not both.")
    full_name = _full_name(app, name, choice.named)
    given = {key: value for key, value in options.items() if value is not None}
    with warnings_in_a_line():
        result = app.send_task(full_name, args, kwargs, **given)
    if not (wait or timeout is not None):
        print_json({"id": result.id, "name": full_name}) if as_json else click.echo(result.id)
        return
    why = _why_not_kept(app, full_name)
    if why is not None:
        print_json({"id": result.id, "name": full_name}) if as_json else click.echo(result.id)
        click.echo(f"{full_name} was sent. Its result is not kept ({why}), so there is nothing to wait for.", err=True)
        return
    _print_result(result, timeout, as_json)


def _why_not_kept(app: Any, name: str) -> str | None:
    """Return the setting for which no result of this task will ever come; None: one will."""
    task = app.tasks.get(name)
    if not (task or app).backend.capability.stores:
        return "result_backend is disabled"
    return "ignore_result" if task is not None and task.ignore_result else None


def _print_result(result: Any, timeout: float | None, as_json: bool) -> None:
    from fastq.cli.failure import EXIT_NOT_YET, Failure

    try:
        value = result.get(timeout=timeout, propagate=False)
    except TimeoutError as error:
        raise Failure(
            f"No result within {timeout:g} s: is a worker alive (fastq status)? Ask later: fastq result {result.id}",
            EXIT_NOT_YET,
        ) from error
    if as_json:
        print_json({"id": result.id, "state": result.state, "result": _plain(value)})
    elif result.successful():
        print_value(value)
    if not result.successful():
        raise Failure(f"Task {result.id} is {result.state}: {_named(value)}")


def _plain(value: Any) -> Any:
    return _named(value) if isinstance(value, BaseException) else value


def _named(value: Any) -> str:
    return f"{type(value).__name__}: {value}" if isinstance(value, BaseException) else repr(value)


def _full_name(app: Any, name: str, is_own: bool) -> str:
    """Return the name of the task that is meant; one that this app does not know is sent as it is, with a warning."""
    if not is_own:
        return name
    app.import_default_modules()
    if name in app.tasks:
        return name
    meant = [known for known in app.tasks if known.endswith(f".{name}")]
    if len(meant) == 1:
        return str(meant[0])
    if meant:
        raise click.UsageError(f"{name} may mean {', '.join(sorted(meant))}: say which.")
    from fastq.text import closest, join_words

    own = sorted(known for known in app.tasks if not known.startswith("celery."))
    near = closest(name, [*own, *(known.rpartition(".")[2] for known in own)])
    hint = f"Did you mean {near}?" if near else f"It knows {join_words(own[:_SHOWN]) or 'none'}."
    click.echo(f"Warning: this app knows no task {name!r}, it is sent all the same. {hint}", err=True)
    return name
