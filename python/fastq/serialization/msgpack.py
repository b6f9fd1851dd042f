"""MessagePack: JSON's types and bytes, in binary. Needs the package msgpack."""

from __future__ import annotations

import importlib
from functools import lru_cache
from typing import Any

from fastq.exceptions import SerializerNotInstalled

__all__ = ["dumps", "loads"]


@lru_cache(maxsize=1)
def _package() -> Any:
    try:
        return importlib.import_module("msgpack")
    except ImportError as error:
        raise SerializerNotInstalled(
            "The serializer 'msgpack' needs the package msgpack: pip install 'fastq-tasks[msgpack]'."
        ) from error


def dumps(value: Any) -> bytes:
    """Return a value in binary; text and bytes stay apart."""
    packed: bytes = _package().packb(value, use_bin_type=True)
    return packed


def loads(data: bytes) -> Any:
    """Return the value; keys that are numbers are allowed."""
    return _package().unpackb(data, raw=False, strict_map_key=False)
