"""How a task is called: sent one by one, many at once, and from coroutines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

from fastq.app import bulk, plan, send
from fastq.app.attributes import Attributes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fastq.app.protocol import App, Publisher
    from fastq.result import AsyncResult

__all__ = ["Calls"]

P = ParamSpec("P")
R = TypeVar("R")


class Calls(Attributes, Generic[P, R]):
    """The calls of a task: `P` are its parameters, `R` is what it returns."""

    _plan: plan.Plan | None = None
    """How calls of this task are sent; made at the first call, dropped when an attribute is set."""

    if TYPE_CHECKING:

        @property
        def app(self) -> App:
            """The app this task belongs to."""

    def delay(self, *args: P.args, **kwargs: P.kwargs) -> AsyncResult[R]:
        """Send the task with these arguments and return what will be its result."""
        return self.apply_async(args, kwargs)

    def apply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        task_id: str | None = None,
        producer: Publisher | None = None,
        link: Any = None,
        link_error: Any = None,
        shadow: str | None = None,
        **options: Any,
    ) -> AsyncResult[R]:
        """Send the task.

        Args:
            args: positional arguments: a list or tuple.
            kwargs: keyword arguments.
            task_id: the id of the call; a new one by default.
            producer: sends the message; the app's by default.
            link: signatures of tasks to send with the result.
            link_error: signatures of tasks to send when the task fails.
            shadow: the name that logs and monitors show.
            **options: `countdown` (seconds), `eta`, `expires`, `queue`, `priority`, `retry`, `serializer`, … as in
                `fastq.app.options.CallOptions`; unknown ones become properties of the message.

        Raises:
            TypeError: the task does not take these arguments, or they are no list and mapping.
            EncodeError: the arguments cannot be written in the serializer's format.
            OperationalError: the broker could not be reached in time.
        """
        known = self._plan
        if known is None or known.revision != known.settings.revision:
            known = self._plan = plan.make_plan(self)
        if known.check is not None:
            known.check(*(args or ()), **(kwargs or {}))
        if known.quick is not None and not (options or task_id or producer or link or link_error or shadow):
            return known.quick(args, kwargs)
        _add(options, task_id=task_id, producer=producer, link=link, link_error=link_error, shadow=shadow)
        return send.call(self, args, kwargs, options)

    async def adelay(self, *args: P.args, **kwargs: P.kwargs) -> AsyncResult[R]:
        """Send the task with these arguments, from a coroutine, and return what will be its result."""
        return await self.aapply_async(args, kwargs)

    async def aapply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        task_id: str | None = None,
        producer: Publisher | None = None,
        link: Any = None,
        link_error: Any = None,
        shadow: str | None = None,
        **options: Any,
    ) -> AsyncResult[R]:
        """Send the task from a coroutine; arguments as in `apply_async`.

        The event loop goes on meanwhile: a thread publishes, and what many coroutines send at once goes together. When
        it returns the broker has the message. Cancelled, it may have been sent all the same. With `task_always_eager`
        the task runs in a thread.

        Raises:
            OperationalError: the broker could not be reached within `broker_publish_timeout`; or so much was to be
                sent that the message had no turn.
            Exception: as from `apply_async`.
        """
        from fastq.app import awaiting  # asyncio takes as long to load as all of this

        known = self._plan
        if known is None or known.revision != known.settings.revision:
            known = self._plan = plan.make_plan(self)
        if known.check is not None:
            known.check(*(args or ()), **(kwargs or {}))
        _add(options, task_id=task_id, producer=producer, link=link, link_error=link_error, shadow=shadow)
        return await awaiting.send_task(self, known, args, kwargs, options)

    def apply_async_many(
        self, args: bulk.Arguments | None = None, kwargs: bulk.Keywords | None = None, **options: Any
    ) -> list[AsyncResult[R]]:
        """Send many calls of the task, five hundred at a time, and return their results in order.

        Both iterables may be generators: no more than one chunk of calls is in memory, beside the results.

        Args:
            args: of each call its positional arguments, a list or tuple; or the call as a signature of this task,
                whose own options win. None: every call has keyword arguments only.
            kwargs: keyword arguments: one mapping for all calls, or an iterable of mappings, one for each.
            **options: of all calls, as in `apply_async`.

        Raises:
            OperationalError: the broker could not be reached in time. The attribute `sent` has the results of the
                chunks before, which were sent. Of the one that failed nothing was sent, or, if the connection broke
                before the answer came, perhaps all.
            Exception: as from `apply_async`, or whatever the iterables raise; with `sent`, too.
        """
        return bulk.send_many(self._target, args, kwargs, options)

    async def aapply_async_many(
        self, args: bulk.Arguments | None = None, kwargs: bulk.Keywords | None = None, **options: Any
    ) -> list[AsyncResult[R]]:
        """Send many calls of the task from a coroutine, as `apply_async_many` does; the event loop goes on."""
        from fastq.app import awaiting

        return await awaiting.send_many(self._target, args, kwargs, options)

    def delay_map(self, *iterables: Iterable[Any]) -> list[AsyncResult[R]]:
        """Send a call for each item, or each row of items as `map` makes them; return the results in order.

        `add.delay_map([1, 2], [10, 20])` sends `add(1, 10)` and `add(2, 20)`; errors as from `apply_async_many`.
        """
        return self.apply_async_many(zip(*iterables, strict=False))

    @property
    def _target(self) -> bulk.Target:
        return bulk.Target(self.app, self, self.name or "", by_name=False)


def _add(options: dict[str, Any], **given: Any) -> None:
    """Add the options that were given."""
    options.update({name: value for name, value in given.items() if value is not None})
