"""`fastq purge`: erase what waits."""

from __future__ import annotations

from typing import Any

import click

from fastq.cli.chosen import Chosen, app_options, chosen
from fastq.cli.output import json_option, print_json

__all__ = ["command"]


@click.command("purge")
@app_options()
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@click.option("-Q", "--queues", metavar="NAME[,NAME…]", help="Queues to purge, in place of the app's.")
@click.option("-X", "--exclude-queues", metavar="NAME[,NAME…]", help="Queues not to purge.")
@json_option
@chosen
def command(choice: Chosen, force: bool, queues: str | None, exclude_queues: str | None, as_json: bool) -> None:
    """Erase the messages that wait in the app's queues. There is no undo.

    Tasks that a worker holds, and dead letters, stay.
    """
    app = choice.load()
    names = _names(app, queues, exclude_queues)
    if not names:
        raise click.UsageError("No queue is left to purge: -X excludes them all.")
    if not force:
        waiting = {depth["queue"]: depth["ready"] + depth["delayed"] for depth in app.producer.depths()}
        count = sum(waiting.get(name, 0) for name in names)
        text = f"Erase {count} waiting message{'s' * (count != 1)} in {', '.join(names)}?"
        click.confirm(text, abort=True, err=True)
    erased = {name: app.producer.purge(name) for name in names}
    if as_json:
        print_json(erased)
        return
    for name, count in erased.items():
        click.echo(f"{name}: {count} message{'s' * (count != 1)} erased")


def _names(app: Any, queues: str | None, exclude_queues: str | None) -> list[str]:
    if queues is not None and not queues.replace(",", " ").strip():
        raise click.UsageError(f"--queues {queues!r} names nothing.")
    chosen_names = [name.strip() for name in queues.split(",")] if queues else sorted(app.queues.consume_from)
    excluded = {name.strip() for name in (exclude_queues or "").split(",")}
    return [name for name in chosen_names if name and name not in excluded]
