"""Every exception and warning of fastq.

::

    Exception
    ├── FastQError (CeleryError)
    │   ├── ImproperlyConfigured            a setting, URL or option that cannot work
    │   ├── SecurityError                   a signature or class that is not trusted
    │   ├── OperationalError                the broker or store cannot be reached now; trying again may help
    │   │   └── AccessRefused               login or access rights
    │   ├── PreconditionFailed              exists already, with other arguments
    │   ├── ConnectionClosed                used after close
    │   ├── NotSupported                    this broker, backend or pool cannot do that
    │   ├── QueueNotFound (KeyError)
    │   ├── NotRegistered (KeyError)        unknown task
    │   ├── SerializationError
    │   │   ├── EncodeError                 a value that cannot be written
    │   │   ├── DecodeError                 bytes that are not what they say
    │   │   ├── SerializerNotInstalled      unknown format, or its package is missing
    │   │   └── ContentDisallowed           a format that is not accepted
    │   ├── BackendError
    │   │   ├── BackendGetMetaError
    │   │   └── BackendStoreError
    │   ├── TaskError
    │   │   ├── AlreadyRegistered · IncompleteStream · InvalidTaskError · ChordError
    │   │   ├── TaskRevokedError · MaxRetriesExceededError · TaskAlreadyQueued
    │   │   └── TimeoutError (builtins.TimeoutError)
    │   └── TaskPredicate                   control words of a task's code, not errors
    │       └── Ignore · Reject · Retry
    ├── SoftTimeLimitExceeded · TimeLimitExceeded · WorkerLostError · Terminated
    └── LockFailed                          a pid file held by a living process
    SystemExit └── WorkerShutdown · WorkerTerminate
    UserWarning
    └── FastQWarning (CeleryWarning)
        └── AlwaysEagerIgnored · DuplicateNodenameWarning · DuplicateTaskNameWarning · FixupWarning
            NotConfigured · SecurityWarning · UnknownSettingWarning
    DeprecationWarning └── CDeprecationWarning; PendingDeprecationWarning └── CPendingDeprecationWarning

Names, bases and arguments follow Celery. An exception made without arguments says the first line of its docstring; its
`args` stay empty, so that what is stored and pickled is what was raised.
"""

# ruff: noqa: N818 - the names are Celery's
from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

__all__ = [
    "AccessRefused", "AlreadyRegistered", "AlwaysEagerIgnored", "BackendError", "BackendGetMetaError",
    "BackendStoreError", "CDeprecationWarning", "CPendingDeprecationWarning", "CeleryError", "CeleryWarning",
    "ChordError", "ConnectionClosed", "ContentDisallowed", "DecodeError", "DuplicateNodenameWarning",
    "DuplicateTaskNameWarning", "EncodeError", "FastQError", "FastQWarning", "FixupWarning", "Ignore",
    "ImproperlyConfigured", "IncompleteStream", "InvalidTaskError", "LockFailed", "MaxRetriesExceededError",
    "NotConfigured", "NotRegistered", "NotSupported", "OperationalError", "PreconditionFailed", "QueueNotFound",
    "Reject", "Retry", "RetryTaskError", "SecurityError", "SecurityWarning", "SerializationError",
    "SerializerNotInstalled", "SoftTimeLimitExceeded", "SystemTerminate", "TaskAlreadyQueued", "TaskError",
    "TaskPredicate", "TaskRevokedError", "Terminated", "TimeLimitExceeded", "TimeoutError", "UnknownSettingWarning",
    "WorkerLostError", "WorkerShutdown", "WorkerTerminate",
]  # fmt: skip


class FastQError(Exception):
    """Something went wrong in fastq."""

    sent: Sequence[Any] = ()
    """Results of the calls that were sent before it, when many were being sent (`Task.apply_async_many`)."""

    def __str__(self) -> str:
        if not self.args:
            return (type(self).__doc__ or "").partition("\n")[0]
        return str(self.args[0]) if len(self.args) == 1 else str(self.args)


CeleryError = FastQError


class ImproperlyConfigured(FastQError):
    """A setting cannot work as it is."""


class SecurityError(FastQError):
    """Something that is not trusted was refused."""


class OperationalError(FastQError):
    """The broker or the result store cannot be reached now."""


class AccessRefused(OperationalError):
    """Access was refused: check user, password and rights."""


class PreconditionFailed(FastQError):
    """It exists already, with other arguments than these."""


class ConnectionClosed(FastQError):
    """The connection was used after it had been closed."""


class NotSupported(FastQError):
    """This is not supported here."""


class QueueNotFound(FastQError, KeyError):
    """The queue does not exist."""


class NotRegistered(FastQError, KeyError):
    """The task is not registered: is the module that defines it imported?"""

    def __repr__(self) -> str:
        return f"NotRegistered({', '.join(map(repr, self.args))})"


class SerializationError(FastQError):
    """A value could not be encoded or decoded."""


class EncodeError(SerializationError):
    """A value cannot be encoded."""


class DecodeError(SerializationError):
    """The data cannot be decoded."""


class SerializerNotInstalled(SerializationError):
    """The serializer is not known, or the package it needs is not installed."""


class ContentDisallowed(SerializationError):
    """The content type is not accepted here: see the setting accept_content."""


class BackendError(FastQError):
    """The result backend failed."""


class BackendGetMetaError(BackendError):
    """The state of a task could not be read from the result backend."""

    def __init__(self, *args: Any, task_id: str = "") -> None:
        """Keep the id of the task whose state was asked for."""
        super().__init__(*args)
        self.task_id = task_id


