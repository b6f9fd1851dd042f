"""Pickle: any Python object, for brokers that only trusted programs can write to.

Reading a pickle runs whatever its writer wanted, so it is read only where `accept_content` names it.
"""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any, Final

from fastq.serialization import twins

__all__ = ["PROTOCOL", "dumps", "loads"]

PROTOCOL: Final = 4
"""What every Python that Celery runs on can read."""


def dumps(value: Any) -> bytes:
    """Return a value as a pickle of protocol 4."""
    import pickle  # most programs never do

    return pickle.dumps(value, protocol=PROTOCOL)


def loads(data: bytes) -> Any:
    """Return the value of a pickle. The caller must have checked that pickles are accepted."""
    return _reader()(io.BytesIO(data)).load()


@lru_cache(maxsize=1)
def _reader() -> Any:
    """Return the class that reads: Celery's exceptions, which need not be installed here, become ours."""
    import pickle

    class Reader(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            if twins.is_wrapper(module, name):
                return twins.unwrapped
            return twins.twin(module, name) or super().find_class(module, name)

    return Reader
