"""Handing composed messages to the broker: the producer, what must be declared first, and another try when it fails."""

from __future__ import annotations

import atexit
import time as clock
import weakref
from typing import TYPE_CHECKING, Any, Final, TypeVar

import orjson

from fastq._core import Producer, url_info
from fastq.app import current
from fastq.app.topology import Queue
from fastq.backends import amqp_options, redis_options
from fastq.exceptions import (
    AccessRefused,
    ImproperlyConfigured,
    NotSupported,
    OperationalError,
    QueueNotFound,
    TimeoutError,  # noqa: A004 - it is the built-in too
)
from fastq.log import get_logger
from fastq.text import hide_password

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from fastq.app.protocol import App, Publisher
    from fastq.app.template import Parts

__all__ = [
    "declare",
    "finish",
    "make_producer",
    "producer_of",
    "publish_many",
    "publish_one",
    "retry_policy",
    "with_queues",
]

T = TypeVar("T")

_logger: Final = get_logger("fastq.publish")

_NOTHING: Final[Mapping[str, Any]] = {}
_FAILURES: Final = (OperationalError, TimeoutError)


def make_producer(app: App) -> Publisher:
    """Return a new producer for the broker of the settings; it connects on first use.

    Raises:
        ImproperlyConfigured: the URL cannot be read; names the setting.
        NotSupported: it names a broker that this version does not have; names the setting.
    """
    conf = app.conf
    setting = "broker_write_url" if conf.is_set("broker_write_url") and conf.broker_write_url else "broker_url"
    url = conf[setting]
    try:
        known = url_info(url)
    except ImproperlyConfigured as error:
        raise ImproperlyConfigured(f"{setting} is {hide_password(url)!r}, which cannot be used: {error}") from None
    if not known["supported"]:
        raise NotSupported(
            f"{setting} is {hide_password(url)!r}, but this version has no {known['scheme']} broker. "
            "Use sqlite:///path/to/file.db."
        )
    if known["scheme"] in redis_options.SCHEMES:
        options = redis_options.for_broker(conf, url)
    elif known["scheme"] in amqp_options.SCHEMES:
        options = amqp_options.for_client(app)
    else:
        options = dict(conf.broker_transport_options or {})
    if conf.is_set("broker_publish_timeout"):  # the core has the same default, and not every broker has the option
        options["publish_timeout"] = conf.broker_publish_timeout
    producer = Producer(url, orjson.dumps(options, default=str).decode())
    if known["scheme"] in amqp_options.SCHEMES:
        atexit.register(_finish_at_exit, weakref.ref(producer))
    return producer


def producer_of(app: App, options: Mapping[str, Any]) -> Publisher:
    """Return what sends a call with these options: the producer that they name, else the app's."""
    producer: Publisher = options.get("producer") or options.get("publisher") or app.producer
    return producer


def declare(app: App, producer: Publisher, queues: Sequence[Any]) -> None:
    """Declare queues that have more than a name, each once for the app's own producer.

    Raises:
        OperationalError: the broker could not be reached in time.
    """
    known = app.declared if producer is app.producer else set()
    fresh = [queue for queue in map(Queue.of, queues) if queue.name not in known] if queues else []
    if fresh:
        try:
            producer.declare([spec for queue in fresh for spec in queue.specs_of_sender()])
        except TimeoutError as error:
            raise _too_late(error) from error
        known.update(queue.name for queue in fresh)


def with_queues(app: App, producer: Publisher, queues: Sequence[Any], publish: Callable[[], T]) -> T:
    """Declare queues that a message needs, and publish; once more when somebody has deleted what was declared before.

    Args:
        app: knows what was declared.
        producer: declares.
        queues: may be none, for messages that need nothing but a queue's name.
        publish: sends; what it returns is returned.

    Raises:
        QueueNotFound: no queue takes the message.
        OperationalError: the broker could not be reached in time.
    """
    declare(app, producer, queues)
    try:
        return publish()
    except QueueNotFound:
        if not queues:
            raise
        app.declared.difference_update(Queue.of(queue).name for queue in queues)
        declare(app, producer, queues)
        return publish()


