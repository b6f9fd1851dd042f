"""The results of several tasks, waited for together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from fastq.result import wait as waiting
from fastq.result.async_result import AsyncResult
from fastq.result.gather import Gathering
from fastq.states import FAILURE, READY_STATES, SUCCESS

if TYPE_CHECKING:
    from fastq.app.protocol import App
    from fastq.backends.base import Backend, Meta

__all__ = ["ResultSet"]

R = TypeVar("R")


class ResultSet(Generic[R]):
    """Results of several tasks; `R` is what each returns.

    Args:
        results: of tasks; a member may be the result of a group itself, whose value is a list.
        app: of the tasks; that of the first result by default.
        ready_barrier: accepted as Celery accepts it.
    """

    parent: Any = None

    def __init__(self, results: Iterable[Any], app: App | None = None, ready_barrier: Any = None) -> None:  # noqa: ARG002
        """Keep the results."""
        self._app = app
        self.results: list[Any] = list(results)
        self._then: list[Callable[[Any], object]] = []

    # ----------------------------------------------------------------- members

    def add(self, result: AsyncResult[R]) -> None:
        """Add a result, unless it is there."""
        if result not in self.results:
            self.results.append(result)

    def remove(self, result: AsyncResult[R] | str) -> None:
        """Take a result out, given as such or by its id.

        Raises:
            KeyError: it is not there.
        """
        try:
            self.results.remove(result)
        except ValueError:
            raise KeyError(result) from None

    def discard(self, result: AsyncResult[R] | str) -> None:
        """Take a result out, if it is there."""
        if result in self.results:
            self.remove(result)

    def update(self, results: Iterable[AsyncResult[R]]) -> None:
        """Add results that are not there."""
        for result in results:
            self.add(result)

    def clear(self) -> None:
        """Take all results out."""
        self.results.clear()

    # ----------------------------------------------------------------- waiting

    def get(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        interval: float = 0.5,
        callback: Callable[[str, R], object] | None = None,
        no_ack: bool = True,  # noqa: ARG002 - Celery's
        on_message: Callable[[Meta], object] | None = None,
        disable_sync_subtasks: bool = True,
        on_interval: Callable[[], object] | None = None,
    ) -> list[R]:
        """Wait until all tasks have ended, and return what they returned, in order.

        Args:
            timeout: seconds for all of them; None waits for ever.
            propagate: raise what a task raised as soon as it is known; False puts the exception into the list.
            interval: seconds between calls of `on_interval`, and between looks at tasks before them in a chain.
            callback: called with id and value of each as it ends.
            no_ack: accepted as Celery accepts it.
            on_message: called with the state of each as it ends.
            disable_sync_subtasks: refuse to wait inside a task.
            on_interval: called every `interval` seconds while waiting.

        Raises:
            TimeoutError: not all have ended within `timeout`.
            RuntimeError: called inside a task, where waiting could wait for ever.
            Exception: what a task raised.
        """
        waiting.check_seconds("timeout", timeout)
        waiting.check_seconds("interval", interval)
        gathering = Gathering(self)
        if disable_sync_subtasks and gathering.left:
            waiting.assert_will_not_block()
        for result in gathering.arriving(timeout, interval, on_interval):
            self._arrived(result, propagate, callback, on_message)
        return self.values(propagate)

    join = join_native = wait = get

    async def aget(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        callback: Callable[[str, R], object] | None = None,
        disable_sync_subtasks: bool = True,
    ) -> list[R]:
        """Wait in a coroutine until all tasks have ended; arguments and errors as of `get`."""
        waiting.check_seconds("timeout", timeout)
        gathering = Gathering(self)
        if disable_sync_subtasks and gathering.left:
            waiting.assert_will_not_block()
        async for result in gathering.aarriving(timeout):
            self._arrived(result, propagate, callback, None)
        return self.values(propagate)

    def __await__(self) -> Generator[Any, None, list[R]]:
        return self.aget().__await__()

    async def __aiter__(self) -> AsyncIterator[AsyncResult[R]]:
        """Yield the result of each task as it ends; each is ready, and none is raised."""
        async for result in Gathering(self).aarriving(None):
            yield result

    def _arrived(
        self,
        result: AsyncResult[Any],
        propagate: bool,
        callback: Callable[[str, Any], object] | None,
        on_message: Callable[[Meta], object] | None,
    ) -> None:
        if on_message is not None:
            on_message(result.meta())
        result.maybe_throw(propagate, callback)

    def iterate(self, timeout: float | None = None, propagate: bool = True, interval: float = 0.5) -> Iterator[R]:
        """Yield what each task returned as it ends; arguments and errors as of `get`."""
        for result in Gathering(self).arriving(timeout, interval, None):
            yield result.maybe_throw(propagate)

    def iter_native(
        self,
        timeout: float | None = None,
        interval: float = 0.5,
        no_ack: bool = True,  # noqa: ARG002 - Celery's
        on_message: Callable[[Meta], object] | None = None,
        on_interval: Callable[[], object] | None = None,
    ) -> Iterator[tuple[str, Meta]]:
        """Yield id and state of each task as it ends; what they raised is in the state."""
        for result in Gathering(self).arriving(timeout, interval, on_interval):
            if on_message is not None:
                on_message(result.meta())
            yield result.id, result.meta()

    def values(self, propagate: bool = True) -> list[R]:
        """Return what tasks that have ended returned, in order: of groups among them lists."""
        values: list[Any] = [
            result.values(propagate) if isinstance(result, ResultSet) else result.maybe_throw(propagate)
            for result in self.results
        ]
        return values

    def maybe_throw(self, propagate: bool = True, callback: Callable[[str, R], object] | None = None) -> None:
        """Raise what one of the tasks raised, if one has failed; call `callback` with id and value of each."""
        for result in self.results:
            result.maybe_throw(propagate=propagate, callback=callback)

    maybe_reraise = maybe_throw

    def then(self, callback: Callable[[Any], object], on_error: Any = None, weak: bool = False) -> Any:  # noqa: ARG002
        """Have `callback` called with this set when it is seen that all have ended; return the callback.

        Args:
            callback: called once.
            on_error: called with this set instead, when one of them has failed.
            weak: accepted as Celery accepts it.
        """
        left = Gathering(self).left

        def ended(_: Any) -> None:
            left.pop(_.id, None)
            if not left:
                (on_error if on_error is not None and self.failed() else callback)(self)

        if not left:
            (on_error if on_error is not None and self.failed() else callback)(self)
        for result in list(left.values()):
            result.then(ended, ended)
        return callback

    # ------------------------------------------------------------------- state

    def ready(self) -> bool:
        """Tell whether all have ended."""
        return all(state in READY_STATES for state in self._states())

    def successful(self) -> bool:
        """Tell whether all have returned."""
        return all(state == SUCCESS for state in self._states())

    def failed(self) -> bool:
        """Tell whether one has raised, was lost, or ran out of time."""
        return any(state == FAILURE for state in self._states())

    def waiting(self) -> bool:
        """Tell whether one has not ended."""
        return not self.ready()

    def completed_count(self) -> int:
        """Return how many have returned; a group among them counts once."""
        self._states()
        return sum(bool(result.successful()) for result in self.results)

    def _states(self) -> list[str]:
        """Return the states of all tasks, asking the store once for those that have not ended."""
        gathering = Gathering(self)
        gathering.look()
        return [result.state for result in gathering.all]

    @property
    def supports_native_join(self) -> bool:
        """Whether the store tells of results as they come."""
        return self.backend.capability.push

    def forget(self) -> None:
        """Delete what is stored for the tasks."""
        for result in self.results:
            result.forget()

    def revoke(self, *args: Any, **options: Any) -> None:
        """Revoke the tasks; arguments as of `AsyncResult.revoke`."""
        for result in self.results:
            result.revoke(*args, **options)

    # ---------------------------------------------------------------- identity

    @property
    def app(self) -> App:
        """The app the tasks belong to."""
        if self._app is None:
            found: App = self.results[0].app if self.results else AsyncResult("none").app
            self._app = found
        return self._app

    @app.setter
    def app(self, app: App) -> None:
        self._app = app

    @property
    def backend(self) -> Backend:
        """Where the states of the tasks are kept."""
        found: Backend = self.results[0].backend if self.results else self.app.backend
        return found

    def __iter__(self) -> Iterator[Any]:
        return iter(self.results)

    def __getitem__(self, index: Any) -> Any:
        return self.results[index]

    def __len__(self) -> int:
        return len(self.results)

    def __eq__(self, other: object) -> bool:
        return other.results == self.results if isinstance(other, ResultSet) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: [{', '.join(str(result) for result in self.results)}]>"
