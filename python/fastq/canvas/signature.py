"""A call as data: which task, with which arguments and options, to be sent later or by another task.

A signature is a dictionary (protocol.md §1.4), so it goes into messages as it is and comes out of them as a plain
dictionary, which `Signature.from_dict` turns into one again.
"""
# ruff: noqa: SLF001 - signatures make signatures

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

from fastq import later
from fastq.app import current
from fastq.app.send import identity, new_id
from fastq.canvas.stamping import Stamped
from fastq.canvas.steps import Call
from fastq.text import saferepr

if TYPE_CHECKING:
    from fastq.app.protocol import App
    from fastq.canvas.steps import Steps
    from fastq.result import AsyncResult, EagerResult

__all__ = ["KEPT_WHEN_FROZEN", "Signature", "keeps_group", "maybe_signature", "signature", "subtask"]

R = TypeVar("R")
S = TypeVar("S")
C = TypeVar("C", bound="type[Signature[Any]]")

KEPT_WHEN_FROZEN = frozenset({"group_id", "stamped_headers"})
"""Options that a later call does not change once they are set: they say where the signature belongs."""


def keeps_group(options: Mapping[str, Any], chord: Any) -> bool:
    """Tell whether a signature stays in the group it was frozen for.

    Only where it becomes no member of a chord: that one counts in the group of the chord.

    Args:
        options: of the signature.
        chord: which it becomes a member of, if any.
    """
    return chord is None and options.get("group_id") is not None


