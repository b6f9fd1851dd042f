"""Compression: there and back, and no bombs."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as some

from fastq.exceptions import DecodeError, EncodeError, SerializerNotInstalled
from fastq.serialization import compression
from fastq.serialization.compression import compress, decompress

TYPES = {
    "gzip": "application/x-gzip",
    "zlib": "application/x-gzip",
    "bzip2": "application/x-bz2",
    "bzip": "application/x-bz2",
    "lzma": "application/x-lzma",
    "xz": "application/x-lzma",
    "brotli": "application/x-brotli",
    "zstd": "application/zstd",
    "zstandard": "application/zstd",
}


def test_names_and_content_types_are_those_of_the_protocol() -> None:
    assert compression.content_types() == TYPES


@pytest.mark.parametrize("name", TYPES)
@given(body=some.binary(max_size=2000))
def test_what_is_packed_is_unpacked(name: str, body: bytes) -> None:
    content_type, packed = compress(body, name)

    assert content_type == TYPES[name]
    assert decompress(packed, content_type) == body
    assert decompress(packed, name) == body


def test_gzip_is_a_zlib_stream() -> None:
    assert zlib.decompress(compress(b"abc", "gzip")[1]) == b"abc"


@pytest.mark.parametrize("name", TYPES)
def test_a_message_that_unpacks_into_too_much_is_refused(name: str) -> None:
    content_type, packed = compress(b"a" * 1_000_000, name)

    with pytest.raises(DecodeError, match=r"more than 1000 bytes"):
        decompress(packed, content_type, max_bytes=1000)
    assert len(decompress(packed, content_type, max_bytes=1_000_000)) == 1_000_000


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("damage", [lambda data: data[:-3], lambda data: b"no" + data, lambda data: b""])
def test_damaged_data_is_refused(name: str, damage: object) -> None:
    content_type, packed = compress(bytes(range(256)) * 20, name)

    with pytest.raises(DecodeError):
        decompress(damage(packed), content_type)  # type: ignore[operator]


def test_unknown_methods_are_refused() -> None:
    with pytest.raises(EncodeError, match=r"no compression 'rar'"):
        compress(b"", "rar")
    with pytest.raises(DecodeError, match=r"'application/x-rar', which is not known"):
        decompress(b"", "application/x-rar")


@pytest.mark.parametrize(("name", "package"), [("brotli", "brotli"), ("zstd", "zstandard")])
def test_a_missing_package_is_named_with_its_extra(name: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, package, None)

    with pytest.raises(SerializerNotInstalled, match=rf"fastq-tasks\[{name}\]"):
        compress(b"", name)
    with pytest.raises(SerializerNotInstalled):
        decompress(b"", name)


def test_a_method_can_be_added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "_by_name", {})
    monkeypatch.setattr(compression, "_by_type", {})
    compression.register(lambda data: data[::-1], lambda data, limit: data[::-1], "application/x-back", "back")

    assert compress(b"ab", "back") == ("application/x-back", b"ba")
    assert decompress(b"ba", "application/x-back") == b"ab"


def test_packages_bring_methods_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    class Point:
        def load(self) -> tuple[object, ...]:
            return (lambda data: data[::-1], lambda data, limit: data[::-1], "application/x-turned")

    monkeypatch.setattr(compression, "_by_name", compression._by_name.copy())
    monkeypatch.setattr(compression, "_by_type", compression._by_type.copy())
    monkeypatch.setattr(compression, "entry_points", lambda group: {"turned": Point(), "zlib": Point()})
    compression._load_entry_points.cache_clear()
    try:
        assert decompress(b"ba", "application/x-turned") == b"ab"
        assert compress(b"ab", "turned") == ("application/x-turned", b"ba")
        assert compression.content_types()["zlib"] == "application/x-gzip"
    finally:
        compression._load_entry_points.cache_clear()
