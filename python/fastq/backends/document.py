r"""The stored form of a result (protocol.md §7.1): what a backend keeps for a task, byte for byte as Celery writes it.

# Format

A map in the format of `result_serializer`; `{…}` only where they apply::

    {"status": "SUCCESS", "result": 5, "traceback": null, "children": [], "date_done": "2030-01-01T00:00:00+00:00",
     {"group_id": …, "parent_id": …,}                                        of runs that have them
     {"name": …, "args": …, "kwargs": …, "worker": …, "retries": …, "queue": …,}      with result_extended
     "task_id": "…"}

With `result_compression` the bytes are `\0celery-compressed\0`, the compressor's content type, `\0` and the map,
compressed (§7.4). Readers go by the bytes and by the record's content type, never by their own settings.
"""

from __future__ import annotations

from datetime import datetime
from time import time_ns
from typing import TYPE_CHECKING, Any, Final, TypedDict

from orjson import dumps as dump_text

from fastq._seam import Record, new_tuple
from fastq.backends import failure
from fastq.exceptions import DecodeError, EncodeError
from fastq.serialization import accepted_types, compress, content_type_of, decompress, dumps, json, loads, twins
from fastq.states import EXCEPTION_STATES, PENDING, READY_STATES, SUCCESS
from fastq.text import saferepr

if TYPE_CHECKING:
    from fastq.app.protocol import App

__all__ = ["Documents", "Meta"]

JSON: Final = "application/json"
PICKLE: Final = "application/x-python-serialize"
_BINARY: Final = frozenset({PICKLE, "application/x-msgpack"})
_COMPRESSED: Final = b"\0celery-compressed\0"
_SECOND: Final = 1_000_000_000
"""In nanoseconds."""
_EXACT: Final = 2**53
"""Smaller integers need no look at what else they might be."""
_PLAIN: Final = frozenset({str, int, float, bool, type(None), dict, list, tuple, bytes})
"""Types of results that are no result objects; only a short cut."""


class Meta(TypedDict, total=False):
    """What is known of a task: the stored map, its exception restored."""

    task_id: str
    status: str
    result: Any
    traceback: str | None
    children: list[Any] | None
    date_done: str | None
    group_id: str
    parent_id: str
    name: str
    args: Any
    kwargs: Any
    worker: str
    retries: int
    queue: str
    stamped_headers: list[str]