class BackendStoreError(BackendError):
    """The state of a task could not be written to the result backend."""

    def __init__(self, *args: Any, state: str = "", task_id: str = "") -> None:
        """Keep the state and the id of the task that were to be written."""
        super().__init__(*args)
        self.state = state
        self.task_id = task_id


class TaskError(FastQError):
    """Something went wrong with a task."""


class AlreadyRegistered(TaskError):
    """The task is registered already."""


class IncompleteStream(TaskError):
    """The end of the data stream has not been reached yet."""


class InvalidTaskError(TaskError):
    """The task message has invalid data or is not properly constructed."""


class ChordError(TaskError):
    """A part of the chord raised an exception, or its results could not be joined."""


class TaskRevokedError(TaskError):
    """The task has been revoked, so there is no result."""


class TimeoutError(TaskError, builtins.TimeoutError):  # noqa: A001 - Celery's name; it is also the built-in
    """The operation did not end within its time limit."""


class TaskAlreadyQueued(TaskError):
    """Another call with the same unique key is under way."""

    def __init__(self, *args: Any, task_id: str = "", key: str = "") -> None:
        """Keep the id of the call that is under way, and the key."""
        super().__init__(*args)
        self.task_id = task_id
        self.key = key


class MaxRetriesExceededError(TaskError):
    """The task was to be retried more often than max_retries allows."""

    def __init__(
        self,
        *args: Any,
        task_args: Sequence[Any] = (),
        task_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep the arguments of the call that was given up."""
        super().__init__(*args)
        self.task_args = task_args
        self.task_kwargs = dict(task_kwargs or {})


class TaskPredicate(FastQError):
    """A control word of a task's code, not an error."""


class Ignore(TaskPredicate):
    """A task raises this so that its delivery is acknowledged and no state is stored."""


class Reject(TaskPredicate):
    """A task raises this so that its delivery is rejected: dead-lettered, or requeued.

    Only a task that is acknowledged late still has a delivery to reject.
    """

    def __init__(self, reason: Any = None, requeue: bool = False) -> None:
        """Say why, for the log and the dead letter, and whether the message goes back into its queue."""
        super().__init__(reason, requeue)
        self.reason = reason
        self.requeue = requeue

    def __repr__(self) -> str:
        return f"reject requeue={self.requeue}: {self.reason}"

    __str__ = __repr__


class Retry(TaskPredicate):
    """The task is to be retried later; raised by `Task.retry`.

    Args:
        message: why.
        exc: the exception that caused the retry.
        when: seconds from now, or the time of the next try.
        is_eager: whether the task runs without a broker.
        sig: the signature of the next try.
        **_: more of Celery's arguments, unused.
    """

    def __init__(
        self,
        message: str | None = None,
        exc: BaseException | str | None = None,
        when: float | datetime | None = None,
        is_eager: bool = False,
        sig: Any = None,
        **_: Any,
    ) -> None:
        """Keep what the tracer needs to describe and to repeat the run."""
        self.message = message
        self.exc = None if isinstance(exc, str) else exc
        self.excs: str | None = exc if isinstance(exc, str) or exc is None else repr(exc)
        self.when = when
        self.is_eager = is_eager
        self.sig = sig
        super().__init__(exc, when)

    def humanize(self) -> str:
        """Return when the next try comes: `in 30s` or `at 2030-01-01 00:00:00`."""
        if self.when is None or isinstance(self.when, (int, float)):
            return f"in {self.when or 0}s"
        return f"at {self.when}"

    def __str__(self) -> str:
        if self.message:
            return self.message
        reason = f": {self.excs}" if self.excs else ""
        return f"Retry {self.humanize()}{reason}"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message, self.exc if self.exc is not None else self.excs, self.when)


RetryTaskError = Retry


# Raised into or about users' code from outside it: no FastQError, so that catching those swallows no time limit.


class SoftTimeLimitExceeded(Exception):
    """The task ran longer than its soft time limit."""


class TimeLimitExceeded(Exception):
    """The task ran longer than its time limit and was stopped."""

    def __str__(self) -> str:
        return f"{type(self).__name__}{self.args!r}"


class WorkerLostError(Exception):
    """The process that ran the task has died."""


class Terminated(Exception):
    """The task was terminated by a user's request."""


class LockFailed(Exception):
    """The pid file is held by a process that is alive."""


class WorkerShutdown(SystemExit):
    """Raised in the worker to make it stop after its running tasks."""


class WorkerTerminate(SystemExit):
    """Raised in the worker to make it stop at once."""


SystemTerminate = WorkerTerminate


class FastQWarning(UserWarning):
    """Something in fastq deserves attention."""


CeleryWarning = FastQWarning


class AlwaysEagerIgnored(FastQWarning):
    """send_task ignores task_always_eager: it does not know the task's code."""


class DuplicateNodenameWarning(FastQWarning):
    """Several workers use the same node name."""


class DuplicateTaskNameWarning(FastQWarning):
    """Two functions are registered under one task name."""


class FixupWarning(FastQWarning):
    """The set-up for another framework met a problem."""


class NotConfigured(FastQWarning):
    """No configuration module was found."""


class SecurityWarning(FastQWarning):
    """A setting opens a way in for whoever can write to the broker."""


class UnknownSettingWarning(FastQWarning):
    """A setting has a name that fastq does not know."""


class CDeprecationWarning(DeprecationWarning):
    """What is used here goes away in a coming version."""


class CPendingDeprecationWarning(PendingDeprecationWarning):
    """What is used here will be deprecated."""
