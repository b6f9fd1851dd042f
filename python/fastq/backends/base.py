"""What a result backend is: the state and the result of tasks, kept where others can ask for them.

An adapter says what it can do as data (`Capability`) and has five operations on records: `save`, `load`, `forget`,
`wait` and `clean`. What a record says is the same for all of them and is the business of `backends/document.py`.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fastq._seam import Part, Record
from fastq.backends import chords
from fastq.backends.again import tried
from fastq.backends.document import Documents, Meta
from fastq.backends.watch import LookingWatch, Watch
from fastq.exceptions import BackendGetMetaError, BackendStoreError, FastQError, NotSupported
from fastq.states import READY_STATES
from fastq.text import hide_password
from fastq.time import seconds

if TYPE_CHECKING:
    from fastq.app.protocol import App
    from fastq.backends.chords import ChordRecord, Member
    from fastq.result.watcher import Watcher

__all__ = ["Backend", "Capability", "Meta", "Writer"]

Writer = Callable[[Sequence[Record]], None]

_FIRST_PAUSE: Final = 0.002
_LONGEST_PAUSE: Final = 0.25
"""Seconds between two looks at a store that cannot tell: a result that comes at once is seen at once."""


_GROUP: Final = "GROUP"
_GROUP_PREFIX: Final = "taskset-"


class Capability(NamedTuple):
    """What a backend can do."""

    stores: bool = True
    """Whether it keeps anything."""
    native: bool = False
    """Whether the core of a worker writes it, together with the message's acknowledgement."""
    shared: bool = True
    """Whether other processes see what this one writes."""
    push: bool = False
    """Whether `wait` is woken by the writer; otherwise it looks again and again."""
    counts: bool = False
    """Whether it counts the members of chords, and has the body called; otherwise a task looks for their end."""
    expires: bool = False
    """Whether results vanish by themselves after `result_expires`; otherwise `clean` removes them."""


