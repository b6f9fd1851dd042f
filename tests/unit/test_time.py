"""Instants, durations, zones."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from fastq import time

PLUS2 = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2030-01-02T03:04:05+00:00", datetime(2030, 1, 2, 3, 4, 5, tzinfo=time.utc)),
        ("2030-01-02T03:04:05Z", datetime(2030, 1, 2, 3, 4, 5, tzinfo=time.utc)),
        ("2030-01-02T03:04:05.25Z", datetime(2030, 1, 2, 3, 4, 5, 250_000, tzinfo=time.utc)),
        ("2030-01-02T03:04:05.123456789+02:00", datetime(2030, 1, 2, 3, 4, 5, 123_456, tzinfo=PLUS2)),
        ("2030-01-02T03:04:05-0130", datetime(2030, 1, 2, 3, 4, 5, tzinfo=timezone(-timedelta(hours=1, minutes=30)))),
        ("2030-01-02 03:04:05", datetime(2030, 1, 2, 3, 4, 5, tzinfo=time.utc)),
        ("2030-01-02", datetime(2030, 1, 2, tzinfo=time.utc)),
        ("20300102T030405", datetime(2030, 1, 2, 3, 4, 5, tzinfo=time.utc)),
        ("2030-01-02T03:04", datetime(2030, 1, 2, 3, 4, tzinfo=time.utc)),
    ],
)
def test_iso_text_is_read(text: str, moment: datetime) -> None:
    assert time.from_iso(text) == moment
    assert time.from_iso(text).utcoffset() == moment.utcoffset()


@pytest.mark.parametrize("text", ["", "tomorrow", "2030-13-01", "2030-01-02T25:00:00", "12:00"])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        time.from_iso(text)


def test_an_instant_without_a_zone_is_in_the_zone_the_caller_names() -> None:
    naive = datetime(2030, 1, 1)  # noqa: DTZ001 - the point of it

    assert time.is_naive(naive)
    assert time.aware(naive).tzinfo is time.utc
    assert time.aware(naive, PLUS2).utcoffset() == timedelta(hours=2)
    assert time.to_iso(naive, PLUS2) == "2030-01-01T00:00:00+02:00"
    assert time.from_iso("2030-01-01", PLUS2).utcoffset() == timedelta(hours=2)


@pytest.mark.parametrize(("name", "shown"), [("UTC", "UTC"), ("utc", "UTC"), ("Europe/Paris", "Europe/Paris")])
def test_zones_are_found_by_name(name: str, shown: str) -> None:
    assert str(time.find_zone(name)) == shown


def test_without_a_name_the_zone_is_the_machines_own() -> None:
    assert time.find_zone(None) == time.find_zone("local") == time.local_zone()


@pytest.mark.parametrize("name", ["Mars/Olympus", "../etc/passwd", ""])
def test_an_unknown_zone_is_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=r"There is no time zone"):
        time.find_zone(name)


@pytest.mark.parametrize(
    ("limit", "per_second"),
    [(None, 0.0), ("", 0.0), (0, 0.0), (3, 3.0), ("10", 10.0), ("10/s", 10.0), ("30/m", 0.5), ("3600/h", 1.0)],
)
def test_rates_are_per_second(limit: str | float | None, per_second: float) -> None:
    assert time.rate(limit) == per_second


@pytest.mark.parametrize("limit", ["fast", "10/d", "/s"])
def test_a_text_that_is_no_rate_is_refused(limit: str) -> None:
    with pytest.raises(ValueError, match=r"is no rate"):
        time.rate(limit)


@pytest.mark.parametrize(
    ("factor", "retries", "expected"), [(1, 0, 1), (1, 3, 8), (2, 3, 16), (1, 20, 600), (1, 10**9, 600), (-1, 1, 0)]
)
def test_pauses_double_up_to_the_maximum(factor: float, retries: int, expected: float) -> None:
    assert time.backoff(factor, retries, 600) == expected


def test_with_jitter_a_pause_is_anything_up_to_that() -> None:
    found = {time.backoff(1, 2, 600, full_jitter=True) for _ in range(500)}

    assert found == {0, 1, 2, 3, 4}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "now"),
        (1, "1.00 second"),
        (2.5, "2.50 seconds"),
        (60, "1.00 minute"),
        (7200, "2.00 hours"),
        (86400, "1.00 day"),
    ],
)
def test_durations_are_said_in_words(seconds: float, text: str) -> None:
    assert time.humanize(seconds) == text


def test_durations_are_seconds_or_timedeltas() -> None:
    assert time.seconds(timedelta(minutes=1)) == 60.0
    assert time.seconds(3) == 3
    assert time.seconds(None) is None
    assert time.as_timedelta(3) == timedelta(seconds=3)
    assert time.as_timedelta(None) is None
