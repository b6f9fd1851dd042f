"""Groups: tasks side by side."""
# ruff: noqa: N801 - Celery's names

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from fastq.app.send import new_id
from fastq.canvas import eager
from fastq.canvas.composed import Composed, without_tasks
from fastq.canvas.layout import flattened, leaves, sole
from fastq.canvas.lazy import Lazy
from fastq.canvas.links import listed
from fastq.canvas.members import Place, emit, members
from fastq.canvas.signature import Signature, keeps_group, maybe_signature
from fastq.canvas.stamping import gathered
from fastq.canvas.steps import Trail
from fastq.result import GroupResult

if TYPE_CHECKING:
    from fastq.app.protocol import App
    from fastq.canvas.stamping import StampingVisitor
    from fastq.canvas.steps import Steps

__all__ = ["group"]

R = TypeVar("R")


@Signature.register_type()
class group(Composed[list[R]]):
    """Tasks side by side; `R` is what each returns.

    Args:
        *tasks: signatures; or one iterable of them. What a generator makes is asked for when it is sent.
        **options: calling options of all.
    """

    if TYPE_CHECKING:

        @overload
        def __init__(self: group[R], /, *tasks: Signature[R], **options: Any) -> None: ...
        @overload
        def __init__(self: group[R], tasks: Iterable[Signature[R]], /, **options: Any) -> None: ...
        @overload
        def __init__(self: group[Any], /, *tasks: Any, **options: Any) -> None: ...
        def __init__(self: Any, /, *tasks: Any, **options: Any) -> None:
            """Describe a group."""
    else:

        def __init__(self, *tasks: Any, **options: Any) -> None:
            """Describe a group."""
            super().__init__("celery.group", (), {"tasks": _listed(tasks)}, subtask_type="group", **options)

    @classmethod
    def from_dict(cls, described: Mapping[str, Any], app: App | None = None) -> group[Any]:
        """Return the group that a dictionary describes."""
        tasks = described["kwargs"]["tasks"]
        made: group[Any] = cls(app=app)
        made.tasks = tasks if isinstance(tasks, Lazy) else [maybe_signature(task, app) for task in tasks]
        return made.as_described(described)

    @property
    def tasks(self) -> Any:
        """The members."""
        return self.kwargs["tasks"]

    @tasks.setter
    def tasks(self, tasks: Any) -> None:
        self.kwargs["tasks"] = tasks

    def __call__(self, *args: Any, **options: Any) -> GroupResult[R]:  # type: ignore[override]
        """Send it, with these arguments for each member; keywords are calling options."""
        return self.apply_async(args, **options)

    def apply_async(  # type: ignore[override]
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        route_name: str | None = None,
        **options: Any,
    ) -> GroupResult[R]:
        """Send its members, five hundred at a time.

        Args:
            args: stand before those of each member.
            kwargs: win over those of each member.
            route_name: look the routes of the members up under this name.
            **options: calling options of every member; `task_id` is the id of the group.

        Raises:
            TypeError: `link` or `link_error`: a group has none. Follow it with a task (`group | task`), or give them to
                its members (`group.link_error`).
        """
        return cast("GroupResult[R]", self._send(args, kwargs, route_name, options))

    if TYPE_CHECKING:

        def delay(self, *args: Any, **kwargs: Any) -> GroupResult[R]:  # type: ignore[override]
            """Send it, with these arguments for each member."""

        async def aapply_async(  # type: ignore[override]
            self,
            args: Sequence[Any] | None = None,
            kwargs: Mapping[str, Any] | None = None,
            route_name: str | None = None,
            **options: Any,
        ) -> GroupResult[R]:
            """Send it from a coroutine, as `apply_async` does; the event loop goes on meanwhile."""

        async def adelay(self, *args: Any, **kwargs: Any) -> GroupResult[R]:  # type: ignore[override]
            """Send it from a coroutine, with these arguments for each member."""

    def apply(  # type: ignore[override]
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> GroupResult[R]:
        """Run its members here and now, one after the other."""
        given, keywords, merged = self._merge(args, kwargs, options)
        return cast("GroupResult[R]", eager.run_group(self, given, without_tasks(keywords), merged))

    def steps(
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, options: Any = None
    ) -> Steps:
        """Yield what sending it takes; the generator returns the GroupResult."""
        given, keywords, merged = self._merge(args, kwargs, options)
        if merged.get("link") is not None or merged.get("link_error") is not None:
            raise TypeError("A group has no callbacks: follow it with a task (group | task), or link its members.")
        if merged.get("chain"):
            return (yield from self._followed(given, without_tasks(keywords), merged))
        group_id = merged.get("task_id") or new_id()
        place = Place(
            self.app, merged.get("group_id") or group_id, merged.get("chord"), merged.get("root_id"),
            merged.get("group_index") or 0,
        )  # fmt: skip
        found = members(self.tasks, place)
        results = yield from emit(found, given, without_tasks(keywords), merged, self.app)
        result = self.result(group_id, results)
        if merged.get("add_to_parent", True) and results:
            yield Trail(result)
        return result

    def _followed(self, args: Any, kwargs: Mapping[str, Any], options: Mapping[str, Any]) -> Steps:
        """Yield what sending it takes where something follows it that a client of Celery's has not made a chord of.

        Such a client leaves what follows a chord whose body is a group in the options of that group. Its members have
        the group of the chord before, and are those of another one now.
        """
        from fastq.canvas.chords import chord

        *rest, following = listed(options["chain"])
        header: Any = self.clone()
        header["options"] = {key: value for key, value in options.items() if key != "chain"}
        header.tasks = [maybe_signature(task, self._app).clone() for task in self.tasks]
        for task in header.tasks:
            task.options.pop("group_id", None)
        family = {key: options.get(key) for key in ("root_id", "parent_id", "add_to_parent") if key in options}
        whole: chord[Any] = chord(header, following, app=self._app)
        result = yield from whole.steps(args, kwargs, {**family, **({"chain": rest} if rest else {})})
        while result.parent is not None:
            result = result.parent
        return result

    def result(self, group_id: str, results: list[Any]) -> GroupResult[R]:
        """Return the result of these members. That of a group in a chain that is alone in a group is the inner one."""
        if len(results) == 1 and isinstance(results[0], GroupResult):
            return results[0]
        return GroupResult(group_id, results, app=self.app)

    def freeze(  # type: ignore[override]
        self,
        _id: str | None = None,
        group_id: str | None = None,
        chord: Any = None,
        root_id: str | None = None,
        parent_id: str | None = None,
        group_index: int | None = None,
    ) -> GroupResult[R]:
        """Give all its members their ids now, and return what will be the result."""
        options = self.options
        own = options["task_id"] = options.get("task_id") or _id or new_id()
        around = None if keeps_group(options, chord) else group_id
        for key, value in (("group_id", around), ("chord", chord), ("group_index", group_index)):
            if value is not None:
                options[key] = value
        options.setdefault("root_id", root_id)
        options.setdefault("parent_id", parent_id)
        tasks, results, index = [], [], options.get("group_index") or 0
        for task in map(sole, flattened(self.tasks, self._app)):
            tasks.append(task)
            place = {"group_id": group_id, "chord": chord, "root_id": root_id, "parent_id": parent_id}
            results.append(task.freeze(**place, group_index=index))
            index += leaves(task)
        self.tasks = tasks
        return GroupResult(own, results, app=self.app)

    def skew(self, start: float = 1.0, stop: float | None = None, step: float = 1.0) -> group[R]:
        """Have its members begin one after the other, and return it.

        Args:
            start: countdown of the first one, in seconds.
            stop: the longest countdown; None: no limit. Members beyond it share the last one.
            step: seconds between two.
        """
        for task, countdown in zip(self.tasks, _delays(start, stop, step), strict=False):
            task.set(countdown=countdown)
        return self

    def set_immutable(self, immutable: bool) -> None:
        """Say whether its members take no more arguments."""
        for task in self.tasks:
            task.set_immutable(immutable)

    def link(self, callback: Any) -> Any:
        """Have a copy of `callback`, immutable, sent when the first member succeeds; return it."""
        copy = maybe_signature(callback, self._app).clone().set(immutable=True)
        return self.tasks[0].link(copy)

    def link_error(self, errback: Any) -> Any:
        """Have copies of `errback`, immutable, called for each member that fails; return them."""
        errback = maybe_signature(errback, self._app)
        return tuple(task.link_error(errback.clone().set(immutable=True)) for task in self.tasks)

    def stamp(self, visitor: StampingVisitor | None = None, append_stamps: bool = False, **headers: Any) -> group[R]:
        """Stamp its members and return it; arguments as of `Signature.stamp`."""
        more = visitor.on_group_start(self, **headers) if visitor is not None else None
        stamps = gathered(headers, more, append_stamps, self.options)
        self.stamp_links(visitor, append_stamps, **stamps)
        if isinstance(self.tasks, Lazy):
            self.tasks.map(lambda task: maybe_signature(task, self._app).stamp(visitor, append_stamps, **stamps))
        else:
            self.tasks = [maybe_signature(task, self._app) for task in self.tasks]
            for task in self.tasks:
                task.stamp(visitor, append_stamps, **stamps)
        if visitor is not None:
            visitor.on_group_end(self, **stamps)
        return self

    def _known_app(self) -> App | None:
        return self._app or self._app_of(self.tasks)

    def __len__(self) -> int:
        return len(self.tasks)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        shown = repr(self.tasks) if isinstance(self.tasks, Lazy) else f"[{', '.join(map(repr, self.tasks))}]"
        return f"group({shown})"


def _listed(tasks: tuple[Any, ...]) -> Any:
    """Return the members that a group is given."""
    if len(tasks) != 1:
        return list(tasks)
    (only,) = tasks
    if isinstance(only, Mapping):
        only = maybe_signature(only)
        return only.tasks if isinstance(only, group) else [only]
    return list(only) if isinstance(only, list | tuple | set | frozenset) else Lazy(only)


def _delays(start: float, stop: float | None, step: float) -> Iterator[float]:
    delay = float(start)
    while stop is None or delay <= stop:
        yield delay
        delay += step
    yield from repeat(delay - step if delay > start else float(start))
