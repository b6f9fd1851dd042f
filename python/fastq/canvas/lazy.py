"""Members of a group that a generator makes: made when they are first needed, and kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from itertools import islice
from typing import Any, Generic, TypeVar

__all__ = ["Lazy"]

T = TypeVar("T")


class Lazy(Generic[T]):
    """A sequence whose values come from an iterable, one by one, when they are first asked for.

    Args:
        source: is iterated over once.
    """

    def __init__(self, source: Iterable[T]) -> None:
        """Ask for nothing yet."""
        self._source = iter(source)
        self._made: list[T] = []

    def __iter__(self) -> Iterator[T]:
        made, at = self._made, 0
        while True:
            if at == len(made):
                try:
                    made.append(next(self._source))
                except StopIteration:
                    return
            yield made[at]
            at += 1

    def map(self, change: Callable[[T], T]) -> None:
        """Have every value changed: those that are made now, the others when they are made."""
        self._made[:] = map(change, self._made)
        self._source = map(change, self._source)

    def all(self) -> list[T]:
        """Return the list of all values, which is the one that is kept."""
        self._made.extend(self._source)
        return self._made

    def __getitem__(self, index: int) -> T:
        return self.all()[index] if index < 0 else list(islice(self, index + 1))[index]

    def __setitem__(self, index: int, value: T) -> None:
        self.all()[index] = value

    def __len__(self) -> int:
        return len(self.all())

    def __bool__(self) -> bool:
        return next((True for _ in self), False)

    def __eq__(self, other: object) -> bool:
        return self.all() == (other.all() if isinstance(other, Lazy) else other)

    __hash__ = None  # type: ignore[assignment]

    def __deepcopy__(self, memo: dict[int, Any]) -> Lazy[T]:
        return Lazy(deepcopy(value, memo) for value in self)

    def __json__(self) -> list[T]:
        return self.all()

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (self.all(),)

    def __repr__(self) -> str:
        return f"[{', '.join([*map(repr, self._made), '…'])}]"
