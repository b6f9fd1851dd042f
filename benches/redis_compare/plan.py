"""What each part measures: its turns within one round, side after side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sides import SIDES

SECONDS = 3.0
"""About how long a drain and a publishing loop take."""
PAYLOADS = {"1 KB": (1_000, 30_000), "10 KB": (10_000, 20_000), "100 KB": (100_000, 3_000), "1 MB": (1_000_000, 300)}
"""Size of the argument in bytes, and how many tasks carry it."""
SHORT, TIMES, LONG = 10_000, 10, 1_000_000
"""Backlogs: a short one and how often, a long one."""


@dataclass(frozen=True)
class Turn:
    """One figure to take, once in each round."""

    case: str
    side: str
    part: str
    """The function of measure.py."""
    parameters: dict[str, Any]
    room: int
    """How many tasks the ledger needs room for."""
    results: bool = False
    """Whether results are stored."""


MOST_ROUNDS = {"idle": 2, "soak": 1}
"""Parts whose figures hardly differ from round to round, and take long."""


def drain(sides: Sequence[str], scale: float) -> Iterator[Turn]:
    """Yield full queues, first without results, then with them."""
    for case, results in (("drain", False), ("drain, results", True)):
        for side in sides:
            count = _at_least(100, SIDES[side].drains * SECONDS * scale)
            if results or not SIDES[side].always_stores:
                yield Turn(case, side, "drain", {"count": count, "results": results}, count, results)


def publish(sides: Sequence[str], scale: float) -> Iterator[Turn]:
    """Yield loops that publish."""
    for side in sides:
        count = _at_least(100, SIDES[side].publishes * SECONDS * scale)
        yield Turn("publish", side, "publish", {"count": count}, 100)


def latency(sides: Sequence[str], scale: float) -> Iterator[Turn]:
    """Yield round trips and loads."""
    for side in sides:
        pace, seconds = SIDES[side].drains, max(0.5, 2.0 * scale)
        parameters = {"pace": pace, "round_trips": _at_least(50, 500 * scale), "seconds": seconds}
        yield Turn("latency", side, "latency", parameters, int(20_000 + 10 * pace * seconds), results=True)


def idle(sides: Sequence[str], scale: float) -> Iterator[Turn]:
    """Yield workers without work."""
    for side in sides:
        yield Turn("idle", side, "idle", {"seconds": max(2.0, 8.0 * scale)}, 100)


def payload(sides: Sequence[str], scale: float) -> Iterator[Turn]:
    """Yield messages of four sizes, for fastq."""
    for case, (size, count) in PAYLOADS.items():
        count = _at_least(50, count * scale)
        if "fastq" in sides:
            yield Turn(case, "fastq", "payload", {"count": count, "size": size}, count)


def backlog(sides: Sequence[str], scale: float) -> Iterator[Turn]:
    """Yield ten short queues and a long one, for fastq."""
    if "fastq" in sides:
        short, long = _at_least(100, SHORT * scale), _at_least(1_000, LONG * scale)
        yield Turn("10 k", "fastq", "bursts", {"count": short, "times": TIMES}, (TIMES + 1) * short)
        yield Turn("1 M", "fastq", "backlog", {"count": long}, long)


def pools(sides: Sequence[str], scale: float) -> Iterator[Turn]:
    """Yield the drains of those that run coroutines, and what fastq's pools must do beside."""
    for side in ("taskiq", "taskiq-list", "saq", "arq", "fastq-asyncio"):
        if side in sides:
            count = _at_least(100, SIDES[side].drains * SECONDS * scale)
            yield Turn("coroutines", side, "drain", {"count": count, "results": False}, count)
    if "fastq-sleepers" in sides:
        count = _at_least(1_000, 10_000 * scale)
        yield Turn("10 000 sleepers", "fastq-sleepers", "sleepers", {"count": count, "seconds": 1.0}, count)
    if "fastq-prefork" in sides:
        count = _at_least(200, 2_000 * scale)
        parameters = {"count": count, "seconds": 0.01, "children": 2}
        yield Turn("10 ms tasks", "fastq-prefork", "share", parameters, count)


def canvas(sides: Sequence[str], scale: float) -> Iterator[Turn]:
    """Yield workflows, for the two that have them."""
    for side in ("celery", "fastq"):
        if side in sides:
            members, steps = _at_least(20, 1_000 * scale), _at_least(10, 200 * scale)
            yield Turn("canvas", side, "canvas", {"members": members, "steps": steps}, 100, results=True)
    for side in ("celery", "fastq"):
        if side in sides:
            members = _at_least(100, 10_000 * scale)
            yield Turn("canvas, bytes", side, "canvas_bytes", {"members": members}, 100, results=True)


def soak(sides: Sequence[str], scale: float) -> Iterator[Turn]:
    """Yield two million tasks, for fastq."""
    if "fastq-prefork" in sides:
        count = _at_least(10_000, 2_000_000 * scale)
        yield Turn("soak", "fastq-prefork", "soak", {"count": count}, count)


def wire(_sides: Sequence[str], scale: float) -> Iterator[Turn]:
    """Yield the commands without the tasks."""
    yield Turn("wire", "wire", "wire", {"count": _at_least(1_000, 300_000 * scale)}, 0)


PARTS: dict[str, Callable[[Sequence[str], float], Iterator[Turn]]] = {
    "drain": drain,
    "publish": publish,
    "latency": latency,
    "payload": payload,
    "backlog": backlog,
    "idle": idle,
    "pools": pools,
    "canvas": canvas,
    "soak": soak,
    "wire": wire,
}


def _at_least(least: int, count: float) -> int:
    return max(least, int(count))
