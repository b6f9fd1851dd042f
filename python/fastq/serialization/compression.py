"""Compression of message bodies, by content type.

======================= ==================== =====================================================
names                   content type         format
======================= ==================== =====================================================
`zlib`, `gzip`          `application/x-gzip` a zlib stream: no gzip file, whatever the name says
`bzip2`, `bzip`         `application/x-bz2`  bzip2
`lzma`, `xz`            `application/x-lzma` xz, or the older lzma
`brotli`                `application/x-brotli` brotli (package `brotli`)
`zstd`, `zstandard`     `application/zstd`   zstandard (package `zstandard`)
======================= ==================== =====================================================

More are added with `register`, or by packages through the entry point group `fastq.compressions`: a tuple of what
packs, what unpacks and the content type; the entry point's name is what users call it.

What comes out is bounded: a message of a kilobyte that unpacks into gigabytes is refused when the bound is reached.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, NamedTuple

from fastq.exceptions import DecodeError, EncodeError, SerializerNotInstalled
from fastq.imports import entry_points, use_entry_points

__all__ = ["MAX_BYTES", "compress", "content_types", "decompress", "register"]

MAX_BYTES: Final = 256 * 1024 * 1024
"""The most that is unpacked from one message."""

_ZSTD_PIECE: Final = 256

Compress = Callable[[bytes], bytes]
Decompress = Callable[[bytes, int], bytes]


class _Method(NamedTuple):
    content_type: str
    compress: Compress
    decompress: Decompress
    """Takes the data and the bound; returns more bytes than the bound when there are more."""


_by_name: dict[str, _Method] = {}
_by_type: dict[str, _Method] = {}


def register(compress: Compress, decompress: Decompress, content_type: str, *names: str) -> None:
    """Add a method.

    Args:
        compress: bytes to fewer bytes.
        decompress: takes the data and a bound in bytes, and stops unpacking once it is past the bound.
        content_type: what the message header `compression` says.
        *names: what users call it.
    """
    method = _Method(content_type, compress, decompress)
    _by_type[content_type] = method
    for name in names:
        _by_name[name] = method


def content_types() -> dict[str, str]:
    """Return the content type of each name."""
    _load_entry_points()
    return {name: method.content_type for name, method in _by_name.items()}


def compress(body: bytes, name: str) -> tuple[str, bytes]:
    """Return content type and compressed bytes.

    Args:
        body: what to compress.
        name: of the method, or its content type.

    Raises:
        EncodeError: there is no such method.
        SerializerNotInstalled: its package is not installed.
    """
    method = _find(name)
    if method is None:
        raise EncodeError(f"There is no compression {name!r}; known are {', '.join(sorted(_by_name))}.")
    return method.content_type, method.compress(body)


def decompress(body: bytes, content_type: str, max_bytes: int = MAX_BYTES) -> bytes:
    """Return what was compressed.

    Args:
        body: the compressed bytes.
        content_type: what the header says; a name is understood too.
        max_bytes: refuse to unpack more.

    Raises:
        DecodeError: the method is unknown, the data damaged or cut short, or it unpacks into too much.
        SerializerNotInstalled: the method's package is not installed.
    """
    method = _find(content_type)
    if method is None:
        raise DecodeError(f"The message is compressed as {content_type!r}, which is not known here.")
    try:
        data = method.decompress(bytes(body), max_bytes)
    except (SerializerNotInstalled, DecodeError):
        raise
    except Exception as error:  # each package has an error class of its own
        raise DecodeError(f"The data is not the {content_type} it should be: {error}") from error
    if len(data) > max_bytes:
        raise DecodeError(f"The message unpacks into more than {max_bytes} bytes and is refused.")
    return data


def _find(name: str) -> _Method | None:
    """Return the method of that name or content type."""
    found = _by_name.get(name) or _by_type.get(name)
    if found is None and _load_entry_points():
        found = _by_name.get(name) or _by_type.get(name)
    return found


@lru_cache(maxsize=1)
def _load_entry_points() -> bool:
    """Register what other packages bring, once, when a name is asked for that is not our own. Always true."""
    found = entry_points("fastq.compressions")
    use_entry_points(found, _by_name, lambda name, arguments: register(*arguments, name))
    return True


def _compressor(module: str) -> Compress:
    """Return `compress` of a module of the standard library, which is loaded when it is first used."""

    def pack(data: bytes) -> bytes:
        packed: bytes = importlib.import_module(module).compress(data)
        return packed

    return pack


def _bounded(module: str, kind: str) -> Decompress:
    """Return the unpacking of a decompressor object with `decompress(data, max_length)` and `eof`.

    Args:
        module: of the standard library; loaded when it is first used.
        kind: what makes the object.
    """

    def unpack(data: bytes, max_bytes: int) -> bytes:
        decompressor = getattr(importlib.import_module(module), kind)()
        found: bytes = decompressor.decompress(data, max_bytes + 1)
        if len(found) <= max_bytes and not decompressor.eof:
            raise DecodeError("The compressed data is cut short.")
        return found

    return unpack


def _package(module: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise SerializerNotInstalled(
            f"The compression {extra!r} needs the package {module!r}: pip install 'fastq-tasks[{extra}]'."
        ) from error


def _brotli_compress(data: bytes) -> bytes:
    packed: bytes = _package("brotli", "brotli").compress(data)
    return packed


def _brotli_decompress(data: bytes, max_bytes: int) -> bytes:
    decompressor = _package("brotli", "brotli").Decompressor()
    parts, room, piece = [], max_bytes + 1, data
    while room > 0 and not decompressor.is_finished():
        part: bytes = decompressor.process(piece, output_buffer_limit=room)
        if not part and not decompressor.is_finished() and decompressor.can_accept_more_data():
            raise DecodeError("The compressed data is cut short.")
        piece = b""
        parts.append(part)
        room -= len(part)
    return b"".join(parts)


def _zstd_compress(data: bytes) -> bytes:
    packed: bytes = _package("zstandard", "zstd").ZstdCompressor().compress(data)
    return packed


def _zstd_decompress(data: bytes, max_bytes: int) -> bytes:
    decompressor = _package("zstandard", "zstd").ZstdDecompressor().decompressobj()
    parts, room = [], max_bytes + 1
    # It takes no bound, so it is fed so little at a time that no piece unpacks into more than a few megabytes.
    for start in range(0, len(data), _ZSTD_PIECE):
        part: bytes = decompressor.decompress(data[start : start + _ZSTD_PIECE])
        parts.append(part)
        room -= len(part)
        if room <= 0 or decompressor.eof:
            return b"".join(parts)
    raise DecodeError("The compressed data is cut short.")


register(_compressor("zlib"), _bounded("zlib", "decompressobj"), "application/x-gzip", "zlib", "gzip")
register(_compressor("bz2"), _bounded("bz2", "BZ2Decompressor"), "application/x-bz2", "bzip2", "bzip")
register(_compressor("lzma"), _bounded("lzma", "LZMADecompressor"), "application/x-lzma", "lzma", "xz")
register(_brotli_compress, _brotli_decompress, "application/x-brotli", "brotli")
register(_zstd_compress, _zstd_decompress, "application/zstd", "zstd", "zstandard")
