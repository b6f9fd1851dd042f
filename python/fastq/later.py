"""Celery's names that this version of fastq does not have, and what to do instead: the one place that knows them.

Whoever uses one is told so. They are no attributes all the same: `hasattr` is false, and type checkers, who do not see
what is done here, report them as any other name that is not there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Final, NoReturn, TypeVar

__all__ = ["AMQP", "APP", "MODULES", "RESULT", "SIGNATURE", "TASK", "lacks", "missing"]

Class = TypeVar("Class", bound=type)

_PERIODIC: Final = "periodic tasks are not part of this version: let cron, or a systemd timer, run `fastq call`"
_EVENTS: Final = "events for monitors are not part of this version: connect a receiver to a signal of fastq.signals"
_CONNECTION: Final = "there are no connections of kombu's here: set broker_url, and let delay() or app.send_task() send"
_BOOTSTEPS: Final = (
    "the worker is written in Rust and has no bootsteps: connect a receiver to a signal of fastq.signals"
)
_LOADER: Final = "there are no loaders: let app.config_from_object(), or the option --config, name the settings"
_SETUP: Final = "set it in the settings, app.conf"
_REPORT: Final = "the command `fastq report` prints it"
_DJANGO: Final = "Django's tasks are not part of this version: django.db.transaction.on_commit(task.delay) does it"

MODULES: Final[Mapping[str, str]] = {
    "Celery": "the app is called FastQ here: `from fastq import FastQ`",
    "bugreport": _REPORT,
}
"""What `from fastq import …`, or from `fastq.canvas` and `fastq.result`, may be asked for."""

APP: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        (
            "connection",
            "connection_for_read",
            "connection_for_write",
            "connection_or_acquire",
            "pool",
            "producer_or_acquire",
            "producer_pool",
        ),
        _CONNECTION,
    ),
    **dict.fromkeys(("Beat", "add_periodic_task"), _PERIODIC),
    **dict.fromkeys(("WorkController", "steps"), _BOOTSTEPS),
    **dict.fromkeys(("clock", "events"), _EVENTS),
    **dict.fromkeys(("either", "prepare_config"), _SETUP),
    "annotations": "write the setting task_annotations",
    "bugreport": _REPORT,
    "loader": _LOADER,
    "log": "logging is set up by fastq.log, and the signal setup_logging replaces that",
    "on_after_fork": "connect a receiver to the signal worker_process_init",
    "setup_security": "signed messages are not part of this version: leave task_serializer at json",
    "user_options": "the command line takes no options of an app's own: read them from the environment",
}
"""Of the app."""

AMQP: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("Connection", "Consumer", "Producer", "TaskConsumer", "producer_pool", "send_task_message"), _CONNECTION
    ),
    **dict.fromkeys(("as_task_v1", "as_task_v2", "create_task_message"), "a message is made when it is sent"),
}
"""Of `app.amqp`."""

TASK: Final[Mapping[str, str]] = {
    **dict.fromkeys(("apply_async_on_commit", "delay_on_commit"), _DJANGO),
    "request_stack": "the request of the run at hand is `request`",
    "start_strategy": "the core, written in Rust, takes messages in, and no class in Python",
}
"""Of tasks."""

RESULT: Final[Mapping[str, str]] = {
    "throw": "use maybe_throw()",
}
"""Of results."""

SIGNATURE: Final[Mapping[str, str]] = {
    "election": "elections among workers are not part of this version: give the call unique work to one queue",
}
"""Of signatures."""


class _Absent:
    """An attribute that is not there, and says why. What a subclass or an object defines in its place counts."""

    def __init__(self, name: str, advice: str) -> None:
        self.name = name
        self.advice = advice

    def __get__(self, owned: object, owner: type) -> NoReturn:
        raise AttributeError(f"fastq has no {owner.__name__}.{self.name}: {self.advice}.")


def lacks(names: Mapping[str, str]) -> Callable[[Class], Class]:
    """Return a class decorator: who uses one of these names, which the class does not have, is told what to do."""

    def decorate(owner: Class) -> Class:
        for name, advice in names.items():
            setattr(owner, name, _Absent(name, advice))
        return owner

    return decorate


def missing(module: str, name: str) -> Exception:
    """Return the error to raise for a name that a module does not have; to be called by its `__getattr__`.

    An import statement would replace an AttributeError by a text of its own. It asks through a function of importlib,
    which lets an ImportError pass.
    """
    advice = MODULES.get(name)
    if advice is None:
        return AttributeError(f"module {module!r} has no attribute {name!r}")
    text = f"{module} has no {name}: {advice}."
    if sys._getframe(2).f_globals.get("__name__") == "importlib._bootstrap":  # noqa: SLF001 - who asks decides what is raised
        return ImportError(text, name=module)
    return AttributeError(text)
