"""Every setting, declared once: one file for each group."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from fastq.conf.defaults import (
    beat,
    broker,
    clouds,
    general,
    monitoring,
    result,
    security,
    stores,
    task,
    worker,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastq.conf.option import Option

__all__ = ["GROUPS", "OPTIONS"]

GROUPS: Final[Mapping[str, tuple[Option, ...]]] = MappingProxyType(
    {
        "General": general.OPTIONS,
        "Broker": broker.OPTIONS,
        "Tasks": task.OPTIONS,
        "Results": result.OPTIONS,
        "Workers": worker.OPTIONS,
        "Scheduler": beat.OPTIONS,
        "Monitoring": monitoring.OPTIONS,
        "Security": security.OPTIONS,
        "Result stores": stores.OPTIONS,
        "Result stores in clusters and clouds": clouds.OPTIONS,
    }
)
"""In the order of the reference."""

OPTIONS: Final[Mapping[str, Option]] = MappingProxyType(
    {option.name: option for group in GROUPS.values() for option in group}
)
"""By name."""
