"""The task: what is called here and run there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, ParamSpec, TypeVar, cast

from fastq import later
from fastq.app import arguments, current, events, replace, retry
from fastq.app.annotations import annotate
from fastq.app.context import Context
from fastq.app.signing import Signing
from fastq.backends import by_url
from fastq.conf import places
from fastq.imports import symbol_by_name

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from datetime import datetime

    from fastq.app.protocol import App
    from fastq.backends.base import Backend
    from fastq.canvas.signature import Signature
    from fastq.exceptions import Retry
    from fastq.result import AsyncResult as Result
    from fastq.result import EagerResult

__all__ = ["AsyncTask", "Task"]

P = ParamSpec("P")
R = TypeVar("R")

_EAGER = "fastq.execute.eager:apply"
"""The executor stands on a higher floor, so it is found by name."""


@later.lacks(later.TASK)
class Task(Signing[P, R], Generic[P, R]):
    """A function that workers run: `P` are its parameters, `R` is what it returns.

    Made by `@app.task`, or by deriving a class with a method `run` and giving it to `app.register_task`.
    """

    _app: App | None = None
    _backend: Backend | str | None = None
    """What the task stores its results in, when not in the app's; a URL until it is first used."""
    _bound = False
    armed = False
    """Whether `run` retries by itself."""
    _idle_request: Context | None = None
    bind_self: ClassVar[bool] = False
    """Whether the function gets the task as its first argument (`bind=True`)."""

    if not TYPE_CHECKING:
        abstract = True

    def run(self, *args: P.args, **kwargs: P.kwargs) -> R | Coroutine[Any, Any, R]:
        """Do the work: the task's code. In a class of one's own it may be a coroutine function."""
        raise NotImplementedError("A task class must have a method run().")

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the task here and now, as a function; in a run of a worker's, for `super().__call__`, run its code."""
        if _enters_run(self):
            return cast("R", self.run(*args, **kwargs))
        token = current.push(self, Context(args=args, kwargs=kwargs))
        try:
            return cast("R", self.run(*args, **kwargs))
        finally:
            current.pop(token)

    # ------------------------------------------------------------------ running

    def apply(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> EagerResult[R]:
        """Run the task here and now, the way a worker would, and return its result.

        Args:
            args: positional arguments.
            kwargs: keyword arguments.
            **options: `link`, `link_error`, `task_id`, `retries`, `throw` (raise what the task raises; by default as
                the setting `task_eager_propagates` says), `loglevel`, `logfile`, `headers`, and other calling options.
        """
        run: Callable[..., EagerResult[R]] = symbol_by_name(_EAGER)
        return run(self.app, self, tuple(args or ()), dict(kwargs or {}), options)

    def retry(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        exc: BaseException | None = None,
        throw: bool = True,
        eta: datetime | None = None,
        countdown: float | None = None,
        max_retries: int | None = None,
        **options: Any,
    ) -> Retry:
        """Have this run repeated later, and leave it: raises `Retry`.

        Args:
            args: positional arguments of the next try; the same by default.
            kwargs: keyword arguments of the next try; the same by default.
            exc: why; raised when there are no tries left.
            throw: False returns the `Retry` instead of raising it.
            eta: when to try again.
            countdown: seconds until the next try; `default_retry_delay` by default.
            max_retries: overrides the task's `max_retries`.
            **options: calling options of the next try.

        Raises:
            Retry: the control word that ends this run.
            MaxRetriesExceededError: there are no tries left, and no `exc` was given.
            Reject: the next try could not be sent.
        """
        return retry.retry(
            self,
            args,
            kwargs,
            exc=exc,
            throw=throw,
            eta=eta,
            countdown=countdown,
            max_retries=max_retries,
            options=options,
        )

    def replace(self, sig: Signature[R] | Mapping[str, Any]) -> Any:
        """End this run by another task, which takes its place: raises `Ignore`.

        The other task has this run's id, so whoever waits for the result gets the other's; what was to follow this run
        follows the other. It is sent together with the end of this run. In an eager run, and where the task is called
        as a function, it runs at once, and what it returns is returned: write `return self.replace(…)`.

        Args:
            sig: the other task's call; or a chain, group or chord, whose value takes the place of this one's.

        Raises:
            Ignore: the control word that ends this run.
            ImproperlyConfigured: the signature is part of a chord, or a chain without a step.
        """
        return self.on_replace(replace.successor(self, sig))

    def on_replace(self, sig: Signature[R]) -> Any:
        """Send the task that takes this run's place, and end the run; may be overridden."""
        return replace.hand_over(self, sig)

    def add_to_chord(self, sig: Signature[Any] | Mapping[str, Any], lazy: bool = False) -> Any:
        """Add a member to the chord that this run is a member of, and send it; return its result.

        The body gets its result behind those of the others.

        Args:
            sig: the member's call.
            lazy: return the call instead of sending it.

        Raises:
            ValueError: this run is no member of a chord.
            NotSupported: the result backend does not count the members of chords.
        """
        return replace.add_to_chord(self, sig, lazy)

    def send_event(
        self, type_: str, retry: bool = True, retry_policy: Mapping[str, Any] | None = None, **fields: Any
    ) -> None:
        """Tell monitors of something, with this run's id: those of Celery hear it on Redis and RabbitMQ.

        Args:
            type_: what happened, such as `task-uploaded`.
            retry: whether it is repeated when the broker is away.
            retry_policy: how.
            **fields: more of it.

        Raises:
            EncodeError: a field cannot be written.
            OperationalError: the broker could not be reached in time.
        """
        options = {"retry": retry, "retry_policy": retry_policy}
        events.send(self.app, self.request, type_, fields, options)

    def signature_from_request(
        self,
        request: Context | None = None,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        queue: Any = None,
        **options: Any,
    ) -> Signature[R]:
        """Return the signature that sends a run once more, as itself."""
        return retry.signature_from_request(self, request or self.request, args, kwargs, queue, options)

    # -------------------------------------------------------------------- state

    def AsyncResult(self, task_id: str, **options: Any) -> Result[R]:  # noqa: N802 - Celery's name
        """Return the result of the call of this task that has that id."""
        if self._backend is not None:
            options.setdefault("backend", self.backend)
        return self.app.AsyncResult(task_id, task_name=self.name, **options)

    def update_state(
        self, task_id: str | None = None, state: str | None = None, meta: Any = None, **options: Any
    ) -> None:
        """Store a state of the run, such as its progress.

        Args:
            task_id: of this run by default.
            state: any text; what is in `fastq.states` has its meaning.
            meta: stored as the result.
            **options: passed on to the backend.
        """
        request = self.request
        task_id = task_id or request.id
        if not state:
            raise ValueError("update_state needs a state.")
        if task_id:  # a task that is called as a function has no state to store
            self.backend.store_result(task_id, meta, state, request=request, **options)

    def add_trail(self, result: Result[Any]) -> Result[Any]:
        """Remember the result of a task that this run has sent, as its child."""
        if self.trail:
            self.request.children.append(result)
        return result

    @property
    def request(self) -> Context:
        """What is known of the run at hand; empty outside of a run."""
        frame = current.current_frame()
        while frame is not None:
            if frame.task is self:
                return frame.request
            frame = frame.below
        idle = self._idle_request
        if idle is None:
            idle = self.__dict__["_idle_request"] = Context()
        return idle

    def push_request(self, *args: Any, **kwargs: Any) -> None:
        """Begin a run whose request has these attributes."""
        current.push(self, Context(*args, **kwargs))

    def pop_request(self) -> None:
        """End the run that `push_request` began."""
        current.pop()

    # ------------------------------------------------------------------ binding

    @property
    def app(self) -> App:
        """The app this task belongs to; the current app when it belongs to none."""
        return self._app or current.get_current_app()

    @app.setter
    def app(self, app: App) -> None:
        self._app = app

    @property
    def backend(self) -> Backend:
        """The result backend: the task's own, else the app's."""
        own = self._backend
        if isinstance(own, str):
            own = self._backend = by_url(own, app=self.app)
        return own or self.app.backend

    @backend.setter
    def backend(self, backend: Backend | str | None) -> None:
        self._backend = _placed(backend)

    def bind(self, app: App) -> None:
        """Make this a task of `app`: apply the settings' annotations, arm automatic retries. Done once."""
        self._app = app
        if not self._bound:
            self._bound = True
            self.annotate()
            retry.arm(self)
            self.on_bound(app)

    def annotate(self) -> None:
        """Set the attributes that the setting `task_annotations` has for this task."""
        annotate(self)

    def add_around(self, attribute: str, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        """Replace a method by `wrap(method)`; done again, it replaces the earlier wrapping."""
        # The interpreter looks special methods up on the class only.
        holder: Any = type(self) if attribute.startswith("__") else self
        original = getattr(holder, attribute)
        original = getattr(original, "__around__", original)
        wrapped: Any = wrap(original)
        wrapped.__around__ = original
        setattr(holder, attribute, wrapped)

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
        if name != "_plan":
            self.__dict__["_plan"] = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "backend" in cls.__dict__:  # what the class, or an option of the decorator, says in the property's place
            cls._backend = _placed(cls.__dict__["backend"])
            del cls.backend
        if "run" in cls.__dict__ and "__header__" not in cls.__dict__:
            function = cls.__dict__["run"]
            static = isinstance(function, staticmethod)
            function = function.__func__ if static else function
            check = arguments.argument_check(cls.name or cls.__name__, function, bound=not static)
            cls.__header__ = staticmethod(check) if check is not None else None

    def __reduce__(self) -> tuple[Any, ...]:
        return _find_task, (self.name, type(self).__module__)

    def __repr__(self) -> str:
        place = f" of {self._app.main}" if self._app is not None and self._app.main else ""
        return f"<@task: {self.name}{place} at {id(self):#x}>"


class AsyncTask(Task[P, R]):
    """A task whose code is a coroutine function: a direct call returns a coroutine, `delay` the result as ever."""

    if TYPE_CHECKING:

        async def run(self, *args: P.args, **kwargs: P.kwargs) -> R:
            """Do the work: the task's code."""

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:  # type: ignore[override]
        """Run the task here, as a coroutine function; in a run of a worker's, for `super().__call__`, run its code."""
        if _enters_run(self):
            return await self.run(*args, **kwargs)
        token = current.push(self, Context(args=args, kwargs=kwargs))
        try:
            return await self.run(*args, **kwargs)
        finally:
            current.pop(token)


def _placed(backend: Any) -> Any:
    """Return a backend given as a URL with the place of its file, which counts from the working directory of now."""
    return places.whole(backend, places.working_directory()) if isinstance(backend, str) else backend


def _enters_run(task: Task[..., Any]) -> bool:
    """Tell whether a call of the task is the way into the run at hand, once, and no call of its own.

    Workers call a task itself only when its class has a `__call__` of its own, which may end up in the one above. That
    call has the run's request; any later one is a task that calls itself as a function.
    """
    frame = current.current_frame()
    if frame is None or frame.task is not task or type(task).__call__ in (Task.__call__, AsyncTask.__call__):
        return False
    known = frame.request.__dict__
    if "_entered" in known or frame.request.called_directly:
        return False
    known["_entered"] = True
    return True


def _find_task(name: str, module: str) -> Any:
    """Return the task of that name in the current app: what a pickled task becomes."""
    app = current.get_current_app()
    if name not in app.tasks:
        symbol_by_name(f"{module}:", default=None)
    return app.tasks[name]
