"""`fastq dead`: the messages that were set aside."""

from __future__ import annotations

from typing import Any

import click
import orjson

from fastq.cli.chosen import Chosen, app_options, chosen
from fastq.cli.output import ago, json_option, print_json, print_table

__all__ = ["command"]

_queue = click.option("-Q", "--queue", help="Only of this queue.")
_all = click.option("--all", "every", is_flag=True, help="All of them.")
_LIMIT = 10_000
"""The most that are looked through to find one by the beginning of its id."""


@click.group("dead")
@app_options()
def command() -> None:
    """Look at the messages that were set aside, put them back into their queues, or drop them.

    A message is set aside when no worker knows its task, when it cannot be read, when its task refuses it, and when too
    many workers have died running it.
    """


@command.command("list")
@app_options()
@_queue
@click.option("-n", "--limit", type=click.IntRange(1), default=100, show_default=True, help="The most to show.")
@json_option
@chosen
def list_command(choice: Chosen, queue: str | None, limit: int, as_json: bool) -> None:
    """List what was set aside, and why."""
    letters = choice.load().producer.dead_letters(queue, limit)
    if as_json:
        print_json([_document(letter) for letter in letters])
        return
    if not letters:
        click.echo("Nothing was set aside.")
        return
    print_table(
        ("Id", "Task", "Queue", "When", "Deaths", "Reason"),
        [
            (
                letter["id"],
                letter["task_name"] or None,
                letter["queue"],
                f"{ago(letter['buried_at'])} ago",
                letter["deaths"],
                letter["reason"],
            )
            for letter in letters
        ],
        no_color=choice.no_color,
    )


@command.command("show")
@app_options()
@click.argument("letter_id", metavar="ID")
@chosen
def show_command(choice: Chosen, letter_id: str) -> None:
    """Print one message whole, as JSON: ID as in the list, or the task's id."""
    print_json(_document(_find(choice, letter_id), whole=True))


@command.command("requeue")
@app_options()
@click.argument("ids", nargs=-1, metavar="[ID…]")
@_queue
@_all
@chosen
def requeue_command(choice: Chosen, ids: tuple[str, ...], queue: str | None, every: bool) -> None:
    """Put messages back into the queues they came from, with a clean record."""
    count = choice.load().producer.requeue_dead(queue, _wanted(choice, ids, every))
    _say(count, "put back")


@command.command("drop")
@app_options()
@click.argument("ids", nargs=-1, metavar="[ID…]")
@_queue
@_all
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@chosen
def drop_command(choice: Chosen, ids: tuple[str, ...], queue: str | None, every: bool, force: bool) -> None:
    """Erase messages that were set aside. There is no undo."""
    wanted = _wanted(choice, ids, every)
    if not force:
        what = f"{len(wanted)} message{'s' * (len(wanted) != 1)}" if wanted else "all messages that were set aside"
        click.confirm(f"Erase {what}{f' in {queue}' if queue else ''}?", abort=True, err=True)
    _say(choice.load().producer.drop_dead(queue, wanted), "erased")


def _wanted(choice: Chosen, ids: tuple[str, ...], every: bool) -> list[str]:
    """Return the ids to act on; none means all, which has to be said."""
    if bool(ids) == every:
        raise click.UsageError("Say which: ids as `fastq dead list` shows them, or --all.")
    return [_find(choice, given)["id"] for given in ids]


def _find(choice: Chosen, given: str) -> Any:
    letters = choice.load().producer.dead_letters(None, _LIMIT)
    for letter in letters:
        if given in (letter["id"], letter["task_id"]):
            return letter
    from fastq.cli.failure import Failure

    raise Failure(f"No message {given} was set aside. See: fastq dead list")


def _document(letter: Any, *, whole: bool = False) -> dict[str, Any]:
    shown = {key: value for key, value in letter.items() if key not in ("headers", "properties", "body")}
    if whole:
        shown["headers"] = _json(letter["headers"])
        shown["properties"] = _json(letter["properties"])
        shown["body"] = _json(letter["body"])
    return shown


def _json(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return data.decode("utf-8", "backslashreplace")


def _say(count: int, done: str) -> None:
    click.echo(f"{count} message{'s' * (count != 1)} {done}")
