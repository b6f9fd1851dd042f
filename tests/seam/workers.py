"""Settings of small workers."""

from __future__ import annotations

from fastq._seam import Policy, QueueSpec, WorkerConfig


def policy(name: str) -> Policy:
    """Return a task's policy with fastq's defaults."""
    return Policy(
        name=name,
        acks_late=True,
        acks_on_failure=True,
        acks_on_timeout=True,
        reject_on_worker_lost=True,
        max_deaths=3,
        ignore_result=False,
        store_errors_even_if_ignored=False,
        time_limit=None,
        soft_time_limit=None,
    )


def config(url: str) -> WorkerConfig:
    """Return the configuration of a worker without children."""
    return WorkerConfig(node="test@host", broker_url=url, store_url=url, queues=(QueueSpec("celery"),), stop_within=5.0)
