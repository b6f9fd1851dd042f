"""JSON as Celery writes it: plain JSON, and a few Python types in an envelope.

# Format

A value of a type that JSON lacks is an object with exactly these two keys; with any other set of keys it is a map::

    {"__type__": "datetime", "__value__": "2030-01-01T00:00:00+00:00"}

========== ========================== ============================
`__type__` type                       `__value__`
========== ========================== ============================
datetime   datetime                   ISO text, offset kept
date       date                       `YYYY-MM-DD`
time       time                       ISO text
decimal    Decimal                    its digits
uuid       UUID                       `{"hex": "32 characters"}`
bytes      bytes that are UTF-8       the text
base64     other bytes                base64 text
========== ========================== ============================

A dataclass and a model of pydantic become the object of their fields, an Enum its value; they are read as that.

# How

orjson writes and reads nearly everything: a tenth of the time of the standard library. It differs from it (and so from
Celery) in what it does with integers beyond 64 bits, NaN and infinities, lone surrogates, keys that are no text, and
UUIDs; whatever may hold one of these goes through the standard library, which both sides then agree on.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import re
import sys
import uuid
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from fastq.exceptions import DecodeError, EncodeError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MAX_BYTES", "dumps", "is_plain", "loads", "register_type"]

MAX_BYTES: Final = 256 * 1024 * 1024
"""The longest text that is read: a larger one is refused before it is looked at."""

_write: Final = orjson.dumps
_read: Final = orjson.loads
_OPTIONS: Final = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
_EMPTY_EMBED: Final = b'{"callbacks":null,"errbacks":null,"chain":null,"chord":null}]'
"""The end of a task's body when nothing follows it: the only nulls of most messages, and none of them a NaN."""

_uuid_shaped: Final = re.compile(rb'"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"').search
_long_number: Final = re.compile(rb"[0-9]{19}").search
_two_digits: Final = re.compile(rb"[0-9]{2}").search
_SUSPECTS: Final = b"_0123456789"
_SHORT: Final = 512
_no_digit: Final = frozenset(b"0123456789").isdisjoint
_PLAIN: Final = frozenset({str, int, bool, type(None), datetime, date, time, Decimal, bytes})
_KEYS: Final = frozenset({"__type__", "__value__"})


class _Typed(NamedTuple):
    marker: str | None
    encode: Callable[[Any], Any]


def _encode_bytes(value: bytes) -> dict[str, Any]:
    try:
        return {"__type__": "bytes", "__value__": value.decode("utf-8")}
    except UnicodeDecodeError:
        return {"__type__": "base64", "__value__": base64.b64encode(value).decode("ascii")}


def _decode_datetime(value: str) -> datetime:
    # Older writers end UTC with a Z, which Python 3.10 does not read.
    return datetime.fromisoformat(f"{value[:-1]}+00:00" if value.endswith("Z") else value)


def _decode_bytes(value: Any) -> bytes:
    return value.encode("utf-8") if isinstance(value, str) else bytes(value)


_encoders: dict[type, _Typed] = {
    # A datetime is a date too: the more special type stands first.
    datetime: _Typed("datetime", datetime.isoformat),
    date: _Typed("date", date.isoformat),
    time: _Typed("time", time.isoformat),
    Decimal: _Typed("decimal", str),
    uuid.UUID: _Typed("uuid", lambda value: {"hex": value.hex}),
    bytes: _Typed(None, _encode_bytes),
}
_decoders: dict[str, Callable[[Any], Any]] = {
    "datetime": _decode_datetime,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "decimal": Decimal,
    "uuid": lambda value: uuid.UUID(**value),
    "bytes": _decode_bytes,
    "base64": base64.b64decode,
}


def register_type(
    kind: type, marker: str | None, encode: Callable[[Any], Any], decode: Callable[[Any], Any] | None = None
) -> None:
    """Have values of a type written in an envelope.

    Args:
        kind: the type; subclasses are written the same way.
        marker: the envelope's `__type__`. None: what `encode` returns is written without an envelope.
        encode: returns something JSON has.
        decode: returns the value again; without it the marker cannot be read here.
    """
    _encoders[kind] = _Typed(marker, encode)
    if marker is not None and decode is not None:
        _decoders[marker] = decode


def dumps(value: Any) -> bytes:
    """Return a value as JSON text in UTF-8.

    Tuples become lists, and keys that are numbers or None become text.

    Raises:
        EncodeError: something in the value has a type that cannot be written, or it is nested too deeply.
    """
    try:
        data = _write(value, _encode_common, _OPTIONS)
    except (TypeError, RecursionError):
        return _dumps_standard(value)
    nulls = data.count(b"null")
    if nulls and not (nulls == 4 and data.endswith(_EMPTY_EMBED)) and _needs_care(value):
        return _dumps_standard(value)
    if data.find(b"-") >= 0 and _uuid_shaped(data) and _needs_care(value):
        return _dumps_standard(value)
    return data


def is_plain(value: Any) -> bool:
    """Tell whether a value has the same text wherever it stands, so that it may be written by itself."""
    return not _needs_care(value)


