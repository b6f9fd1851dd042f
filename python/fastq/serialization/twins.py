"""Exceptions that Celery has too: which of its classes is which of ours.

Stored results name exceptions by module and class. Under Celery's names both sides find their own class.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from fastq import exceptions

__all__ = ["OWN_MODULE", "SHARED", "WIRE_MODULE", "is_wrapper", "made_up", "twin", "unwrapped"]

OWN_MODULE: Final = exceptions.__name__
WIRE_MODULE: Final = "celery.exceptions"
"""The module that is written for our own exceptions, so that a Celery client finds its class of that name."""
SHARED: Final = frozenset(exceptions.__all__) - {
    "AccessRefused", "BackendError", "ConnectionClosed", "FastQError", "FastQWarning", "NotSupported",
    "PreconditionFailed", "SerializationError", "UnknownSettingWarning",
}  # fmt: skip
"""Our exceptions that Celery has too."""

_MODULES: Final = frozenset({WIRE_MODULE, "billiard.exceptions", "billiard.einfo", "kombu.exceptions"})
_WRAPPER: Final = ("celery.utils.serialization", "UnpickleableExceptionWrapper")


def twin(module: str | None, name: str) -> Any:
    """Return our class for one of Celery's; None when we have none."""
    return getattr(exceptions, name) if module in _MODULES and name in SHARED else None


def is_wrapper(module: str | None, name: str) -> bool:
    """Tell whether a class is the one in which Celery wraps exceptions that cannot be pickled, whatever the format."""
    return (module, name) == _WRAPPER


def unwrapped(module: Any, name: Any, _arguments: Any = None, text: Any = None, *_: Any) -> Exception:
    """Return the exception that the wrapper's arguments tell of; its class is made up, its message the whole text."""
    return made_up(str(name), str(module))(text)


@lru_cache(maxsize=256)
def made_up(name: str, module: str) -> type[Exception]:
    """Return an exception class that stands for one that is not found here; the same one each time."""
    return type(name, (Exception,), {"__module__": module, "__doc__": f"Stands for {module}.{name}, not found here."})
