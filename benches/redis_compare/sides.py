"""The sides that are compared: where each is installed, how its adapter is set, about how fast it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Side:
    """One library in one configuration."""

    title: str
    adapter: str
    """The module in this folder."""
    environment: str
    """requirements/bench-NAME.txt, installed in .venv-bench-NAME; "": the project's own .venv."""
    package: str
    """Whose version is told."""
    drains: int
    """About how many tasks it runs in a second: chooses counts, so that a round lasts some seconds."""
    publishes: int
    """About how many calls a second its client makes."""
    variables: Mapping[str, str] = field(default_factory=dict)
    always_stores: bool = False
    """Whether it cannot run without keeping results."""
    only: tuple[str, ...] = ()
    """The parts it takes part in; (): all that compare."""


SIDES: dict[str, Side] = {
    "celery": Side("Celery", "app_celery", "celery", "celery", 1_000, 2_500),
    "celery-tuned": Side("Celery, tuned", "app_celery", "celery", "celery", 2_000, 2_500, {"BENCH_TUNED": "1"}),
    "dramatiq": Side("dramatiq", "app_dramatiq", "dramatiq", "dramatiq", 4_000, 6_000),
    "taskiq": Side("taskiq", "app_taskiq", "taskiq", "taskiq", 3_500, 4_000),
    "taskiq-list": Side(
        "taskiq, list broker", "app_taskiq", "taskiq", "taskiq", 4_500, 4_000, {"BENCH_BROKER": "list"}
    ),
    "huey": Side("huey", "app_huey", "huey", "huey", 6_000, 15_000),
    "rq": Side("RQ", "app_rq", "rq", "rq", 100, 1_500),
    "arq": Side("arq", "app_arq", "arq", "arq", 1_400, 2_500),
    "saq": Side("SAQ", "app_saq", "saq", "saq", 2_400, 3_000),
    "flexiq": Side("FlexiQ", "app_flexiq", "flexiq", "flexiq", 1_000, 8_000, always_stores=True),
    "fastq-asyncio": Side("fastq, asyncio", "app_fastq_pools", "", "fastq-tasks", 60_000, 25_000, only=("pools",)),
    "fastq-sleepers": Side(
        "fastq, asyncio, 5 000 at once",
        "app_fastq_pools",
        "",
        "fastq-tasks",
        5_000,
        25_000,
        {"BENCH_POOL": "sleepers"},
        only=("pools",),
    ),
    "fastq-prefork": Side(
        "fastq, prefork",
        "app_fastq_pools",
        "",
        "fastq-tasks",
        200,
        25_000,
        {"BENCH_POOL": "prefork"},
        only=("pools", "soak"),
    ),
    "lpush": Side("bare LPUSH, redis-py with hiredis", "app_lpush", "redis", "redis", 1, 25_000, only=("publish",)),
    "fastq": Side("fastq", "app_fastq", "", "fastq-tasks", 90_000, 25_000),
}