def publish_one(app: App, producer: Publisher, message: Parts, options: Mapping[str, Any] = _NOTHING) -> str | None:
    """Publish; while the broker is out of reach, repeat as the retry policy says, but never past the deadline.

    The deadline (`broker_publish_timeout`, or the option `timeout`) is what keeps a web request from hanging.

    Args:
        app: gives the settings.
        producer: sends.
        message: route, headers, properties, body.
        options: of the call; `retry`, `retry_policy` and `timeout` count.

    Returns:
        None; of a unique task that was not sent the id of the call that is under way.

    Raises:
        OperationalError: the broker could not be reached in time.
    """
    begun = clock.monotonic()
    try:
        return _publish(producer, message)
    except _FAILURES as error:
        return _again(app, options, begun, error, lambda left: _publish(producer, message, left))


def _publish(producer: Publisher, message: Parts, left: float | None = None) -> str | None:
    """Publish once; return the holder of the lock that kept it from being sent."""
    if current.current_frame() is None:
        return producer.publish(*message, timeout=left)
    # What a run sends is safe before the run is acknowledged: so it is waited for.
    kept = producer.publish_many((message,), timeout=left)
    return kept[0][1] if kept else None


def finish(producer: Publisher) -> None:
    """Wait until everything is confirmed that a producer has sent; say so in the log when it is not."""
    try:
        producer.flush()
    except _FAILURES as error:
        _logger.error("%s", error)


def _finish_at_exit(producer: weakref.ref[Publisher]) -> None:
    known = producer()
    if known is not None:
        finish(known)


def publish_many(
    app: App,
    producer: Publisher,
    messages: Sequence[Parts],
    options: Mapping[str, Any] = _NOTHING,
    together: bool = True,
) -> Sequence[tuple[int, str]]:
    """Publish together, all or none; tried again as by `publish_one`.

    Args:
        app: gives the settings.
        producer: sends.
        messages: of each route, headers, properties, body.
        options: of the calls.
        together: whether one of a unique task that may not go keeps all from going; else the others go.

    Returns:
        Place and holder's id of those that may not go.
    """
    begun = clock.monotonic()
    how: dict[str, Any] = {} if together else {"together": False}
    try:
        duplicates = producer.publish_many(messages, **how)
    except _FAILURES as error:
        duplicates = _again(
            app, options, begun, error, lambda left: producer.publish_many(messages, timeout=left, **how)
        )
    return duplicates or ()


def _again(
    app: App,
    options: Mapping[str, Any],
    begun: float,
    failure: OperationalError | TimeoutError,
    publish: Callable[[float | None], T],
) -> T:
    """Publish again, as often and as long as that is allowed, each time with what is left of the time."""
    retry = options.get("retry")
    policy = retry_policy(app, options)
    within = options.get("timeout") or app.conf.broker_publish_timeout
    left: float | None = None
    for pause in _pauses(policy) if (app.conf.task_publish_retry if retry is None else retry) else ():
        if within is not None:
            left = begun + within - clock.monotonic() - pause
        # A password that was refused is refused again; who calls should hear so at once.
        if isinstance(failure, AccessRefused) or (left is not None and left <= 0):
            break
        clock.sleep(pause)  # noqa: TID251 - the pause is the point: there is no fact to wait for
        try:
            return publish(left)
        except _FAILURES as error:
            failure = error
    raise failure if isinstance(failure, OperationalError) else _too_late(failure)


def _pauses(policy: Mapping[str, Any]) -> Iterator[float]:
    """Yield the seconds before each further try."""
    tries = policy.get("max_retries", 3)
    pause = float(policy.get("interval_start") or 0)
    tried = 0
    while tries is None or tried < tries:
        yield pause
        tried += 1
        pause = min(pause + float(policy.get("interval_step") or 0), float(policy.get("interval_max") or 1))


def _too_late(error: TimeoutError) -> OperationalError:
    """Return what callers catch when a broker cannot be reached, for one that did not answer in time."""
    failure = OperationalError(str(error))
    failure.__cause__ = error
    return failure


def retry_policy(app: App, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a failed publish of this call is repeated: the call's own policy over that of the settings."""
    return {**(app.conf.task_publish_retry_policy or {}), **(options.get("retry_policy") or {})}
