"""The Request that handlers in the parent process see: what the core told of a message, by Celery's names."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastq.app.context import Context

if TYPE_CHECKING:
    from fastq.app.task import Task

__all__ = ["Request"]


@dataclass(frozen=True, slots=True)
class Request:
    """A message as the parent knows it. Its arguments stay in the core: this process never decodes a body."""

    id: str
    name: str
    hostname: str
    task: Task[..., Any] | None = None
    """None: no such task is registered here."""
    delivery_info: dict[str, Any] = field(default_factory=dict)
    eta: float | None = None
    """Not before: seconds since 1970 (UTC)."""

    @property
    def task_id(self) -> str:
        """The task's id."""
        return self.id

    @property
    def task_name(self) -> str:
        """The task's name."""
        return self.name

    @property
    def type(self) -> str:
        """The task's name, as Celery's requests have it."""
        return self.name

    @property
    def args(self) -> tuple[()]:
        """Empty: the parent does not decode arguments."""
        return ()

    @property
    def kwargs(self) -> dict[str, Any]:
        """Empty: the parent does not decode arguments."""
        return {}

    def context(self) -> Context:
        """Return what hooks of the task find as `self.request`."""
        return Context(
            id=self.id,
            task=self.name,
            hostname=self.hostname,
            args=self.args,
            kwargs=self.kwargs,
            delivery_info=self.delivery_info,
            called_directly=False,
        )
