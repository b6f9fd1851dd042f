"""Which serializers there are, and which content a reader accepts.

=========== ================================ ======== ========================================
name        content type                     encoding
=========== ================================ ======== ========================================
`json`      `application/json`               utf-8    the default
`yaml`      `application/x-yaml`             utf-8    package PyYAML
`msgpack`   `application/x-msgpack`          binary   package msgpack
`pickle`    `application/x-python-serialize` binary   only where it is accepted by name
`raw`       `application/data`               binary   bytes as they are; text as utf-8
(none)      `application/data`               binary   a body of bytes with no serializer named
(none)      `text/plain`                     utf-8    a body of text with no serializer named
=========== ================================ ======== ========================================

More are added with `register`, or by packages through the entry point groups `fastq.serializers` and
`kombu.serializers`: a tuple of the arguments of `register` after the name.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fastq.exceptions import ContentDisallowed, DecodeError, EncodeError, SerializationError, SerializerNotInstalled
from fastq.imports import entry_points, use_entry_points
from fastq.serialization import json as _json
from fastq.serialization import msgpack as _msgpack
from fastq.serialization import pickle as _pickle
from fastq.serialization import yaml as _yaml
from fastq.text import closest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "JSON",
    "accepted_types",
    "content_type_of",
    "disable_insecure_serializers",
    "dumps",
    "enable_insecure_serializers",
    "loads",
    "names",
    "register",
    "unregister",
]

JSON: Final = "application/json"
RAW: Final = "application/data"

_ALWAYS_ACCEPTED: Final = frozenset({RAW, "application/text"})
_BINARY: Final = frozenset({"binary", "ascii-8bit"})
_INSECURE: Final = ("pickle", "yaml", "msgpack")


class _Serializer(NamedTuple):
    encode: Callable[[Any], bytes | str]
    decode: Callable[[Any], Any]
    content_type: str
    encoding: str


_by_name: dict[str, _Serializer] = {}
_by_type: dict[str, _Serializer] = {}
_disabled: set[str] = set()


def register(
    name: str,
    encoder: Callable[[Any], bytes | str] | None,
    decoder: Callable[[Any], Any] | None,
    content_type: str,
    content_encoding: str = "utf-8",
) -> None:
    """Add a serializer, or replace the one of that name.

    Args:
        name: what settings and calls say.
        encoder: value to bytes or text; None: it is only read.
        decoder: bytes (text, when the encoding is not binary and it asks for that itself) to value; None: only written.
        content_type: what messages say.
        content_encoding: of text, or `binary`.
    """
    serializer = _Serializer(
        encoder or _refusal(EncodeError, name, "written"),
        decoder or _refusal(DecodeError, name, "read"),
        content_type,
        content_encoding,
    )
    _by_name[name] = serializer
    _by_type[content_type] = serializer
    accepted_types.cache_clear()


def _refusal(kind: type[SerializationError], name: str, what: str) -> Callable[[Any], Any]:
    def refuse(_: Any) -> Any:
        raise kind(f"The serializer {name!r} cannot be {what} here.")

    return refuse


def unregister(name: str) -> None:
    """Remove a serializer.

    Raises:
        SerializerNotInstalled: there is none of that name.
    """
    serializer = _by_name.pop(name, None)
    if serializer is None:
        raise SerializerNotInstalled(f"There is no serializer {name!r} to remove.")
    _by_type.pop(serializer.content_type, None)
    accepted_types.cache_clear()


def names() -> list[str]:
    """Return the names of all serializers."""
    _load_entry_points()
    return sorted(_by_name)


def content_type_of(name: str) -> str:
    """Return the content type of a serializer's name; a content type is returned as it is.

    Raises:
        SerializerNotInstalled: there is no such serializer.
    """
    return name if "/" in name else _find(name).content_type


@lru_cache(maxsize=256)
def accepted_types(accept: tuple[str, ...]) -> frozenset[str]:
    """Return the content types that a list of names and content types accepts, those always accepted included.

    Raises:
        SerializerNotInstalled: a name is not known.
    """
    return frozenset(content_type_of(name) for name in accept) | _ALWAYS_ACCEPTED


def disable_insecure_serializers(allowed: Iterable[str] = ("json",)) -> None:
    """Refuse every serializer but the allowed ones where a reader names no accepted content."""
    kept = {content_type_of(name) for name in allowed} | _ALWAYS_ACCEPTED
    _disabled.update(_by_type.keys() - kept)


def enable_insecure_serializers(choices: Iterable[str] = _INSECURE) -> None:
    """Allow these serializers again where a reader names no accepted content."""
    _disabled.difference_update(content_type_of(name) for name in choices)


def dumps(value: Any, serializer: str | None = None) -> tuple[str, str, bytes]:
    """Return content type, content encoding and bytes of a value.

    Args:
        value: anything the serializer can write.
        serializer: its name; None: bytes and text as they are, anything else as JSON.

    Raises:
        EncodeError: the value cannot be written, and where in it the part lies that cannot.
        SerializerNotInstalled: the serializer is unknown, or its package is not installed.
    """
    if serializer == "json":
        return JSON, "utf-8", _json.dumps(value)
    if serializer is None:
        if isinstance(value, bytes):
            return RAW, "binary", value
        if isinstance(value, str):
            return "text/plain", "utf-8", value.encode("utf-8")
        return JSON, "utf-8", _json.dumps(value)
    found = _find(serializer)
    encoding = found.encoding
    if serializer == "raw" and isinstance(value, str):
        encoding = "utf-8"
    try:
        data = found.encode(value)
    except SerializationError:
        raise
    except Exception as error:  # a serializer raises what it likes
        raise EncodeError(f"The value cannot be written as {serializer}: {error}") from error
    return found.content_type, encoding, data.encode("utf-8") if isinstance(data, str) else data


def loads(
    data: bytes,
    content_type: str | None,
    content_encoding: str | None,
    accept: Iterable[str] | None = None,
) -> Any:
    """Return the value that bytes hold.

    Args:
        data: as received.
        content_type: as the message says; None: `application/data`.
        content_encoding: as the message says; None: utf-8.
        accept: names or content types to read; None: all but the disabled ones. A frozenset from `accepted_types` is
            the quickest.

    Raises:
        ContentDisallowed: this content is not accepted here.
        DecodeError: the bytes are not what they say.
        SerializerNotInstalled: the package that reads them is not installed.
    """
    content_type = content_type or RAW
    if accept is not None:
        allowed = accept if isinstance(accept, frozenset) else accepted_types(tuple(accept))
        if content_type not in allowed and content_type not in _ALWAYS_ACCEPTED:
            raise ContentDisallowed(
                f"Refused to decode content of type {content_type!r}: accept_content does not name it "
                f"(accepted: {', '.join(sorted(allowed - _ALWAYS_ACCEPTED))})."
            )
    elif content_type in _disabled:
        raise ContentDisallowed(f"Refused to decode content of type {content_type!r}: it is disabled.")
    if content_type == JSON and data:
        return _json.loads(data)
    return _decode(data, content_type, (content_encoding or "utf-8").lower())


def _decode(data: bytes, content_type: str, encoding: str) -> Any:
    if not data:
        return data
    found = _by_type.get(content_type)
    if found is None and _load_entry_points():
        found = _by_type.get(content_type)
    try:
        if found is not None:
            return found.decode(data)
        return data if encoding in _BINARY else bytes(data).decode(encoding)
    except SerializationError:
        raise
    except Exception as error:  # a serializer raises what it likes
        raise DecodeError(f"The data is not the {content_type} it should be: {error}") from error


def _find(name: str) -> _Serializer:
    found = _by_name.get(name)
    if found is None and _load_entry_points():
        found = _by_name.get(name)
    if found is None:
        near = closest(name, _by_name)
        hint = f" Did you mean {near!r}?" if near else f" Known are {', '.join(sorted(_by_name))}."
        raise SerializerNotInstalled(f"There is no serializer {name!r}.{hint}")
    return found


@lru_cache(maxsize=1)
def _load_entry_points() -> bool:
    """Register what other packages bring, once, when a name is asked for that is not our own. Always true."""
    found = entry_points("fastq.serializers", "kombu.serializers")
    use_entry_points(found, _by_name, lambda name, arguments: register(name, *arguments))
    return True


def _raw_bytes(value: Any) -> bytes:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, str):
        return value.encode("utf-8")
    raise EncodeError(f"The serializer 'raw' takes bytes or text, not {type(value).__name__}.")


register("json", _json.dumps, _json.loads, JSON)
register("yaml", _yaml.dumps, _yaml.loads, "application/x-yaml")
register("msgpack", _msgpack.dumps, _msgpack.loads, "application/x-msgpack", "binary")
register("pickle", _pickle.dumps, _pickle.loads, "application/x-python-serialize", "binary")
# Raw is known by name only: reading it is a matter of the encoding, as with every type nobody has registered.
_by_name["raw"] = _Serializer(_raw_bytes, bytes, RAW, "binary")
disable_insecure_serializers()
