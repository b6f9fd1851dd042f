"""YAML, with the loader that makes plain data only. Needs the package PyYAML."""

from __future__ import annotations

import importlib
from functools import lru_cache
from typing import Any

from fastq.exceptions import SerializerNotInstalled

__all__ = ["dumps", "loads"]


@lru_cache(maxsize=1)
def _parts() -> tuple[Any, Any, Any]:
    """Return the package with its loader and dumper: those written in C where they are installed."""
    try:
        yaml: Any = importlib.import_module("yaml")
    except ImportError as error:
        raise SerializerNotInstalled(
            "The serializer 'yaml' needs the package PyYAML: pip install 'fastq-tasks[yaml]'."
        ) from error
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return yaml, loader, dumper


def dumps(value: Any) -> bytes:
    """Return a value as a YAML document in UTF-8."""
    yaml, _, dumper = _parts()
    document: bytes = yaml.dump(value, Dumper=dumper, encoding="utf-8", allow_unicode=True)
    return document


def loads(data: bytes) -> Any:
    """Return the value of a YAML document."""
    yaml, loader, _ = _parts()
    return yaml.load(data, Loader=loader)
