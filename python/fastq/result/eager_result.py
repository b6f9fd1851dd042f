"""What a task returned that was run here and now."""

from __future__ import annotations

from typing import Any, TypeVar, cast

from fastq.result.async_result import AsyncResult, RemoteTraceback
from fastq.states import REVOKED

__all__ = ["EagerResult"]

R = TypeVar("R")


class EagerResult(AsyncResult[R]):
    """The result of `Task.apply`: it is there already.

    Args:
        id: of the run.
        ret_value: what the task returned, or the exception it raised.
        state: how the run ended.
        traceback: text, when it raised.
        name: of the task.
    """

    def __init__(
        self,
        id: str,  # noqa: A002 - Celery's name
        ret_value: Any,
        state: str,
        traceback: str | None = None,
        name: str | None = None,
    ) -> None:
        """Keep how the run ended."""
        super().__init__(id, task_name=name)
        self._meta = {
            "task_id": id,
            "status": state,
            "result": ret_value,
            "traceback": traceback,
            "children": [],
            "date_done": None,
        }

    def _check_will_not_block(self) -> None:
        """Allow `get` everywhere: nothing is waited for."""

    def _throw(self, value: Any, traceback: str | None) -> None:
        if isinstance(value, BaseException) and value.__traceback__ is None and traceback:
            raise value from RemoteTraceback(traceback)
        raise value if isinstance(value, BaseException) else RuntimeError(f"Task {self.id} failed: {value!r}")

    def exists(self) -> bool:
        """Tell whether anything is known of the task: always."""
        return True

    def forget(self) -> None:
        """Do nothing: nothing is stored elsewhere."""

    def ready(self) -> bool:
        """Tell whether the task has ended: always."""
        return True

    def revoke(self, *_arguments: Any, **_options: Any) -> None:
        """Count as called off from now on, as in Celery: the run is over."""
        self._meta = {**self._read(), "status": REVOKED}

    async def arevoke(self, *_arguments: Any, **_options: Any) -> None:
        """Count as called off, as by `revoke`."""
        self.revoke()

    def __copy__(self) -> EagerResult[R]:
        made, arguments = self.__reduce__()
        return cast("EagerResult[R]", made(*arguments))

    def __repr__(self) -> str:
        return f"<EagerResult: {self.id}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.id, self.result, self.state, self.traceback, self._task_name)
