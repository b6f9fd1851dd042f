"""What `task.request` is: all that is known of the run at hand.

In a worker most tasks look at none of it, so it is made of three layers. What the tracer sets is in the instance at
once; what the job and its headers say is decoded when an attribute is first missed; what nobody said has the default of
the table below.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fastq._core import Job
    from fastq._seam import NewChord, OutgoingMessage
    from fastq.result import AsyncResult

__all__ = ["STANDARD_HEADERS", "Context"]

STANDARD_HEADERS: Final = frozenset(
    {
        "lang",
        "task",
        "id",
        "shadow",
        "eta",
        "expires",
        "group",
        "group_index",
        "retries",
        "timelimit",
        "root_id",
        "parent_id",
        "argsrepr",
        "kwargsrepr",
        "origin",
        "ignore_result",
        "replaced_task_nesting",
        "stamped_headers",
        "stamps",
    }
)
"""The headers of task protocol 2 (protocol.md §1.1); any other is a custom one."""

_DEFAULTS: Final[dict[str, Any]] = {
    "id": None,
    "task": None,
    "args": None,
    "kwargs": None,
    "lang": None,
    "root_id": None,
    "parent_id": None,
    "group": None,
    "group_index": None,
    "chord": None,
    "chain": None,
    "callbacks": None,
    "errbacks": None,
    "eta": None,
    "expires": None,
    "timelimit": None,
    "time_limit": None,
    "soft_time_limit": None,
    "reply_to": None,
    "correlation_id": None,
    "origin": None,
    "shadow": None,
    "argsrepr": None,
    "kwargsrepr": None,
    "hostname": None,
    "delivery_info": None,
    "loglevel": None,
    "logfile": None,
    "utc": None,
    "headers": None,
    "properties": None,
    "stamped_headers": None,
    "stamps": None,
    "taskset": None,
    "retries": 0,
    "replaced_task_nesting": 0,
    "is_eager": False,
    "called_directly": True,
    "ignore_result": False,
    "deaths": 0,
}


class Context:
    """The request of one run. Every header is an attribute, custom ones too.

    `children` gathers the results of the tasks that this run sends, `outgoing` the messages that must follow it, and
    `chords` those that begin with these: lists that come into being when they are first asked for.
    """

    id: str | None
    task: str | None
    args: list[Any] | tuple[Any, ...] | None
    kwargs: dict[str, Any] | None
    root_id: str | None
    parent_id: str | None
    group: str | None
    group_index: int | None
    chord: dict[str, Any] | None
    chain: list[dict[str, Any]] | None
    callbacks: list[dict[str, Any]] | None
    errbacks: list[dict[str, Any]] | None
    eta: str | None
    expires: str | None
    retries: int
    timelimit: list[float | None] | tuple[float | None, float | None] | None
    reply_to: str | None
    correlation_id: str | None
    origin: str | None
    shadow: str | None
    hostname: str | None
    delivery_info: dict[str, Any] | None
    is_eager: bool
    called_directly: bool
    ignore_result: bool
    replaced_task_nesting: int
    headers: dict[str, Any] | None
    properties: dict[str, Any] | None
    stamped_headers: list[str] | None
    stamps: dict[str, Any] | None
    deaths: int
    children: list[AsyncResult[Any]]
    outgoing: list[OutgoingMessage]
    chords: list[NewChord]

    def __init__(self, *args: Mapping[str, Any], **kwargs: Any) -> None:
        """Take attributes from mappings and keywords."""
        self.update(*args, **kwargs)

    @classmethod
    def from_job(cls, job: Job, hostname: str | None = None) -> Context:
        """Return the request of a job from the core; its headers stay bytes until one is asked for."""
        request = cls.__new__(cls)
        known = request.__dict__
        known["_job"] = job
        known["id"] = job.id
        known["task"] = job.name
        known["hostname"] = hostname
        known["called_directly"] = False
        return request

    def __getattr__(self, name: str) -> Any:
        """Find what the instance does not hold yet: in the job, in its headers, among the defaults."""
        known = self.__dict__
        read = _READERS.get(name)
        if read is not None:
            if "_job" in known:
                read(known, known["_job"])
            if name in known:
                return known[name]
        elif "_job" in known:
            # The headers stay a map of their own: to merge it here would cost more than to decode it.
            headers = known.get("_headers")
            if headers is None:
                headers = known["_headers"] = _mapping(known["_job"].headers)
            if name in headers:
                value = known[name] = headers[name]
                return value
        if name == "children" or name == "outgoing" or name == "chords":
            return known.setdefault(name, [])
        try:
            return _DEFAULTS[name]
        except KeyError:
            raise AttributeError(f"The request has no attribute or header {name!r}.") from None

    def update(self, *args: Mapping[str, Any], **kwargs: Any) -> None:
        """Set attributes from mappings and keywords."""
        self.__dict__.update(*args, **kwargs)

    def clear(self) -> None:
        """Forget everything that is known of the run."""
        self.__dict__.clear()

    def get(self, key: str, default: Any = None) -> Any:
        """Return an attribute, or `default` when there is none."""
        return getattr(self, key, default)

    def __repr__(self) -> str:
        known = {**self.__dict__.get("_headers", {}), **self.__dict__}
        shown = {key: value for key, value in known.items() if not key.startswith("_")}
        return f"<Context: {shown!r}>"

    def as_execution_options(self) -> dict[str, Any]:
        """Return the calling options that send this run's task once more, as itself: what a retry needs."""
        hard, soft = self.timelimit or (None, None)
        options: dict[str, Any] = {
            "task_id": self.id,
            "root_id": self.root_id,
            "parent_id": self.parent_id,
            "group_id": self.group,
            "group_index": self.group_index,
            "shadow": self.shadow,
            "chord": self.chord,
            "chain": self.chain,
            "link": self.callbacks,
            "link_error": self.errbacks,
            "expires": self.expires,
            "soft_time_limit": soft,
            "time_limit": hard,
            "headers": self.headers,
            "retries": self.retries,
            "reply_to": self.reply_to,
            "replaced_task_nesting": self.replaced_task_nesting,
            "origin": self.origin,
        }
        if self.stamped_headers:
            options["stamped_headers"] = self.stamped_headers
            options.update(self.stamps or {})
        return options

    def take_outgoing(self) -> tuple[OutgoingMessage, ...]:
        """Return the messages that must follow the run, and forget them."""
        return tuple(self.__dict__.pop("outgoing", ()))

    def take_chords(self) -> tuple[NewChord, ...]:
        """Return the chords that begin with what follows the run, and forget them."""
        return tuple(self.__dict__.pop("chords", ()))


