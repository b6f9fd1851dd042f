"""Signals: what happens, told to whoever has asked.

A receiver takes keyword arguments and must accept ones it does not know, for more may come::

    @task_failure.connect(sender=add)
    def alarm(sender, task_id, exception, **kwargs): ...

What receivers raise is logged and returned, never raised. `if task_success:` is false while nobody listens, so that a
caller on the hot path makes no arguments for nobody.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable, Iterable
from types import MethodType
from typing import Any, Final, NamedTuple, TypeVar, overload

from fastq.proxy import is_evaluated, unwrap, when_evaluated

__all__ = [
    "Signal",
    "after_setup_logger",
    "after_setup_task_logger",
    "after_task_publish",
    "beat_embedded_init",
    "beat_init",
    "before_task_publish",
    "celeryd_after_setup",
    "celeryd_init",
    "cleanup_signal",
    "eventlet_pool_apply",
    "eventlet_pool_postshutdown",
    "eventlet_pool_preshutdown",
    "eventlet_pool_started",
    "heartbeat_sent",
    "import_modules",
    "setup_logging",
    "shutter_signal",
    "task_failure",
    "task_internal_error",
    "task_postrun",
    "task_prerun",
    "task_received",
    "task_rejected",
    "task_retry",
    "task_revoked",
    "task_sent",
    "task_success",
    "task_unknown",
    "user_preload_options",
    "worker_before_create_process",
    "worker_init",
    "worker_process_init",
    "worker_process_shutdown",
    "worker_ready",
    "worker_shutdown",
    "worker_shutting_down",
]

Receiver = TypeVar("Receiver", bound=Callable[..., Any])

_logger: Final = logging.getLogger("celery.signals")
_ANYONE: Final = object()
_RETRY_PAUSES: Final = (0.2, 0.5, 1.0, 2.0)
"""Seconds between the tries of a receiver connected with `retry=True`: bounded, for the sender waits meanwhile."""


class _Connection(NamedTuple):
    key: object
    sender: Callable[[], Any]
    receiver: Callable[[], Callable[..., Any] | None]


class Signal:
    """A kind of event. Connecting and sending may be done from any thread.

    Args:
        name: for logs.
        providing_args: the keyword arguments that receivers get.
    """

    def __init__(self, name: str | None = None, providing_args: Iterable[str] = ()) -> None:
        """Make a signal nobody listens to."""
        self.name = name
        self.providing_args = frozenset(providing_args)
        self._lock = threading.Lock()
        self._connections: tuple[_Connection, ...] = ()
        """Replaced under the lock, read without it."""

    def __bool__(self) -> bool:
        return bool(self._connections)

    def __repr__(self) -> str:
        return f"<Signal: {self.name} providing_args={sorted(self.providing_args)}>"

    @overload
    def connect(self, receiver: Receiver, /) -> Receiver: ...
    @overload
    def connect(
        self,
        receiver: Receiver,
        sender: Any = None,
        weak: bool = True,
        dispatch_uid: Any = None,
        retry: bool = False,
    ) -> Receiver: ...
    @overload
    def connect(
        self,
        receiver: None = None,
        sender: Any = None,
        weak: bool = True,
        dispatch_uid: Any = None,
        retry: bool = False,
    ) -> Callable[[Receiver], Receiver]: ...
    def connect(
        self,
        receiver: Any = None,
        sender: Any = None,
        weak: bool = True,
        dispatch_uid: Any = None,
        retry: bool = False,
    ) -> Any:
        """Have `receiver` called when the signal is sent; a decorator with and without arguments.

        Args:
            receiver: takes keyword arguments, and unknown ones with `**kwargs`.
            sender: only signals of this sender: the object itself, or the name of a task. None: of every sender.
            weak: hold the receiver only as long as someone else does.
            dispatch_uid: a second receiver with the same uid and sender is not connected.
            retry: try a receiver that raises again, up to four times within four seconds.

        Raises:
            ValueError: the receiver does not accept keyword arguments.
        """
        if receiver is None:
            return lambda function: self._connect(function, sender, weak, dispatch_uid, retry)
        return self._connect(receiver, sender, weak, dispatch_uid, retry)

    def _connect(self, receiver: Receiver, sender: Any, weak: bool, uid: Any, retry: bool) -> Receiver:
        if not _takes_keywords(receiver):
            raise ValueError(f"Signal receiver {receiver!r} must accept keyword arguments (**kwargs).")
        if not is_evaluated(sender):
            # A task that is not made yet: wait for it, making it now would finalize its app.
            when_evaluated(sender, lambda task: self._connect(receiver, task, weak, uid, retry))
            return receiver
        sender = unwrap(sender)
        called = _Retrying(receiver) if retry else receiver
        connection = _Connection(
            (_identity(receiver) if uid is None else uid, _identity(sender)),
            _reference(sender),
            self._reference_to(receiver, called) if weak else lambda: called,
        )
        with self._lock:
            if all(known.key != connection.key for known in self._connections):
                self._connections = (*self._connections, connection)
        return receiver

    def _reference_to(self, receiver: Any, called: Callable[..., Any]) -> Callable[[], Callable[..., Any] | None]:
        kind: Any = weakref.WeakMethod if isinstance(receiver, MethodType) else weakref.ref
        reference = kind(receiver, self._forget)
        if called is receiver:
            return reference  # type: ignore[no-any-return]

        def retrying() -> Callable[..., Any] | None:
            alive = reference()
            return None if alive is None else _Retrying(alive)

        retrying.reference = reference  # type: ignore[attr-defined]
        return retrying

    def _forget(self, reference: Any) -> None:
        # Called by the garbage collector, perhaps inside `connect` on the same thread: so no lock here. A race loses
        # nothing, for a dead reference is passed over when the signal is sent.
        self._connections = tuple(
            known
            for known in self._connections
            if known.receiver is not reference and getattr(known.receiver, "reference", None) is not reference
        )

    def disconnect(self, receiver: Any = None, sender: Any = None, dispatch_uid: Any = None) -> bool:
        """Undo `connect` with the same receiver, sender and uid; return whether there was anything to undo."""
        key = (_identity(receiver) if dispatch_uid is None else dispatch_uid, _identity(unwrap(sender)))
        with self._lock:
            kept = tuple(known for known in self._connections if known.key != key)
            found = len(kept) < len(self._connections)
            self._connections = kept
        return found

    def has_listeners(self, sender: Any = None) -> bool:
        """Tell whether anyone would be called for this sender."""
        return bool(self._receivers_for(sender))

    @property
    def receivers(self) -> list[Callable[..., Any]]:
        """Every receiver that is connected."""
        return [alive for known in self._connections if (alive := known.receiver()) is not None]

    def _receivers_for(self, sender: Any) -> list[Callable[..., Any]]:
        found = []
        for known in self._connections:
            wanted = known.sender()
            if (wanted is _ANYONE or _same_sender(wanted, sender)) and (receiver := known.receiver()) is not None:
                found.append(receiver)
        return found

    def send(self, sender: Any, **named: Any) -> list[tuple[Callable[..., Any], Any]]:
        """Call every receiver for this sender and return pairs of receiver and answer (or the exception it raised).

        Args:
            sender: who sends.
            **named: the arguments of the signal.
        """
        if not self._connections:
            return []
        sender = unwrap(sender)
        answers: list[tuple[Callable[..., Any], Any]] = []
        for receiver in self._receivers_for(sender):
            try:
                answer = receiver(signal=self, sender=sender, **named)
            except Exception as error:
                _logger.exception("Signal handler %r raised: %r", receiver, error)
                answers.append((receiver, error))
            else:
                answers.append((receiver, answer))
        return answers

    send_robust = send


class _Retrying:
    """Calls a receiver again when it raises."""

    def __init__(self, receiver: Callable[..., Any]) -> None:
        self._receiver = receiver

    def __repr__(self) -> str:
        return repr(self._receiver)

    def __call__(self, **named: Any) -> Any:
        for pause in _RETRY_PAUSES:
            try:
                return self._receiver(**named)
            except Exception as error:  # noqa: BLE001 - tried again, and raised at last
                _logger.warning("Signal handler %r raised, trying again in %s s: %r", self._receiver, pause, error)
                threading.Event().wait(pause)
        return self._receiver(**named)


def _takes_keywords(receiver: Any) -> bool:
    import inspect

    try:
        parameters = inspect.signature(receiver).parameters.values()
    except (TypeError, ValueError):
        return True  # written in C: nobody can tell
    return any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters)


def _identity(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if isinstance(value, MethodType):
        return id(value.__self__), id(value.__func__)
    return id(value)


def _reference(sender: Any) -> Callable[[], Any]:
    """Return a function that returns the sender while it lives: an id alone could be used again by another object."""
    if sender is None:
        return lambda: _ANYONE
    try:
        return weakref.ref(sender)
    except TypeError:
        return lambda: sender


def _same_sender(wanted: Any, sender: Any) -> bool:
    if isinstance(wanted, str):
        return wanted == (sender if isinstance(sender, str) else getattr(sender, "name", None))
    return wanted is not None and wanted is sender


before_task_publish = Signal(
    "before_task_publish",
    ("body", "exchange", "routing_key", "headers", "properties", "declare", "retry_policy"),
)
"""A task is about to be sent; sender: its name. Body, headers and properties may be changed here."""

after_task_publish = Signal("after_task_publish", ("body", "headers", "exchange", "routing_key"))
"""A task has been sent; sender: its name."""

task_sent = Signal("task_sent", ("task_id", "task", "args", "kwargs", "eta", "taskset"))
"""Deprecated: `after_task_publish`."""

task_received = Signal("task_received", ("request",))
"""A worker has received a task; sender: its consumer. In the parent process."""

task_prerun = Signal("task_prerun", ("task_id", "task", "args", "kwargs"))
"""A task is about to run; sender: the task. In the pool process, as all that follow up to `task_internal_error`."""

task_postrun = Signal("task_postrun", ("task_id", "task", "args", "kwargs", "retval", "state"))
"""A task has run, however it ended; sender: the task."""

task_success = Signal("task_success", ("result", "runtime"))
"""A task has returned; sender: the task. `runtime` in seconds."""

task_retry = Signal("task_retry", ("request", "reason", "einfo"))
"""A task will be retried; sender: the task."""

task_failure = Signal("task_failure", ("task_id", "exception", "args", "kwargs", "traceback", "einfo"))
"""A task has failed; sender: the task. In the parent process when the pool process was lost or killed."""

task_internal_error = Signal(
    "task_internal_error", ("task_id", "args", "kwargs", "request", "exception", "traceback", "einfo")
)
"""fastq itself failed while it ran a task; sender: the task."""

task_revoked = Signal("task_revoked", ("request", "terminated", "signum", "expired"))
"""A task was revoked or had expired; sender: the task. In the parent process."""

task_rejected = Signal("task_rejected", ("message", "exc"))
"""A message was no task, or one that may not be decoded; sender: the consumer."""

task_unknown = Signal("task_unknown", ("message", "exc", "name", "id"))
"""A task of an unknown name was received; sender: the consumer."""

celeryd_init = Signal("celeryd_init", ("instance", "conf", "options"))
"""A worker starts: the first signal, before anything is read from `conf`; sender: its node name."""

celeryd_after_setup = Signal("celeryd_after_setup", ("instance", "conf"))
"""A worker is set up and about to start; sender: its node name."""

import_modules = Signal("import_modules")
"""The modules of the settings `imports` and `include` are about to be imported; sender: the app."""

worker_init = Signal("worker_init")
"""A worker is made; sender: the worker."""

worker_before_create_process = Signal("worker_before_create_process")
"""A pool process is about to be forked; sender: the pool process."""

worker_process_init = Signal("worker_process_init")
"""A pool process has started: return within four seconds; sender: the node name. In the pool process."""

worker_process_shutdown = Signal("worker_process_shutdown", ("pid", "exitcode"))
"""A pool process is about to leave; sender: the node name. In the pool process."""

worker_ready = Signal("worker_ready")
"""The worker takes tasks now; sender: its consumer."""

worker_shutting_down = Signal("worker_shutting_down", ("sig", "how", "exitcode"))
"""The worker begins to stop; `how` is Warm or Cold; sender: the node name."""

worker_shutdown = Signal("worker_shutdown")
"""The worker has stopped; sender: the worker."""

heartbeat_sent = Signal("heartbeat_sent")
"""The worker has told that it is alive; sender: the heartbeat."""

setup_logging = Signal("setup_logging", ("loglevel", "logfile", "format", "colorize"))
"""Logging is about to be set up; when anyone is connected, fastq leaves that to them; sender: None."""

after_setup_logger = Signal("after_setup_logger", ("logger", "loglevel", "logfile", "format", "colorize"))
"""The root logger is set up; sender: None."""

after_setup_task_logger = Signal("after_setup_task_logger", ("logger", "loglevel", "logfile", "format", "colorize"))
"""The logger of tasks is set up; sender: None."""

beat_init = Signal("beat_init")
"""The scheduler starts; sender: its service."""

beat_embedded_init = Signal("beat_embedded_init")
"""The scheduler starts inside a worker, after `beat_init`; sender: its service."""

eventlet_pool_started = Signal("eventlet_pool_started")
"""The eventlet pool has started; sender: the pool."""

eventlet_pool_preshutdown = Signal("eventlet_pool_preshutdown")
"""The eventlet pool is about to stop; sender: the pool."""

eventlet_pool_postshutdown = Signal("eventlet_pool_postshutdown")
"""The eventlet pool has stopped; sender: the pool."""

eventlet_pool_apply = Signal("eventlet_pool_apply", ("target", "args", "kwargs"))
"""A task was given to the eventlet pool; sender: the pool."""

user_preload_options = Signal("user_preload_options", ("app", "options"))
"""The options of a command were read; sender: the command."""

shutter_signal = Signal("shutter_signal", ("state",))
"""A snapshot of the cluster is taken; sender: the camera."""

cleanup_signal = Signal("cleanup_signal")
"""The camera removes what is too old; sender: the camera."""
