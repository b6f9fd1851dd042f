"""Random canvases end with the value, or one of the errors, that the oracle works out from their description."""

from __future__ import annotations

import os
import random
import uuid
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from fastq import FastQ, canvas
from tests.canvas.judged import Sent, client, errors_of, send
from tests.canvas.trees import build, declare, grow

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.worker import RunningWorker

LONG = os.environ.get("FASTQ_FAULTS") == "long"
LIMIT = 600.0 if LONG else 120.0


@pytest.fixture
def first() -> int:
    """Return the first seed; FASTQ_FAULTS_SEED sets it."""
    seed = int(os.environ.get("FASTQ_FAULTS_SEED") or random.SystemRandom().getrandbits(32))
    print(f"FASTQ_FAULTS_SEED={seed}")
    return seed


def test_on_queues_in_memory(first: int) -> None:
    url = f"memory://{uuid.uuid4().hex}?clock=hand"
    app: Any = FastQ("canvas", broker=url, backend=url, set_as_current=False)
    ran: Counter[int] = Counter()
    app.canvas_tasks = declare(app, canvas, lambda number: ran.update([number]))
    wrong: list[str] = []
    for seed in range(first, first + (5_000 if LONG else 400)):
        tree = grow(seed)
        ran.clear()
        result = build(tree, app.canvas_tasks, canvas).apply_async()
        app.testing.run()
        wrong += errors_of([Sent(seed, tree, result)], 0.01)
        wrong += [f"seed {seed}: task {number} ran {often} times" for number, often in ran.items() if often > 1]
        app.testing.clear()
    app.close()
    assert not wrong, f"{len(wrong)} are wrong, among them:\n" + "\n".join(sorted(wrong, key=len)[:5])


def test_with_workers(first: int, database_url: str, start_worker: Callable[..., RunningWorker]) -> None:
    app = client(database_url)
    start_worker("tests.canvas.served", ("-c", "2"))
    wrong = errors_of(send(app, range(first, first + (500 if LONG else 60))), LIMIT)
    app.close()
    assert not wrong, f"{len(wrong)} are wrong, among them:\n" + "\n".join(sorted(wrong, key=len)[:5])
