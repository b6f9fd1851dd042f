"""Whether the options of a call can work, found out where they are written: before the message is sent.

What is wrong raises TypeError (not this kind of value) or ValueError (this kind, but none that can work), in one
sentence that names the option, the value and what is allowed. Options that say where a call belongs (`root_id`,
`group_id` and their like) are fastq's own business and not looked at; nor are None, which says nothing, and options
nobody knows, which become properties of the message.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, MutableMapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from fastq import time
from fastq.app.attributes import Configured
from fastq.exceptions import ImproperlyConfigured, SerializerNotInstalled
from fastq.serialization import compression, registry
from fastq.text import saferepr

if TYPE_CHECKING:
    from fastq.conf.settings import Settings

__all__ = ["UnknownSerializer", "check_attributes", "check_options", "check_settings"]

Check = Callable[[Any], Any]
"""Returns the value as it is sent; raises TypeError or ValueError, with what is allowed as its text."""

_FLOOR: Final = -(2**31)
_CEILING: Final = 10**10
"""Seconds: the year 2286, and beyond it every clock's end."""
_MODES: Final = (1, 2, "1", "2", "transient", "persistent")


class UnknownSerializer(SerializerNotInstalled, ValueError):  # noqa: N818 - as its base
    """A call names a serializer that is not there."""


def _number(allowed: str, lowest: float, highest: float = math.inf) -> Check:
    within = f"{allowed}, {lowest} or more" if highest == math.inf else f"{allowed}, from {lowest} to {highest}"

    def check(value: Any) -> Any:
        if not isinstance(value, int | float):
            raise TypeError(allowed)
        if not (lowest <= value <= highest) or value == math.inf:  # a NaN is neither
            raise ValueError(within)
        return value

    return check


def _kind(allowed: str, *kinds: type) -> Check:
    def check(value: Any) -> Any:
        if not isinstance(value, kinds):
            raise TypeError(allowed)
        return value

    return check


def _task_id(value: Any) -> str:
    if isinstance(value, UUID):
        return str(value)
    if not isinstance(value, str):
        raise TypeError("text or a UUID")
    return value


def _eta(value: Any) -> Any:
    allowed = "a datetime, or its ISO 8601 text"
    if not isinstance(value, datetime | str):
        raise TypeError(f"{allowed}; for seconds there is countdown")
    return _moment(value, allowed)


def _expires(value: Any) -> Any:
    allowed = "a number of seconds, a datetime, or its ISO 8601 text"
    if isinstance(value, int | float):
        return _number(allowed, _FLOOR, _CEILING)(value)
    if not isinstance(value, datetime | timedelta | str):
        raise TypeError(allowed)
    return value if isinstance(value, timedelta) else _moment(value, allowed)


def _moment(value: datetime | str, allowed: str) -> datetime | str:
    try:
        if value:
            time.from_iso(value)
    except ValueError:
        raise ValueError(allowed) from None
    return value


def _priority(value: Any) -> int:
    allowed = "an integer from 0 to 255, of which the higher goes first"
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(allowed) from None
    if not 0 <= number <= 255:
        raise ValueError(allowed)
    return number


def _named(what: str) -> Check:
    """Return the check of a queue or exchange: a name, or an object that has one, such as kombu's."""

    def check(value: Any) -> Any:
        if not isinstance(value, str) and not isinstance(getattr(value, "name", None), str):
            raise TypeError(f"a name, or {what}")
        return value

    return check


def _serializer(value: Any) -> Any:
    known = registry.names() if value != "json" else ("json",)
    allowed = f"the name of a serializer: {', '.join(known)}"
    if not isinstance(value, str):
        raise TypeError(allowed)
    if value not in known:
        raise UnknownSerializer(allowed)
    return value


def _compression(value: Any) -> Any:
    known = compression.content_types()
    allowed = f"the name of a compression: {', '.join(sorted(known))}"
    if not isinstance(value, str):
        raise TypeError(allowed)
    if value and value not in known and value not in known.values():
        raise ValueError(allowed)
    return value


def _delivery_mode(value: Any) -> Any:
    if value not in _MODES:
        raise ValueError("1 or 'transient', 2 or 'persistent'")
    return value


_text: Final = _kind("text", str)
_seconds: Final = _number("a number of seconds", 0)


def _key(value: Any) -> Any:
    if not isinstance(value, str) and not callable(value):
        raise TypeError("text, a format of the call's arguments such as '{tenant}', or a function of them")
    return value


def _one_of(*allowed: str) -> Check:
    shown = " or ".join(map(repr, allowed))

    def check(value: Any) -> Any:
        if value not in allowed:
            raise ValueError(shown)
        return value

    return check


