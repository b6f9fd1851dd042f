"""What bounds a call beside others: its lock when the task is unique, and the keys its runs are counted under.

A key is a text, a format of the call's arguments such as `"{tenant}"`, or a function of them. It is worked out by who
calls, for the core does not look into arguments, and travels in headers (docs/design/wire.md).
"""

from __future__ import annotations

import hashlib
import inspect
from typing import TYPE_CHECKING, Any, Final

import orjson

from fastq.exceptions import EncodeError, TaskAlreadyQueued
from fastq.serialization import json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = [
    "CONCURRENCY_KEY",
    "KEYS",
    "OPTIONS",
    "RATE_KEY",
    "UNIQUE_FOR",
    "UNIQUE_KEY",
    "already_queued",
    "are_made",
    "are_wanted",
    "headers",
    "raises",
]

UNIQUE_KEY: Final = "x-fastq-unique-key"
UNIQUE_FOR: Final = "x-fastq-unique-for"
RATE_KEY: Final = "x-fastq-rate-key"
CONCURRENCY_KEY: Final = "x-fastq-concurrency-key"

KEYS: Final = ("unique_key", "rate_limit_key", "concurrency_key")
"""Options that are keys."""
OPTIONS: Final = ("unique_for", "on_duplicate", *KEYS)
"""Options of a call that this module knows; a task's attributes of these names are their defaults."""

DAY: Final = 24 * 3600.0
"""Seconds that a lock lasts at most when only its key is given."""
LONGEST: Final = 240
"""Bytes of a key; a longer one is replaced by its digest."""


def are_wanted(options: Mapping[str, Any]) -> bool:
    """Tell whether a call with these options has any bounds."""
    return bool(options.get("unique_for")) or any(options.get(name) for name in KEYS)


def are_made(headers: Mapping[str, Any]) -> bool:
    """Tell whether headers hold bounds already."""
    return not headers.keys().isdisjoint((UNIQUE_KEY, RATE_KEY, CONCURRENCY_KEY))


def headers(
    name: str, task: Any, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the headers that bound a call.

    Args:
        name: of the task.
        task: the task, None when only its name is known here: then formats know positional arguments by number only.
        args: positional arguments.
        kwargs: keyword arguments.
        options: of call and task.

    Raises:
        ValueError: a key cannot be made of these arguments.
    """
    found: dict[str, Any] = {}
    call = _Call(name, task, args, kwargs)
    unique_for = options.get("unique_for")
    if unique_for or (unique_for is None and options.get("unique_key")):
        given = options.get("unique_key")
        key = call.key("unique_key", given) if given else call.digest()
        if key is not None:
            found[UNIQUE_KEY], found[UNIQUE_FOR] = _short(f"{name}:{key}"), float(unique_for or DAY)
    for option, header in (("rate_limit_key", RATE_KEY), ("concurrency_key", CONCURRENCY_KEY)):
        given = options.get(option)
        key = call.key(option, given) if given else None
        if key is not None:
            # A text that begins with a slash is meant for several tasks.
            shared = isinstance(given, str) and given.startswith("/")
            found[header] = _short(key if shared else f"{name}:{key}")
    return found


def raises(options: Mapping[str, Any]) -> bool:
    """Tell whether a call that is not sent, because another one is under way, is an error."""
    return options.get("on_duplicate") == "raise"


def already_queued(name: str, key: str, holder: str) -> TaskAlreadyQueued:
    """Return the error of such a call."""
    sentence = (
        f"{name} is under way already, as {holder} (unique key {key!r}): on_duplicate='return' would return its result."
    )
    return TaskAlreadyQueued(sentence, task_id=holder, key=key)


class _Call:
    """A call whose keys are worked out."""

    def __init__(self, name: str, task: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        self.name = name
        self.args = args
        self.kwargs = kwargs
        self.named = _named(task, args, kwargs)
        """Arguments by the names of their parameters; None when these are not known, or do not fit."""

    def key(self, option: str, given: str | Callable[..., Any]) -> str | None:
        """Return the key that an option makes of the arguments; None when its function says that there is none."""
        try:
            if callable(given):
                made = given(*self.args, **self.kwargs)
                return None if made is None else str(made)
            return given.format(*self.args, **(self.kwargs if self.named is None else self.named))
        except (LookupError, AttributeError, TypeError, ValueError) as error:
            shown = given if isinstance(given, str) else getattr(given, "__qualname__", given)
            raise ValueError(
                f"Task {self.name}: {option} is {shown!r}, of which no key can be made with these arguments: {error!r}."
            ) from error

    def digest(self) -> str:
        """Return what is the same for the same arguments, be they given by position or by name."""
        what = [list(self.args), dict(self.kwargs)] if self.named is None else self.named
        try:
            # Twice, for the second writes the keys of all mappings in order.
            plain = orjson.dumps(orjson.loads(json.dumps(what)), option=orjson.OPT_SORT_KEYS)
        except (EncodeError, orjson.JSONDecodeError) as error:
            raise ValueError(
                f"Task {self.name} is unique by its arguments, which JSON cannot write: give unique_key. ({error})"
            ) from error
        return _digest(plain)


def _named(task: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any] | None:
    if task is None:
        return None
    try:
        signature = inspect.signature(task.run)
        bound = signature.bind(*args, **kwargs)
    except (TypeError, ValueError):
        return None
    bound.apply_defaults()
    named = dict(bound.arguments)
    for name, parameter in signature.parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            named.update(named.pop(name))
        elif parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            named[name] = list(named[name])
    return named


def _short(key: str) -> str:
    data = key.encode("utf-8", "replace")
    return key if len(data) <= LONGEST else _digest(data)


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
