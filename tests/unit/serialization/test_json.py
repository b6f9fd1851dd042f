"""JSON: what is written is what the standard library (and so Celery) reads, and the other way round."""

from __future__ import annotations

import dataclasses
import json as standard
import math
import traceback
import uuid
from contextlib import suppress
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any, NamedTuple

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as some

from fastq.exceptions import DecodeError, EncodeError
from fastq.serialization import json

NAIVE = datetime(2030, 1, 2, 3, 4, 5)  # noqa: DTZ001 - it is written without one

plain = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False, allow_infinity=False) | some.text(),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(), inner, max_size=4),
    max_leaves=12,
)
typed = (
    some.datetimes(timezones=some.sampled_from([None, timezone.utc, timezone(timedelta(hours=-3))]))
    | some.dates()
    | some.times()
    | some.decimals(allow_nan=False)
    | some.uuids()
    | some.binary()
    | some.floats(allow_nan=False)
    | some.integers(-(2**80), 2**80)
    | some.text()
)
anything = some.recursive(
    plain | typed,
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(min_size=3), inner, max_size=4),
    max_leaves=8,
)


@given(anything)
def test_what_is_written_is_read_back(value: Any) -> None:
    assert json.loads(json.dumps(value)) == value


@given(plain)
def test_what_is_written_is_what_the_standard_library_reads(value: Any) -> None:
    assert standard.loads(json.dumps(value)) == value
    assert json.loads(standard.dumps(value).encode()) == value


@given(some.binary())
def test_any_bytes_are_read_or_refused_with_our_error(data: bytes) -> None:
    with suppress(DecodeError):
        json.loads(data)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (NAIVE, '{"__type__":"datetime","__value__":"2030-01-02T03:04:05"}'),
        (
            datetime(2030, 1, 2, 3, 4, 5, 600, tzinfo=timezone.utc),
            '{"__type__":"datetime","__value__":"2030-01-02T03:04:05.000600+00:00"}',
        ),
        (date(2030, 1, 2), '{"__type__":"date","__value__":"2030-01-02"}'),
        (time(3, 4, 5), '{"__type__":"time","__value__":"03:04:05"}'),
        (Decimal("1.50"), '{"__type__":"decimal","__value__":"1.50"}'),
        (
            uuid.UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
            '{"__type__":"uuid","__value__":{"hex":"6ba7b8109dad11d180b400c04fd430c8"}}',
        ),
        ("é".encode(), '{"__type__":"bytes","__value__":"é"}'),
        (b"\xff\x00", '{"__type__":"base64","__value__":"/wA="}'),
    ],
)
def test_typed_values_have_the_form_of_the_protocol(value: Any, written: str) -> None:
    assert json.dumps(value) == written.encode()
    assert json.loads(written.encode()) == value
    assert json.loads(json.dumps({"deep": [value]})) == {"deep": [value]}


def test_a_datetime_of_an_older_writer_is_read() -> None:
    assert json.loads(b'{"__type__":"datetime","__value__":"2030-01-02T03:04:05Z"}') == datetime(
        2030, 1, 2, 3, 4, 5, tzinfo=timezone.utc
    )


@pytest.mark.parametrize(
    "text", ['{"__type__":"date"}', '{"__type__":"date","__value__":"x","more":1}', '{"__value__":1}', '["__type__"]']
)
def test_an_object_with_other_keys_is_a_map(text: str) -> None:
    assert json.loads(text.encode()) == standard.loads(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
        ([None, float("nan")], "[null,NaN]"),
        (2**64, str(2**64)),
        (-(2**63) - 1, str(-(2**63) - 1)),
        ({1: "a", None: "b", 2.5: "c", False: "d"}, '{"1":"a","null":"b","2.5":"c","false":"d"}'),
        ("\ud800", '"\\ud800"'),
        ((1, (2, [])), "[1,[2,[]]]"),
    ],
)
def test_what_the_fast_writer_cannot_do_is_written_as_the_standard_library_does(value: Any, text: str) -> None:
    assert json.dumps(value).decode() == text
    assert standard.dumps(value, separators=(",", ":")) == text


def test_a_nan_in_the_arguments_of_a_task_is_not_lost_among_the_nulls() -> None:
    body = [[float("nan")], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]

    args, _, embed = json.loads(json.dumps(body))

    assert math.isnan(args[0])
    assert embed == body[2]


def test_a_uuid_and_its_text_stay_apart() -> None:
    one = uuid.uuid4()

    assert json.loads(json.dumps([one, str(one), None])) == [one, str(one), None]


