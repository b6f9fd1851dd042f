"""Instants, durations and time zones: reading what users and messages say, and saying it.

Durations are seconds as float. An instant without a zone is read in the zone the caller names.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Final, overload

__all__ = [
    "as_timedelta",
    "aware",
    "backoff",
    "find_zone",
    "from_iso",
    "humanize",
    "is_naive",
    "local_zone",
    "now",
    "rate",
    "seconds",
    "to_iso",
    "utc",
]

utc: Final = timezone.utc

_ISO: Final = re.compile(
    r"(?P<date>\d{4}-?\d{2}-?\d{2})"
    r"(?:[T ](?P<hour>\d{2})(?::?(?P<minute>\d{2}))?(?::?(?P<second>\d{2})(?:[.,](?P<fraction>\d+))?)?"
    r"\s*(?P<zone>Z|z|[+-]\d{2}(?::?\d{2})?)?)?\s*"
)
_RATE_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0}
_UNITS: Final = ((86_400.0, "day"), (3_600.0, "hour"), (60.0, "minute"))


def now(zone: tzinfo | None = None) -> datetime:
    """Return the present time in a zone; None: UTC."""
    return datetime.now(zone or utc)


def local_zone() -> tzinfo:
    """Return the zone of this machine as it is now (daylight saving included)."""
    return datetime.now().astimezone().tzinfo or utc


def find_zone(name: str | tzinfo | None) -> tzinfo:
    """Return the zone of that name (`Europe/Paris`); None and "local" give the machine's own.

    Raises:
        ValueError: there is no such zone in the zone data of this machine.
    """
    if isinstance(name, tzinfo):
        return name
    if name is None or name.lower() == "local":
        return local_zone()
    if name.upper() == "UTC":
        return utc
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError) as error:
        raise ValueError(f"There is no time zone {name!r} in the zone data of this machine.") from error


def is_naive(moment: datetime) -> bool:
    """Tell whether an instant has no zone."""
    return moment.tzinfo is None or moment.utcoffset() is None


def aware(moment: datetime, zone: tzinfo | None = None) -> datetime:
    """Return an instant with a zone: its own, else `zone` (None: UTC)."""
    return moment.replace(tzinfo=zone or utc) if is_naive(moment) else moment


def from_iso(text: str | datetime, zone: tzinfo | None = None) -> datetime:
    """Return the instant that an ISO 8601 text names; one without a zone is in `zone` (None: UTC).

    Raises:
        ValueError: the text is no ISO 8601 date and time.
    """
    if isinstance(text, datetime):
        return aware(text, zone)
    try:
        return aware(datetime.fromisoformat(text), zone)
    except ValueError:
        pass  # Python 3.10 reads neither `Z` nor other than 3 or 6 decimals
    match = _ISO.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a date and time in ISO 8601 form.")
    digits = match["date"].replace("-", "")
    moment = datetime(  # noqa: DTZ001 - its zone follows below
        int(digits[:4]),
        int(digits[4:6]),
        int(digits[6:]),
        int(match["hour"] or 0),
        int(match["minute"] or 0),
        int(match["second"] or 0),
        int((match["fraction"] or "").ljust(6, "0")[:6]),
    )
    return aware(moment.replace(tzinfo=_offset(match["zone"])), zone)


def _offset(text: str | None) -> tzinfo | None:
    if not text:
        return None
    if text in "Zz":
        return utc
    sign = -1 if text[0] == "-" else 1
    digits = text[1:].replace(":", "").ljust(4, "0")
    return timezone(sign * timedelta(hours=int(digits[:2]), minutes=int(digits[2:])))


def to_iso(moment: datetime, zone: tzinfo | None = None) -> str:
    """Return an instant as ISO 8601 text with its offset; one without a zone is in `zone` (None: UTC)."""
    return aware(moment, zone).isoformat()


@overload
def seconds(duration: float | timedelta) -> float: ...
@overload
def seconds(duration: None) -> None: ...
def seconds(duration: float | timedelta | None) -> float | None:
    """Return a duration in seconds; None stays None."""
    if isinstance(duration, timedelta):
        return duration.total_seconds()
    return duration


@overload
def as_timedelta(duration: float | timedelta) -> timedelta: ...
@overload
def as_timedelta(duration: None) -> None: ...
def as_timedelta(duration: float | timedelta | None) -> timedelta | None:
    """Return a duration as a timedelta; numbers are seconds, None stays None."""
    if duration is None or isinstance(duration, timedelta):
        return duration
    return timedelta(seconds=duration)


def rate(limit: str | float | None) -> float:
    """Return a rate limit in tasks per second: `"10/m"`, `"2.5/s"`, `"100/h"`, a number per second; none gives 0.

    Raises:
        ValueError: the text is no rate.
    """
    if not limit:
        return 0.0
    if not isinstance(limit, str):
        return float(limit)
    number, _, unit = limit.partition("/")
    try:
        return float(number) / _RATE_UNITS[unit.strip().lower() or "s"]
    except (KeyError, ValueError):
        raise ValueError(f"{limit!r} is no rate: write a number per s, m or h, such as '10/m'.") from None


def backoff(factor: float, retries: int, maximum: float, full_jitter: bool = False) -> float:
    """Return the seconds to wait before the next try: `min(maximum, factor * 2**retries)`, never negative.

    Args:
        factor: seconds before the first retry.
        retries: how many there have been.
        maximum: seconds.
        full_jitter: any whole number of seconds from 0 to that, so that many callers do not come back together.
    """
    # 2**64 seconds is beyond every maximum; larger powers would not fit a float.
    countdown = float(min(maximum, factor * 2.0 ** min(retries, 64)))
    if full_jitter:
        import random  # not on the way of a call

        countdown = random.randrange(int(countdown) + 1)  # noqa: S311 - no secret
    return max(0.0, countdown)


def humanize(duration: float, prefix: str = "", now_word: str = "now", precise: bool = False) -> str:
    """Return a duration in words: `2.00 hours`, `1 day`, `now`.

    Args:
        duration: seconds.
        prefix: put before the number, such as `"in "`.
        now_word: said for nothing.
        precise: keep fractions of seconds.
    """
    for divider, unit in _UNITS:
        if duration >= divider:
            count = duration / divider
            return f"{prefix}{count:.2f} {unit}{'s' if count > 1 else ''}"
    if duration > 0:
        count = duration if precise else round(duration, 2)
        return f"{prefix}{count:.2f} second{'s' if count > 1 else ''}"
    return now_word
