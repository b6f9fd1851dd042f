"""What is told to a client and what it tells, in words that need neither library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

__all__ = ["Link", "Raised", "Told", "tell"]


class Link(NamedTuple):
    """A call as data: a callback, an errback, or a step."""

    task: str
    args: Sequence[Any] = ()
    options: Mapping[str, Any] = {}
    """Calling options, such as the queue."""
    immutable: bool = False


class Raised(NamedTuple):
    """An exception as a client got it."""

    module: str
    name: str
    args: tuple[Any, ...]
    text: str
    bases: tuple[str, ...]
    """Of its class: module and name of each."""

    @classmethod
    def of(cls, error: BaseException) -> Raised:
        """Describe an exception; arguments that are no plain values as text."""
        kind = type(error)
        bases = tuple(f"{base.__module__}.{base.__qualname__}" for base in kind.__mro__)
        return cls(kind.__module__, kind.__qualname__, tuple(map(_plain, error.args)), str(error), bases)


class Told(NamedTuple):
    """The end of a task as a client sees it."""

    id: str
    state: str
    value: Any
    """What it returned; None when it raised."""
    raised: Raised | None
    traceback: str | None


def tell(result: Any, limit: float, *, first_itself: bool = False) -> Told:
    """Wait for a result and describe it.

    Args:
        result: of either library.
        limit: seconds.
        first_itself: wait for its own end first, so that the failure of an earlier step does not end the wait.
    """
    value, raised = None, None
    try:
        if first_itself:
            result.get(timeout=limit, propagate=False)
        value = result.get(timeout=limit)
    except Exception as error:
        raised = Raised.of(error)
    return Told(result.id, result.state, value, raised, result.traceback)


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value if isinstance(value, (str, int, float, bool, bytes, type(None))) else repr(value)
