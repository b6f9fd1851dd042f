"""The seam: everything that crosses between Python and the Rust core, on one page.

Times are seconds (float), sizes bytes. Structured data crosses as JSON text in bytes, because orjson writes and reads
it faster than any conversion of Python objects (docs/adr/0005-json-across-the-seam.md). Every call that may block
releases the interpreter and watches for signals. Rust never calls Python.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypedDict, final

from fastq._seam import Event, NewChord, Outcome, Part, Policy, QueueSpec, Record, Route, WorkerConfig

class Depth(TypedDict):
    queue: str
    ready: int
    in_flight: int
    delayed: int
    dead: int

class DeadLetterInfo(TypedDict):
    id: str
    task_id: str
    task_name: str
    queue: str
    reason: str
    buried_at: float
    deaths: int
    headers: bytes
    properties: bytes
    body: bytes

class WorkerInfo(TypedDict):
    node: str
    pid: int
    host: str
    started_at: float
    lease_until: float
    in_flight: int
    queues: list[str]

class ChordInfo(TypedDict):
    size: int | None
    count: int
    body: bytes
    state: Literal["open", "released", "ended"]
    progress_at: float

class Capabilities(TypedDict):
    durable: bool
    shared: bool
    transactional: bool
    delay: bool
    priority: Literal["none", "highest-first", "lowest-first"]
    exchanges: bool
    dead_letters: bool
    leases: bool
    limits: bool
    revocations: bool
    mailbox: bool
    channels: bool
    sees_workers: bool
    native_store: bool

@final
class Producer:
    """A client's connection to one broker. Thread-safe; fork-safe; connects on first use."""

    def __new__(cls, url: str, options: str = "{}") -> Producer: ...
    def declare(self, queues: Sequence[QueueSpec]) -> None: ...
    def publish(
        self, route: Route, headers: bytes, properties: bytes, body: bytes, timeout: float | None = None
    ) -> str | None:
        """Send one message, which may be confirmed behind the call: `flush` waits for that."""
    def publish_many(
        self,
        messages: Sequence[tuple[Route, bytes, bytes, bytes]],
        timeout: float | None = None,
        together: bool = True,
    ) -> list[tuple[int, str]]: ...
    def purge(self, queue: str) -> int: ...
    def depths(self) -> list[Depth]: ...
    def dead_letters(self, queue: str | None, limit: int) -> list[DeadLetterInfo]: ...
    def requeue_dead(self, queue: str | None, ids: Sequence[str]) -> int: ...
    def drop_dead(self, queue: str | None, ids: Sequence[str]) -> int: ...
    def revoke(self, revocations: bytes, expires: float) -> None:
        """Call tasks off, for so many seconds: a JSON list of objects as in rust/core/src/job/revocation.rs.

        Raises:
            NotSupported: this broker keeps no record of them.
        """
    def revoked(self) -> bytes:
        """Return what is called off now, in the same form, each with `until`, in seconds since 1970."""
    def workers(self) -> list[WorkerInfo]: ...
    def holds(self, text: str) -> bool:
        """Tell whether a message that waits or is held by a worker has this text in it; True if in doubt."""
    def capabilities(self) -> Capabilities: ...
    def flush(self, timeout: float | None = None) -> None:
        """Wait until what `publish` has sent is confirmed, for as long as a call may take unless told otherwise.

        Raises:
            TimeoutError: it is not; it is sent on as long as this process lives.
        """
    def close(self) -> None:
        """Let the connections go. What is not confirmed (`flush`) is sent again, over new ones."""

@final
class Results:
    """A client's view of a native result store. Thread-safe; fork-safe; connects on first use."""

    def __new__(cls, url: str, options: str = "{}") -> Results: ...
    def save(self, records: Sequence[Record], expires: float | None) -> None: ...
    def load(self, task_ids: Sequence[str]) -> list[Record | None]: ...
    def forget(self, task_ids: Sequence[str]) -> None: ...
    def wait(self, task_ids: Sequence[str], timeout: float | None) -> list[Record]:
        """Return the records of those tasks that have ended, waiting for at least one; empty after `timeout`."""
    def watch(self) -> Watch: ...
    def begin_chord(self, chord: NewChord, expires: float | None) -> None:
        """Make a chord known before its last member is sent; one that has ended begins anew."""
    def grow_chord(self, group_id: str, by: int) -> None:
        """Have so many more members end before a chord is complete."""
    def chord(self, group_id: str) -> ChordInfo | None: ...
    def chord_parts(self, group_id: str) -> list[Part]:
        """Return what the members that have ended ended with, in the order of the header."""
    def save_group(self, group_id: str, document: bytes, expires: float | None) -> None:
        """Keep which results a group has, where Celery keeps it; not every store has such a place."""
    def load_group(self, group_id: str) -> bytes | None: ...
    def forget_group(self, group_id: str) -> None: ...
    def clean(self) -> int: ...
    def close(self) -> None: ...

@final
class Watch:
    """A wait for tasks that become more while it goes on; one thread calls `next`. It does not survive a fork."""

    def add(self, task_ids: Sequence[str]) -> None:
        """Watch for the end of these tasks too; never blocks."""
    def remove(self, task_ids: Sequence[str]) -> None: ...
    def next(self, timeout: float | None) -> list[Record]:
        """Return records of tasks that have ended, and watch for these no more; empty after `timeout`."""
    def interrupt(self) -> None:
        """End the call of `next` that is under way, or the one to come; never blocks."""

