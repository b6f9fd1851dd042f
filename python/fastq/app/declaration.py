"""Declaring tasks: `@app.task`, `@shared_task`, and giving a task its class and name."""

from __future__ import annotations

import inspect
import warnings
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, Protocol, TypeVar, cast, overload

from fastq.app import arguments, bounds, checks, pydantic
from fastq.app.attributes import CONFIGURED
from fastq.app.current import all_apps, get_current_app
from fastq.app.registry import share
from fastq.app.task import AsyncTask, Task
from fastq.exceptions import DuplicateTaskNameWarning
from fastq.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from fastq.app.protocol import App
    from fastq.app.registry import TaskRegistry

__all__ = ["BoundDecorator", "Declaration", "Decorator", "default_name", "make_task", "shared_task"]

P = ParamSpec("P")
R = TypeVar("R")
Self = TypeVar("Self", bound=Task[..., Any])
T = TypeVar("T", bound=Task[..., Any])


class Decorator(Protocol):
    """`@app.task(…)`: keeps the function's parameters and what it returns; a coroutine function returns its result."""

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...


class BoundDecorator(Protocol):
    """`@app.task(bind=True)`: as `Decorator`, and the first parameter, the task itself, is no longer asked for."""

    @overload
    def __call__(self, function: Callable[Concatenate[Self, P], Coroutine[Any, Any, R]], /) -> AsyncTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Self, P], R], /) -> Task[P, R]: ...


def default_name(app: App, name: str, module: str) -> str:
    """Return the name of a task that was given none: module and function; the app's own name stands for `__main__`."""
    if module == "__main__" and app.main:
        module = app.main
    return ".".join(part for part in (module, name) if part)


def make_task(app: App, function: Callable[..., Any], options: dict[str, Any]) -> Task[..., Any]:
    """Return the task of a function, registered in the app; the one of that name if there is one already.

    Args:
        app: where the task belongs.
        function: its code.
        options: of the decorator; those without a meaning of their own become attributes.

    Raises:
        TypeError: `function` cannot be called, or an option has a value of a wrong kind.
        ValueError: an option has a value that cannot work.
    """
    if not callable(function):
        raise TypeError(f"A task is made of a function, not of {function!r}.")
    options = {**options}
    checks.check_attributes(function.__name__, options)
    name = options.pop("name", None) or app.gen_task_name(function.__name__, function.__module__)
    known = app.registry.get(name)
    if known is not None:
        _warn_of_another(known, function, name)
        return known
    task = _task_class(app, function, name, options)()
    task.__dict__["_app"] = app
    app.registry.register(task)
    return task


def _task_class(app: App, function: Callable[..., Any], name: str, options: dict[str, Any]) -> type[Task[..., Any]]:
    bind = options.pop("bind", False)
    base = options.pop("base", None) or app.Task
    run = _validated(function, name, bind, options)
    bases = (AsyncTask, base) if inspect.iscoroutinefunction(function) and not issubclass(base, AsyncTask) else (base,)
    check = arguments.argument_check(name, function, bound=bind)
    attributes = {
        "abstract": False,
        **{key: _attribute(key, value) for key, value in options.items() if value is not None or key not in CONFIGURED},
        "name": name,
        "bind_self": bind,
        "run": run if bind else staticmethod(run),
        "__header__": None if check is None else staticmethod(check),
        "__doc__": function.__doc__,
        "__module__": function.__module__,
        "__qualname__": getattr(function, "__qualname__", function.__name__),
        "__wrapped__": staticmethod(function),
        "_decorated": True,
    }
    return type(function.__name__, bases, attributes)


def _attribute(key: str, value: Any) -> Any:
    """Return an option as an attribute of the class; a function that makes a key is no method."""
    return staticmethod(value) if key in bounds.KEYS and inspect.isfunction(value) else value


def _validated(function: Callable[..., Any], name: str, bind: bool, options: dict[str, Any]) -> Callable[..., Any]:
    """Return the function, or what validates its arguments and result when the decorator says `pydantic=True`."""
    wanted = options.pop("pydantic", False)
    settings = {key.removeprefix("pydantic_"): options.pop(key, None) for key in pydantic.OPTIONS}
    if not wanted:
        return function
    return pydantic.validated(name, function, bind, **settings)


def _warn_of_another(known: Task[..., Any], function: Callable[..., Any], name: str) -> None:
    """Warn when the name is taken by another function; the same one, imported twice, is fine."""
    first = getattr(known, "__wrapped__", None)
    place = (getattr(first, "__module__", None), getattr(first, "__qualname__", None))
    if first is not None and place != (function.__module__, function.__qualname__):
        warnings.warn(
            DuplicateTaskNameWarning(
                f"The task name {name} is taken by {place[0]}.{place[1]}, so {function.__module__}."
                f"{function.__qualname__} is not registered. Give one of them another name=."
            ),
            stacklevel=4,
        )