@later.lacks(later.SIGNATURE)
class Signature(Stamped, Generic[R]):
    """A call of a task; `R` is what the task returns.

    Args:
        task: a task, its name, or a dictionary that describes a signature.
        args: positional arguments; those given when it is called stand before them.
        kwargs: keyword arguments; those given when it is called win.
        options: calling options.
        type: the task itself, when it is at hand.
        subtask_type: the kind of a composed signature.
        immutable: whether it takes no more arguments.
        app: where the task is looked up.
        **more: further calling options.
    """

    TYPES: ClassVar[dict[str, type[Signature[Any]]]] = {}
    _app: App | None
    _type: Any

    @classmethod
    def register_type(cls, name: str | None = None) -> Callable[[C], C]:
        """Return a decorator that makes a class the one of signatures whose `subtask_type` is that name."""

        def register(subclass: C) -> C:
            cls.TYPES[name or subclass.__name__] = subclass
            return subclass

        return register

    @classmethod
    def from_dict(cls, described: Mapping[str, Any], app: App | None = None) -> Signature[Any]:
        """Return the signature that a dictionary describes, of the class registered for its kind."""
        # What stands for a loop says so by its task alone.
        target = cls.TYPES.get(described.get("subtask_type") or described.get("task") or "")
        if target is not None and target is not cls:
            return target.from_dict(described, app=app)
        return Signature(described, app=app)

    def __init__(
        self,
        task: Any = None,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        type: Any = None,  # noqa: A002 - Celery's name
        subtask_type: str | None = None,
        immutable: bool = False,
        app: App | None = None,
        **more: Any,
    ) -> None:
        """Describe a call."""
        self._app = app
        self._type = type
        if isinstance(task, Mapping):
            super().__init__(task)
            self.setdefault("args", [])
            self.setdefault("kwargs", {})
            self.setdefault("options", {})
            self.setdefault("subtask_type", None)
            self.setdefault("immutable", False)
            if isinstance(task, Signature):
                self._app, self._type = app or task._app, type or task._type
            return
        if task is not None and not isinstance(task, str):
            self._type = task
            task = task.name
        super().__init__(
            task=task,
            args=tuple(args or ()),
            kwargs=dict(kwargs or {}),
            options={**(options or {}), **more},
            subtask_type=subtask_type,
            immutable=immutable,
        )

    # ------------------------------------------------------------------ calling

    def __call__(self, *args: Any, **kwargs: Any) -> R:
        """Run the task here and now, as a function."""
        given, keywords, _ = self._merge(args, kwargs, {})
        return cast("R", self.type(*given, **keywords))

    def delay(self, *args: Any, **kwargs: Any) -> AsyncResult[R]:
        """Send it, with these arguments before its own."""
        return self.apply_async(args, kwargs)

    def apply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        route_name: str | None = None,
        **options: Any,
    ) -> AsyncResult[R]:
        """Send it.

        Args:
            args: stand before its own.
            kwargs: win over its own.
            route_name: look its route up under this name.
            **options: win over its own calling options.
        """
        given, keywords, merged = self._merge(args, kwargs, options)
        if route_name is not None:
            merged = {**merged, "route_name": route_name}
        task = self.find_type()
        if task is None:
            return cast("AsyncResult[R]", self.app.send_task(self.task, given, keywords, **merged))
        return cast("AsyncResult[R]", task.apply_async(given, keywords, **merged))

    async def adelay(self, *args: Any, **kwargs: Any) -> AsyncResult[R]:
        """Send it from a coroutine, with these arguments before its own."""
        return await self.aapply_async(args, kwargs)

    async def aapply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        route_name: str | None = None,
        **options: Any,
    ) -> AsyncResult[R]:
        """Send it from a coroutine, as `apply_async` does; the event loop goes on meanwhile."""
        given, keywords, merged = self._merge(args, kwargs, options)
        if route_name is not None:
            merged = {**merged, "route_name": route_name}
        task = self.find_type()
        if task is None:
            return cast("AsyncResult[R]", await self.app.asend_task(self.task, given, keywords, **merged))
        return cast("AsyncResult[R]", await task.aapply_async(given, keywords, **merged))

    def apply(
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> EagerResult[R]:
        """Run it here and now, the way a worker would."""
        given, keywords, merged = self._merge(args, kwargs, options)
        return cast("EagerResult[R]", self.type.apply(given, keywords, **merged))

    def __invert__(self) -> R:
        """Send it and wait for what it returns: `~add.s(1, 2)`."""
        return self.apply_async().get()

    def steps(
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, options: Any = None
    ) -> Steps:
        """Yield what sending it takes; the generator returns the result."""
        given, keywords, merged = self._merge(args, kwargs, options)
        merged["task_id"] = task_id = merged.get("task_id") or new_id()
        task = self.find_type()
        yield Call(self.app, task, self.task, given, keywords, merged)
        return task.AsyncResult(task_id) if task is not None else self.app.AsyncResult(task_id, task_name=self.task)

    if TYPE_CHECKING:

        def __or__(self, other: Signature[S]) -> Signature[S]:  # type: ignore[override]
            """Return a chain of this and what follows it; a chord where this is a group (inventory §5.2)."""

        def __ior__(self, other: Signature[S]) -> Signature[S]:  # type: ignore[override]
            """Return a chain of this and what follows it."""

        __ror__: None  # type: ignore[assignment]
    else:

        def __or__(self, other: Any) -> Any:
            """Return a chain of this and what follows it; a chord where this is a group (inventory §5.2)."""
            from fastq.canvas.operators import join

            return join(self, other)

        __ior__ = __or__

        def __ror__(self, other: Any) -> Any:
            """Refuse what a dictionary would make of it."""
            raise TypeError(f"A signature can follow a signature, not {type(other).__name__}.")

    # ----------------------------------------------------------------- changing

    def _merge(
        self,
        args: Sequence[Any] | None,
        kwargs: Mapping[str, Any] | None,
        options: Mapping[str, Any] | None,
        force: bool = False,
    ) -> tuple[tuple[Any, ...], dict[str, Any], dict[str, Any]]:
        """Return arguments, keyword arguments and options together with the given ones."""
        own = self.options
        new = {
            key: value for key, value in (options or {}).items() if key not in KEPT_WHEN_FROZEN or own.get(key) is None
        }
        merged = {**own, **new}
        if self.immutable and not force:
            return tuple(self.args), dict(self.kwargs), merged
        return (*(args or ()), *self.args), {**self.kwargs, **(kwargs or {})}, merged

    def given(self, args: Any, kwargs: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Return arguments and keyword arguments together with the given ones, unless it takes no more."""
        if self["immutable"] or not (args or kwargs):
            return self["args"], self["kwargs"]
        return (*args, *self["args"]), {**self["kwargs"], **kwargs}

    def clone(
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> Signature[R]:
        """Return a copy with these arguments and options added; changing one leaves the other as it is."""
        given, keywords, merged = self._merge(args, kwargs, options)
        copy = Signature.from_dict(
            {**self, "args": given, "kwargs": deepcopy(keywords), "options": deepcopy(merged)}, self._app
        )
        copy._type = self._type
        return copy

    partial = clone

    def __copy__(self) -> Signature[R]:
        return self.clone()

    copy = __copy__

    def __deepcopy__(self, memo: dict[int, Any]) -> Signature[R]:
        memo[id(self)] = self
        copy = Signature.from_dict({key: deepcopy(value, memo) for key, value in self.items()}, self._app)
        copy._type = self._type
        return copy

    def replace(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Signature[R]:
        """Return a copy that has these arguments and options instead of its own; None leaves them."""
        copy = self.clone()
        copy["args"] = copy.args if args is None else tuple(args)
        copy["kwargs"] = copy.kwargs if kwargs is None else dict(kwargs)
        copy["options"] = copy.options if options is None else dict(options)
        return copy

    def set(self, immutable: bool | None = None, **options: Any) -> Signature[R]:
        """Set calling options and return the signature."""
        if immutable is not None:
            self.set_immutable(immutable)
        self.options.update(options)
        return self

    def set_immutable(self, immutable: bool) -> None:
        """Say whether it takes no more arguments."""
        self["immutable"] = immutable

    def freeze(
        self,
        _id: str | None = None,
        group_id: str | None = None,
        chord: Any = None,
        root_id: str | None = None,
        parent_id: str | None = None,
        group_index: int | None = None,
    ) -> AsyncResult[R]:
        """Give it its id (and place) now and return what will be its result."""
        options = self.options
        options["task_id"] = task_id = options.get("task_id") or _id or new_id()
        if "reply_to" not in options:
            options["reply_to"] = identity().reply_to
        if group_id is not None and not keeps_group(options, chord):
            options["group_id"] = group_id
        for key, value in (
            ("root_id", root_id),
            ("parent_id", parent_id),
            ("chord", chord),
            ("group_index", group_index),
        ):
            if value is not None:
                options[key] = value
        return cast("AsyncResult[R]", self.app.AsyncResult(task_id))

    # ------------------------------------------------------------------ reading

    @property
    def app(self) -> App:
        """The app its task is looked up in."""
        if self._app is None:
            self._app = self._known_app() or current.get_current_app()
        return self._app

    def _known_app(self) -> App | None:
        """Return the app that it, or a part of it, is known to belong to."""
        if self._app is not None or self._type is None:
            return self._app
        found: App = self._type.app
        return found

    @staticmethod
    def _app_of(parts: Iterable[Any]) -> App | None:
        """Return the app that the first of some signatures that belongs to one belongs to."""
        found = (maybe_signature(part)._known_app() for part in parts if part is not None)
        return next((app for app in found if app is not None), None)

    @property
    def type(self) -> Any:
        """The task itself.

        Raises:
            NotRegistered: the app has no task of that name.
        """
        return self._type if self._type is not None else self.app.tasks[self.task]

    def find_type(self) -> Any:
        """Return the task itself when it is known here, else None: sending needs the name only."""
        return self._type if self._type is not None else self.app.tasks.get(self.task)

    def reprcall(self, *args: Any, **kwargs: Any) -> str:
        """Return it as it would be written as a call: `shop.add(1, y=2)`."""
        given, keywords, _ = self._merge(args, kwargs, {}, force=True)
        parts = [saferepr(value) for value in given]
        parts += [f"{key}={saferepr(value)}" for key, value in keywords.items()]
        return f"{self['task']}({', '.join(parts)})"

    def __repr__(self) -> str:
        return self.reprcall()

    def __json__(self) -> dict[str, Any]:
        return dict(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return maybe_signature, (dict(self),)


def signature(
    varies: Any, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
) -> Signature[Any]:
    """Return a signature.

    Args:
        varies: a task, its name, a signature (which is cloned) or a dictionary that describes one.
        args: positional arguments.
        kwargs: keyword arguments.
        **options: `app`, `immutable`, and calling options.
    """
    app = options.get("app")
    if isinstance(varies, Mapping):
        return (varies if isinstance(varies, Signature) else Signature.from_dict(varies, app=app)).clone()
    return Signature(varies, args, kwargs, **options)


subtask = signature


def maybe_signature(value: Any, app: App | None = None) -> Any:
    """Return the signature that a dictionary describes; anything else, and None, as it is."""
    if isinstance(value, Mapping):
        if not isinstance(value, Signature):
            return Signature.from_dict(value, app=app)
        if app is not None:
            value._app = app
    return value