@final
class Worker:
    """The core of a worker's parent process. Runs on threads of its own; never calls Python."""

    def __new__(cls, config: WorkerConfig, policies: Sequence[Policy]) -> Worker: ...
    def start(self) -> None: ...
    def port(self) -> Port:
        """Return a new slot in this process: for solo, threads and asyncio pools."""
    def attend(self, timeout: float) -> list[Event]:
        """Return what has happened (at most 256), waiting up to `timeout` for the first; [] when a signal came."""
    def events_fd(self) -> int:
        """Return a descriptor that can be read when `attend` would not wait."""
    def wakeup_fd(self) -> int:
        """Return the descriptor for `signal.set_wakeup_fd`, so that a signal ends `attend`."""
    def watch(self, kinds: Iterable[str]) -> None: ...
    def consume(self, queues: Sequence[QueueSpec]) -> None:
        """Take from these queues too; the event `queues` tells when, or why not."""
    def cancel(self, queue: str) -> None:
        """Take nothing more from a queue; what was taken from it is run."""
    def stats(self) -> dict[str, Any]: ...
    def stop(self, how: Literal["warm", "soft", "cold"]) -> None: ...

@final
class Stepper:
    """A worker without threads, on a clock that is turned by hand: for tests. The broker is memory://name?clock=hand."""

    def __new__(cls, config: WorkerConfig, policies: Sequence[Policy]) -> Stepper: ...
    def learn(self, policies: Sequence[Policy]) -> None:
        """Take other policies, for what arrives from now on."""
    def now(self) -> float:
        """Return the time that the clock shows, in seconds since 1970."""
    def turn(self, to: float) -> None:
        """Turn the clock on; it never goes back. Nothing runs before `next`."""
    def next_due(self) -> float | None:
        """Return when the next message falls due."""
    def next(self) -> Job | None:
        """Return the next job of any queue that may run now; None when there is none, or one has not been finished."""
    def finish(self, job: Job, outcome: Outcome) -> None:
        """Carry out what a run wants done, at once."""
    def store(self, records: Sequence[Record]) -> None: ...
    def events(self) -> list[Event]: ...
    def close(self) -> None: ...

@final
class Port:
    """The executor's end of a slot."""

    @staticmethod
    def from_fd(fd: int, page_fd: int, slot: int) -> Port:
        """Return the port over an inherited socket and slot page; takes ownership of both descriptors."""
    def next(self, timeout: float | None = None) -> Job | None:
        """Return the next job; None after `timeout`. Sends what `finish` has gathered before it waits.

        Raises:
            EOFError: the parent is gone or has retired this slot: leave.
        """
    @property
    def slot(self) -> int:
        """The number of the slot, by which Events name it."""
    def fileno(self) -> int: ...
    def finish(self, job: Job, outcome: Outcome) -> None:
        """Hand over how the run ended. Gathered, and sent before the next wait or after a millisecond."""
    def heed(self) -> list[tuple[int, bool]]:
        """Return what the parent asks of runs that go on, without waiting: the tag of each, and what is to be done:
        True: end it, and say so by `let_go`; False: raise the soft limit in it. Only where a slot has several permits.

        Raises:
            EOFError: the parent is gone.
        """
    def is_ending(self) -> bool:
        """Whether the parent ends the run of the last job: then a signal that came is meant for it."""
    def let_go(self, job: Job) -> None:
        """Say that a run that was to be ended holds its permit no more. Takes the place of `finish`."""
    def store(self, records: Sequence[Record]) -> None:
        """Store states of a run that goes on (STARTED, progress). Sent at once."""
    def retire_soon(self) -> None:
        """Say that this executor will retire before long, so that its successor is made meanwhile."""
    def retire(self) -> None:
        """Say that this executor takes no more jobs; `next` raises EOFError once all are finished."""
    def flush(self) -> None: ...

@final
class Job:
    """One run to make. Strings and bytes are made from the frame when they are asked for."""

    @property
    def id(self) -> str: ...
    @property
    def tag(self) -> int:
        """Its number among those in hand, by which `Port.heed` names it."""
    @property
    def name(self) -> str: ...
    @property
    def body(self) -> bytes: ...
    @property
    def headers(self) -> bytes:
        """The headers as JSON text."""
    @property
    def properties(self) -> bytes:
        """The properties as JSON text."""
    @property
    def content_type(self) -> str: ...
    @property
    def queue(self) -> str: ...
    @property
    def exchange(self) -> str: ...
    @property
    def routing_key(self) -> str: ...
    @property
    def priority(self) -> int | None: ...
    @property
    def redelivered(self) -> bool: ...
    @property
    def deaths(self) -> int: ...
    @property
    def ignore_result(self) -> bool:
        """The call's wish, else the task's."""
    @property
    def has_family(self) -> bool:
        """Whether it belongs to a group, or a run sent it."""
    @property
    def time_limits(self) -> tuple[float | None, float | None]:
        """Hard and soft limit in seconds: the call's, else the task's."""

def build_info() -> dict[str, str]: ...
def new_id() -> str:
    """Return a new task id: 36 characters, a UUID version 7."""

def url_info(url: str) -> dict[str, Any]:
    """Return what a broker or store URL names, secrets hidden: `scheme`, `display`, `supported`, `native_store`.

    Raises:
        ImproperlyConfigured: the URL cannot be read.
    """
