"""Chords: a task that runs when a group of others has ended, with the list of their results."""
# ruff: noqa: N801 - Celery's names

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, overload

from fastq.app import current
from fastq.app.internal import internal_queue
from fastq.app.send import inherit_stamps, new_id
from fastq.backends.chords import body_id, reference
from fastq.canvas import eager
from fastq.canvas.composed import Composed
from fastq.canvas.groups import group
from fastq.canvas.layout import leaves, sole
from fastq.canvas.lazy import Lazy
from fastq.canvas.links import listed
from fastq.canvas.members import Header, Place, emit, members
from fastq.canvas.signature import Signature, keeps_group, maybe_signature
from fastq.canvas.stamping import gathered
from fastq.canvas.steps import ChordSent, Trail
from fastq.result import GroupResult

if TYPE_CHECKING:
    from fastq.app.protocol import App
    from fastq.canvas.stamping import StampingVisitor
    from fastq.canvas.steps import Steps
    from fastq.result import AsyncResult, EagerResult

__all__ = ["chord"]

R = TypeVar("R")

_OF_THE_BODY: Final = frozenset({"chain", "chord", "group_id", "group_index", "task_id", "link", "link_error"})
"""Options of a chord that are its body's alone: they say where the chord belongs, and what follows it."""
_NOT_OF_THE_BODY: Final = frozenset(
    {"countdown", "eta", "parent_id", "task_id", "add_to_parent", "link", "link_error", "producer", "publisher"}
)
"""Options of a chord that its body does not get as they are: the body runs when the header has ended, whose last member
is its parent."""
_OF_A_CHAIN: Final = frozenset(
    {"chord", "group_id", "group_index", "link", "link_error", "parent_id", "root_id", "task_id"}
)
"""Options of a chain that are not those of its first task."""


