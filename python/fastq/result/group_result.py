"""The result of a group."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from fastq.result.async_result import AsyncResult, ResultTuple
from fastq.result.result_set import ResultSet
from fastq.result.tree import Tree

if TYPE_CHECKING:
    from fastq.app.protocol import App
    from fastq.backends.base import Backend

__all__ = ["GroupResult"]

R = TypeVar("R")


class GroupResult(ResultSet[R], Tree):
    """The results of a group's members; `R` is what each returns.

    Args:
        id: of the group.
        results: of its members.
        parent: the result of the task before it in a chain.
        app: of the tasks.
        **options: accepted as Celery accepts them.
    """

    id: str

    def __init__(
        self,
        id: str | None = None,  # noqa: A002 - Celery's name
        results: Iterable[Any] | None = None,
        parent: Any = None,
        app: App | None = None,
        **options: Any,
    ) -> None:
        """Keep the results."""
        super().__init__(results or (), app=app, ready_barrier=options.get("ready_barrier"))
        self.id = id or ""
        self.parent = parent

    @property
    def children(self) -> list[Any]:
        """The results of the members."""
        return self.results

    def save(self, backend: Backend | None = None) -> None:
        """Store which results these are, so that `restore` finds them by the group's id."""
        (backend or self.app.backend).save_group(self.id, self)

    def delete(self, backend: Backend | None = None) -> None:
        """Delete what `save` has stored."""
        (backend or self.app.backend).delete_group(self.id)

    @classmethod
    def restore(cls, id: str, backend: Backend | None = None, app: App | None = None) -> GroupResult[Any] | None:  # noqa: A002
        """Return the result of the group that was saved under this id; None where nothing is."""
        backend = backend or (app.backend if app is not None else AsyncResult(id).backend)
        found: GroupResult[Any] | None = backend.restore_group(id)
        return found

    def as_tuple(self) -> ResultTuple:
        """Return the form in which results are stored (protocol.md §7.3)."""
        return (self.id, self.parent and self.parent.as_tuple()), [result.as_tuple() for result in self.results]

    def as_list(self) -> list[Any]:
        """Return the group's id, and those of what was before it."""
        return [self.id, *(self.parent.as_list() if self.parent is not None else ())]

    def __bool__(self) -> bool:
        return bool(self.id or self.results)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, GroupResult):
            return other.id == self.id and other.results == self.results and other.parent == self.parent
        return other == self.id if isinstance(other, str) else NotImplemented

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(self.id)

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"<GroupResult: {self.id} [{', '.join(str(result) for result in self.results)}]>"

    def __copy__(self) -> GroupResult[R]:
        return GroupResult(self.id, self.results, self.parent, self._app)

    def __reduce__(self) -> tuple[Any, ...]:
        # Without the app: where it is unpickled the current one counts.
        return type(self), (self.id, self.results, self.parent)
