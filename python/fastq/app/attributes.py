"""What a task class may set: every attribute with its default, and every hook.

An attribute whose default is a setting is looked up there as long as neither the class, the decorator nor an annotation
has set it; None counts as not set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from fastq.exceptions import ImproperlyConfigured, MaxRetriesExceededError, OperationalError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from fastq.app.protocol import App

__all__ = ["CONFIGURED", "Attributes"]


class Configured:
    """An attribute whose value is a setting of the task's app. Read live: a later change of the setting counts."""

    def __init__(self, setting: str) -> None:
        self.setting = setting

    def __get__(self, task: Any, owner: type | None = None) -> Any:
        if task is None:
            return None
        return getattr(task.app.conf, self.setting)


def _configured(setting: str) -> Any:
    """Return the descriptor, typed as what it stands for."""
    return Configured(setting)


CONFIGURED: Final[Mapping[str, str]] = {
    "serializer": "task_serializer",
    "compression": "task_compression",
    "priority": "task_default_priority",
    "rate_limit": "task_default_rate_limit",
    "time_limit": "task_time_limit",
    "soft_time_limit": "task_soft_time_limit",
    "track_started": "task_track_started",
    "ignore_result": "task_ignore_result",
    "store_eager_result": "task_store_eager_result",
    "store_errors_even_if_ignored": "task_store_errors_even_if_ignored",
    "acks_late": "task_acks_late",
    "acks_on_failure_or_timeout": "task_acks_on_failure_or_timeout",
    "acks_on_failure": "task_acks_on_failure",
    "acks_on_timeout": "task_acks_on_timeout",
    "reject_on_worker_lost": "task_reject_on_worker_lost",
    "retry_on_worker_lost": "task_retry_on_worker_lost",
}
"""Attributes that a setting stands behind."""


_NOT_OURS: Final = ("Strategy", "Request")


