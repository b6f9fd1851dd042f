"""Calling tasks from coroutines: composed on the event loop, published by the app's outbox."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from fastq.app import bulk, send
from fastq.app.current import get_current_worker_task
from fastq.app.template import family
from fastq.signals import after_task_publish, before_task_publish

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastq.app.plan import Plan
    from fastq.result import AsyncResult

__all__ = ["send_many", "send_named", "send_task"]


async def send_task(task: Any, plan: Plan, args: Any, kwargs: Any, options: dict[str, Any]) -> AsyncResult[Any]:
    """Send a task that is known here; run it in a thread when the settings say `task_always_eager`."""
    if task.app.conf.task_always_eager:
        return await asyncio.to_thread(send.call_eagerly, task, args, kwargs, options)
    args, kwargs = () if args is None else args, {} if kwargs is None else kwargs
    parent = get_current_worker_task()
    template = plan.template
    if (
        template is None
        or options
        or before_task_publish
        or after_task_publish
        or (type(args) is not tuple and type(args) is not list)
        or type(kwargs) is not dict
        or (parent is not None and parent.request.stamped_headers)
    ):
        return await _send(send.prepare_task(task, args, kwargs, options))
    task_id = send.new_id()
    above = None if parent is None else family(parent.request)
    message = template.message(task_id, args, kwargs, above, send.identity())
    await task.app.outbox.send((message,), template.declare, {})
    result: AsyncResult[Any] = task.AsyncResult(task_id)
    result.ignored = template.ignored
    if parent is not None:
        parent.add_trail(result)
    return result


async def send_named(target: bulk.Target, args: Any, kwargs: Any, options: Mapping[str, Any]) -> AsyncResult[Any]:
    """Send a task by its name."""
    return await _send(target.prepare(args, kwargs, options))


async def _send(prepared: send.Prepared) -> AsyncResult[Any]:
    duplicates = await prepared.app.outbox.send((prepared.message,), prepared.draft.declare, prepared.options)
    return prepared.not_sent(duplicates[0][1]) if duplicates else prepared.sent()


async def send_many(
    target: bulk.Target, args: bulk.Arguments | None, kwargs: bulk.Keywords | None, options: dict[str, Any]
) -> list[AsyncResult[Any]]:
    """Send calls in chunks and return their results in order; as `bulk.send_many`."""
    if target.eager:
        return await asyncio.to_thread(bulk.send_many, target, args, kwargs, options)
    done: list[AsyncResult[Any]] = []
    try:
        for chunk in bulk.chunks(target, args, kwargs, options):
            together = any(prepared.is_unique for prepared in chunk.calls if isinstance(prepared, send.Prepared))
            together = together and chunk.together
            duplicates = await target.app.outbox.send(chunk.messages, chunk.declare, options, together)
            if chunk.may_go(duplicates) and together:
                duplicates = await target.app.outbox.send(chunk.messages, (), options)
            done += chunk.sent(duplicates)
    except Exception as error:
        error.sent = done  # type: ignore[attr-defined]  # FastQError has it, errors of a caller's generator have not
        raise
    return done
