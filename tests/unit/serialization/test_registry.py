"""Which formats there are, and which are accepted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fastq.exceptions import ContentDisallowed, DecodeError, EncodeError, SerializerNotInstalled
from fastq.serialization import registry

PICKLE = "application/x-python-serialize"


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("_by_name", "_by_type", "_disabled"):
        monkeypatch.setattr(registry, name, getattr(registry, name).copy())
    registry._load_entry_points.cache_clear()
    yield
    registry.accepted_types.cache_clear()
    registry._load_entry_points.cache_clear()


@pytest.mark.parametrize(
    ("serializer", "value", "content_type", "encoding"),
    [
        ("json", [1, "é"], "application/json", "utf-8"),
        (None, [1, "é"], "application/json", "utf-8"),
        (None, b"\xff", "application/data", "binary"),
        (None, "é", "text/plain", "utf-8"),
        ("raw", b"\xff", "application/data", "binary"),
        ("raw", "é", "application/data", "utf-8"),
        ("yaml", {"a": [1, "é"]}, "application/x-yaml", "utf-8"),
        ("msgpack", {"a": [1, b"\xff", "é"]}, "application/x-msgpack", "binary"),
        ("pickle", {"a": {1, 2}}, PICKLE, "binary"),
    ],
)
def test_every_format_is_read_as_it_was_written(
    serializer: str | None, value: Any, content_type: str, encoding: str
) -> None:
    found_type, found_encoding, data = registry.dumps(value, serializer)

    assert (found_type, found_encoding) == (content_type, encoding)
    assert isinstance(data, bytes)
    assert registry.loads(data, found_type, found_encoding, accept=[found_type]) == value


@pytest.mark.parametrize("content_type", [PICKLE, "application/x-yaml", "text/plain", "application/x-other"])
def test_what_is_not_accepted_is_not_read(content_type: str) -> None:
    with pytest.raises(ContentDisallowed, match=r"accept_content does not name it \(accepted: application/json\)"):
        registry.loads(b"x", content_type, "binary", accept=["json"])


def test_accepted_content_is_named_by_name_or_type() -> None:
    data = registry.dumps({1}, "pickle")[2]

    assert registry.loads(data, PICKLE, "binary", accept=["json", "pickle"]) == {1}
    assert registry.loads(data, PICKLE, "binary", accept=frozenset({PICKLE})) == {1}
    assert registry.accepted_types(("json", PICKLE)) >= {"application/json", PICKLE, "application/data"}


def test_plain_data_is_always_accepted() -> None:
    assert registry.loads(b"\xff", "application/data", "binary", accept=["json"]) == b"\xff"
    assert registry.loads("é".encode(), None, None, accept=["json"]) == "é"
    assert registry.loads(b"x", "application/text", "us-ascii", accept=["json"]) == "x"


def test_without_a_list_unknown_types_are_text_and_dangerous_ones_refused() -> None:
    assert registry.loads(b"x", "application/x-other", "utf-8") == "x"
    with pytest.raises(ContentDisallowed, match=r"disabled"):
        registry.loads(b"x", PICKLE, "binary")


def test_dangerous_formats_can_be_allowed_and_refused_again(own_registry: None) -> None:
    data = registry.dumps({1}, "pickle")[2]

    registry.enable_insecure_serializers(["pickle"])
    assert registry.loads(data, PICKLE, "binary") == {1}
    registry.disable_insecure_serializers()
    with pytest.raises(ContentDisallowed):
        registry.loads(data, PICKLE, "binary")


@pytest.mark.parametrize("serializer", ["json", "pickle", "msgpack", "yaml", "raw"])
def test_what_cannot_be_written_is_our_error(serializer: str) -> None:
    with pytest.raises(EncodeError):
        registry.dumps(lambda: None, serializer)


@pytest.mark.parametrize(
    ("content_type", "encoding"),
    [("application/json", "utf-8"), (PICKLE, "binary"), ("application/x-yaml", "utf-8"), ("application/x-msgpack", "")],
)
def test_damaged_data_is_our_error(content_type: str, encoding: str) -> None:
    with pytest.raises(DecodeError):
        registry.loads(b"\xc1{[", content_type, encoding, accept=[content_type])


def test_text_in_a_wrong_or_unknown_encoding_is_our_error() -> None:
    for encoding in ("utf-8", "klingon"):
        with pytest.raises(DecodeError):
            registry.loads(b"\xff", "text/plain", encoding)


def test_empty_data_is_returned_as_it_is() -> None:
    assert registry.loads(b"", "application/json", "utf-8", accept=["json"]) == b""


def test_an_unknown_serializer_is_named_with_the_nearest() -> None:
    with pytest.raises(SerializerNotInstalled, match=r"no serializer 'jsn'. Did you mean 'json'\?"):
        registry.dumps(1, "jsn")
    with pytest.raises(SerializerNotInstalled, match=r"Known are json, msgpack, pickle, raw, yaml"):
        registry.accepted_types(("qqqqqq",))


@pytest.mark.parametrize(
    ("serializer", "package", "extra"), [("yaml", "yaml", "yaml"), ("msgpack", "msgpack", "msgpack")]
)
def test_a_missing_package_is_named_with_its_extra(
    serializer: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = getattr(registry, f"_{serializer}")
    (loader,) = [getattr(module, name) for name in ("_parts", "_package") if hasattr(module, name)]
    loader.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, package, None)

    with pytest.raises(SerializerNotInstalled, match=rf"fastq-tasks\[{extra}\]"):
        registry.dumps(1, serializer)

    loader.cache_clear()


def test_serializers_are_added_and_removed(own_registry: None) -> None:
    registry.register("upper", str.upper, bytes.lower, "application/x-upper")
    assert registry.dumps("abc", "upper") == ("application/x-upper", "utf-8", b"ABC")
    assert registry.loads(b"ABC", "application/x-upper", "utf-8", accept=["upper"]) == b"abc"
    assert "upper" in registry.names()

    registry.unregister("upper")
    with pytest.raises(SerializerNotInstalled):
        registry.dumps("abc", "upper")
    with pytest.raises(SerializerNotInstalled):
        registry.unregister("upper")


def test_a_serializer_may_only_read_or_only_write(own_registry: None) -> None:
    registry.register("in", None, bytes, "application/x-in")
    registry.register("out", str, None, "application/x-out")

    with pytest.raises(EncodeError, match=r"cannot be written"):
        registry.dumps(1, "in")
    with pytest.raises(DecodeError, match=r"cannot be read"):
        registry.loads(b"1", "application/x-out", "utf-8", accept=["out"])


def test_other_packages_bring_serializers(own_registry: None, monkeypatch: pytest.MonkeyPatch) -> None:
    class Point:
        def load(self) -> tuple[Any, ...]:
            return (lambda value: b"<x/>", lambda data: "x", "application/xml", "utf-8")

    monkeypatch.setattr(registry, "entry_points", lambda *groups: {"xml": Point()})

    assert registry.dumps(1, "xml") == ("application/xml", "utf-8", b"<x/>")
    assert registry.loads(b"<x/>", "application/xml", "utf-8", accept=["xml"]) == "x"
