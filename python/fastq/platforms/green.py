"""gevent: whether it is wanted, and having it patch the standard library before anything else is imported."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["is_patched", "is_wanted", "patch"]

_NAME = "gevent"


def is_wanted(arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Return whether a command line asks for a worker with green threads."""
    if "worker" not in arguments:
        return False
    for before, word in zip(["", *arguments], arguments, strict=False):
        if word in (f"-P{_NAME}", f"--pool={_NAME}") or (word == _NAME and before in ("-P", "--pool")):
            return True
    return environment.get("FASTQ_WORKER_POOL") == _NAME


def patch() -> bool:
    """Have gevent patch the standard library; return False when it is not installed."""
    try:
        from gevent import monkey
    except ImportError:
        return False
    monkey.patch_all()
    return True


def is_patched() -> bool:
    """Return whether it has patched what waits."""
    monkey: Any = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("socket"))
