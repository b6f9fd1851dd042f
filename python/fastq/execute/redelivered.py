"""A message that comes again although its task has succeeded (`worker_deduplicate_successful_tasks`)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fastq._seam import DONE, Outcome
from fastq.app.context import Context
from fastq.execute import journal
from fastq.execute.arguments import reader
from fastq.states import SUCCESS

if TYPE_CHECKING:
    from fastq._core import Job
    from fastq.app.protocol import App

__all__ = ["ended_before", "succeeded_before"]


def succeeded_before(app: App, job: Job) -> bool:
    """Tell whether a redelivered job need not run, because the settings say so and its result is SUCCESS already.

    A run and its acknowledgement are one step where results are kept beside the queues, so this matters for stores
    elsewhere: there a worker may die between the two. When the store cannot be asked, the job runs.
    """
    if not app.conf.worker_deduplicate_successful_tasks:
        return False
    task = app.tasks[job.name]
    if not task.acks_late or job.ignore_result or not task.backend.capability.stores:
        return False
    try:
        state = app.AsyncResult(job.id, backend=task.backend).state
    except Exception:  # noqa: BLE001 - whatever the store raises
        journal.logger.exception("Whether task %s[%s] has succeeded could not be found out.", job.name, job.id)
        return False
    if state != SUCCESS:
        return False
    if journal.logger.isEnabledFor(logging.INFO):
        journal.logger.info("Task %s[%s] came again and has succeeded before: it is not run.", job.name, job.id)
    return True


def ended_before(app: App, job: Job) -> Outcome:
    """Return the outcome of such a job: nothing is left to do but to count it in its chord, which is done once."""
    request = Context.from_job(job)
    try:
        _, _, embed = reader(app)(job)
        request.update(embed=embed)
        if not (request.chord and request.group and app.backend.capability.counts):
            return Outcome(DONE)
        value = app.AsyncResult(job.id, backend=app.tasks[job.name].backend).result
        return Outcome(DONE, parts=(app.backend.part(request, SUCCESS, value),))
    except Exception:  # noqa: BLE001 - whatever the store raises
        journal.logger.exception("Whether task %s[%s] counts in a chord could not be found out.", job.name, job.id)
        return Outcome(DONE)
