"""Events that tasks send by themselves reach Celery's monitors, whoever runs the task."""

from __future__ import annotations

import time

import pytest

from tests.compat.live import scenes
from tests.compat.live.peers import CELERY, FASTQ, Town


@pytest.mark.parametrize("runner", [CELERY, FASTQ])
def test_a_monitor_hears_what_a_task_tells(town: Town, runner: str) -> None:
    event = town.client(CELERY).do(scenes.overhear, kind="task-uploaded", queue=runner)

    told = {"type", "uuid", "hostname", "pid", "timestamp", "utcoffset", "clock", "local_received", "size"}
    assert set(event) == told
    assert (event["type"], event["size"]) == ("task-uploaded", 3)
    assert event["hostname"].startswith(runner)
    assert abs(event["timestamp"] - time.time()) < 600