class Documents:
    """Writes and reads stored results as the settings of an app say; follows them when they change."""

    def __init__(self, app: App) -> None:
        """Read the settings."""
        self._app = app
        self._revision = -1
        self._second: tuple[int, bytes, bytes] = (0, b"", b"")
        """When the second at hand began, and what is the same in all its times. One value: threads share it."""
        self._configure()

    def _configure(self) -> None:
        conf = self._conf = self._app.conf
        self._revision = conf.revision
        self._zone = self._app.timezone
        self._second = (0, b"", b"")
        self._serializer: str = conf.result_serializer
        self._compression: str | None = conf.result_compression
        self._extended: bool = conf.result_extended
        # The core writes the failures that no child lives to tell, always as JSON.
        self._accept = accepted_types(tuple(conf.result_accept_content or conf.accept_content)) | {JSON}
        self._plain = self._serializer == "json" and not self._compression and not self._extended

    def _begin(self, now: int) -> tuple[int, bytes, bytes]:
        """Note, and return, what is the same in all times of the second that holds `now`."""
        second = now // _SECOND
        text = datetime.fromtimestamp(second, self._zone).isoformat()
        self._second = begun = (second * _SECOND, text[:19].encode(), text[19:].encode())
        return begun

    def success(self, task_id: str, result: Any, request: Any, alone: bool = False) -> Record:
        """Return the record of a run that returned `result`: as `write`, by a shorter way where there is one.

        Args:
            task_id: of the task.
            result: what it returned.
            request: of the run.
            alone: whether it is known that the run has neither parent, group nor children.

        Raises:
            EncodeError: the result cannot be written.
        """
        kind = type(result)
        if not alone or not self._plain or self._revision != self._conf.revision or kind not in _PLAIN:
            return self.write(task_id, result, SUCCESS, None, request)
        # The frame around the result is put together as text: it is always the same, and most of the time would go
        # into looking through it for values that JSON lacks.
        now = time_ns()
        began, date, offset = self._second
        if not began <= now < began + _SECOND:
            began, date, offset = self._begin(now)
        is_plain = result is None or kind is bool or (kind is int and -_EXACT < result < _EXACT)
        value = dump_text(result) if is_plain else json.dumps(result)
        body = (
            b'{"status":"SUCCESS","result":%b,"traceback":null,"children":[],"date_done":"%b.%06d%b","task_id":%b}'
            % (value, date, (now - began) // 1000, offset, dump_text(task_id))
        )
        return new_tuple(Record, (task_id, SUCCESS, JSON, body))

    def write(self, task_id: str, result: Any, state: str, traceback: str | None, request: Any) -> Record:
        """Return the record of a state.

        Args:
            task_id: of the task.
            result: what it returned, its exception, or the `meta` of a custom state.
            state: such as SUCCESS.
            traceback: text, when it raised.
            request: of the run, or None: then nothing is known of children and parents.

        Raises:
            EncodeError: the result cannot be written. An exception always can: what of it cannot is stored as text.
        """
        if self._revision != self._app.conf.revision:
            self._configure()
        failed = isinstance(result, BaseException) and state in EXCEPTION_STATES
        document: dict[str, Any] = {
            "status": state,
            "result": self.exception(result) if failed else self.reduced(result),
            "traceback": traceback,
            "children": None if request is None else [child.as_tuple() for child in _children(request)],
            "date_done": datetime.now(self._zone).isoformat() if state in READY_STATES else None,
        }
        if request is not None:
            self._describe(document, request)
        document["task_id"] = task_id
        try:
            content_type, body = self.encode(document)
        except Exception:
            if not failed:
                raise
            for field in ("args", "kwargs"):
                if field in document:
                    document[field] = saferepr(document[field])
            content_type, body = self.encode(document)
        return Record(task_id, state, content_type, body)

    def encode(self, document: Any) -> tuple[str, bytes]:
        """Return content type and bytes of a document in the format of `result_serializer`, compressed if that is set.

        Raises:
            EncodeError: it cannot be written.
        """
        content_type, _, body = dumps(document, self._serializer)
        if self._compression:
            method, packed = compress(body, self._compression)
            body = b"%b%b\0%b" % (_COMPRESSED, method.encode(), packed)
        return content_type, body

    def exception(self, error: BaseException) -> Any:
        """Return what is stored for an exception."""
        # Our own are always written by name: Celery has them under other names, and may not have this package.
        if self._serializer == "pickle" and type(error).__module__ != twins.OWN_MODULE and self._survives(error):
            return error
        return failure.stored(error, lambda value: dumps(value, self._serializer))

    def _survives(self, error: BaseException) -> bool:
        """Tell whether an exception can be pickled and unpickled: many have constructors that pickle cannot call."""
        try:
            content_type, encoding, body = dumps(error, "pickle")
            loads(body, content_type, encoding, {content_type})
        except Exception:  # noqa: BLE001 - unpickling runs the user's constructor
            return False
        return True

    def _describe(self, document: dict[str, Any], request: Any) -> None:
        """Add what the request tells of the run."""
        if request.group:
            document["group_id"] = request.group
        if request.parent_id:
            document["parent_id"] = request.parent_id
        if not self._extended:
            return
        document["name"] = request.task
        document["args"] = request.args
        document["kwargs"] = request.kwargs
        document["worker"] = request.hostname
        document["retries"] = request.retries
        document["queue"] = (request.delivery_info or {}).get("routing_key")
        if request.stamped_headers:
            document["stamped_headers"] = request.stamped_headers
            document.update(request.stamps or {})

    def read(self, record: Record) -> Meta:
        """Return what a record says.

        Raises:
            ContentDisallowed: its format is not accepted here (result_accept_content).
            DecodeError: its bytes are not what they say.
            SecurityError: it names an exception class that is none.
        """
        document = self.decode(record.body, f"the result of task {record.task_id}", record.content_type)
        if not isinstance(document, dict) or "status" not in document:
            raise DecodeError(f"What is stored for task {record.task_id} is no result: it has no status.")
        result = document.get("result")
        if document["status"] in EXCEPTION_STATES and isinstance(result, dict):
            document["result"] = failure.restore(result)
        document["task_id"] = record.task_id
        return document  # type: ignore[return-value]

    def decode(self, body: bytes, what: str, content_type: str | None = None) -> Any:
        """Return the document in some bytes.

        Args:
            body: the bytes, compressed or not.
            what: what they are, for the error.
            content_type: their format; None: that of `result_serializer`.

        Raises:
            ContentDisallowed: the format is not accepted here (result_accept_content).
            DecodeError: the bytes are not what they say.
        """
        if self._revision != self._app.conf.revision:
            self._configure()
        if body.startswith(_COMPRESSED):
            method, found, packed = body[len(_COMPRESSED) :].partition(b"\0")
            if not found:
                raise DecodeError(f"{what[0].upper()}{what[1:]} is compressed, but does not say how.")
            body = decompress(packed, method.decode("ascii", "replace"))
        content_type = content_type or content_type_of(self._serializer)
        # Some are written by the core, in JSON whatever the format of the others; no document of these begins so.
        is_json = content_type in _BINARY and body[:1] in (b"{", b"[")
        return loads(body, JSON if is_json else content_type, "utf-8", self._accept)

    @staticmethod
    def reduced(result: Any) -> Any:
        """Return what is stored for a returned value: of a result object its tuple.

        Raises:
            EncodeError: the object has a method `as_tuple`, which raised.
        """
        return _reduced(result)

    @staticmethod
    def restored(stored: Any) -> BaseException:
        """Return the exception that was stored so.

        Raises:
            SecurityError: it names a class that is no exception.
        """
        return failure.restore(stored)

    @staticmethod
    def unknown(task_id: str) -> Meta:
        """Return what is known of a task that nothing is stored for."""
        return {"task_id": task_id, "status": PENDING, "result": None}


def _children(request: Any) -> list[Any]:
    """Return the results of the tasks that the run has sent, without making the list when there are none."""
    return getattr(request, "__dict__", {}).get("children") or []


def _reduced(result: Any) -> Any:
    """Return what is stored for a returned value: of a result object its tuple."""
    if type(result) in _PLAIN:
        return result
    as_tuple = getattr(result, "as_tuple", None)
    if as_tuple is None:
        return result
    try:
        return as_tuple()
    except Exception as error:  # user code that has a method of that name
        raise EncodeError(f"The result cannot be stored: {error}") from error
