"""Full queues: how fast a worker empties them, and what that costs the worker and the server."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic
from typing import Any

from bench import Bench, pause, wait_until
from worker import Worker

START_LIMIT, LIMIT = 60.0, 300.0
"""Seconds that the first task may take, and then the whole queue."""
SETTLED = 0.2
"""Seconds after the last task in which its acknowledgement still counts as a cost."""


def drain(bench: Bench, count: int, results: bool) -> dict[str, Any]:
    """Fill a queue, start the worker, wait until every task has run."""
    filling = monotonic()
    handles = bench.client.fill(0, count)
    filled = monotonic() - filling
    measured = emptied(bench, count, handles if results else [])
    keys_left = int(bench.redis.call("DBSIZE"))
    assert results or keys_left < count // 2, f"{keys_left} keys are left: results are stored though they are off"
    return {**measured, "filled_per_second": count / filled}


def payload(bench: Bench, count: int, size: int) -> dict[str, Any]:
    """Drain tasks that carry a string of `size` bytes each."""
    text = "x" * size
    for number in range(count):
        bench.app.send_payload(number, text)
    return emptied(bench, count, [])


def emptied(bench: Bench, count: int, handles: list[Any]) -> dict[str, Any]:
    """Let a worker empty the queue; prove that every task ran once; return rate and costs.

    The clock runs from the start of the first task to the end of the last one, by the tasks' own account. Costs are
    those of the time between two looks: when the first task is seen to have run, and shortly after the last one.
    """
    ledger = bench.ledger
    with bench.worker() as worker:
        wait_until(lambda: ledger.done(0, count) > 0, worker, START_LIMIT, step=0.001)
        before = Snapshot.take(bench, worker, count)
        memory = _watch(bench, worker, count)
        last_result = _last_result(bench, count, handles)
        pause(SETTLED)
        after = Snapshot.take(bench, worker, count)
        memory.append(worker.memory(ledger.path))
        values = bench.client.results(handles)
    ledger.check(0, count)
    assert values == list(range(count)) or not handles, "a result is missing or wrong"
    seconds = max(ledger.ends[:count]) - min(ledger.starts[:count])
    return {
        "count": count,
        "seconds": seconds,
        "rate": count / seconds,
        **after.since(before),
        "pss_mb": max(sample["pss"] for sample in memory),
        "peak_rss_mb": max(sample["peak_rss"] for sample in memory),
        "peak_rss_first_mb": max(sample["peak_rss_first"] for sample in memory),
        "pss_growth": memory[-1]["pss"] / memory[0]["pss"],
        "pss_mb_samples": [round(sample["pss"], 1) for sample in memory],
        "processes": len(set(ledger.processes[:count])),
        "last_result_after": last_result,
    }


def _watch(bench: Bench, worker: Worker, count: int) -> list[dict[str, float]]:
    """Wait until all tasks have run; return the memory, taken each second."""
    samples, next_look = [], monotonic() + 0.5

    def all_ran() -> bool:
        nonlocal next_look
        if monotonic() > next_look:
            samples.append(worker.memory(bench.ledger.path))
            next_look = monotonic() + 1.0
        return bench.ledger.full(count)

    wait_until(all_ran, worker, LIMIT, step=0.01)
    return samples


def _last_result(bench: Bench, count: int, handles: list[Any]) -> float | None:
    """Return how many seconds after the end of the last task its result was seen."""
    if not handles:
        return None
    ends = list(bench.ledger.ends[:count])
    last = ends.index(max(ends))
    bench.client.result(handles[last])
    return monotonic() - ends[last]


@dataclass(frozen=True)
class Snapshot:
    """What had been used, and done, at one moment."""

    done: int
    worker_cpu: float
    redis_cpu: float
    commands: int
    bytes_in: int
    bytes_out: int

    @classmethod
    def take(cls, bench: Bench, worker: Worker, count: int) -> Snapshot:
        """Look now."""
        info = bench.redis.info("cpu", "stats")
        return cls(
            bench.ledger.done(0, count),
            worker.cpu_seconds(),
            float(info["used_cpu_user"]) + float(info["used_cpu_sys"]),
            int(info["total_commands_processed"]),
            int(info["total_net_input_bytes"]),
            int(info["total_net_output_bytes"]),
        )

    def since(self, before: Snapshot) -> dict[str, float]:
        """Return what each task cost since another moment."""
        tasks = max(1, self.done - before.done)
        return {
            "worker_cpu_s_per_1000": 1_000 * (self.worker_cpu - before.worker_cpu) / tasks,
            "redis_cpu_s_per_1000": 1_000 * (self.redis_cpu - before.redis_cpu) / tasks,
            "commands_per_task": (self.commands - before.commands) / tasks,
            "bytes_in_per_task": (self.bytes_in - before.bytes_in) / tasks,
            "bytes_out_per_task": (self.bytes_out - before.bytes_out) / tasks,
        }
