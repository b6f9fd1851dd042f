"""What settings take."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from fastq.conf import kinds
from fastq.conf.kinds import Kind

GOOD: list[tuple[Kind, Any, Any]] = [
    (kinds.FLAG, True, True),
    (kinds.FLAG, 0, False),
    (kinds.FLAG, " Yes ", True),
    (kinds.FLAG, "off", False),
    (kinds.FLAG, "", False),
    (kinds.INTEGER, 3, 3),
    (kinds.INTEGER, 3.0, 3),
    (kinds.INTEGER, " 1_000 ", 1000),
    (kinds.NUMBER, 3, 3),
    (kinds.NUMBER, 2.5, 2.5),
    (kinds.NUMBER, "1e3", 1000.0),
    (kinds.NUMBER, timedelta(minutes=1), 60.0),
    (kinds.NUMBER, Decimal("1.5"), 1.5),
    (kinds.NUMBER, "inf", float("inf")),
    (kinds.TEXT, "x", "x"),
    (kinds.TEXT, Path("/a/b"), "/a/b"),
    (kinds.LIST, ["a"], ["a"]),
    (kinds.LIST, ("a",), ("a",)),
    (kinds.LIST, "a, b,", ["a", "b"]),
    (kinds.LIST, '["a,b"]', ["a,b"]),
    (kinds.LIST, {"a"}, ["a"]),
    (kinds.MAP, {"a": 1}, {"a": 1}),
    (kinds.MAP, '{"a": 1}', {"a": 1}),
    (kinds.FLAG_OR_MAP, "true", True),
    (kinds.FLAG_OR_MAP, {"ca": "x"}, {"ca": "x"}),
    (kinds.BYTES, "é", "é".encode()),
    (kinds.BYTES, bytearray(b"x"), b"x"),
    (kinds.ANY, "plain", "plain"),
    (kinds.ANY, '[{"a": 1}]', [{"a": 1}]),
    (kinds.URLS, "redis://h", "redis://h"),
    (kinds.URLS, ["redis://a", "redis://b"], "redis://a;redis://b"),
    (kinds.INTEGER_OR_AUTO, "AUTO", "auto"),
    (kinds.INTEGER_OR_AUTO, "4", 4),
    (kinds.LEVEL, "info", "INFO"),
    (kinds.LEVEL, "30", 30),
    (kinds.TEXT_OR_INTEGER, "persistent", "persistent"),
    (kinds.TEXT_OR_INTEGER, 2, 2),
    (kinds.TEXT_OR_NUMBER, "10/m", "10/m"),
    (kinds.TEXT_OR_NUMBER, 2.5, 2.5),
    (kinds.ZONE, "Europe/Paris", "Europe/Paris"),
]
BAD: list[tuple[Kind, Any]] = [
    (kinds.FLAG, "maybe"),
    (kinds.FLAG, 2),
    (kinds.FLAG, []),
    (kinds.INTEGER, True),
    (kinds.INTEGER, 1.5),
    (kinds.INTEGER, "1.5"),
    (kinds.INTEGER, float("inf")),
    (kinds.NUMBER, "soon"),
    (kinds.NUMBER, float("nan")),
    (kinds.NUMBER, True),
    (kinds.TEXT, 3),
    (kinds.LIST, {"a": 1}),
    (kinds.LIST, 3),
    (kinds.MAP, [("a", 1)]),
    (kinds.MAP, "a=1"),
    (kinds.URLS, []),
    (kinds.URLS, 3),
    (kinds.INTEGER_OR_AUTO, -1),
    (kinds.INTEGER_OR_AUTO, "many"),
    (kinds.BYTES, 3),
    (kinds.ZONE, "Mars/Olympus"),
    (kinds.ZONE, 3),
]


@pytest.mark.parametrize(("kind", "given", "kept"), GOOD)
def test_a_value_that_fits_is_kept(kind: Kind, given: Any, kept: Any) -> None:
    found = kind.convert(given)

    assert found == kept
    assert type(found) is type(kept)


@pytest.mark.parametrize(("kind", "given"), BAD)
def test_a_value_that_does_not_fit_is_refused(kind: Kind, given: Any) -> None:
    with pytest.raises((ValueError, TypeError, ArithmeticError)):
        kind.convert(given)


def test_every_kind_is_listed() -> None:
    found = {name for name, value in vars(kinds).items() if isinstance(value, Kind)}

    assert found | {"Kind"} == set(kinds.__all__)