def _mapping(data: bytes) -> dict[str, Any]:
    """Return a JSON object; the core has read it before, so it is one."""
    value = orjson.loads(data) if data else {}
    return value if isinstance(value, dict) else {}


# What a job says elsewhere than in its headers. Each reader puts it into the instance; what is there already stays.


def _read_nothing(known: dict[str, Any], job: Job) -> None:
    """Leave a header of that name out: the attribute is not the sender's to set."""


def _read_embed(known: dict[str, Any], _job: Job) -> None:
    for key, value in (known.get("embed") or {}).items():
        known.setdefault(key, value)


def _read_delivery(known: dict[str, Any], job: Job) -> None:
    known["delivery_info"] = {
        "exchange": job.exchange,
        "routing_key": job.routing_key,
        "priority": job.priority,
        "redelivered": job.redelivered,
    }


def _read_flags(known: dict[str, Any], job: Job) -> None:
    known.setdefault("ignore_result", job.ignore_result)
    known.setdefault("deaths", job.deaths)


def _read_properties(known: dict[str, Any], job: Job) -> None:
    properties = _mapping(job.properties)
    known.setdefault("properties", properties)
    known.setdefault("reply_to", properties.get("reply_to"))
    known.setdefault("correlation_id", properties.get("correlation_id"))


def _read_custom_headers(known: dict[str, Any], job: Job) -> None:
    headers = known.get("_headers")
    if headers is None:
        headers = known["_headers"] = _mapping(job.headers)
    known["headers"] = {key: value for key, value in headers.items() if key not in STANDARD_HEADERS} or None


_READERS: Final[dict[str, Callable[[dict[str, Any], Job], None]]] = {
    "children": _read_nothing,
    "outgoing": _read_nothing,
    "chords": _read_nothing,
    "released": _read_nothing,
    "callbacks": _read_embed,
    "errbacks": _read_embed,
    "chain": _read_embed,
    "chord": _read_embed,
    "delivery_info": _read_delivery,
    "ignore_result": _read_flags,
    "deaths": _read_flags,
    "properties": _read_properties,
    "reply_to": _read_properties,
    "correlation_id": _read_properties,
    "headers": _read_custom_headers,
}
