"""What is said of an exception: its traceback as text, and `einfo`, which hooks and signals get."""

from __future__ import annotations

import os
import traceback
from typing import TYPE_CHECKING, Any, Final

from fastq.exceptions import EncodeError

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["ExceptionInfo", "let_go", "unwritable", "users_traceback"]

_HERE: Final = os.path.dirname(os.path.abspath(__file__)) + os.sep
_LOOP: Final = tuple(os.path.join("asyncio", file) for file in ("base_events.py", "events.py"))
"""What stands between the tracer and a coroutine."""


class ExceptionInfo:
    """An exception and where it was raised; `str()` of it is the traceback as text.

    Attributes:
        type: class of the exception.
        exception: the exception.
        traceback: text, beginning with the user's code.
        internal: whether it was raised outside of the task's own code.
    """

    __slots__ = ("exception", "internal", "traceback", "type")

    def __init__(self, error: BaseException, internal: bool = False) -> None:
        """Describe an exception that was caught."""
        self.type = type(error)
        self.exception = error
        self.internal = internal
        tb = error.__traceback__ if internal else users_traceback(error)
        try:
            self.traceback = "".join(traceback.format_exception(self.type, error, tb))
        except Exception as failure:  # noqa: BLE001 - a user's exception may refuse to be shown
            self.traceback = f"{self.type.__name__}, whose traceback cannot be shown: {type(failure).__name__}\n"

    @property
    def tb(self) -> TracebackType | None:
        """The traceback itself, for as long as the run lasts."""
        return users_traceback(self.exception)

    @property
    def exc_info(self) -> tuple[type[BaseException], BaseException, TracebackType | None]:
        """What `sys.exc_info` would return."""
        return self.type, self.exception, self.tb

    @property
    def shows_code(self) -> bool:
        """Whether the traceback says more than the exception: the code of the task, or in what fastq was broken."""
        tb = self.tb
        return self.internal or (tb is not None and not _is_machinery(tb.tb_frame.f_code.co_filename))

    def __str__(self) -> str:
        return self.traceback

    def __repr__(self) -> str:
        return f"<ExceptionInfo: {self.exception!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.exception, self.traceback, self.internal)


def _again(error: BaseException, text: str, internal: bool) -> ExceptionInfo:
    """Return a pickled ExceptionInfo: the traceback itself does not travel, its text does."""
    info = ExceptionInfo(error, internal)
    info.traceback = text
    return info


def users_traceback(error: BaseException) -> TracebackType | None:
    """Return the traceback from the user's code on; all of it when no user's code was reached."""
    tb = error.__traceback__
    while tb is not None and _is_machinery(tb.tb_frame.f_code.co_filename):
        tb = tb.tb_next
    return tb or error.__traceback__


def _is_machinery(file: str) -> bool:
    return file.startswith(_HERE) or file.endswith(_LOOP)


def unwritable(task: Any, value: Any, error: EncodeError) -> EncodeError:
    """Return the error of a run whose result cannot be stored."""
    return EncodeError(f"Task {task.name} returned a {type(value).__name__} that cannot be stored: {error}")


def let_go(error: BaseException) -> None:
    """Clear the frames that an exception holds, and those of the exceptions it came from.

    A frame keeps every local of the user's function alive, and an exception kept in one of them makes a cycle that only
    the garbage collector ends. A worker that fails often would grow by it.
    """
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        found = pending.pop()
        if found is None or id(found) in seen:
            continue
        seen.add(id(found))
        traceback.clear_frames(found.__traceback__)
        pending += (found.__cause__, found.__context__)
