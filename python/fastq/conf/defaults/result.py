"""Settings of results."""

from __future__ import annotations

from fastq.conf.kinds import FLAG, INTEGER, MAP, NUMBER, TEXT, URLS
from fastq.conf.option import Option

__all__ = ["OPTIONS"]

OPTIONS = (
    Option(
        "result_backend",
        URLS,
        None,
        "Where results are stored; None: in the broker, if it can store results; `disabled://`: nowhere.",
        old="CELERY_RESULT_BACKEND",
    ),
    Option(
        "result_backend_transport_options",
        MAP,
        {},
        "Options of the backend's kind.",
        old="CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS",
    ),
    Option(
        "result_expires",
        NUMBER,
        86_400.0,
        "Results older than this are removed; 0 and None: never.",
        unit="s",
        old="CELERY_TASK_RESULT_EXPIRES",
        nullable=True,
    ),
    Option(
        "result_extended",
        FLAG,
        False,
        "Store name, arguments, worker, retries and queue of a task with its result.",
        old="CELERY_RESULT_EXTENDED",
    ),
    Option("result_serializer", TEXT, "json", "Serializer of results.", old="CELERY_RESULT_SERIALIZER"),
    Option(
        "result_compression",
        TEXT,
        None,
        "Compression of results; None: none.",
        old="CELERY_RESULT_COMPRESSION",
    ),
    Option(
        "result_cache_max",
        INTEGER,
        -1,
        "Results a client remembers; -1: none, 0: without bound.",
        unit="results",
        old="CELERY_MAX_CACHED_RESULTS",
    ),
    Option(
        "result_exchange",
        TEXT,
        "celeryresults",
        "Unused; kept for configurations that name it.",
        old="CELERY_RESULT_EXCHANGE",
        acts=False,
    ),
    Option(
        "result_exchange_type",
        TEXT,
        "direct",
        "Unused; kept for configurations that name it.",
        old="CELERY_RESULT_EXCHANGE_TYPE",
        acts=False,
    ),
    Option(
        "result_chord_expires",
        NUMBER,
        None,
        "Lifetime of what chords count with; None: as `result_expires`.",
        unit="s",
        old="CELERY_RESULT_CHORD_EXPIRES",
    ),
    Option(
        "result_chord_patience",
        NUMBER,
        3600.0,
        "A chord of which no member has ended for so long is looked after: it fails when those that are missing "
        "neither wait nor run. Longer than any task that is acknowledged before it runs; 0 and None: never. "
        "fastq's own.",
        unit="s",
        ours=True,
        nullable=True,
    ),
    Option(
        "result_failure_expires",
        NUMBER,
        None,
        "Lifetime of failures; None: as `result_expires`.",
        unit="s",
        old="CELERY_RESULT_FAILURE_EXPIRES",
        acts=False,
    ),
    Option(
        "result_persistent",
        FLAG,
        None,
        "Result messages of the rpc backend survive a restart of the broker; None: no.",
        old="CELERY_RESULT_PERSISTENT",
    ),
    Option(
        "result_chord_retry_interval",
        NUMBER,
        1.0,
        "Interval in which the end of a chord is looked for, on backends that cannot count.",
        unit="s",
        old="CELERY_RESULT_CHORD_RETRY_INTERVAL",
    ),
    Option(
        "result_chord_join_timeout",
        NUMBER,
        3.0,
        "The longest wait for the results of a chord's header.",
        unit="s",
        old="CELERY_RESULT_CHORD_JOIN_TIMEOUT",
    ),
    Option(
        "result_backend_always_retry",
        FLAG,
        False,
        "Repeat reading and storing of results in clients when it fails for now; a worker always does.",
        old="CELERY_RESULT_BACKEND_ALWAYS_RETRY",
    ),
    Option(
        "result_backend_max_retries",
        NUMBER,
        float("inf"),
        "How often they are repeated.",
        old="CELERY_RESULT_BACKEND_MAX_RETRIES",
        nullable=True,
    ),
    Option(
        "result_backend_base_sleep_between_retries_ms",
        INTEGER,
        10,
        "First pause between the repeats, at most; it doubles each time.",
        unit="ms",
        old="CELERY_RESULT_BACKEND_BASE_SLEEP_BETWEEN_RETRIES_MS",
    ),
    Option(
        "result_backend_max_sleep_between_retries_ms",
        INTEGER,
        10000,
        "Longest pause between the repeats.",
        unit="ms",
        old="CELERY_RESULT_BACKEND_MAX_SLEEP_BETWEEN_RETRIES_MS",
    ),
    Option("result_backend_thread_safe", FLAG, False, "Threads share one backend object.", acts=False),
)
