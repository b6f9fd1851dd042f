"""Settings of the scheduler."""

from __future__ import annotations

from fastq.conf.kinds import FLAG, INTEGER, MAP, NUMBER, OBJECT, TEXT, TEXT_OR_INTEGER
from fastq.conf.option import Option

__all__ = ["OPTIONS"]

OPTIONS = (
    Option(
        "beat_schedule",
        MAP,
        {},
        "What runs periodically: a map of names to entries.",
        old="CELERYBEAT_SCHEDULE",
        acts=False,
    ),
    Option(
        "beat_scheduler",
        OBJECT,
        "fastq.beat:PersistentScheduler",
        "Class that keeps the schedule.",
        old="CELERYBEAT_SCHEDULER",
        celery="celery.beat:PersistentScheduler",
        acts=False,
    ),
    Option(
        "beat_schedule_filename",
        TEXT,
        "celerybeat-schedule",
        "File in which the scheduler keeps the times of the last runs.",
        old="CELERYBEAT_SCHEDULE_FILENAME",
        acts=False,
    ),
    Option(
        "beat_max_loop_interval",
        NUMBER,
        0.0,
        "The longest sleep between two looks at the schedule; 0: the scheduler's own (300).",
        unit="s",
        old="CELERYBEAT_MAX_LOOP_INTERVAL",
        acts=False,
    ),
    Option(
        "beat_sync_every",
        INTEGER,
        0,
        "Tasks sent between two writes of that file; 0: by time.",
        unit="tasks",
        old="CELERYBEAT_SYNC_EVERY",
        acts=False,
    ),
    Option(
        "beat_cron_starting_deadline",
        NUMBER,
        None,
        "Runs of a crontab missed by more are not made up for; None: all are.",
        unit="s",
        old="CELERYBEAT_CRON_STARTING_DEADLINE",
        acts=False,
    ),
    Option(
        "beat_enable_remote_control",
        FLAG,
        False,
        "The scheduler answers `ping`.",
        old="CELERYBEAT_ENABLE_REMOTE_CONTROL",
        acts=False,
    ),
    Option(
        "beat_remote_control_max_tick_age",
        NUMBER,
        None,
        "It stops answering when it has not looked at the schedule for so long.",
        unit="s",
        old="CELERYBEAT_REMOTE_CONTROL_MAX_TICK_AGE",
        acts=False,
    ),
    Option("beat_logfile", TEXT, None, "Log file of the scheduler.", acts=False),
    Option("beat_pidfile", TEXT, None, "Pid file of the scheduler.", acts=False),
    Option("beat_uid", TEXT_OR_INTEGER, None, "User to run the scheduler as.", acts=False),
    Option("beat_gid", TEXT_OR_INTEGER, None, "Group to run the scheduler as.", acts=False),
    Option("beat_umask", TEXT_OR_INTEGER, None, "File creation mask of the scheduler.", acts=False),
    Option("beat_executable", TEXT, None, "Python to run a detached scheduler with.", acts=False),
)
