"""Take one figure of one side, in the environment of that side: take.py ADAPTER PART COUNT OUTPUT.

What the sides have in common with those on Redis (client, worker, ledger) is theirs: benches/redis_compare.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "redis_compare")]

from bench import pause, wait_until  # noqa: E402 - found by the line above
from client import Client  # noqa: E402
from command import run  # noqa: E402
from ledger import Ledger  # noqa: E402
from worker import TICK, worker_of  # noqa: E402

START_LIMIT, LIMIT = 60.0, 300.0
"""Seconds that the first task may take, and then the whole queue."""
SETTLED = 0.3
"""Seconds after the last task in which its acknowledgement still counts as a cost."""


def main(arguments: Sequence[str]) -> None:
    """Take the figure."""
    adapter, part, count, output = arguments
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        ledger = Ledger.create(Path(folder) / "ledger", int(count))
        client = Client(importlib.import_module(adapter))
        try:
            taken = PARTS[part](client, ledger, Path(folder) / "worker.log")
        finally:
            client.close()
    Path(output).write_text(json.dumps(taken), encoding="utf-8")


def publish(client: Client, ledger: Ledger, _log: Path) -> dict[str, Any]:
    """Return how many tasks a loop publishes in a second, and the library's bulk call, when it has one.

    The clock of the loop stops when what it has sent is confirmed, where the library has it confirmed at all.
    """
    count = ledger.count
    client.publish(range(20))
    confirm = getattr(client.app, "confirm", lambda: None)
    began = monotonic()
    client.publish(range(count))
    confirm()
    taken = {"count": count, "rate": count / (monotonic() - began)}
    if client.has_bulk:
        began = monotonic()
        client.fill(0, count)
        taken["bulk_rate"] = count / (monotonic() - began)
    return taken


def drain(client: Client, ledger: Ledger, log: Path) -> dict[str, Any]:
    """Fill a queue, start the worker, wait until every task has run once; return rate and costs.

    The clock runs from the start of the first task to the end of the last one, by the tasks' own account.
    """
    count = ledger.count
    client.fill(0, count)
    with log.open("ab") as out, worker_of(client.app, out) as worker:
        try:
            wait_until(lambda: ledger.done(0, count) > 0, worker, START_LIMIT)
            before = worker.cpu_seconds(), _server_seconds(), ledger.done(0, count)
            wait_until(lambda: ledger.full(count), worker, LIMIT)
            pause(SETTLED)
            after = worker.cpu_seconds(), _server_seconds(), ledger.done(0, count)
        except BaseException:
            sys.stderr.write(log.read_text(errors="replace")[-4_000:])
            raise
    ledger.check(0, count)
    tasks = max(1, after[2] - before[2])
    seconds = max(ledger.ends[:count]) - min(ledger.starts[:count])
    return {
        "count": count,
        "rate": count / seconds,
        "worker_cpu_s_per_1000": 1_000 * (after[0] - before[0]) / tasks,
        "server_cpu_s_per_1000": 1_000 * (after[1] - before[1]) / tasks,
    }


PARTS: dict[str, Callable[[Client, Ledger, Path], dict[str, Any]]] = {"drain": drain, "publish": publish}


def _server_seconds() -> float:
    """Return the processor time of the server's processes: the session that BENCH_SERVER leads."""
    session, total = os.environ["BENCH_SERVER"], 0
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[3] == session:
            total += int(fields[11]) + int(fields[12])
    return total * TICK


if __name__ == "__main__":
    run(main)
