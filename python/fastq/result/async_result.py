"""What a sent task will return."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast
from uuid import UUID

from fastq import later
from fastq.imports import symbol_by_name
from fastq.result import wait as waiting
from fastq.result.remote import RemoteTraceback
from fastq.result.revoking import Revocable
from fastq.result.tree import Tree, leaves
from fastq.states import FAILURE, PROPAGATE_STATES, READY_STATES, SUCCESS
from fastq.text import saferepr
from fastq.time import from_iso

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from datetime import datetime

    from fastq.app.protocol import App
    from fastq.backends.base import Backend, Meta

__all__ = ["AsyncResult", "RemoteTraceback", "ResultTuple"]

R = TypeVar("R")

ResultTuple = tuple[tuple[str, Any], Any]
"""A result as it is stored (protocol.md §7.3): `((id, parent), nodes)`, parent another one or None."""

_CURRENT_APP: Final = "fastq.app.current:get_current_app"
"""Apps stand on a higher floor, so the current one is found by name."""


@later.lacks(later.RESULT)
class AsyncResult(Revocable, Tree, Generic[R]):
    """The result of a task that was sent; `R` is what the task returns.

    Args:
        id: of the task; a UUID will do.
        backend: where its state is kept; the app's by default.
        task_name: name of the task, when it is known.
        app: the current app by default.
        parent: the result of the task before it in a chain.
    """

    def __init__(
        self,
        id: str | UUID,  # noqa: A002 - Celery's name
        backend: Backend | None = None,
        task_name: str | None = None,
        app: App | None = None,
        parent: Any = None,
    ) -> None:
        """Refer to a task; nothing is asked yet."""
        if type(id) is not str:
            id = _text_of(id)  # noqa: A001 - the parameter
        if not id:
            raise ValueError(f"A result needs the id of its task, not {id!r}.")
        self.id = id
        self._app = app
        self._backend = backend
        self._task_name = task_name
        self.parent = parent
        self.ignored = False
        """Whether the call said that its result does not matter: `get` returns None at once."""
        self.duplicate = False
        """Whether it is of another call than the one that returned it: a unique one that was under way already."""
        self._meta: Meta | None = None
        self._then: list[tuple[Callable[[Any], object], Callable[[Any], object] | None]] = []

    # ------------------------------------------------------------------ waiting

    def get(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        interval: float = 0.5,
        no_ack: bool = True,  # noqa: ARG002 - Celery's
        follow_parents: bool = True,
        callback: Callable[[str, R], object] | None = None,
        on_message: Callable[[Meta], object] | None = None,
        on_interval: Callable[[], object] | None = None,
        disable_sync_subtasks: bool = True,
    ) -> R:
        """Wait until the task has ended and return what it returned.

        Args:
            timeout: seconds; None waits for ever.
            propagate: raise what the task raised; False returns the exception.
            interval: seconds between calls of `on_interval`, and between looks at stores that cannot push.
            no_ack: accepted as Celery accepts it; results are not acknowledged here.
            follow_parents: raise when a task before it in a chain has failed, so that it will never run.
            callback: called with id and value once there is a value.
            on_message: called with each state that is seen, such as the progress of `update_state`.
            on_interval: called every `interval` seconds while waiting.
            disable_sync_subtasks: refuse to wait inside a task.

        Raises:
            TypeError: `timeout` or `interval` is no number.
            TimeoutError: the task has not ended within `timeout`.
            RuntimeError: called inside a task, where waiting could wait for ever.
            Exception: what the task raised.
        """
        waiting.check_seconds("timeout", timeout)
        waiting.check_seconds("interval", interval)
        if self.ignored:
            return None  # type: ignore[return-value]
        if disable_sync_subtasks:
            self._check_will_not_block()
        if self._meta is None:
            check = self._raise_of_parents if propagate and follow_parents and self.parent is not None else None
            if check is not None:
                check()
            self.settle(waiting.until_ready(self, timeout, interval, on_interval, on_message, check))
        return cast("R", self.maybe_throw(propagate, callback))

    wait = get

    async def aget(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        follow_parents: bool = True,
        callback: Callable[[str, R], object] | None = None,
        disable_sync_subtasks: bool = True,
    ) -> R:
        """Wait in a coroutine until the task has ended and return what it returned; the event loop goes on meanwhile.

        One thread waits for all results of an app. Arguments and errors as of `get`.
        """
        waiting.check_seconds("timeout", timeout)
        if self.ignored:
            return None  # type: ignore[return-value]
        if disable_sync_subtasks:
            self._check_will_not_block()
        from fastq.result import awaiting  # asyncio takes long to load, and not everybody needs it

        if self._meta is None:
            parents = list(self.parents()) if propagate and follow_parents else []
            self.settle(await awaiting.until_ready(self, timeout, parents))
        return cast("R", self.maybe_throw(propagate, callback))

    def __await__(self) -> Generator[Any, None, R]:
        return self.aget().__await__()

    def then(
        self,
        callback: Callable[[Any], object],
        on_error: Callable[[Any], object] | None = None,
        weak: bool = False,  # noqa: ARG002 - Celery's
    ) -> Any:
        """Have `callback` called with this result when it is seen that the task has ended; return the callback.

        Nobody looks for that alone: it is called by whoever waits for the result, or asks for its state.

        Args:
            callback: called once; also when the task has failed, unless there is `on_error`.
            on_error: called instead when the task has failed.
            weak: accepted as Celery accepts it.
        """
        if self._meta is not None:
            self._tell(callback, on_error)
        else:
            self._then.append((callback, on_error))
        return callback

    def _tell(self, callback: Callable[[Any], object], on_error: Callable[[Any], object] | None) -> None:
        failed = self._meta is not None and self._meta["status"] in PROPAGATE_STATES
        (on_error if failed and on_error is not None else callback)(self)

    def settle(self, meta: Meta) -> None:
        """Keep what is known of the task, which has ended: nothing is asked for it any more."""
        self._meta = meta
        waiting_for, self._then = self._then, []
        for callback, on_error in waiting_for:
            self._tell(callback, on_error)

    @property
    def settled(self) -> bool:
        """Whether it is known that the task has ended; or that its result does not matter."""
        return self._meta is not None or self.ignored

    def _check_will_not_block(self) -> None:
        waiting.assert_will_not_block()

    def _raise_of_parents(self) -> None:
        for parent in self.parents():
            parent.maybe_throw()

    def parents(self) -> Iterator[AsyncResult[Any]]:
        """Yield the results of the tasks before this one in a chain.

        Members of a chord's header are none of them: whatever becomes of one, the chord ends, and says why.
        """
        parent = self.parent
        while parent is not None:
            if getattr(parent, "results", None) is None:
                yield parent
            parent = parent.parent

    @property
    def supports_native_join(self) -> bool:
        """Whether the store tells of results as they come."""
        return self.backend.capability.push

    def maybe_throw(self, propagate: bool = True, callback: Callable[[str, R], object] | None = None) -> Any:
        """Raise what the task raised, if it has failed; otherwise return its result, None while there is none.

        Args:
            propagate: False returns the exception instead.
            callback: called with id and value.
        """
        meta = self._read()
        value = meta.get("result")
        if propagate and meta["status"] in PROPAGATE_STATES:
            self._throw(value, meta.get("traceback"))
        if callback is not None:
            callback(self.id, cast("R", value))
        return value

    maybe_reraise = maybe_throw

    def _throw(self, value: Any, traceback: str | None) -> None:
        error = value if isinstance(value, BaseException) else RuntimeError(f"Task {self.id} failed: {value!r}")
        if traceback and error.__cause__ is None:
            raise error from RemoteTraceback(traceback)
        raise error

    # -------------------------------------------------------------------- state

    @property
    def state(self) -> str:
        """The state of the task: PENDING, STARTED, RETRY, SUCCESS, FAILURE, REVOKED, or one of the task's own."""
        return self._read()["status"]

    status = state

    @property
    def result(self) -> Any:
        """What the task returned, the exception it raised, or the `meta` of its custom state; None while unknown."""
        return self._read().get("result")

    info = result

    @property
    def traceback(self) -> str | None:
        """The traceback of a task that raised."""
        return self._read().get("traceback")

    def ready(self) -> bool:
        """Tell whether the task has ended."""
        return self.state in READY_STATES

    def successful(self) -> bool:
        """Tell whether the task has returned."""
        return self.state == SUCCESS

    def failed(self) -> bool:
        """Tell whether the task has raised, was lost, or ran out of time."""
        return self.state == FAILURE

    def exists(self) -> bool:
        """Tell whether anything is stored for the task."""
        return self._meta is not None or self.backend.load((self.id,))[0] is not None

    @property
    def date_done(self) -> datetime | None:
        """When the task ended, with its zone."""
        text = self._read().get("date_done")
        return from_iso(text) if text else None

    @property
    def children(self) -> list[Any] | None:
        """The results of the tasks that this one has sent, of groups as GroupResult; None while nothing is known."""
        stored = self._read().get("children")
        from fastq.result.stored import result_from_tuple

        return None if stored is None else [result_from_tuple(child, self.app) for child in stored]

    @property
    def name(self) -> str | None:
        """The name of the task; with `result_extended` it is known to everyone who has the id."""
        return self._task_name or self._read().get("name")

    @property
    def args(self) -> Any:
        """The positional arguments of the run; stored with `result_extended`."""
        return self._read().get("args")

    @property
    def kwargs(self) -> Any:
        """The keyword arguments of the run; stored with `result_extended`."""
        return self._read().get("kwargs")

    @property
    def worker(self) -> str | None:
        """The node that ran the task; stored with `result_extended`."""
        return self._read().get("worker")

    @property
    def retries(self) -> int | None:
        """How often the task was retried; stored with `result_extended`."""
        return self._read().get("retries")

    @property
    def queue(self) -> str | None:
        """The queue the task came from; stored with `result_extended`."""
        return self._read().get("queue")

    def forget(self) -> None:
        """Delete what is stored for the task, and for those before it in a chain."""
        self._meta = None
        ids, above = [self.id], self.parent
        while above is not None:
            for result in leaves(above):
                ids.append(result.id)
                result._meta = None  # noqa: SLF001 - one of us
            above = above.parent
        self.backend.forget(ids)

    def _read(self) -> Meta:
        """Return what is known of the task. Once it has ended nothing changes any more, so that is kept."""
        if self._meta is not None:
            return self._meta
        meta = self.backend.get_task_meta(self.id)
        if meta["status"] in READY_STATES:
            self.settle(meta)
        return meta

    def meta(self) -> Meta:
        """Return all that is known of the task: the stored map."""
        return self._read()

    # ----------------------------------------------------------------- identity

    @property
    def app(self) -> App:
        """The app the task belongs to."""
        if self._app is None:
            self._app = self._backend.app if self._backend is not None else symbol_by_name(_CURRENT_APP)()
        return self._app

    @property
    def backend(self) -> Backend:
        """Where the state of the task is kept."""
        return self._backend or self.app.backend

    @backend.setter
    def backend(self, backend: Backend) -> None:
        self._backend = backend

    @property
    def task_id(self) -> str:
        """The id of the task."""
        return self.id

    def as_tuple(self) -> ResultTuple:
        """Return the form in which results are stored in results."""
        return (self.id, self.parent and self.parent.as_tuple()), None

    def as_list(self) -> list[str]:
        """Return the id, and the ids of the tasks before it."""
        return [self.id, *(self.parent.as_list() if self.parent is not None else ())]

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.id}>"

    def __hash__(self) -> int:
        return hash(self.id)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, AsyncResult):
            return other.id == self.id
        return other == self.id if isinstance(other, str) else NotImplemented

    def __copy__(self) -> AsyncResult[R]:
        return type(self)(self.id, self._backend, self._task_name, self._app, self.parent)

    def __reduce__(self) -> tuple[Any, ...]:
        # Without app and backend: where it is unpickled the current app knows both.
        return type(self), (self.id, None, self._task_name, None, self.parent)


def _text_of(task_id: Any) -> str:
    if task_id is None or isinstance(task_id, str):
        return task_id or ""
    if isinstance(task_id, UUID):
        return str(task_id)
    raise TypeError(f"The id of a task must be text or a UUID; not {saferepr(task_id, 100)}.")
