"""fastq: run functions in other processes, reliably and fast.

::

    from fastq import FastQ

    app = FastQ("shop")


    @app.task
    def add(x: int, y: int) -> int:
        return x + y


    add.delay(2, 3).get(timeout=5)

The names below are loaded when they are first used, so that importing fastq costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from fastq.app import FastQ, current_app, current_task, shared_task
    from fastq.app.send import new_id as uuid
    from fastq.app.task import Task
    from fastq.app.topology import Broadcast, Exchange, Queue, binding
    from fastq.canvas import chain, chord, chunks, group, xmap, xstarmap
    from fastq.canvas.signature import Signature, maybe_signature, signature, subtask
    from fastq.result import AsyncResult, GroupResult, ResultSet

    __version__: str

__all__ = [
    "AsyncResult",
    "Broadcast",
    "Exchange",
    "FastQ",
    "GroupResult",
    "Queue",
    "ResultSet",
    "Signature",
    "Task",
    "__version__",
    "binding",
    "chain",
    "chord",
    "chunks",
    "current_app",
    "current_task",
    "group",
    "maybe_signature",
    "shared_task",
    "signature",
    "subtask",
    "uuid",
    "xmap",
    "xstarmap",
]

_HOMES: Final = {
    "AsyncResult": "fastq.result",
    "Broadcast": "fastq.app.topology",
    "Exchange": "fastq.app.topology",
    "FastQ": "fastq.app",
    "GroupResult": "fastq.result",
    "Queue": "fastq.app.topology",
    "ResultSet": "fastq.result",
    "Signature": "fastq.canvas.signature",
    "Task": "fastq.app.task",
    "binding": "fastq.app.topology",
    "chain": "fastq.canvas",
    "chord": "fastq.canvas",
    "chunks": "fastq.canvas",
    "current_app": "fastq.app",
    "current_task": "fastq.app",
    "group": "fastq.canvas",
    "maybe_signature": "fastq.canvas.signature",
    "shared_task": "fastq.app",
    "signature": "fastq.canvas.signature",
    "subtask": "fastq.canvas.signature",
    "uuid": "fastq.app.send:new_id",
    "xmap": "fastq.canvas",
    "xstarmap": "fastq.canvas",
}
"""Where each name lives; `module:name` when it has another name there."""

_DISTRIBUTION: Final = "fastq-tasks"


if not TYPE_CHECKING:  # a type checker shall report a name that is not there

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            value: Any = _version()
        elif name in _HOMES:
            module, _, attribute = _HOMES[name].partition(":")
            value = getattr(importlib.import_module(module), attribute or name)
        else:
            later = importlib.import_module("fastq.later")
            raise later.missing(__name__, name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _version() -> str:
    from importlib import metadata

    try:
        return metadata.version(_DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "0+unknown"
