"""What a call may say about itself, and how that meets what its task and the app say (inventory §3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict

from fastq.app import bounds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

__all__ = ["EXECUTION_OPTIONS", "PUBLISHER_OPTIONS", "CallOptions", "execution_options", "merge"]


class CallOptions(TypedDict, total=False):
    """The options of `apply_async`, `send_task` and `Signature.set`; any other key becomes a property of a message."""

    task_id: str
    countdown: float
    """Seconds from now, not before; other than 0 it wins over `eta`."""
    eta: datetime | str
    """Not before. Without a zone: in the app's."""
    expires: float | datetime | str
    """Not after: seconds from now, or a time."""
    queue: Any
    exchange: Any
    exchange_type: str
    routing_key: str
    priority: int
    """0 to 255."""
    serializer: str
    compression: str
    retry: bool
    """Whether a publish that failed for now is repeated."""
    retry_policy: Mapping[str, Any]
    """`max_retries`, `interval_start`, `interval_step`, `interval_max`, `retry_errors`."""
    link: Any
    link_error: Any
    time_limit: float
    soft_time_limit: float
    ignore_result: bool
    shadow: str
    headers: Mapping[str, Any]
    """Merged into the message's headers, flat."""
    reply_to: str
    add_to_parent: bool
    """Whether the result becomes a child of the task that sends this one."""
    producer: Any
    publisher: Any
    router: Any
    route_name: str
    """Look the route up under this name."""
    result_cls: Any
    task_type: Any
    root_id: str
    parent_id: str
    group_id: str
    group_index: int
    chord: Any
    chain: Sequence[Any]
    retries: int
    replaced_task_nesting: int
    origin: str
    argsrepr: str
    kwargsrepr: str
    delivery_mode: int | str
    declare: Sequence[Any]
    timeout: float
    confirm_timeout: float
    expiration: float
    """Seconds the broker keeps the message."""
    stamped_headers: Sequence[str]
    unique_for: float
    """Seconds during which no other call of the same unique key is sent, unless this one ends before; 0: not unique."""
    unique_key: str | Callable[..., Any]
    """What makes calls the same: a format of their arguments, or a function; by default task and arguments."""
    on_duplicate: Literal["return", "raise"]
    """What becomes of a call that is not sent: "return" the result of the one under way, or "raise"."""
    rate_limit_key: str | Callable[..., Any]
    """Under which key the call's runs count for a rate limit that all workers keep together."""
    concurrency_key: str | Callable[..., Any]
    """Under which key the call's runs count for `max_concurrency`."""


EXECUTION_OPTIONS: Final = (
    "queue",
    "routing_key",
    "exchange",
    "exchange_type",
    "priority",
    "expires",
    "serializer",
    "delivery_mode",
    "compression",
    "time_limit",
    "soft_time_limit",
    "immediate",
    "mandatory",
    *bounds.OPTIONS,
)
"""The attributes of a task that are defaults of its calls."""

PUBLISHER_OPTIONS: Final = frozenset({"producer", "publisher", "result_cls", "add_to_parent", "retry", "retry_policy"})
"""Options that say how to send, not what."""


def execution_options(task: Any) -> dict[str, Any]:
    """Return what a task's attributes say about its calls."""
    found = {}
    for name in EXECUTION_OPTIONS:
        value = getattr(task, name, None)
        if value is not None:
            found[name] = value
    return found


def merge(task: Any, call: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a call: its own over its task's. `task` is None when only the name is known here."""
    if task is None:
        return dict(call)
    merged = execution_options(task)
    merged["ignore_result"] = task.ignore_result
    merged.update(call)
    if merged.get("ignore_result") is None:
        merged["ignore_result"] = task.ignore_result
    return merged
