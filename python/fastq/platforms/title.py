"""What `ps` shows for a process. Needs the package setproctitle; without it nothing changes."""

from __future__ import annotations

import importlib
from functools import lru_cache
from typing import Any

__all__ = ["set_title", "worker_title"]


@lru_cache(maxsize=1)
def _package() -> Any:
    try:
        return importlib.import_module("setproctitle")
    except ImportError:
        return None


def set_title(title: str) -> bool:
    """Set the title of this process; return whether it could be set."""
    package = _package()
    if package is None:
        return False
    package.setproctitle(title)
    return True


def worker_title(node: str, activity: str = "", program: str = "fastq") -> str:
    """Return the title of a worker's process: `[fastq: worker@host:MainProcess] activity`.

    Args:
        node: node name, with the process after a colon.
        activity: what it does now.
        program: the first word.
    """
    return f"[{program}: {node}]{' ' if activity else ''}{activity}"
