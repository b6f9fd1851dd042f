"""What Rust reads from Python and gives to it, by name. The twins are in rust/bridge/src/seam.rs.

Settings are frozen dataclasses, read once. What crosses per message is a NamedTuple: a frozen dataclass costs a
microsecond to make, a tuple a tenth of that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

__all__ = [
    "DONE",
    "FAILED",
    "IGNORED",
    "REJECTED",
    "REQUEUED",
    "RETRIED",
    "UNDECODABLE",
    "Event",
    "NewChord",
    "Outcome",
    "OutgoingMessage",
    "Part",
    "Policy",
    "QueueSpec",
    "Record",
    "Route",
    "WorkerConfig",
    "new_tuple",
]

new_tuple: Final = tuple.__new__
"""Makes a NamedTuple of its class and all its fields, at half of what calling the class costs."""

# Endings: rust/core/src/job/ending.rs has the same codes.
DONE: Final = 0
FAILED: Final = 1
RETRIED: Final = 2
IGNORED: Final = 3
REJECTED: Final = 4
REQUEUED: Final = 5
UNDECODABLE: Final = 6


class Route(NamedTuple):
    """Where a message goes: exchange ("" sends to the queue named by the routing key), key, priority, due time."""

    exchange: str
    routing_key: str
    priority: int | None = None
    due: float | None = None
    """Not before: seconds since 1970 (UTC)."""


class Record(NamedTuple):
    """One stored state of one task: the document of protocol.md §7.1, encoded."""

    task_id: str
    state: str
    content_type: str
    body: bytes


class OutgoingMessage(NamedTuple):
    """A message that must follow a run. Headers and properties are JSON objects as bytes."""

    route: Route
    headers: bytes
    properties: bytes
    body: bytes


class Part(NamedTuple):
    """How one member of a chord ended (protocol.md §7.6)."""

    group_id: str
    task_id: str
    place: int | None
    """Its place in the header, from 0; None: behind those that have one."""
    state: str
    body: bytes
    """`[1, task_id, state, result]`, in the format of results."""
    callback: bytes = b""
    """The signature of the chord's body as JSON, when the message carried the whole of it; else the store has it."""


class NewChord(NamedTuple):
    """A chord that begins: what must be known before its last member ends."""

    group_id: str
    size: int
    body: bytes
    """What calls the body, as JSON: see `fastq.backends.chords`."""


class Outcome(NamedTuple):
    """How a run ended, and what it wants done: nothing of it has been done."""

    ending: int
    records: tuple[Record, ...] = ()
    messages: tuple[OutgoingMessage, ...] = ()
    reason: str = ""
    parts: tuple[Part, ...] = ()
    """Chords of which it was a member."""
    chords: tuple[NewChord, ...] = ()
    """Chords whose members are among the messages."""
    ended: str = ""
    """The chord that it released. Once that has ended, nothing of another Outcome that ends it is carried out."""


class Event(NamedTuple):
    """A fact the core tells: kinds and fields are listed in rust/core/src/worker/event.rs."""

    kind: str
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class QueueSpec:
    """A queue to declare, and how it is bound: a queue with several bindings is several of these, with one name.

    Without a name it is an exchange alone.

    Arguments are JSON objects.
    """

    name: str
    exchange: str = ""
    exchange_type: str = "direct"
    routing_key: str = ""
    durable: bool = True
    auto_delete: bool = False
    exclusive: bool = False
    no_declare: bool = False
    """It exists already, and so do its exchange and binding."""
    arguments: str = "{}"
    """Of the queue."""
    exchange_durable: bool = True
    exchange_auto_delete: bool = False
    exchange_no_declare: bool = False
    """It exists already, or is the broker's own."""
    exchange_arguments: str = "{}"
    binding_arguments: str = "{}"
    consumer_arguments: str = "{}"
    """Of whoever takes from it."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What the core must know of one task. Limits in seconds; None: no limit."""

    name: str
    acks_late: bool
    acks_on_failure: bool
    acks_on_timeout: bool
    reject_on_worker_lost: bool
    max_deaths: int
    ignore_result: bool
    store_errors_even_if_ignored: bool
    time_limit: float | None
    soft_time_limit: float | None
    rate_limit: float | None = None
    """Runs that may begin in a second, in this worker."""
    rate_is_global: bool = False
    """They are counted in all workers together."""
    max_concurrency: int | None = None
    """Runs that may go on at the same time, in all workers together."""
    retries_when_lost: int | None = None
    """A run whose child died is retried, up to so many times in all; None: it is not."""
    results_elsewhere: bool = False
    """Its results are kept where the core cannot write: what it has to store of a run it tells as an Event."""


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """The settings of one worker. Times in seconds."""

    node: str
    broker_url: str
    queues: tuple[QueueSpec, ...]
    broker_options: str = "{}"
    """Transport options: a JSON object."""
    store_url: str | None = None
    """The native result store, when there is one; None: the executor writes results, or nobody does."""
    store_options: str = "{}"
    children: int = 0
    """Child processes to keep alive; 0 for pools in this process."""
    most_children: int = 0
    """As many may be kept alive when there is work for them; no less than `children`."""
    permits: int | None = None
    """Jobs that a slot runs side by side, where its executor can interrupt and end each; None: one at a time."""
    nursery_fd: int | None = None
    """The socket to the nursery; the core takes ownership."""
    prefetch_multiplier: int | None = None
    """None: "auto". 0: without limit."""
    lease: float = 10.0
    max_deaths: int = 3
    result_expires: float | None = 86_400.0
    chord_expires: float | None = 86_400.0
    internal_queue: str = ""
    """The queue of built-in tasks, which every worker of an app takes from beside its own; "": none."""
    chord_patience: float | None = 3600.0
    """A chord of which no member has ended for so long is looked after; None: never."""
    stop_within: float | None = None
    """A warm stop turns cold after so long; None: never."""
    soft_stop_within: float = 0.0
    """A soft stop turns cold after so long."""
    ends_lost_runs: bool = False
    """Runs whose lease was lost are ended: another worker makes them from the beginning."""
    gives_up_slots: bool = False
    """A slot in this process whose run passes its limit is given up; Python makes another."""
    mailbox: str | None = None
    """The exchange of remote commands that are obeyed, such as `celery.pidbox`; None: none are."""
    revoke_expires: float = 10_800.0
    """How long it is remembered what a remote command calls off."""
    eta_limit: int | None = None
    """At most so many messages wait in the worker for their time or their turn; None: a thousand."""