class Backend(ABC):
    """A result backend; adapters derive from it.

    Args:
        app: whose settings count.
        url: of the store.
    """

    capability: Capability = Capability()

    def __init__(self, app: App, url: str = "") -> None:
        """Keep the settings; connecting is left to the first use."""
        self.app = app
        self.url = url
        self.documents = Documents(app)
        self._writers = threading.local()
        self._last_writer: Writer = self.save
        self._cache: OrderedDict[str, Meta] = OrderedDict()
        self.watchers: dict[int, Watcher] = {}
        """Who waits for results in the place of coroutines, by process id: see `fastq.result.watcher`."""

    # ------------------------------------------------------- what adapters do

    @abstractmethod
    def save(self, records: Sequence[Record]) -> None:
        """Write records in order. What is stored of a task that succeeded stays as it is, whatever comes later."""

    @abstractmethod
    def load(self, task_ids: Sequence[str]) -> list[Record | None]:
        """Return the records of these tasks, in their order; None where nothing is stored."""

    @abstractmethod
    def forget(self, task_ids: Sequence[str]) -> None:
        """Delete the records of these tasks; unknown ones are no error."""

    def wait(self, task_ids: Sequence[str], timeout: float | None = None) -> list[Record]:
        """Return the records of those tasks that have ended, waiting for at least one.

        Args:
            task_ids: whom to wait for.
            timeout: seconds after which the answer is empty; None: no limit.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        pause = _FIRST_PAUSE
        nothing = threading.Event()
        while True:
            ended = [record for record in self.load(task_ids) if record is not None and self.has_ended(record)]
            if ended:
                return ended
            if deadline is not None:
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    return []
                pause = min(pause, remaining)
            nothing.wait(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    def watch(self) -> Watch:
        """Return a wait for tasks that may become more while it goes on."""
        return LookingWatch(self)

    def has_ended(self, record: Record) -> bool:
        """Tell whether the record is one of an end."""
        return record.state in READY_STATES

    def clean(self) -> int:
        """Delete what has expired; return how many results that were."""
        return 0

    def close(self) -> None:  # noqa: B027 - not every adapter holds something
        """Let go of connections; a later use opens them again."""

    # ------------------------------------------------------------- the records

    def record(
        self, task_id: str, state: str, result: Any, traceback: str | None = None, request: Any = None
    ) -> Record:
        """Return the stored form of a state; nothing is written.

        Raises:
            EncodeError: the result cannot be written in the format of `result_serializer`.
        """
        return self.documents.write(task_id, result, state, traceback, request)

    def decode(self, record: Record) -> Meta:
        """Return what a record says."""
        return self.documents.read(record)

    @property
    def expires_seconds(self) -> float | None:
        """How long results are kept; None: for ever (`result_expires` of 0 or None)."""
        return seconds(self.app.conf.result_expires) or None

    @property
    def writer(self) -> Writer:
        """Where the states of running tasks go: `save`, or in a worker the pipe to its core.

        Each thread may set its own; a thread that a task starts uses the one that was set last.
        """
        return getattr(self._writers, "writer", None) or self._last_writer

    @writer.setter
    def writer(self, writer: Writer) -> None:
        self._writers.writer = self._last_writer = writer

    # ------------------------------------------------------------------ chords

    def begin_chord(  # noqa: B027 - most do nothing
        self, group_id: str, size: int, body: Mapping[str, Any], expires: float | None = None, result: Any = None
    ) -> None:
        """Make a chord known, before its last member is sent; where `Capability.counts` is false: do nothing.

        A run that has others follow it puts `new_chord` into its Outcome in place of this.

        Args:
            group_id: the group that its header is.
            size: members that must end: those inside groups, of a chain the last.
            body: the signature to call with their results, with an id.
            expires: seconds for which it is known; None: `result_chord_expires`, else `result_expires`.
            result: the header's result tuple, where it has groups inside, whose results are lists.

        Raises:
            EncodeError: the signature cannot be written as JSON.
            OperationalError: the store failed.
        """

    def add_to_chord(self, group_id: str, result: Any = None) -> None:  # noqa: ARG002 - for those that can
        """Have one more member end before the chord is complete.

        Raises:
            NotSupported: the backend does not count the members of chords.
        """
        raise NotSupported("A member can only be added to a chord whose members the result backend counts.")

    def fallback_chord_unlock(self, header_result: Any, body: Any, countdown: float = 1, **options: Any) -> None:
        """Have a task look whether the members of a chord have ended, where nobody counts them.

        Args:
            header_result: of the chord.
            body: its signature.
            countdown: seconds until the first look.
            **options: calling options of that task.
        """
        ids = [result.as_tuple() for result in header_result.results]
        unlock = self.app.tasks["celery.chord_unlock"]
        unlock.apply_async((header_result.id, body), {"result": ids}, countdown=countdown, **options)

    def chord_record(self, group_id: str) -> ChordRecord | None:  # noqa: ARG002 - for those that count
        """Return what is known of a chord; None: nothing, for it has long ended or never began."""
        return None

    def chord_members(self, group_id: str) -> list[Member]:  # noqa: ARG002 - for those that count
        """Return the members of a chord that have ended, in the order of the header."""
        return []

    def part(self, request: Any, state: str, result: Any) -> Part:
        """Return the part of a run that was a member of a chord: see `fastq.backends.chords.part`."""
        return chords.part(self.documents, request, state, result)

    @property
    def chord_expires_seconds(self) -> float | None:
        """How long what chords are counted with is kept; None: for ever."""
        expires = self.app.conf.result_chord_expires
        return self.expires_seconds if expires is None else seconds(expires) or None

    def ensure_chords_allowed(self) -> None:
        """Refuse chords where no results are stored.

        Raises:
            NotSupported: this backend stores nothing.
        """
        if not self.capability.stores:
            raise NotSupported("A chord needs a result backend, which the results of its members are stored in.")

    # ------------------------------------------------------------------ groups

    def save_group(self, group_id: str, result: Any) -> Any:
        """Store which results a group has, and return them."""
        document = {"status": _GROUP, "result": result.as_tuple(), "task_id": group_id}
        content_type, body = self.documents.encode(document)
        key = f"{_GROUP_PREFIX}{group_id}"
        tried(self.app.conf, lambda: self.save((Record(key, _GROUP, content_type, body),)))
        return result

    def restore_group(self, group_id: str, cache: bool = True) -> Any:  # noqa: ARG002 - Celery's
        """Return the results of a group that was stored; None where nothing is."""
        from fastq.result.stored import result_from_tuple

        record = tried(self.app.conf, lambda: self.load((f"{_GROUP_PREFIX}{group_id}",)))[0]
        return None if record is None else result_from_tuple(self.decode(record)["result"], self.app)

    def save_header(self, group_id: str, members: Any) -> None:  # noqa: B027 - few are shared with Celery
        """Store the results of a chord's header that has groups inside, where workers of Celery look for them."""

    def delete_group(self, group_id: str) -> None:
        """Delete what `save_group` has stored."""
        tried(self.app.conf, lambda: self.forget((f"{_GROUP_PREFIX}{group_id}",)))

    # ---------------------------------------------------------- Celery's names

    def store_result(
        self, task_id: str, result: Any, state: str, traceback: str | None = None, request: Any = None, **_: Any
    ) -> Any:
        """Store a state and return the result.

        Raises:
            EncodeError: the result cannot be written.
            BackendStoreError: the store failed.
        """
        record = self.record(task_id, state, result, traceback, request)
        try:
            tried(self.app.conf, lambda: self.writer((record,)))
        except FastQError:
            raise
        except OSError as error:
            raise BackendStoreError(f"The state could not be stored: {error}", state=state, task_id=task_id) from error
        self._cache.pop(task_id, None)
        return result

    def get_task_meta(self, task_id: str, cache: bool = True) -> Meta:
        """Return what is known of a task.

        Raises:
            BackendGetMetaError: the store failed.
        """
        limit: int = self.app.conf.result_cache_max
        if cache and limit >= 0 and task_id in self._cache:
            return self._cache[task_id]
        try:
            record = tried(self.app.conf, lambda: self.load((task_id,)))[0]
        except FastQError:
            raise
        except OSError as error:
            raise BackendGetMetaError(f"The state could not be read: {error}", task_id=task_id) from error
        if record is None:
            return self.documents.unknown(task_id)
        meta = self.decode(record)
        if limit >= 0 and meta["status"] in READY_STATES:
            self._remember(task_id, meta, limit)
        return meta

    def _remember(self, task_id: str, meta: Meta, limit: int) -> None:
        self._cache[task_id] = meta
        while limit and len(self._cache) > limit:
            self._cache.popitem(last=False)

    def get_state(self, task_id: str) -> str:
        """Return the state of a task."""
        return self.get_task_meta(task_id)["status"]

    get_status = get_state

    def get_result(self, task_id: str) -> Any:
        """Return what a task returned, its exception, or the `meta` of its custom state."""
        return self.get_task_meta(task_id).get("result")

    def get_traceback(self, task_id: str) -> str | None:
        """Return the traceback of a task that raised."""
        return self.get_task_meta(task_id).get("traceback")

    def get_children(self, task_id: str) -> list[Any] | None:
        """Return the result tuples of the tasks that a task has sent."""
        return self.get_task_meta(task_id).get("children")

    def cleanup(self) -> int:
        """Delete what has expired; return how many results that were."""
        return self.clean()

    def process_cleanup(self) -> None:  # noqa: B027 - few adapters hold something
        """Run after each task of a worker; adapters that hold something per task let it go here."""

    def as_uri(self, include_password: bool = False) -> str:
        """Return the URL, its secrets hidden unless they are asked for."""
        return self.url if include_password else hide_password(self.url)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.as_uri()}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.app, self.url)