@Signature.register_type()
class chord(Composed[R]):
    """A task with the results of others; `R` is what it returns.

    `chord(header, body)` is the same as `group(header) | body`; `chord(header)(body)` sends it at once.

    Args:
        header: a group, or an iterable of signatures. What a generator makes is asked for when it is sent.
        body: gets the list of the header's results, in the header's order.
        task: the name of the task that stands for a chord.
        args: stand before those of each member of the header.
        kwargs: keyword arguments of the members.
        app: of its tasks.
        **options: calling options of header and body.
    """

    @overload
    def __init__(
        self: chord[R],
        header: Any,
        body: Signature[R],
        task: str = ...,
        args: Sequence[Any] | None = ...,
        kwargs: Mapping[str, Any] | None = ...,
        app: App | None = ...,
        **options: Any,
    ) -> None: ...
    @overload
    def __init__(
        self: chord[Any],
        header: Any,
        body: Mapping[str, Any] | None = None,
        task: str = ...,
        args: Sequence[Any] | None = ...,
        kwargs: Mapping[str, Any] | None = ...,
        app: App | None = ...,
        **options: Any,
    ) -> None: ...
    def __init__(
        self: Any,
        header: Any,
        body: Any = None,
        task: str = "celery.chord",
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        app: App | None = None,
        **options: Any,
    ) -> None:
        """Describe a chord."""
        options.pop("subtask_type", None)
        described = {"kwargs": dict(kwargs or {}), "header": _header(header, app), "body": _body(body, app)}
        super().__init__(task, args, described, app=app, subtask_type="chord", **options)

    @classmethod
    def from_dict(cls, described: Mapping[str, Any], app: App | None = None) -> chord[Any]:
        """Return the chord that a dictionary describes."""
        inner = described["kwargs"]
        made: chord[Any] = cls(inner.get("header") or [], inner.get("body"), kwargs=inner.get("kwargs"), app=app)
        return made.as_described(described)

    @property
    def tasks(self) -> Any:
        """The header: a group, or the list of its members."""
        return self.kwargs["header"]

    @tasks.setter
    def tasks(self, tasks: Any) -> None:
        self.kwargs["header"] = tasks

    @property
    def body(self) -> Any:
        """What gets the results."""
        return self.kwargs["body"]

    @body.setter
    def body(self, body: Any) -> None:
        self.kwargs["body"] = body

    def __call__(self, body: Any = None, **options: Any) -> AsyncResult[R]:  # type: ignore[override]
        """Send it; `body` in place of its own, keywords are calling options."""
        return self.apply_async((), {} if body is None else {"body": body}, **options)

    def apply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        route_name: str | None = None,
        **options: Any,
    ) -> AsyncResult[R]:
        """Send its header, five hundred tasks at a time; when they have ended, a worker sends the body.

        Args:
            args: stand before those of each member of the header.
            kwargs: win over those of each member; `body` among them is a body in place of its own.
            route_name: look the routes of the members up under this name.
            **options: calling options of header and body. `countdown` and `eta` are the header's; `task_id`, `link` and
                `link_error` the body's.

        Returns:
            The result of the body, whose `parent` is the GroupResult of the header.

        Raises:
            NotSupported: results are not stored, or where a worker cannot count them.
        """
        return cast("AsyncResult[R]", self._send(args, kwargs, route_name, options))

    def apply(
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> EagerResult[R]:
        """Run header and body here and now."""
        given, keywords, merged = self._merge(args, None, options)
        body, keywords = self._parts(kwargs)
        header = _as_group(self.tasks, self.app)
        return cast("EagerResult[R]", eager.run_chord(header, body, given, keywords, merged))

    def steps(
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, options: Any = None
    ) -> Steps:
        """Yield what sending it takes; the generator returns the result of the body."""
        given, _, merged = self._merge(args, None, options)
        body, keywords = self._parts(kwargs)
        app, header = self.app, self.tasks
        app.backend.ensure_chords_allowed()
        own_id = _options_of(header).get("task_id")
        group_id = own_id or new_id()
        body, result = self._placed(body, merged, group_id, None if own_id else body_id(group_id))
        tells_parent = merged.get("add_to_parent", True)
        stands_for_body = dict(body) if app.conf.task_chord_expand else reference(group_id, body, internal_queue(app))
        of_members = {**_options_of(header), **_for_header(merged)}
        place = Place(app, group_id, stands_for_body, merged.get("root_id"), 0)
        found = members(header.tasks if isinstance(header, group) else header, place)
        of_body = Header(group_id, body, lambda results: GroupResult(group_id, results, app=app))
        results = yield from emit(found, given, keywords, of_members, app, of_body)
        header_result: GroupResult[Any] = GroupResult(group_id, results, app=app)
        if results:
            yield ChordSent(app, header_result, body)
        else:
            yield from body.steps(([],), {}, {"add_to_parent": tells_parent})
        _first(result).parent = header_result
        if tells_parent and results:
            yield Trail(header_result)
        return result

    def _parts(self, kwargs: Mapping[str, Any] | None) -> tuple[Any, dict[str, Any]]:
        """Return a copy of the body, and the keyword arguments of the members, with those that are given."""
        given = dict(kwargs or {})
        body = _body(given.pop("body", None) or self.body, self._app)
        for key in ("header", "kwargs"):
            given.pop(key, None)
        if body is None:
            raise TypeError("A chord needs a body: chord(header, body), or chord(header)(body).")
        return body.clone(), {**self.kwargs["kwargs"], **given}

    @staticmethod
    def _placed(body: Any, options: Mapping[str, Any], group_id: str, fresh_id: str | None) -> tuple[Any, Any]:
        """Return the body with its id and place, and what will be its result; `fresh_id` is for one that has no id."""
        own = {key: value for key, value in options.items() if key not in _NOT_OF_THE_BODY}
        task_id = None if body.options.get("task_id") else options.get("task_id") or fresh_id
        for callback in listed(options.get("link")):
            body.link(callback)
        for errback in listed(options.get("link_error")):
            body.link_error(errback) if isinstance(body, group) else body.append_to_list_option("link_error", errback)
        if keeps_group(body.options, own.get("chord")):
            own.pop("group_id", None)
        if "chain" in own:
            own["chain"] = [*listed(own["chain"]), *listed(body.options.get("chain"))]
        body.options.update(own)
        # Another run will send it.
        parent = current.get_current_worker_task()
        if parent is not None:
            inherit_stamps(parent.request, body.options)
        place = {key: own.get(key) for key in ("chord", "group_index")}
        return body, body.freeze(task_id, group_id=own.get("group_id") or group_id, root_id=own.get("root_id"), **place)

    def freeze(
        self,
        _id: str | None = None,
        group_id: str | None = None,
        chord: Any = None,
        root_id: str | None = None,
        parent_id: str | None = None,
        group_index: int | None = None,
    ) -> AsyncResult[R]:
        """Give all its tasks their ids now, and return what will be the result of the body."""
        self.tasks = header = _as_group(self.tasks, self.app)
        is_named = bool(header.options.get("task_id"))
        header_result = header.freeze(root_id=root_id, parent_id=parent_id)
        if self.body is None:
            raise TypeError("A chord needs a body: chord(header, body).")
        place = {"group_id": group_id, "chord": chord, "group_index": group_index}
        own_id = _id or self.options.get("task_id")
        if not (own_id or is_named or self.body.options.get("task_id")):
            own_id = body_id(header_result.id)
        result = self.body.freeze(own_id, root_id=root_id, **place)
        _first(result).parent = header_result
        self.options["task_id"] = header_result.id
        return cast("AsyncResult[R]", result)

    def unroll_body(self) -> list[Any]:
        """Return a chord with the first task of its body, which is a chain, and the other steps of that."""
        first, *others = map(sole, self.body.unchain_tasks())
        copy: Any = self.clone()
        copy.body = first.set(**{key: value for key, value in self.body.options.items() if key not in _OF_A_CHAIN})
        own = copy.options
        if others:
            # What was to follow the body follows its last step.
            for callback in listed(own.pop("link", None)):
                others[-1].link(callback)
        return [copy, *others]

    def link(self, callback: Any) -> Any:
        """Have `callback` sent with the result of the body; return it."""
        self.body.link(callback)
        return callback

    def link_error(self, errback: Any) -> Any:
        """Have `errback` called when the body fails or cannot be called; return it.

        With the setting `task_allow_error_cb_on_chord_header` also for each member of the header that fails.
        """
        errback = maybe_signature(errback, self._app)
        on_members = self.app.conf.task_allow_error_cb_on_chord_header
        for task in _listed(self.tasks):
            if on_members:
                task.link_error(errback.clone().set(immutable=True))
            elif task.subtask_type == "chord":
                task.link_error(errback)
        self.body.link_error(errback)
        return errback

    def set_immutable(self, immutable: bool) -> None:
        """Say whether the members of the header take no more arguments."""
        for task in _listed(self.tasks):
            task.set_immutable(immutable)

    def stamp(self, visitor: StampingVisitor | None = None, append_stamps: bool = False, **headers: Any) -> chord[R]:
        """Stamp header and body, and return it; arguments as of `Signature.stamp`."""
        self.tasks = _as_group(self.tasks, self._app)
        more = visitor.on_chord_header_start(self, **headers) if visitor is not None else None
        stamps = gathered(headers, more, append_stamps, self.options)
        self.stamp_links(visitor, append_stamps, **stamps)
        members_of = self.tasks.tasks
        if isinstance(members_of, Lazy):
            members_of.map(lambda task: maybe_signature(task).stamp(visitor, append_stamps, **stamps))
        else:
            for task in members_of:
                task.stamp(visitor, append_stamps, **stamps)
        if visitor is not None:
            visitor.on_chord_header_end(self, **stamps)
        if self.body is not None:
            if visitor is not None:
                stamps = gathered(stamps, visitor.on_chord_body(self, **stamps), append_stamps, self.options)
            self.body.stamp(visitor, append_stamps, **stamps)
        return self

    def __length_hint__(self) -> int:
        return sum(map(leaves, _listed(self.tasks)))

    def _known_app(self) -> App | None:
        return self._app or self._app_of(_listed(self.tasks)) or self._app_of((self.body,))

    def __repr__(self) -> str:
        return f"chord({self.tasks!r}, {self.body!r})"


def _first(result: Any) -> Any:
    """Return the result that has no parent yet: of the first task of a chain."""
    while result.parent is not None:
        result = result.parent
    return result


def _body(body: Any, app: App | None) -> Any:
    """Return the body as a signature."""
    body = maybe_signature(body, app)
    return body.group() if hasattr(body, "group") else body  # chunks


def _header(header: Any, app: App | None) -> Any:
    """Return the header: a group, or its members."""
    if isinstance(header, Mapping):
        header = maybe_signature(header, app)
        if hasattr(header, "group"):  # chunks
            header = header.group()
        return header if isinstance(header, group) else [header]
    if isinstance(header, list | tuple):
        return [maybe_signature(task, app) for task in header]
    return header if isinstance(header, Lazy) else Lazy(header)


def _as_group(header: Any, app: App | None) -> group[Any]:
    return header if isinstance(header, group) else group(header, app=app)


def _listed(header: Any) -> Any:
    return header.tasks if isinstance(header, group) else header


def _options_of(header: Any) -> dict[str, Any]:
    return header.options if isinstance(header, group) else {}


def _for_header(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what options of a chord are those of its header's members."""
    return {key: value for key, value in options.items() if key not in _OF_THE_BODY}
