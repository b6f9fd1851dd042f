"""Results in the store of the core: `redis://host`, `sqlite:///path` and `memory://`.

A worker never writes these from Python: records travel in the Outcome of a run, and the core stores them in the same
transaction that acknowledges the message. This side is what clients see, and what a run outside of a worker uses.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Final

import orjson

from fastq._core import Results, url_info
from fastq.backends import amqp_options, chords, redis_options
from fastq.backends.base import Backend, Capability
from fastq.serialization import content_type_of
from fastq.states import READY_STATES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastq._seam import Record
    from fastq.app.protocol import App
    from fastq.backends.chords import ChordRecord, Member
    from fastq.backends.watch import Watch

__all__ = ["NativeBackend", "broker_options", "comes_with_results", "store_options"]

_FIRST_PAUSE: Final = 0.002
_LONGEST_PAUSE: Final = 0.25
"""Seconds between two looks at a state that the core cannot read."""


def store_options(app: App, url: str) -> dict[str, Any]:
    """Return the options of the store at `url`: those of the settings, and what else the core must know of results."""
    scheme = url_info(url)["scheme"]
    if scheme == amqp_options.RPC:
        return amqp_options.for_rpc(app)
    if scheme in redis_options.SCHEMES:
        return {**redis_options.for_store(app.conf, url), **_format(app)}
    return dict(app.conf.result_backend_transport_options or {})


def broker_options(app: App, url: str) -> dict[str, Any]:
    """Return the options of a worker's broker at `url`, over whose connection results may be stored, too."""
    scheme = url_info(url)["scheme"]
    if scheme in amqp_options.SCHEMES:
        return amqp_options.for_worker(app)
    if scheme not in redis_options.SCHEMES:
        return dict(app.conf.broker_transport_options or {})
    prefix = (app.conf.result_backend_transport_options or {}).get("global_keyprefix")
    return {**redis_options.for_broker(app.conf, url), "result_global_keyprefix": prefix, **_format(app)}


def _format(app: App) -> dict[str, Any]:
    return {"result_content_type": content_type_of(app.conf.result_serializer)}


def comes_with_results(broker_url: str) -> bool:
    """Tell whether the core keeps results on the same server as this broker.

    Raises:
        ImproperlyConfigured: the URL cannot be read.
    """
    return bool(url_info(broker_url)["native_store"])


