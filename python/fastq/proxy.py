"""Stand-ins for objects that are found later.

`Proxy` asks its finder at every use (what it stands for changes: the current app). `Promise` asks once and keeps the
answer (a task that is made when its app is finalized), and tells those who wait for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Promise", "Proxy", "is_evaluated", "unwrap", "when_evaluated"]

T = TypeVar("T")

_FINDER: Final = "_Proxy__finder"
_VALUE: Final = "_Promise__value"
_WAITING: Final = "_Promise__waiting"

_get = object.__getattribute__
_set = object.__setattr__


class Proxy(Generic[T]):
    """Stands for the object that `finder` returns, asked at every use.

    Args:
        finder: returns the object.
        name: what `__name__` says without asking.
        doc: what `__doc__` says without asking.
    """

    __slots__ = ("_Proxy__finder", "__dict__", "__weakref__")

    def __init__(self, finder: Callable[[], T], name: str | None = None, doc: str | None = None) -> None:
        """Keep the finder; nothing is found yet."""
        _set(self, _FINDER, finder)
        own = _get(self, "__dict__")
        if name is not None:
            own["__name__"] = name
        if doc is not None:
            own["__doc__"] = doc

    def _get_current_object(self) -> T:
        """Return the object itself."""
        return cast("T", _get(self, _FINDER)())

    def __getattribute__(self, name: str) -> Any:
        if name in {"_get_current_object", "__init__", "__reduce__", "__reduce_ex__"}:
            return _get(self, name)
        if name in {"__name__", "__doc__"} and name in _get(self, "__dict__"):
            return _get(self, "__dict__")[name]
        return getattr(unwrap(self), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(unwrap(self), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(unwrap(self), name)

    def __reduce__(self) -> Any:
        return unwrap(self).__reduce__()

    def __reduce_ex__(self, protocol: Any) -> Any:
        return unwrap(self).__reduce_ex__(protocol)


class Promise(Proxy[T]):
    """Stands for an object that is found at first use and then kept.

    `is_evaluated` tells whether it has been found; `when_evaluated` calls back once it is.
    """

    __slots__ = ("_Promise__value", "_Promise__waiting")

    def __init__(self, finder: Callable[[], T], name: str | None = None, doc: str | None = None) -> None:
        """Keep the finder; nothing is found yet."""
        super().__init__(finder, name, doc)
        _set(self, _WAITING, [])

    def _get_current_object(self) -> T:
        """Return the object itself, found at the first call."""
        try:
            return cast("T", _get(self, _VALUE))
        except AttributeError:
            pass
        value = _get(self, _FINDER)()
        # Two threads may find it at once: finders look the object up in a registry or make it there, so both get one.
        _set(self, _VALUE, value)
        waiting = _get(self, _WAITING)
        while waiting:
            waiting.pop(0)(value)
        return cast("T", value)

    def __getattribute__(self, name: str) -> Any:
        if name in {"_is_evaluated", "_evaluate"}:
            return _get(self, name)
        return Proxy.__getattribute__(self, name)

    def _evaluate(self) -> T:
        """Find the object now."""
        return self._get_current_object()

    def _is_evaluated(self) -> bool:
        """Tell whether the object has been found."""
        try:
            _get(self, _VALUE)
        except AttributeError:
            return False
        return True


def unwrap(value: Any) -> Any:
    """Return the object a proxy stands for (finding it if need be), and anything else as it is."""
    while isinstance(type(value), type) and issubclass(type(value), Proxy):
        value = _get(value, "_get_current_object")()
    return value


def is_evaluated(value: Any) -> bool:
    """Tell whether `value` is no Promise, or one whose object has been found."""
    return not issubclass(type(value), Promise) or bool(_get(value, "_is_evaluated")())


def when_evaluated(value: Any, callback: Callable[[Any], object]) -> None:
    """Call back with the object that a Promise stands for, once it is found; with anything else at once."""
    if is_evaluated(value):
        callback(unwrap(value))
    else:
        _get(value, _WAITING).append(callback)


def _forward(name: str) -> Callable[..., Any]:
    """Return a method that calls the operation `name` of the object stood for.

    Operators are looked up on the class, so `__getattribute__` never sees them.
    """

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        target = unwrap(self)
        operation = getattr(type(target), name, None)
        if operation is not None:
            return operation(target, *args, **kwargs)
        if name in _BINARY:
            return NotImplemented  # Python asks the other operand
        raise TypeError(f"{type(target).__name__!r} object does not support {name}")

    method.__name__ = name
    return method


# Only what apps, tasks and mappings have: with every operation, a Proxy would pass for an awaitable or a number.
_BINARY: Final = frozenset({"__or__", "__ror__"})
_OPERATIONS: Final = (
    *("__call__", "__repr__", "__str__", "__format__", "__dir__", "__hash__"),
    *("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"),
    *("__len__", "__getitem__", "__setitem__", "__delitem__", "__contains__", "__iter__"),
    *("__enter__", "__exit__"),
    *sorted(_BINARY),
)
for _name in _OPERATIONS:
    setattr(Proxy, _name, _forward(_name))


def _truth(self: Any) -> bool:
    return bool(unwrap(self))


setattr(Proxy, "__bool__", _truth)  # noqa: B010 - beside the others
