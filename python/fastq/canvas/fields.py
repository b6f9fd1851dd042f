"""What a signature holds, read by name (protocol.md §1.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Fields"]


class Fields(dict[str, Any]):
    """The dictionary that describes a call, with its parts as attributes."""

    @property
    def task(self) -> str:
        """The name of the task."""
        return cast("str", self["task"])

    name = task

    @property
    def args(self) -> Sequence[Any]:
        """The positional arguments."""
        return cast("Sequence[Any]", self["args"])

    @property
    def kwargs(self) -> dict[str, Any]:
        """The keyword arguments."""
        return cast("dict[str, Any]", self["kwargs"])

    @property
    def options(self) -> dict[str, Any]:
        """The calling options."""
        return cast("dict[str, Any]", self["options"])

    @property
    def subtask_type(self) -> str | None:
        """The kind of a composed signature; None for a task."""
        return cast("str | None", self["subtask_type"])

    @property
    def immutable(self) -> bool:
        """Whether it takes no more arguments."""
        return bool(self["immutable"])

    @property
    def id(self) -> str | None:
        """The id, once frozen."""
        return self.options.get("task_id")

    @property
    def parent_id(self) -> str | None:
        """The id of the task that sends it, once frozen."""
        return self.options.get("parent_id")

    @property
    def root_id(self) -> str | None:
        """The id of the first task of its workflow, once frozen."""
        return self.options.get("root_id")
