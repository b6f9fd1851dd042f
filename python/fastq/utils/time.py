"""Celery's path of time helpers; see `fastq.time`."""

from __future__ import annotations

from fastq.time import as_timedelta as maybe_timedelta
from fastq.time import backoff as get_exponential_backoff_interval
from fastq.time import find_zone as get_timezone
from fastq.time import from_iso as maybe_iso8601
from fastq.time import humanize as humanize_seconds
from fastq.time import is_naive, rate

__all__ = [
    "get_exponential_backoff_interval",
    "get_timezone",
    "humanize_seconds",
    "is_naive",
    "maybe_iso8601",
    "maybe_timedelta",
    "rate",
]
