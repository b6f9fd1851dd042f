"""Settings of remote control and events."""

from __future__ import annotations

from fastq.conf.kinds import FLAG, NUMBER, TEXT, TEXT_OR_INTEGER
from fastq.conf.option import Option

__all__ = ["OPTIONS"]

OPTIONS = (
    Option(
        "control_queue_ttl",
        NUMBER,
        300.0,
        "Remote commands older than this are not obeyed.",
        unit="s",
        nullable=True,
        acts=False,
    ),
    Option(
        "control_queue_expires",
        NUMBER,
        10.0,
        "A control queue nobody uses is removed after this.",
        unit="s",
        nullable=True,
        acts=False,
    ),
    Option("control_queue_exclusive", FLAG, True, "Only one worker may use a control queue.", acts=False),
    Option("control_queue_durable", FLAG, False, "Control queues survive a restart of the broker.", acts=False),
    Option("control_exchange", TEXT, "celery", "Name of the exchange of remote commands, without `.pidbox`."),
    Option(
        "event_queue_expires",
        NUMBER,
        60.0,
        "A queue of events nobody reads is removed after this.",
        unit="s",
        old="CELERY_EVENT_QUEUE_EXPIRES",
        nullable=True,
        acts=False,
    ),
    Option(
        "event_queue_ttl",
        NUMBER,
        5.0,
        "Events older than this are not delivered.",
        unit="s",
        old="CELERY_EVENT_QUEUE_TTL",
        nullable=True,
        acts=False,
    ),
    Option(
        "event_queue_prefix",
        TEXT,
        "celeryev",
        "Beginning of the names of event queues.",
        old="CELERY_EVENT_QUEUE_PREFIX",
        acts=False,
    ),
    Option(
        "event_queue_exclusive",
        FLAG,
        True,
        "Only one monitor may use an event queue.",
        old="CELERY_EVENT_QUEUE_EXCLUSIVE",
        acts=False,
    ),
    Option(
        "event_queue_durable",
        FLAG,
        False,
        "Event queues survive a restart of the broker.",
        old="CELERY_EVENT_QUEUE_DURABLE",
        acts=False,
    ),
    Option("event_serializer", TEXT, "json", "Serializer of events.", old="CELERY_EVENT_SERIALIZER"),
    Option("event_exchange", TEXT, "celeryev", "Name of the exchange of events.", old="CELERY_EVENT_EXCHANGE"),
    Option("events_logfile", TEXT, None, "Log file of a detached monitor.", acts=False),
    Option("events_pidfile", TEXT, None, "Pid file of a detached monitor.", acts=False),
    Option("events_uid", TEXT_OR_INTEGER, None, "User to run a monitor as.", acts=False),
    Option("events_gid", TEXT_OR_INTEGER, None, "Group to run a monitor as.", acts=False),
    Option("events_umask", TEXT_OR_INTEGER, None, "File creation mask of a monitor.", acts=False),
    Option("events_executable", TEXT, None, "Python to run a detached monitor with.", acts=False),
)