class NativeBackend(Backend):
    """Results that the core keeps."""

    def __init__(self, app: App, url: str) -> None:
        """Keep URL and options; the store is opened at the first use.

        Raises:
            ImproperlyConfigured: the URL cannot be read. The core says so at the first use only.
        """
        super().__init__(app, url)
        url_info(url)
        in_process = url.startswith("memory:")
        self.capability = Capability(native=True, shared=not in_process, push=True, expires=True, counts=True)
        self._beside_celery = url_info(url)["scheme"] in redis_options.SCHEMES
        self._results = Results(url, orjson.dumps(store_options(app, url), default=str).decode())

    def save(self, records: Sequence[Record]) -> None:
        """Write records; see `Backend.save`."""
        self._results.save(records, self.expires_seconds)

    def load(self, task_ids: Sequence[str]) -> list[Record | None]:
        """Return the records of these tasks; see `Backend.load`."""
        return self._results.load(task_ids)

    def forget(self, task_ids: Sequence[str]) -> None:
        """Delete the records of these tasks."""
        self._results.forget(task_ids)

    def wait(self, task_ids: Sequence[str], timeout: float | None = None) -> list[Record]:
        """Return the records of those tasks that have ended; woken by whoever writes them.

        The core cannot see the state in a compressed document, so it returns such a one at once. As long as it is none
        of an end, it is looked at again and again.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        pause, nothing = _FIRST_PAUSE, threading.Event()
        while True:
            found = self._results.wait(task_ids, timeout)
            ended = [record for record in found if self.has_ended(record)]
            if ended or not found:
                return ended
            if deadline is not None:
                timeout = max(0.0, deadline - time.monotonic())
                if not timeout:
                    return []
                pause = min(pause, timeout)
            nothing.wait(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    def watch(self) -> Watch:
        """Return a wait for tasks that may become more while it goes on; woken by whoever writes them."""
        return _NativeWatch(self, self._results.watch())

    def has_ended(self, record: Record) -> bool:
        """Tell whether the record is one of an end, decoding it where the core cannot see its state."""
        return (record.state or self.decode(record)["status"]) in READY_STATES

    def begin_chord(
        self, group_id: str, size: int, body: Mapping[str, Any], expires: float | None = None, result: Any = None
    ) -> None:
        """Make a chord known; see `Backend.begin_chord`."""
        expires = self.chord_expires_seconds if expires is None else expires
        self._results.begin_chord(chords.new_chord(group_id, size, body, result), expires)

    def add_to_chord(self, group_id: str, result: Any = None) -> None:  # noqa: ARG002 - Celery's parameter
        """Have one more member end before the chord is complete."""
        self._results.grow_chord(group_id, 1)

    def chord_record(self, group_id: str) -> ChordRecord | None:
        """Return what is known of a chord."""
        found = self._results.chord(group_id)
        return None if found is None else chords.read_record(group_id, found)

    def chord_members(self, group_id: str) -> list[Member]:
        """Return the members of a chord that have ended, in the order of the header."""
        return [chords.member(self.documents, part) for part in self._results.chord_parts(group_id)]

    def clean(self) -> int:
        """Delete what has expired; return how many results that were."""
        return self._results.clean()

    def save_group(self, group_id: str, result: Any) -> Any:
        """Store which results a group has; on Redis under Celery's key, so that either finds what the other saved."""
        if not self._beside_celery:
            return super().save_group(group_id, result)
        _, document = self.documents.encode({"result": result.as_tuple()})
        self._results.save_group(group_id, document, self.expires_seconds)
        return result

    def restore_group(self, group_id: str, cache: bool = True) -> Any:
        """Return the results of a group that was stored; None where nothing is."""
        if not self._beside_celery:
            return super().restore_group(group_id, cache)
        document = self._results.load_group(group_id)
        if document is None:
            return None
        from fastq.result.stored import result_from_tuple

        return result_from_tuple(self.documents.decode(document, f"the group {group_id}")["result"], self.app)

    def delete_group(self, group_id: str) -> None:
        """Delete what `save_group` has stored."""
        if not self._beside_celery:
            super().delete_group(group_id)
        else:
            self._results.forget_group(group_id)

    def save_header(self, group_id: str, members: Any) -> None:
        """Store the results of a chord's header that has groups inside, where workers of Celery look for them."""
        if self._beside_celery:
            self.save_group(group_id, members)

    def close(self) -> None:
        """Close the store; a later use opens it again."""
        self._results.close()


class _NativeWatch:
    """The core's watch; what it cannot look into is looked at again and again until it is of an end."""

    def __init__(self, backend: NativeBackend, watch: Watch) -> None:
        self._backend = backend
        self._watch = watch
        self._unsure: set[str] = set()
        self._look_at = 0.0
        self.add, self.interrupt = watch.add, watch.interrupt

    def remove(self, task_ids: Sequence[str]) -> None:
        """Watch for these no more."""
        self._unsure.difference_update(task_ids)
        self._watch.remove(task_ids)

    def next(self, timeout: float | None) -> list[Record]:
        """Return records of tasks that have ended."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            found = self._watch.next(self._step(deadline))
            ended = [record for record in found if self._backend.has_ended(record)]
            now = time.monotonic()
            looked = bool(self._unsure) and now >= self._look_at
            if looked:
                self._watch.add(list(self._unsure))
                self._unsure.clear()
            if len(ended) < len(found):
                self._look_at = self._look_at if self._unsure else now + _LONGEST_PAUSE
                self._unsure.update({record.task_id for record in found} - {record.task_id for record in ended})
            elif ended or not looked:
                return ended
            if deadline is not None and now >= deadline:
                return ended

    def _step(self, deadline: float | None) -> float | None:
        """Return how long to wait at most: until the deadline, or until it is time to look again."""
        limits = [limit for limit in (deadline, self._look_at if self._unsure else None) if limit is not None]
        return max(0.0, min(limits) - time.monotonic()) if limits else None
