"""Settings of the whole app."""

from __future__ import annotations

from fastq.conf.kinds import FLAG, INTEGER, LIST, MAP, ZONE
from fastq.conf.option import Option

__all__ = ["OPTIONS"]

OPTIONS = (
    Option(
        "accept_content",
        LIST,
        ("json",),
        "Content types or serializer names that are read; anything else is dead-lettered unread.",
        old="CELERY_ACCEPT_CONTENT",
    ),
    Option("result_accept_content", LIST, None, "The same for results; None: as `accept_content`."),
    Option("enable_utc", FLAG, True, "Dates in messages are UTC; False: in `timezone`."),
    Option("imports", LIST, (), "Modules that a worker imports when it starts.", old="CELERY_IMPORTS"),
    Option("include", LIST, (), "More of `imports`; the option `--include` adds to it.", old="CELERY_INCLUDE"),
    Option(
        "timezone",
        ZONE,
        None,
        "Zone of dates without one; None: UTC, or the machine's own without `enable_utc`.",
        old="CELERY_TIMEZONE",
    ),
    Option("override_backends", MAP, None, "Backend classes by URL scheme, before the built-in ones."),
    Option(
        "db_reuse_max",
        INTEGER,
        None,
        "Django only: tasks after which a database connection is closed; None: never.",
        unit="tasks",
        old="CELERY_DB_REUSE_MAX",
        acts=False,
    ),
)