class Attributes:
    """The attributes and hooks of a task; `Task` adds what can be done with it."""

    name: str = ""
    """Name in the registry, and in messages."""

    max_retries: int | None = 3
    """How often `retry` may repeat a run; None: without limit."""

    default_retry_delay: float = 180
    """Seconds until the next try, when `retry` is not told."""

    override_max_retries: int | None
    """Set by `retry(max_retries=…)`; wins over `max_retries` in automatic retries."""

    rate_limit: str | float | None = _configured("task_default_rate_limit")
    """Runs a worker may start: "10/s", "10/m", "10/h", or a number a second."""

    rate_limit_scope: Literal["worker", "global"] = "worker"
    """Whether each worker keeps the rate limit for itself, as Celery's do, or all keep it together."""

    rate_limit_key: str | Callable[..., Any] | None = None
    """With the scope "global": under which key a call's runs count, made of its arguments; by default the task's."""

    max_concurrency: int | None = None
    """How many runs may go on at the same time, in all workers together; None: any number."""

    concurrency_key: str | Callable[..., Any] | None = None
    """Under which key a call's runs count for `max_concurrency`, made of its arguments; by default the task's."""

    unique_for: float | None = None
    """Seconds during which no other call of the same unique key is sent, unless the call ends before."""

    unique_key: str | Callable[..., Any] | None = None
    """What makes calls the same, made of their arguments; by default all of them."""

    on_duplicate: Literal["return", "raise"] = "return"
    """What becomes of a call that is not sent, because another one is under way: its result, or `TaskAlreadyQueued`."""

    ignore_result: bool | None = _configured("task_ignore_result")
    """Whether no state is stored."""

    store_errors_even_if_ignored: bool | None = _configured("task_store_errors_even_if_ignored")
    """Whether failures are stored although results are ignored."""

    store_eager_result: bool | None = _configured("task_store_eager_result")
    """Whether `apply` stores its result."""

    trail: bool = True
    """Whether the results of tasks that this one sends are remembered as its children."""

    send_events: bool = True
    """Whether monitors hear of this task."""

    serializer: str | None = _configured("task_serializer")
    """Format of the arguments."""

    compression: str | None = _configured("task_compression")
    """Compression of the arguments."""

    time_limit: float | None = _configured("task_time_limit")
    """Seconds after which the run is killed."""

    soft_time_limit: float | None = _configured("task_soft_time_limit")
    """Seconds after which `SoftTimeLimitExceeded` is raised in the run."""

    track_started: bool | None = _configured("task_track_started")
    """Whether STARTED is stored."""

    acks_late: bool | None = _configured("task_acks_late")
    """Whether the message is acknowledged after the run; a crash then repeats it."""

    acks_on_failure_or_timeout: bool | None = _configured("task_acks_on_failure_or_timeout")
    """Older form of the next two."""

    acks_on_failure: bool | None = _configured("task_acks_on_failure")
    """Whether a run that raised is acknowledged, when acknowledging late; None: as the older form says."""

    acks_on_timeout: bool | None = _configured("task_acks_on_timeout")
    """Whether a run that was killed at its time limit is acknowledged; None: as the older form says."""

    reject_on_worker_lost: bool | None = _configured("task_reject_on_worker_lost")
    """Whether a run whose process died is repeated."""

    retry_on_worker_lost: bool | None = _configured("task_retry_on_worker_lost")
    """Whether a run whose process died is retried, and counted as a retry."""

    throws: tuple[type[BaseException], ...] = ()
    """Exceptions to expect: logged without a traceback, still a failure."""

    expires: float | datetime | str | None = None
    """When calls expire that do not say so themselves: seconds, or a time."""

    priority: int | None = _configured("task_default_priority")
    """Priority of calls that do not say one."""

    queue: Any = None
    """Queue of calls that do not say one, and that no route catches."""

    exchange: str | None = None
    """Exchange of such calls."""

    exchange_type: str | None = None
    """Type of that exchange."""

    routing_key: str | None = None
    """Routing key of such calls."""

    delivery_mode: int | str | None = None
    """2 or "persistent", 1 or "transient"."""

    immediate: bool | None = None
    """AMQP's flag; sent as a property."""

    mandatory: bool | None = None
    """AMQP's flag; sent as a property."""

    resultrepr_maxsize: int = 1024
    """How many characters of a result are shown in logs and events."""

    typing: bool = True
    """Whether a call's arguments are checked against the function's parameters."""

    abstract: bool = True
    """Whether the class is a base for tasks and no task itself."""

    autoretry_for: Sequence[type[BaseException]] = ()
    """Exceptions that retry the run."""

    dont_autoretry_for: Sequence[type[BaseException]] = ()
    """Exceptions among those that do not."""

    retry_kwargs: Mapping[str, Any] = {}
    """What an automatic retry gives to `retry`."""

    retry_backoff: bool | float = False
    """Whether automatic retries wait longer each time; a number is the first wait in seconds, True is 1."""

    retry_backoff_max: float = 600
    """The longest such wait in seconds."""

    retry_jitter: bool = True
    """Whether such a wait is a random part of itself, so that retries do not come all at once."""

    Strategy: str = "celery.worker.strategy:default"
    """For code that reads it; no task may set it, for fastq's core decides what becomes of a message."""

    Request: str = "celery.worker.request:Request"
    """For code that reads it; no task may set it."""

    MaxRetriesExceededError: ClassVar[type[Exception]] = MaxRetriesExceededError
    OperationalError: ClassVar[type[Exception]] = OperationalError

    from_config: ClassVar[tuple[tuple[str, str], ...]] = tuple(CONFIGURED.items())
    """Attributes and the settings behind them; a class may add its own: `from_config = Task.from_config + (…,)`."""

    __header__: Callable[..., Any] | None = None
    """Takes what the task takes and returns at once; raises TypeError for other arguments."""

    __trace__: Callable[..., Any] | None = None
    """The compiled tracer; set and read by the executor."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in _NOT_OURS:
            if cls.__dict__.get(name, getattr(Attributes, name)) != getattr(Attributes, name):
                raise ImproperlyConfigured(
                    f"Task {cls.name or cls.__name__}: {name} cannot be set: fastq's core takes messages in, not a "
                    f"Python class. Use the task's hooks, or the signals."
                )
        if "abstract" not in cls.__dict__:
            cls.abstract = False
        for attribute, setting in cls.from_config:
            inherited = cls if attribute in CONFIGURED else getattr(cls, attribute, None)
            if cls.__dict__.get(attribute, inherited) is None:
                setattr(cls, attribute, Configured(setting))

    @classmethod
    def on_bound(cls, app: App) -> None:
        """Run when the task is bound to its app."""

    def before_start(self, task_id: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Run in the worker just before the task's code."""

    def on_success(self, retval: Any, task_id: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Run in the worker when the task has returned and its result is stored."""

    def on_retry(
        self, exc: BaseException, task_id: str, args: Sequence[Any], kwargs: Mapping[str, Any], einfo: Any
    ) -> None:
        """Run in the worker when the task is to be retried."""

    def on_failure(
        self, exc: BaseException, task_id: str, args: Sequence[Any], kwargs: Mapping[str, Any], einfo: Any
    ) -> None:
        """Run when the task has failed: in the worker, or in its parent process when the worker was lost or killed."""

    def after_return(
        self,
        status: str,
        retval: Any,
        task_id: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        einfo: Any,
    ) -> None:
        """Run in the worker after success, failure or retry."""

    def shadow_name(
        self,
        args: Sequence[Any],  # noqa: ARG002 - for overriding methods
        kwargs: Mapping[str, Any],  # noqa: ARG002
        options: Mapping[str, Any],  # noqa: ARG002
    ) -> str | None:
        """Return the name that logs and monitors show for a call, or None for the task's own."""
        return None