_CHECKS: Final[Mapping[str, Check]] = {
    "task_id": _task_id,
    "countdown": _number("a number of seconds", _FLOOR, _CEILING),
    "eta": _eta,
    "expires": _expires,
    "expiration": _seconds,
    "time_limit": _seconds,
    "soft_time_limit": _seconds,
    "timeout": _seconds,
    "confirm_timeout": _seconds,
    "queue": _named("a Queue"),
    "exchange": _named("an Exchange"),
    "exchange_type": _text,
    "routing_key": _text,
    "priority": _priority,
    "delivery_mode": _delivery_mode,
    "serializer": _serializer,
    "compression": _compression,
    "headers": _kind("a mapping", Mapping),
    "retry_policy": _kind("a mapping", Mapping),
    "shadow": _text,
    "reply_to": _text,
    "route_name": _text,
    "unique_for": _seconds,
    "unique_key": _key,
    "on_duplicate": _one_of("return", "raise"),
    "rate_limit_key": _key,
    "concurrency_key": _key,
}
"""How each option of a call is checked; an empty text counts as none, as it does wherever these are read."""

_ATTRIBUTES: Final[Mapping[str, Check]] = {
    # A serializer or a compression may be registered after the task is declared: calls look them up.
    **{name: check for name, check in _CHECKS.items() if name not in ("serializer", "compression")},
    "serializer": _text,
    "compression": _text,
    "name": _text,
    "max_retries": _kind("a number, or None for no limit", int, float),
    "default_retry_delay": _seconds,
    "retry_backoff": _number("True, False, or a number of seconds", 0),
    "retry_backoff_max": _seconds,
    "rate_limit": lambda value: _rate(value),
    "rate_limit_scope": _one_of("worker", "global"),
    "max_concurrency": lambda value: _count(value),
}
"""How the attributes of a task are checked when it is declared."""


_NAMING: Final[Mapping[str, Check]] = {
    "task_serializer": _serializer,
    "result_serializer": _serializer,
    "accept_content": _serializer,
    "result_accept_content": _serializer,
    "task_compression": _compression,
    "result_compression": _compression,
}
"""The settings whose value is a name, or a list of names, that something must be registered under."""


def _rate(value: Any) -> Any:
    allowed = "a number of runs per second, or text such as '10/s', '10/m' or '10/h'"
    if not isinstance(value, int | float | str):
        raise TypeError(allowed)
    try:
        time.rate(value)
    except ValueError:
        raise ValueError(allowed) from None
    return value


def _count(value: Any) -> Any:
    allowed = "a number of runs, 1 or more"
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(allowed)
    if value < 1:
        raise ValueError(allowed)
    return value


def check_options(options: MutableMapping[str, Any], given: Mapping[str, Any], task: Any = None) -> None:
    """Check the options of a call, and put those in place that are sent in another form, such as a UUID.

    Args:
        options: of the call, those of its task among them.
        given: those that the caller wrote; what is wrong with another one is said of its setting, or the task.
        task: whose attributes or settings the others are, when it is known here.

    Raises:
        TypeError: an option has a value of a wrong kind.
        ValueError: an option has a value that cannot work.
    """
    for name, value in options.items():
        check = _CHECKS.get(name)
        if check is None or value is None or (type(value) is str and not value):
            continue
        try:
            checked = check(value)
        except (TypeError, ValueError) as error:
            raise type(error)(_sentence(_described(name, given, task), value, error)) from None
        if checked is not value:
            options[name] = checked  # the key is there: this does not change what is iterated over


def check_attributes(name: str, attributes: Mapping[str, Any]) -> None:
    """Check what a declaration says of its task.

    Args:
        name: of the task.
        attributes: the options of the decorator.

    Raises:
        TypeError: an attribute has a value of a wrong kind.
        ValueError: an attribute has a value that cannot work.
    """
    for key, value in attributes.items():
        check = _ATTRIBUTES.get(key)
        if check is None or value is None:
            continue
        try:
            check(value)
        except (TypeError, ValueError) as error:
            raise type(error)(_sentence(f"The option {key} of task {name}", value, error)) from None
    hard, soft = attributes.get("time_limit"), attributes.get("soft_time_limit")
    if hard and soft and soft > hard:
        raise ValueError(f"Task {name}: soft_time_limit ({soft} s) must not be longer than time_limit ({hard} s).")


def check_settings(conf: Settings, *names: str) -> None:
    """Check the settings that name serializers and compressions, which may be registered after they were read.

    Args:
        conf: the settings.
        *names: which of them; all by default.

    Raises:
        ImproperlyConfigured: a setting names one that is not there.
    """
    for name in names or _NAMING:
        value = conf[name]
        for part in value if isinstance(value, list | tuple | set | frozenset) else (value,):
            try:
                if part and not (name.endswith("accept_content") and "/" in str(part)):
                    _NAMING[name](part)
            except (TypeError, ValueError) as error:
                raise ImproperlyConfigured(_sentence(f"The setting {name}", part, error)) from None


def _described(name: str, given: Mapping[str, Any], task: Any) -> str:
    if name in given or task is None:
        return f"The option {name}"
    if name not in vars(task):
        for kind in type(task).__mro__:
            if name in vars(kind):
                found = vars(kind)[name]
                return f"The setting {found.setting}" if isinstance(found, Configured) else _of_task(name, task)
    return _of_task(name, task)


def _of_task(name: str, task: Any) -> str:
    return f"The option {name} of task {task.name}"


def _sentence(what: str, value: Any, error: Exception) -> str:
    return f"{what} must be {error}; not {saferepr(value, 100)}."