class Declaration:
    """The part of an app that declares tasks."""

    main: str | None
    finalized: bool
    registry: TaskRegistry

    @overload
    def task(
        self,
        function: Callable[Concatenate[Self, P], Coroutine[Any, Any, R]],
        /,
        *,
        bind: Literal[True],
        **options: Any,
    ) -> AsyncTask[P, R]: ...
    @overload
    def task(
        self, function: Callable[Concatenate[Self, P], R], /, *, bind: Literal[True], **options: Any
    ) -> Task[P, R]: ...
    @overload
    def task(
        self, function: Callable[P, Coroutine[Any, Any, R]], /, *, bind: Literal[False] = False, **options: Any
    ) -> AsyncTask[P, R]: ...
    @overload
    def task(self, function: Callable[P, R], /, *, bind: Literal[False] = False, **options: Any) -> Task[P, R]: ...
    @overload
    def task(self, /, *, bind: Literal[True], **options: Any) -> BoundDecorator: ...
    @overload
    def task(self, /, *, bind: Literal[False] = False, **options: Any) -> Decorator: ...
    def task(self, /, *args: Any, **options: Any) -> Any:
        """Declare a function a task: `@app.task`, `@app.task(max_retries=5)`, or `app.task(function, max_retries=5)`.

        Args:
            *args: the function; none returns a decorator.
            **options: `name` (module and function by default), `bind` (the task itself becomes the first argument),
                `base` (class), `lazy` (False binds it now, and so reads the settings), `shared` (False keeps it out of
                other apps, which is so in any case), `filter` (a function that replaces the task's), `pydantic` (True
                validates arguments and result by the annotations, see `fastq.app.pydantic`; with `pydantic_strict`,
                `pydantic_context` and `pydantic_dump_kwargs`). Every other one becomes an attribute of the task: see
                `fastq.app.attributes`.

        Raises:
            TypeError: positional arguments other than the function.
        """
        if len(args) == 1 and callable(args[0]):
            return self._declare(args[0], options)
        if args:
            raise TypeError("@app.task takes a function and keyword arguments, no others: @app.task(name='…').")
        return lambda function: self._declare(function, options)

    def _declare(self, function: Callable[..., Any], options: dict[str, Any]) -> Task[..., Any]:
        app = cast("App", self)
        options = dict(options)
        lazy, change = options.pop("lazy", True), options.pop("filter", None)
        options.pop("shared", None)
        task = make_task(app, function, options)
        if not lazy or self.finalized:
            task.bind(app)
        return change(task) if change is not None else task

    @overload
    def register_task(self, task: type[T], **options: Any) -> T: ...
    @overload
    def register_task(self, task: T, **options: Any) -> T: ...
    def register_task(self, task: Any, **options: Any) -> Any:
        """Register a task that is a class with a method `run`, or an object of one, and return the object.

        Args:
            task: the class or object.
            **options: attributes to set on it.
        """
        made: Task[..., Any] = task() if isinstance(task, type) else task
        for key, value in options.items():
            setattr(made, key, value)
        if not made.name:
            cls = type(made)
            made.name = self.gen_task_name(cls.__name__, cls.__module__)
        check = made.__header__
        if check is not None:
            check.__name__ = check.__qualname__ = made.name
        made.app = cast("App", self)
        self.registry.register(made)
        if self.finalized:
            made.bind(cast("App", self))
        return made

    def gen_task_name(self, name: str, module: str) -> str:
        """Return the name of a task that was given none; override it to name tasks another way."""
        return default_name(cast("App", self), name, module)


@overload
def shared_task(
    function: Callable[Concatenate[Self, P], Coroutine[Any, Any, R]], /, *, bind: Literal[True], **options: Any
) -> AsyncTask[P, R]: ...
@overload
def shared_task(
    function: Callable[Concatenate[Self, P], R], /, *, bind: Literal[True], **options: Any
) -> Task[P, R]: ...
@overload
def shared_task(
    function: Callable[P, Coroutine[Any, Any, R]], /, *, bind: Literal[False] = False, **options: Any
) -> AsyncTask[P, R]: ...
@overload
def shared_task(function: Callable[P, R], /, *, bind: Literal[False] = False, **options: Any) -> Task[P, R]: ...
@overload
def shared_task(*, bind: Literal[True], **options: Any) -> BoundDecorator: ...
@overload
def shared_task(*, bind: Literal[False] = False, **options: Any) -> Decorator: ...
def shared_task(*args: Any, **options: Any) -> Any:
    """Declare a task for every app, present and future: for packages that do not know the app they are used in.

    The options are those of `FastQ.task`. The task stands for the current app's: `shared_task` code that runs in a
    worker of one app sends its tasks to that app's broker.
    """
    if len(args) == 1 and callable(args[0]):
        return _share(args[0], options)
    if args:
        raise TypeError("@shared_task takes a function and keyword arguments, no others: @shared_task(name='…').")
    return lambda function: _share(function, options)


def _share(function: Callable[..., Any], options: dict[str, Any]) -> Any:
    options = {key: value for key, value in options.items() if key not in ("lazy", "shared", "filter")}
    checks.check_attributes(function.__name__, options)
    name = options.get("name")

    def declare(app: App) -> Task[..., Any]:
        return make_task(app, function, options)

    share(declare)
    for app in all_apps():
        if app.finalized:
            declare(app).bind(app)

    def find() -> Task[..., Any]:
        app = get_current_app()
        task: Task[..., Any] = app.tasks[name or app.gen_task_name(function.__name__, function.__module__)]
        return task

    return Proxy(find, name=function.__name__, doc=function.__doc__)
