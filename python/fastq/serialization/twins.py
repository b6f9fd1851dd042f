"""Exceptions that Celery has too: which of its classes is which of ours.

Stored results name exceptions by module and class. Under Celery's names both sides find their own class.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from fastq import exceptions

__all__ = ["OWN_MODULE", "is_wrapper", "made_up", "twin", "unwrapped", "wire_name"]

OWN_MODULE: Final = exceptions.__name__

_CELERY, _KOMBU = "celery.exceptions", "kombu.exceptions"
_MODULES: Final = frozenset({_CELERY, _KOMBU, "celery.platforms", "billiard.exceptions", "billiard.einfo"})
"""Where Celery's own exceptions come from; those of billiard are in `celery.exceptions` too."""
_ONLY_HERE: Final = frozenset(
    {"AccessRefused", "ConnectionClosed", "FastQError", "FastQWarning", "NotSupported", "PreconditionFailed",
     "UnknownSettingWarning"}
)  # fmt: skip
"""Names that Celery does not have."""
_SHARED: Final = frozenset(exceptions.__all__) - _ONLY_HERE
_RENAMED: Final = {"FastQError": "CeleryError", "FastQWarning": "CeleryWarning"}
_ELSEWHERE: Final = {
    **dict.fromkeys(
        ("ContentDisallowed", "DecodeError", "EncodeError", "SerializationError", "SerializerNotInstalled"), _KOMBU
    ),
    "LockFailed": "celery.platforms",
}
"""Modules of those that are not in `celery.exceptions`."""
_WRAPPER: Final = ("celery.utils.serialization", "UnpickleableExceptionWrapper")


def wire_name(kind: type[BaseException]) -> tuple[str, str]:
    """Return module and qualified name under which a class is written: for one of ours those of Celery's class."""
    name = kind.__qualname__
    if kind.__module__ == OWN_MODULE:
        name = _RENAMED.get(name, name)
        if name in _SHARED:
            return _ELSEWHERE.get(name, _CELERY), name
    return kind.__module__, name


def twin(module: str | None, name: str) -> Any:
    """Return our class for one of Celery's; None when we have none."""
    return getattr(exceptions, name) if module in _MODULES and name in _SHARED else None


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
