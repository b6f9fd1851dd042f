"""`fastq queues`: how much waits where."""

from __future__ import annotations

from typing import Final

import click

from fastq.app.internal import internal_queue
from fastq.cli.chosen import Chosen, app_options, chosen
from fastq.cli.output import json_option, print_json, print_table

__all__ = ["command"]

_COUNTS: Final = ("ready", "in_flight", "delayed", "dead")


@click.command("queues")
@app_options()
@json_option
@chosen
def command(choice: Chosen, as_json: bool) -> None:
    """Show every queue: what is ready, what workers hold, what is due later, what was set aside.

    The one of built-in tasks is shown while something is in it. RabbitMQ does not tell what is due later, nor for which
    queue; and what Celery's workers hold there is not counted.
    """
    app = choice.load()
    own = internal_queue(app)
    depths = sorted(app.producer.depths(), key=lambda depth: depth["queue"])
    depths = [depth for depth in depths if depth["queue"] != own or any(depth[count] for count in _COUNTS)]
    if not app.producer.capabilities()["sees_workers"]:
        depths = [{**depth, "delayed": None} for depth in depths]
    if as_json:
        print_json(depths)
        return
    if not depths:
        click.echo("There are no queues yet: the first message makes one.")
        return
    print_table(
        ("Queue", "Ready", "In flight", "Delayed", "Dead"),
        [(depth["queue"], depth["ready"], depth["in_flight"], depth["delayed"], depth["dead"]) for depth in depths],
        no_color=choice.no_color,
    )
    if any(depth["dead"] for depth in depths) and not choice.quiet:
        click.echo("What was set aside, and why: fastq dead list")