@pytest.mark.parametrize("digits", ["9223372036854775807", "18446744073709551616", "123456789012345678901234567890"])
@pytest.mark.parametrize("before", range(40))
def test_integers_stay_integers_wherever_they_stand(digits: str, before: int) -> None:
    text = f"[{' ' * before}{digits}]".encode()

    assert json.loads(text) == [int(digits)]


def test_subclasses_are_written_as_what_they_are() -> None:
    class Colour(str, Enum):
        RED = "red"

    class Point(NamedTuple):
        x: int

    class Real(float): ...

    class Words(dict[str, int]): ...

    assert json.loads(json.dumps([Colour.RED, Point(1), Real(1.5), Words(a=1)])) == ["red", [1], 1.5, {"a": 1}]


def test_an_object_may_say_how_it_is_written() -> None:
    class Money:
        def __json__(self) -> dict[str, Any]:
            return {"amount": Decimal(3)}

    assert json.loads(json.dumps([Money()])) == [{"amount": Decimal(3)}]


def test_types_can_be_added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json, "_encoders", dict(json._encoders))
    monkeypatch.setattr(json, "_decoders", dict(json._decoders))
    json.register_type(complex, "complex", lambda value: [value.real, value.imag], lambda pair: complex(*pair))
    json.register_type(range, None, list)

    assert json.dumps(1 + 2j) == b'{"__type__":"complex","__value__":[1.0,2.0]}'
    assert json.loads(json.dumps([1 + 2j, range(3)])) == [1 + 2j, [0, 1, 2]]


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({1, 2}, "(at value)"),
        ([1, {"a": object()}], "(at value[1]['a'])"),
        ({"k": (0, {3})}, "(at value['k'][1])"),
        ({(1, 2): 3}, "(at value)"),
    ],
)
def test_what_cannot_be_written_is_named_with_its_place(value: Any, place: str) -> None:
    with pytest.raises(EncodeError) as caught:
        json.dumps(value)

    assert place in str(caught.value)
    assert "".join(traceback.format_exception(caught.value)).count("Traceback") == 1


def test_what_contains_itself_or_is_too_deep_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]

    with pytest.raises(EncodeError):
        json.dumps(loop)
    with pytest.raises(EncodeError, match=r"too deeply"):
        json.dumps(deep)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not the JSON"),
        (b"[1", "not the JSON"),
        (b"\xff", "not the JSON"),
        (b"[" * 100_000 + b"]" * 100_000, "too deeply"),
        (b"1" * 5000, "not the JSON"),
        (b'{"__type__":"os.system","__value__":"x"}', "unknown __type__ 'os.system'"),
        (b'{"__type__":["x"],"__value__":"x"}', "unknown __type__"),
        (b'{"__type__":"decimal","__value__":"x"}', "not the JSON"),
        (b'{"__type__":"uuid","__value__":3}', "not the JSON"),
        (b'{"__type__":"datetime","__value__":3}', "not the JSON"),
        (b'{"__type__":"base64","__value__":"\xc3\xa9"}', "not the JSON"),
    ],
)
def test_damaged_or_dangerous_text_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(DecodeError, match=why.replace(".", r"\.")):
        json.loads(data)


def test_text_that_is_too_long_is_refused_unread() -> None:
    with pytest.raises(DecodeError, match=r"has 11 bytes; at most 10"):
        json.loads(b"[" + b" " * 10, max_bytes=10)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda data: data.decode()])
def test_text_is_read_from_bytes_and_the_like(kind: Any) -> None:
    assert json.loads(kind('["é"]'.encode())) == ["é"]


@dataclasses.dataclass
class Point:
    x: int
    at: datetime | None = None


class Colour(Enum):
    RED = "red"


class Order(pydantic.BaseModel):
    number: int
    at: datetime | None = None


MOMENT = datetime(2030, 1, 2, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (Point(1, MOMENT), {"x": 1, "at": MOMENT}),
        ([Point(1), {"p": Point(2)}], [{"x": 1, "at": None}, {"p": {"x": 2, "at": None}}]),
        (Order(number=1, at=MOMENT), {"number": 1, "at": "2030-01-02T00:00:00Z"}),
        ([Colour.RED, uuid.UUID(int=1), float("inf")], ["red", uuid.UUID(int=1), float("inf")]),
        (
            {"all": (Order(number=2), Point(3), Colour.RED)},
            {"all": [{"number": 2, "at": None}, {"x": 3, "at": None}, "red"]},
        ),
    ],
)
def test_models_dataclasses_and_enums_are_written_as_what_they_are_made_of(value: Any, read: Any) -> None:
    assert json.loads(json.dumps(value)) == read


def test_a_class_is_not_an_instance() -> None:
    with pytest.raises(EncodeError):
        json.dumps(Point)
