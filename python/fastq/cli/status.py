"""`fastq status`: the workers that are alive."""

from __future__ import annotations

import time

import click

from fastq.app.internal import internal_queue
from fastq.cli.chosen import Chosen, app_options, chosen
from fastq.cli.output import ago, json_option, print_json, print_table

__all__ = ["command"]


@click.command("status")
@app_options()
@json_option
@chosen
def command(choice: Chosen, as_json: bool) -> None:
    """Show the workers that are alive, and what they are doing.

    The exit code is 69 when there is none.
    """
    from fastq.cli.failure import EXIT_UNAVAILABLE, Failure

    app = choice.load()
    workers = sorted(app.producer.workers(), key=lambda worker: worker["node"])
    own = internal_queue(app)
    for worker in workers:
        worker["queues"] = [queue for queue in worker["queues"] if queue != own]
    now = time.time()
    if as_json:
        print_json([{**worker, "alive": worker["lease_until"] > now} for worker in workers])
    elif workers:
        print_table(
            ("Worker", "Process", "Up", "State", "In flight", "Queues"),
            [
                (
                    worker["node"],
                    worker["pid"],
                    ago(worker["started_at"]),
                    "alive" if worker["lease_until"] > now else f"not heard of for {ago(worker['lease_until'])}",
                    worker["in_flight"],
                    ", ".join(worker["queues"]),
                )
                for worker in workers
            ],
            no_color=choice.no_color,
        )
    if not any(worker["lease_until"] > now for worker in workers):
        raise Failure("No worker is alive. Start one: fastq -A MODULE worker", EXIT_UNAVAILABLE)
