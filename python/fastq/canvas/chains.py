"""Chains: tasks one after the other, each with the result of the one before it."""
# ruff: noqa: N801 - Celery's names

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, overload

from fastq.canvas import eager
from fastq.canvas.composed import Composed, without_tasks
from fastq.canvas.layout import fold, lay_out
from fastq.canvas.links import listed
from fastq.canvas.signature import Signature, maybe_signature
from fastq.canvas.stamping import gathered

if TYPE_CHECKING:
    from fastq.app.protocol import App
    from fastq.canvas.stamping import StampingVisitor
    from fastq.canvas.steps import Steps
    from fastq.result import AsyncResult, EagerResult

__all__ = ["chain"]

R = TypeVar("R")

_OF_THE_WHOLE: Final = ("task_id", "group_id", "chord", "group_index")
"""Options that say where a chain belongs: they are those of its last step."""


@Signature.register_type()
class chain(Composed[R]):
    """Tasks one after the other; `R` is what the last one returns.

    `chain(a, b, c)` is `a | b | c`, and so may be no chain: beginning with a group it is a chord. `chain(a)` is a chain
    of one step.

    Args:
        *tasks: signatures; or one iterable of them.
        **options: calling options of the chain.
    """

    _folded: list[Any] | None = None

    if TYPE_CHECKING:

        @overload
        def __init__(self: chain[R], a: Signature[R], /, **options: Any) -> None: ...
        @overload
        def __init__(self: chain[R], a: Signature[Any], b: Signature[R], /, **options: Any) -> None: ...
        @overload
        def __init__(
            self: chain[R], a: Signature[Any], b: Signature[Any], c: Signature[R], /, **options: Any
        ) -> None: ...
        @overload
        def __init__(self: chain[Any], /, *tasks: Any, **options: Any) -> None: ...
        def __init__(self: Any, /, *tasks: Any, **options: Any) -> None:
            """Describe a chain."""
    else:

        def __new__(cls, *tasks: Any, **options: Any) -> Any:
            """Return a chain; or what `|` makes of these tasks."""
            made = super().__new__(cls)
            if tasks and options.keys() <= {"app"} and (len(tasks) != 1 or _is_list(tasks[0])):
                folded = fold([], tasks[0] if len(tasks) == 1 else tasks)
                if not isinstance(folded, list):
                    return folded
                made._folded = folded
            return made

        def __init__(self, *tasks: Any, **options: Any) -> None:
            """Describe a chain."""
            steps, self._folded = self._folded, None
            if steps is None:
                steps = list(tasks[0]) if len(tasks) == 1 and _is_list(tasks[0]) else list(tasks)
            super().__init__("celery.chain", (), {"tasks": steps}, subtask_type="chain", **options)

    @classmethod
    def of(cls, steps: Sequence[Any], app: App | None = None) -> chain[Any]:
        """Return the chain of exactly these steps."""
        made = cls(app=app)
        made.tasks = list(steps)
        return made

    @classmethod
    def from_dict(cls, described: Mapping[str, Any], app: App | None = None) -> chain[Any]:
        """Return the chain that a dictionary describes."""
        made = cls.of([maybe_signature(task, app) for task in described["kwargs"]["tasks"]], app)
        return made.as_described(described)

    @property
    def tasks(self) -> list[Any]:
        """The steps."""
        return cast("list[Any]", self.kwargs["tasks"])

    @tasks.setter
    def tasks(self, tasks: list[Any]) -> None:
        self.kwargs["tasks"] = tasks

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Send it, with these arguments for its first step; None when it has no step."""
        return self.apply_async(args, kwargs) if self.tasks else None

    def apply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        route_name: str | None = None,
        **options: Any,
    ) -> AsyncResult[R]:
        """Send its first step, which takes the others along.

        Args:
            args: stand before those of the first step.
            kwargs: win over those of the first step.
            route_name: look the route of the first step up under this name.
            **options: calling options of the first step; `task_id` and `link` go to the last one, `link_error` to all.

        Returns:
            The result of the last step, whose `parent` is that of the step before it; a GroupResult when that is a
            group.
        """
        return cast("AsyncResult[R]", self._send(args, kwargs, route_name, options))

    def apply(
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> EagerResult[R]:
        """Run its steps here and now, one after the other, and return the result of the last one."""
        given, keywords, merged = self._merge(args, kwargs, options)
        return cast("EagerResult[R]", eager.run_chain(self, given, without_tasks(keywords), merged))

    def steps(
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, options: Any = None
    ) -> Steps:
        """Yield what sending it takes; the generator returns the result."""
        given, keywords, merged = self._merge(args, kwargs, options)
        steps = lay_out(self.tasks, self.app)
        if not steps:
            return None
        steps = [step.clone() for step in steps]
        steps[0] = steps[0].clone(given, without_tasks(keywords))
        whole = {key: merged.pop(key, None) for key in _OF_THE_WHOLE}
        results = _freeze(steps, whole, merged.get("root_id"))
        self._hang_on(steps, merged)
        # The next step stands last, and takes those before it in the list along.
        merged["chain"] = [*listed(merged.pop("chain", None)), *reversed(steps[1:])]
        result = yield from steps[0].steps((), {}, merged)
        return results[-1] if len(steps) > 1 else result

    @staticmethod
    def _hang_on(steps: list[Any], options: dict[str, Any]) -> None:
        """Hang callbacks of the chain on its last step, errbacks on all."""
        for errback in listed(options.pop("link_error", None)):
            for step in steps:
                step.link_error(errback)
        for callback in listed(options.pop("link", None)):
            steps[-1].link(callback)

    def freeze(
        self,
        _id: str | None = None,
        group_id: str | None = None,
        chord: Any = None,
        root_id: str | None = None,
        parent_id: str | None = None,  # noqa: ARG002 - of the first step, which whoever sends it knows
        group_index: int | None = None,
    ) -> AsyncResult[R]:
        """Give all its steps their ids now, and return what will be the result of the last one."""
        self.tasks = steps = lay_out(self.tasks, self.app, unroll=False)
        if not steps:
            raise ValueError("A chain without a step has no result: it cannot be frozen.")
        task_id = self.options.get("task_id") or _id
        whole = {"task_id": task_id, "group_id": group_id, "chord": chord, "group_index": group_index}
        result = _freeze(steps, whole, root_id)[-1]
        self.options["task_id"] = result.id
        return cast("AsyncResult[R]", result)

    def unchain_tasks(self) -> list[Any]:
        """Return copies of its steps, on which its arguments, callbacks and errbacks hang."""
        steps = [maybe_signature(step, self._app).clone() for step in self.tasks]
        if not steps:
            return steps
        if self.args:
            steps[0] = steps[0].clone(self.args)
        if self.immutable:
            steps[0].set_immutable(True)
        self._hang_on(steps, {key: self.options.get(key) for key in ("link", "link_error")})
        return steps

    def with_steps(self, steps: list[Any]) -> chain[Any]:
        """Return a chain of these steps, to which arguments, callbacks and errbacks of this one belong already."""
        made = chain.of(steps, self._app)
        moved = {"task_id", "link", "link_error"}
        made["options"] = {key: value for key, value in self.options.items() if key not in moved}
        return made

    def stamp(self, visitor: StampingVisitor | None = None, append_stamps: bool = False, **headers: Any) -> chain[R]:
        """Stamp its steps and what follows it, and return it; arguments as of `Signature.stamp`."""
        more = visitor.on_chain_start(self, **headers) if visitor is not None else None
        stamps = gathered(headers, more, append_stamps, self.options)
        self.stamp_links(visitor, append_stamps, **stamps)
        self.tasks = [maybe_signature(task, self._app) for task in self.tasks]
        for task in self.tasks:
            task.stamp(visitor, append_stamps, **stamps)
        if visitor is not None:
            visitor.on_chain_end(self, **stamps)
        return self

    def _known_app(self) -> App | None:
        return self._app or self._app_of(self.tasks)

    def __repr__(self) -> str:
        return " | ".join(map(repr, self.tasks)) or "<chain: empty>"


def _freeze(steps: list[Any], whole: Mapping[str, Any], root_id: str | None) -> list[Any]:
    """Give steps their ids, the last one its place, and return their results, each with its parent."""
    results: list[Any] = []
    for step in reversed(steps):
        if results:
            result = step.freeze(root_id=root_id)
        else:
            place = {key: value for key, value in whole.items() if key != "task_id"}
            result = step.freeze(whole["task_id"], root_id=root_id, **place)
        if results:
            first = results[-1]
            while first.parent is not None:
                first = first.parent
            first.parent = result
        results.append(result)
    results.reverse()
    return results


def _is_list(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, Mapping | str | bytes)
