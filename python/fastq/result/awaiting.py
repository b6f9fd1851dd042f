"""Awaiting a result: `aget`, its time limit, and the tasks before it in a chain."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from fastq.exceptions import TimeoutError  # noqa: A004 - it is the built-in too
from fastq.result.watcher import watcher_of
from fastq.states import PROPAGATE_STATES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastq.backends.base import Meta
    from fastq.result.async_result import AsyncResult

__all__ = ["until_ready"]


async def until_ready(
    result: AsyncResult[Any], timeout: float | None, parents: Sequence[AsyncResult[Any]] = ()
) -> Meta:
    """Return what is stored for a task once it has ended.

    Args:
        result: whose task to wait for.
        timeout: seconds; None: no limit.
        parents: results of the tasks before it: when one of them has failed, it will never run.

    Raises:
        TimeoutError: the task has not ended in time.
        Exception: what a parent raised.
    """
    loop = asyncio.get_running_loop()
    deadline = None if timeout is None else loop.time() + timeout
    awaited = {asyncio.ensure_future(_meta_of(one)): one for one in (result, *parents)}
    try:
        while True:
            left = None if deadline is None else max(0.0, deadline - loop.time())
            done, _ = await asyncio.wait(awaited, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                raise TimeoutError(f"Task {result.id} has not ended within {timeout or 0:g} s.")
            for ended in done:
                meta, one = await ended, awaited.pop(ended)
                if one is result:
                    return meta
                if meta["status"] in PROPAGATE_STATES:
                    one.settle(meta)
                    one.maybe_throw()
    finally:
        for left_over in awaited:
            left_over.cancel()


async def _meta_of(result: AsyncResult[Any]) -> Meta:
    backend = result.backend
    return backend.decode(await watcher_of(backend).record(result.id))
