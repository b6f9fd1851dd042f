"""Chords that Celery has sent and one of its workers has ended, where more was to follow than that worker knew of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fastq import FastQ, chord
from fastq.app.send import new_id
from fastq.exceptions import ChordError
from tests.path.redis.conftest import Watched
from tests.support.wait import wait_for
from tests.support.worker import RunningWorker

LIMIT = 20.0


def test_a_body_that_is_a_chord_fails_with_the_header_it_was_to_follow(
    app: FastQ, server: Watched, start_worker: Callable[..., RunningWorker]
) -> None:
    # Celery stores the failure of such a body under the id of its header, and nobody waits for that one.
    play: Any = lambda name, *args: app.signature(f"play.{name}", args)  # noqa: E731 - a word for the lines below
    group_id, body = new_id(), chord([play("note", 1)], play("total"), app=app)
    result = body.freeze()
    size, record = f"celery-taskset-meta-{group_id}.s", f"fastq:chord:{group_id}"
    server.do("SET", size, "2")
    start_worker("tests.path.orchestra", environment={"FASTQ_RESULT_CHORD_PATIENCE": "0.5"})
    play("wrong").apply_async(group_id=group_id, group_index=0, chord=dict(body))
    wait_for(lambda: server.do("HEXISTS", record, "callback"), "the member that fastq has counted")

    app.backend.save([app.backend.record(body.id or "", "FAILURE", ChordError("a member has failed"))])
    server.do("DEL", size)

    with pytest.raises(ChordError, match="a member has failed"):
        result.get(timeout=LIMIT)
