"""Pickle: any Python object, for brokers that only trusted programs can write to.

Reading a pickle runs whatever its writer wanted, so it is read only where `accept_content` names it.
"""

from __future__ import annotations

from typing import Any, Final

__all__ = ["PROTOCOL", "dumps", "loads"]

PROTOCOL: Final = 4
"""What every Python that Celery runs on can read."""


def dumps(value: Any) -> bytes:
    """Return a value as a pickle of protocol 4."""
    import pickle  # most programs never do

    return pickle.dumps(value, protocol=PROTOCOL)


def loads(data: bytes) -> Any:
    """Return the value of a pickle. The caller must have checked that pickles are accepted."""
    import pickle

    return pickle.loads(data)  # noqa: S301 - accepted by configuration
