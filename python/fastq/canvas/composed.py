"""What chains, groups and chords have in common: they are read from dictionaries, and sent, as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from fastq.canvas import eager
from fastq.canvas.sending import asend, send
from fastq.canvas.signature import Signature

if TYPE_CHECKING:
    from fastq.result import AsyncResult

__all__ = ["Composed", "without_tasks"]

R = TypeVar("R")
Self = TypeVar("Self", bound="Composed[Any]")


class Composed(Signature[R]):
    """A signature that other signatures are in."""

    async def aapply_async(
        self,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        route_name: str | None = None,
        **options: Any,
    ) -> AsyncResult[R]:
        """Send it from a coroutine, as `apply_async` does; the event loop goes on meanwhile."""
        options = _given(options, route_name)
        if self.app.conf.task_always_eager:
            return cast("AsyncResult[R]", await eager.elsewhere(self, args, kwargs, options))
        return cast("AsyncResult[R]", await asend(self.app, self.steps(args, kwargs, options)))

    def _send(
        self,
        args: Sequence[Any] | None,
        kwargs: Mapping[str, Any] | None,
        route_name: str | None,
        options: dict[str, Any],
    ) -> Any:
        """Send it, or run it here and now where the settings say so; return its result."""
        options = _given(options, route_name)
        if self.app.conf.task_always_eager:
            return self.apply(args, kwargs, **options)
        return send(self.app, self.steps(args, kwargs, options))

    def as_described(self: Self, described: Mapping[str, Any]) -> Self:  # noqa: PYI019 - typing has Self from 3.11 on
        """Take over arguments, options and whether it takes more of them from a dictionary, and return it."""
        self["args"] = described.get("args") or ()
        self["options"] = dict(described.get("options") or {})
        self["immutable"] = bool(described.get("immutable"))
        return self


def without_tasks(keywords: Mapping[str, Any]) -> dict[str, Any]:
    """Return keyword arguments without the one under which a chain or group has what is in it."""
    return {key: value for key, value in keywords.items() if key != "tasks"}


def _given(options: dict[str, Any], route_name: str | None) -> dict[str, Any]:
    """Return the calling options that say something."""
    found = {key: value for key, value in options.items() if value is not None}
    return found if route_name is None else {**found, "route_name": route_name}
