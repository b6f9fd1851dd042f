"""One task over many items: in one run (`map`, `starmap`), or in runs of a part each (`chunks`)."""
# ruff: noqa: N801 - Celery's names

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from fastq.canvas.groups import group
from fastq.canvas.lazy import Lazy
from fastq.canvas.signature import Signature, maybe_signature
from fastq.text import saferepr

if TYPE_CHECKING:
    from fastq.app.protocol import App
    from fastq.canvas.steps import Steps
    from fastq.result import AsyncResult, GroupResult

__all__ = ["chunks", "xmap", "xstarmap"]

R = TypeVar("R")


class _Over(Signature[list[R]]):
    """A task over items, one after the other, in one run."""

    task_name: ClassVar[str]

    def __init__(self, task: Signature[R] | Mapping[str, Any], it: Iterable[Any], **options: Any) -> None:
        """Describe it.

        Args:
            task: what is called with each item; it stands in the message.
            it: the items; what a generator makes is asked for when it is sent.
            **options: calling options.
        """
        described = {"task": maybe_signature(task), "it": _kept(it)}
        super().__init__(self.task_name, (), described, immutable=True, **options)

    @classmethod
    def from_dict(cls, described: Mapping[str, Any], app: App | None = None) -> Any:
        """Return one that a dictionary describes."""
        made = cls(described["kwargs"]["task"], described["kwargs"]["it"], app=app)
        made["options"] = dict(described.get("options") or {})
        return made

    def apply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        route_name: str | None = None,
        **options: Any,
    ) -> AsyncResult[list[R]]:
        """Send it; its route is that of the task it calls."""
        return super().apply_async(args, kwargs, route_name or self.kwargs["task"]["task"], **options)

    async def aapply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        route_name: str | None = None,
        **options: Any,
    ) -> AsyncResult[list[R]]:
        """Send it from a coroutine; its route is that of the task it calls."""
        return await super().aapply_async(args, kwargs, route_name or self.kwargs["task"]["task"], **options)

    def steps(
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, options: Any = None
    ) -> Steps:
        """Yield what sending it takes; the generator returns the result."""
        options = {"route_name": self.kwargs["task"]["task"], **(options or {})}
        return (yield from super().steps(args, kwargs, options))

    def _merge(
        self, args: Any, kwargs: Any, options: Mapping[str, Any] | None, force: bool = False
    ) -> tuple[tuple[Any, ...], dict[str, Any], dict[str, Any]]:
        given, keywords, merged = super()._merge(args, kwargs, options, force)
        return given, {**keywords, "it": list(keywords["it"])}, merged

    def given(self, args: Any, kwargs: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:  # noqa: ARG002 - it takes none
        """Return its own arguments."""
        return self.args, {"task": self.kwargs["task"], "it": list(self.kwargs["it"])}


@Signature.register_type("celery.map")
class xmap(_Over[R]):
    """A task with each item, one after the other, in one run; `[task(x) for x in it]`."""

    task_name = "celery.map"

    def __repr__(self) -> str:
        return f"[{self.kwargs['task']['task']}(x) for x in {saferepr(self.kwargs['it'], 100)}]"


@Signature.register_type("celery.starmap")
class xstarmap(_Over[R]):
    """A task with each row of items as its arguments, in one run; `[task(*x) for x in it]`."""

    task_name = "celery.starmap"

    def __repr__(self) -> str:
        return f"[{self.kwargs['task']['task']}(*x) for x in {saferepr(self.kwargs['it'], 100)}]"


@Signature.register_type("celery.chunks")
class chunks(Signature[list[list[R]]]):
    """A task with rows of items, `n` of them in each run.

    Args:
        task: what is called with each row.
        it: the rows; what a generator makes is asked for when it is sent.
        n: how many make a run.
        **options: calling options.
    """

    def __init__(self, task: Signature[R] | Mapping[str, Any], it: Iterable[Any], n: int, **options: Any) -> None:
        """Describe it."""
        if n < 1:
            raise ValueError(f"chunks needs a size of 1 or more, not {n!r}.")
        described = {"task": maybe_signature(task), "it": _kept(it), "n": n}
        super().__init__("celery.chunks", (), described, immutable=True, **options)

    @classmethod
    def from_dict(cls, described: Mapping[str, Any], app: App | None = None) -> Any:
        """Return one that a dictionary describes."""
        inner = described["kwargs"]
        made: chunks[Any] = cls(inner["task"], inner["it"], inner["n"], app=app)
        made["options"] = dict(described.get("options") or {})
        return made

    def __call__(self, *_: Any, **options: Any) -> GroupResult[list[R]]:  # type: ignore[override]
        """Send it; keywords are calling options."""
        return self.apply_async(**options)

    def apply_async(  # type: ignore[override]
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        route_name: str | None = None,
        **options: Any,
    ) -> GroupResult[list[R]]:
        """Send the group that it stands for; its route is that of the task it calls."""
        return self.group().apply_async(args, kwargs, route_name or self.kwargs["task"]["task"], **options)

    async def aapply_async(  # type: ignore[override]
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        route_name: str | None = None,
        **options: Any,
    ) -> GroupResult[list[R]]:
        """Send it from a coroutine, as `apply_async` does."""
        return await self.group().aapply_async(args, kwargs, route_name or self.kwargs["task"]["task"], **options)

    def apply(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Run it here and now."""
        return self.group().apply(args, kwargs, **options)

    def steps(
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, options: Any = None
    ) -> Steps:
        """Yield what sending it takes; the generator returns the GroupResult."""
        return self.group().steps(args, kwargs, options)

    def group(self) -> group[list[R]]:
        """Return the group that it stands for: a starmap for each part."""
        task, it, size = (self.kwargs[key] for key in ("task", "it", "n"))
        made: group[Any] = group(xstarmap(task, part, app=self._app) for part in _parts(iter(it), size))
        made["options"] = dict(self.options)
        made._app = self._app  # noqa: SLF001 - one of us
        return made

    @classmethod
    def apply_chunks(cls, task: Any, it: Iterable[Any], n: int, app: App | None = None) -> Any:
        """Send `task` over the rows of `it`, `n` of them in each run."""
        return cls(task, it, n, app=app)()

    def __repr__(self) -> str:
        inner = self.kwargs
        return f"chunks({inner['task']!r}, {saferepr(inner['it'], 100)}, {inner['n']})"


def _kept(it: Iterable[Any]) -> Any:
    """Return items that can be asked for again."""
    return it if isinstance(it, list | tuple | Lazy) else Lazy(it)


def _parts(it: Iterator[Any], size: int) -> Iterator[list[Any]]:
    while part := list(islice(it, size)):
        yield part
