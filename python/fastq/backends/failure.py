"""An exception as it is stored (protocol.md §7.2).

::

    {"exc_type": "KeyError", "exc_message": ["sku-9"], "exc_module": "builtins"}

Whoever can write to the result store chooses the names, so nothing is imported to read them: a class is looked for
among the modules that are loaded, must be an exception class, and is otherwise made up under that name.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, TypedDict

from fastq.exceptions import SecurityError
from fastq.serialization import twins

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["StoredException", "restore", "stored"]

_PLAIN: Final = frozenset({str, int, float, bool, type(None)})


class StoredException(TypedDict):
    """The stored form."""

    exc_type: str
    exc_message: Any
    exc_module: str


def stored(error: BaseException, writable: Callable[[Any], object]) -> StoredException:
    """Return the stored form of an exception.

    Args:
        error: any exception.
        writable: raises for a value that the serializer cannot write; of such an argument the representation is stored.
    """
    module, name = twins.wire_name(type(error))
    arguments = [_argument(value, writable) for value in error.args]
    return {"exc_type": name, "exc_message": arguments, "exc_module": module}


def _argument(value: Any, writable: Callable[[Any], object]) -> Any:
    if type(value) in _PLAIN:
        return value
    try:
        writable(value)
    except Exception:  # noqa: BLE001 - a serializer raises what it likes
        return _representation(value)
    return value


def _representation(value: Any) -> str:
    try:
        return repr(value)
    except Exception as failure:  # noqa: BLE001 - the user's code
        return f"<{type(value).__name__} whose representation raises {type(failure).__name__}>"


def restore(document: Mapping[str, Any]) -> BaseException:
    """Return the exception that a stored form describes.

    Raises:
        ValueError: it names no class.
        SecurityError: the name stands for something that is no exception class.
    """
    name = document.get("exc_type")
    if not isinstance(name, str) or not name:
        raise ValueError("The stored exception names no class (exc_type).")
    module = document.get("exc_module")
    module = module if isinstance(module, str) else None
    message = document.get("exc_message")
    arguments = message if isinstance(message, (list, tuple)) else () if message is None else (message,)
    if twins.is_wrapper(module, name) and len(arguments) > 1:
        return twins.unwrapped(*arguments)
    kind = _find(name, module)
    try:
        return kind(*arguments)
    except Exception:  # noqa: BLE001 - the user's code
        # The class wants other arguments than it keeps in `args`.
        return Exception(f"{kind.__name__}({', '.join(map(_representation, arguments))})")


def _find(name: str, module: str | None) -> type[BaseException]:
    """Return the class of that name, or one made up for it."""
    found: Any = twins.twin(module, name)
    if found is None:
        found = sys.modules.get(module or "builtins")
        for part in name.split("."):
            found = getattr(found, part, None)
    if found is None:
        return twins.made_up(name.rpartition(".")[2], module or __name__)
    if not isinstance(found, type) or not issubclass(found, BaseException):
        raise SecurityError(f"The stored exception names {module}.{name}, which is no exception class.")
    # A SystemExit that a task raised must not end the client that asks for the result.
    return found if issubclass(found, Exception) else twins.made_up(found.__name__, found.__module__)