def _encode_common(value: Any) -> Any:
    """Return the envelope of a common type; everything else is left to the standard library."""
    typed = _encoders.get(type(value))
    if typed is None or (typed.marker is None and type(value) is not bytes):
        raise TypeError
    return typed.encode(value) if typed.marker is None else {"__type__": typed.marker, "__value__": typed.encode(value)}


def _needs_care(value: Any) -> bool:
    """Tell whether the value holds something that orjson writes otherwise than the standard library.

    It writes a NaN as null and a UUID as plain text, and says nothing. Types this function does not know count as such.
    """
    kind = type(value)
    if kind is dict:
        value = value.values()
    elif kind is not list and kind is not tuple:
        value = (value,)
    for item in value:
        kind = type(item)
        if kind in _PLAIN:
            continue
        if kind is float:
            if item - item != 0.0:  # NaN and infinities are the only floats that differ from themselves so
                return True
        elif not (kind is dict or kind is list or kind is tuple) or _needs_care(item):
            return True
    return False


class _Encoder(json.JSONEncoder):
    def default(self, value: Any) -> Any:
        reducer = getattr(value, "__json__", None)
        if reducer is not None:
            return reducer()
        if _is_lazy_text(value):
            return str(value)
        plain = _plain(value)
        if plain is not value:
            return plain
        for kind, typed in _encoders.items():
            if isinstance(value, kind):
                encoded = typed.encode(value)
                return encoded if typed.marker is None else {"__type__": typed.marker, "__value__": encoded}
        return super().default(value)


def _plain(value: Any) -> Any:
    """Return what JSON writes in place of a model of pydantic, a dataclass or an Enum; anything else as it is.

    Reading does not bring the class back: that is for the task, which knows what it takes (`pydantic=True`).
    """
    dump = getattr(type(value), "model_dump", None)
    if dump is not None:
        return dump(value, mode="json")
    if isinstance(value, Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return value


def _is_lazy_text(value: Any) -> bool:
    """Tell whether a value is a translation that Django makes when it is shown."""
    functional = sys.modules.get("django.utils.functional")
    return functional is not None and isinstance(value, functional.Promise)


_standard: Final = _Encoder(separators=(",", ":"))


def _dumps_standard(value: Any) -> bytes:
    try:
        return _standard.encode(value).encode("ascii")
    except RecursionError:
        raise EncodeError("The value is nested too deeply for JSON.") from None
    except (TypeError, ValueError) as error:
        place = _locate(value)
        # What was tried before it, with orjson and without, is of no help: the sentence says all.
        raise EncodeError(f"{error} (at {place})" if place else str(error)) from None


def _locate(value: Any, path: str = "value", levels: int = 16) -> str | None:
    """Return where the first part lies that cannot be written: `value[0]['when']`."""
    if levels and isinstance(value, (dict, list, tuple)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            found = _locate(item, f"{path}[{key!r}]", levels - 1)
            if found:
                return found
    try:
        _standard.encode(value)
    except (TypeError, ValueError, RecursionError):
        return path
    return None


def loads(data: bytes | bytearray | memoryview | str, max_bytes: int = MAX_BYTES) -> Any:
    """Return the value of a JSON text.

    Args:
        data: the text, bytes in UTF-8.
        max_bytes: refuse what is longer.

    Raises:
        DecodeError: the text is not JSON, too long, nested too deeply, or holds an envelope of an unknown type.
    """
    if type(data) is not bytes:
        data = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else bytes(data)
    if len(data) > max_bytes:
        raise DecodeError(f"The JSON text has {len(data)} bytes; at most {max_bytes} are read.")
    # Two looks that most messages, being short, are spared by one: an envelope has four underscores, and an integer
    # beyond 64 bits, which orjson turns into a float, 19 digits in a row.
    suspects = len(data) - len(data.translate(None, _SUSPECTS)) if len(data) < _SHORT else _SHORT
    if suspects >= 4:
        if data.find(b"__type__") >= 0:
            return _loads_standard(data, _open_envelope)
        # Every nineteenth byte hits such a number, and every ninth hits it twice.
        if suspects >= 19 and not _no_digit(data[::19]) and _two_digits(data[::9]) and _long_number(data):
            return _loads_standard(data, None)
    try:
        return _read(data)
    except orjson.JSONDecodeError:
        return _loads_standard(data, None)  # NaN, infinities, lone surrogates; else its message is the clearer one


def _loads_standard(data: bytes, hook: Callable[[dict[str, Any]], Any] | None) -> Any:
    try:
        return json.loads(data, object_hook=hook)
    except RecursionError:
        raise DecodeError("The JSON text is nested too deeply.") from None
    except (ValueError, TypeError, ArithmeticError, AttributeError) as error:
        raise DecodeError(f"The data is not the JSON it should be: {error}") from error


def _open_envelope(found: dict[str, Any]) -> Any:
    if found.keys() != _KEYS:
        return found
    marker = found["__type__"]
    decode = _decoders.get(marker) if isinstance(marker, str) else None
    if decode is None:
        raise ValueError(f"unknown __type__ {marker!r}")
    return decode(found["__value__"])
