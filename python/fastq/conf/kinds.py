"""What values a setting takes, and how they are read from text.

Text comes from the environment and the command line, and from configurations that pass it on (`os.environ["LIMIT"]`),
so every kind but text itself reads it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from datetime import timedelta, tzinfo
from typing import Any, Final, NamedTuple

from fastq.time import find_zone

__all__ = [
    "ANY",
    "BYTES",
    "FLAG",
    "FLAG_OR_MAP",
    "INTEGER",
    "INTEGER_OR_AUTO",
    "LEVEL",
    "LIST",
    "MAP",
    "NUMBER",
    "OBJECT",
    "TEXT",
    "TEXT_OR_INTEGER",
    "TEXT_OR_NUMBER",
    "URLS",
    "ZONE",
    "Kind",
]

_YES: Final = frozenset({"1", "true", "yes", "on", "y", "t"})
_NO: Final = frozenset({"0", "false", "no", "off", "n", "f", ""})


class Kind(NamedTuple):
    """A kind of value.

    Attributes:
        name: as the reference says it: `number`.
        wanted: as an error says it: `a number`.
        convert: returns the value as it is kept, or raises ValueError or TypeError.
    """

    name: str
    wanted: str
    convert: Callable[[Any], Any]


def _flag(value: Any) -> bool:
    if isinstance(value, str):
        word = value.strip().lower()
        if word in _YES:
            return True
        if word in _NO:
            return False
    elif isinstance(value, (bool, int)) and value in {0, 1}:
        return bool(value)
    raise ValueError


def _integer(value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError
    if isinstance(value, str):
        return int(value.strip().replace("_", ""))
    number = _number(value)
    if number != math.floor(number):
        raise ValueError
    return int(number)


def _number(value: Any) -> float | int:
    if isinstance(value, bool):
        raise TypeError
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, str):
        return float(value.strip())
    if isinstance(value, (int, float)):
        return value
    return float(value)  # Decimal, Fraction, numbers of other packages


def _number_not_nan(value: Any) -> float | int:
    number = _number(value)
    if math.isnan(number):
        raise ValueError
    return number


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if hasattr(value, "__fspath__"):
        return str(value.__fspath__())
    raise TypeError


def _list(value: Any) -> Any:
    if isinstance(value, str):
        text = value.strip()
        if text.startswith("["):
            return list(json.loads(text))
        return [part.strip() for part in text.split(",") if part.strip()]
    if isinstance(value, (list, tuple)):
        return value
    if isinstance(value, Mapping):
        raise TypeError
    return list(value)


def _map(value: Any) -> Mapping[str, Any]:
    if isinstance(value, str):
        value = json.loads(value)
    if isinstance(value, Mapping):
        return value
    raise TypeError


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8")
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    raise TypeError


def _any(value: Any) -> Any:
    if isinstance(value, str) and value.strip()[:1] in {"{", "["}:
        return json.loads(value)
    return value


def _urls(value: Any) -> str:
    """Return one text: several URLs are joined with `;`."""
    if isinstance(value, (list, tuple)) and value:
        return ";".join(_text(part) for part in value)
    return _text(value)


def _integer_or_auto(value: Any) -> int | str:
    if isinstance(value, str) and value.strip().lower() == "auto":
        return "auto"
    number = _integer(value)
    if number < 0:
        raise ValueError
    return number


def _level(value: Any) -> str | int:
    if isinstance(value, str):
        word = value.strip()
        return int(word) if word.isdigit() else word.upper()
    return _integer(value)


def _zone(value: Any) -> str | tzinfo:
    find_zone(value if isinstance(value, tzinfo) else _text(value))
    return value  # type: ignore[no-any-return]


def _first_of(*converters: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        for converter in converters[:-1]:
            try:
                return converter(value)
            except (ValueError, TypeError):
                continue
        return converters[-1](value)

    return convert


ANY: Final = Kind("anything", "something else", _any)
BYTES: Final = Kind("bytes", "bytes", _bytes)
FLAG: Final = Kind("true or false", "true or false", _flag)
FLAG_OR_MAP: Final = Kind("true, false or map", "true, false or a map", _first_of(_flag, _map))
INTEGER: Final = Kind("integer", "an integer", _integer)
INTEGER_OR_AUTO: Final = Kind("integer or `auto`", "an integer from 0 up, or 'auto'", _integer_or_auto)
LEVEL: Final = Kind("log level", "a log level such as INFO", _level)
LIST: Final = Kind("list", "a list, or names with commas between them", _list)
MAP: Final = Kind("map", "a map (as text: a JSON object)", _map)
NUMBER: Final = Kind("number", "a number", _number_not_nan)
OBJECT: Final = Kind("name or object", "a name or an object", lambda value: value)
TEXT: Final = Kind("text", "text", _text)
TEXT_OR_INTEGER: Final = Kind("text or integer", "text or an integer", _first_of(_text, _integer))
TEXT_OR_NUMBER: Final = Kind("text or number", "text or a number", _first_of(_text, _number_not_nan))
URLS: Final = Kind("URL", "a URL, or a list of URLs", _urls)
ZONE: Final = Kind("time zone", "the name of a time zone, such as 'Europe/Paris'", _zone)
