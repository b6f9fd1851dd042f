"""An executor, and jobs made by hand for it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from fastq import FastQ, signals
from fastq.app import current
from fastq.execute import Executor
from fastq.result import wait

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastq._seam import Outcome

EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


@dataclass(slots=True)
class FakeJob:
    """What the core hands to an executor."""

    name: str
    body: bytes
    id: str = "id-1"
    headers: bytes = b"{}"
    properties: bytes = b"{}"
    content_type: str = "application/json"
    queue: str = "celery"
    exchange: str = ""
    routing_key: str = "celery"
    priority: int | None = None
    redelivered: bool = False
    deaths: int = 0
    ignore_result: bool = False
    has_family: bool = False
    time_limits: tuple[float | None, float | None] = (None, None)


def make_job(
    name: str,
    *args: Any,
    kwargs: dict[str, Any] | None = None,
    embed: dict[str, Any] | None = None,
    headers: dict[str, Any] | None = None,
    **fields: Any,
) -> FakeJob:
    """Return a job as a producer's message would make it."""
    known = {"task": name, "id": "id-1", "group": None, "parent_id": None, "root_id": "id-1", "retries": 0}
    known |= headers or {}
    body = orjson.dumps([args, kwargs or {}, {**EMBED, **(embed or {})}])
    properties = orjson.dumps({"content_type": "application/json", "content_encoding": "utf-8"})
    family = known["group"] is not None or known["parent_id"] is not None
    fields = {"headers": orjson.dumps(known), "properties": properties, "has_family": family, **fields}
    return FakeJob(name, body, **fields)


@dataclass
class Bench:
    """An app, its executor, and what runs say."""

    app: FastQ
    stored: list[Any] = field(default_factory=list)
    """What was stored while tasks ran."""

    def __post_init__(self) -> None:
        self.executor = Executor(self.app, hostname="w@host", store=self.stored.extend)

    def run(self, task: Any, *args: Any, **options: Any) -> Outcome:
        """Run a task as a worker does."""
        return self.executor.run(make_job(task if isinstance(task, str) else task.name, *args, **options))  # type: ignore[arg-type]

    def metas(self, outcome: Outcome) -> list[dict[str, Any]]:
        """Return what the records of an outcome say."""
        return [dict(self.app.backend.decode(record)) for record in outcome.records]

    def meta(self, outcome: Outcome) -> dict[str, Any]:
        """Return what the only record of an outcome says."""
        (found,) = self.metas(outcome)
        return found

    def messages(self, outcome: Outcome) -> list[tuple[dict[str, Any], list[Any]]]:
        """Return headers and body of the messages that are to follow."""
        return [(orjson.loads(message.headers), orjson.loads(message.body)) for message in outcome.messages]


@pytest.fixture
def app() -> Iterator[FastQ]:
    process = (current._Process.current, current._Process.default)
    made = FastQ("shop", broker="memory://", backend=f"memory://{uuid.uuid4().hex}")
    yield made
    current._Process.current, current._Process.default = process
    current._current.set(None)
    assert current.current_frame() is None, "a run was left open"
    wait._Guard.running = None


@pytest.fixture
def bench(app: FastQ) -> Iterator[Bench]:
    made = Bench(app)
    yield made
    made.executor.close()


@pytest.fixture
def heard() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """Every signal about tasks, as it was sent."""
    names = ("task_prerun", "task_postrun", "task_success", "task_failure", "task_retry", "task_internal_error")
    found: list[tuple[str, dict[str, Any]]] = []

    def receiver_of(name: str) -> Any:
        def receive(**named: Any) -> None:
            found.append((name, named))

        return receive

    receivers = {name: receiver_of(name) for name in names}
    for name, receiver in receivers.items():
        getattr(signals, name).connect(receiver)
    yield found
    for name, receiver in receivers.items():
        getattr(signals, name).disconnect(receiver)
