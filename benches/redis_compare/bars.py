"""The bars that fastq must clear on Redis, and whether it did."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from figures import OWN, Figures, Values


@dataclass(frozen=True)
class Bar:
    """One row: what was measured, what must hold."""

    figure: str
    values: Values
    unit: str
    bar: str
    reached: bool | None
    """None: there is no bar, the figure is told only."""


def bars(figures: Figures) -> Iterator[Bar]:
    """Yield a row for everything that was measured."""
    yield from _drains(figures)
    yield from _publishing(figures)
    yield from _waiting(figures)
    yield from _backlog(figures)
    yield from _idle(figures)
    yield from _pools(figures)
    yield from _canvas(figures)
    yield from _wire(figures)


def _drains(figures: Figures) -> Iterator[Bar]:
    for case, celery in (("drain", 100), ("drain, results", 80)):
        own = figures.values(case, OWN, "rate")
        peer = figures.fastest(case, "rate", lambda name: name in (OWN, "celery"))
        for side, least in (("celery", celery), (peer, 15)):
            other = figures.values(case, side, "rate") if side else None
            if own and other:
                name = f"{case}: fastq ÷ {side}" + (", the fastest peer" if side != "celery" else "")
                yield _at_least(name, own.over(other), least)


def _publishing(figures: Figures) -> Iterator[Bar]:
    own = figures.values("publish", OWN, "rate")
    push, celery = (figures.values("publish", side, "rate") for side in ("lpush", "celery"))
    if own and push:
        yield _at_least("delay() in a loop ÷ bare LPUSH, redis-py with hiredis", own.over(push), 0.85)
    if own and celery:
        yield _at_least("delay() in a loop ÷ Celery's", own.over(celery), 5)
    if bulk := figures.values("publish", OWN, "bulk_rate"):
        wire = figures.values("wire", "wire", "publish")
        reached = bulk.median >= 60_000 or (wire is not None and bulk.median >= 0.6 * wire.median)
        yield Bar("bulk publish", bulk, " /s", "≥ 60 000 /s, or 60 % of the wire", reached)


def _waiting(figures: Figures) -> Iterator[Bar]:
    for side in (OWN, "celery"):
        for part in ("p50", "p99"):
            if values := figures.values("latency", side, f"round_trip_ms/{part}"):
                barred = side == OWN and part == "p99"
                reached = values.median < 5 if barred else None
                name = f"delay() → get(), idle worker, {part}: {side}"
                yield Bar(name, values, " ms", "< 5 ms" if barred else "", reached)


def _backlog(figures: Figures) -> Iterator[Bar]:
    short, long = (figures.values(case, OWN, "steady_rate") for case in ("10 k", "1 M"))
    if short and long:
        ratio = long.over(short)
        yield Bar("drain rate with 1 M waiting ÷ with 10 k", ratio, " ×", "0.9 – 1.1", 0.9 <= ratio.median <= 1.1)
    if growth := figures.values("1 M", OWN, "pss_growth"):
        yield Bar("worker memory at the end of 1 M ÷ at its beginning", growth, " ×", "≤ 1.1", growth.median <= 1.1)


def _idle(figures: Figures) -> Iterator[Bar]:
    for path, name, unit, most in (
        ("cpu_percent", "idle worker, of a core", " %", 1),
        ("commands_per_second", "idle worker, Redis commands", " /s", 2),
    ):
        if values := figures.values("idle", OWN, path):
            yield Bar(name, values, unit, f"< {most}{unit}", values.median < most)


def _pools(figures: Figures) -> Iterator[Bar]:
    own = figures.values("coroutines", "fastq-asyncio", "rate")
    for side in ("taskiq", "taskiq-list", "saq", "arq"):
        other = figures.values("coroutines", side, "rate")
        if own and other:
            yield _at_least(f"coroutines: fastq, asyncio ÷ {side}", own.over(other), 8)
    if seconds := figures.values("10 000 sleepers", "fastq-sleepers", "seconds"):
        yield Bar("10 000 × asyncio.sleep(1), 5 000 at once", seconds, " s", "< 4 s", seconds.median < 4)
    if memory := figures.values("10 000 sleepers", "fastq-sleepers", "pss_mb"):
        yield Bar("… memory of the worker", memory, " MB", "< 250 MB", memory.median < 250)
    if part := figures.values("10 ms tasks", "fastq-prefork", "of_possible"):
        yield Bar("10 ms tasks ÷ 200 /s, two children", part, " ×", "≥ 0.97 ×", part.median >= 0.97)
    if growth := figures.values("soak", "fastq-prefork", "growth_percent"):
        yield Bar("memory over 2 M tasks, last ÷ second quarter, − 1", growth, " %", "< 2 %", growth.median < 2)


def _canvas(figures: Figures) -> Iterator[Bar]:
    for path, name, least in (("chord_s", "chord of 1 000 members", 20), ("chain_s", "chain of 200 steps", 5)):
        own, celery = (figures.values("canvas", side, path) for side in (OWN, "celery"))
        if own:
            yield Bar(name, own, " s", "", None)
        if own and celery:
            yield _at_least(f"{name}: Celery's time ÷ fastq's", celery.over(own), least)
    if step := figures.values("canvas", OWN, "step_ms"):
        yield Bar("chain, a step", step, " ms", "< 2 ms", step.median < 2)
    if ratio := figures.values("canvas, bytes", OWN, "ratio"):
        yield Bar("chord of 10 000, bytes sent ÷ its members alone", ratio, " ×", "≤ 1.2 ×", ratio.median <= 1.2)


def _wire(figures: Figures) -> Iterator[Bar]:
    pairs: tuple[tuple[str, str, Callable[[], Values | None]], ...] = (
        ("bulk publish", "publish", lambda: figures.values("publish", OWN, "bulk_rate")),
        ("drain", "drain", lambda: figures.values("drain", OWN, "rate")),
        ("drain, results", "drain, results", lambda: figures.values("drain, results", OWN, "rate")),
    )
    for name, path, own in pairs:
        if limit := figures.values("wire", "wire", path):
            yield Bar(f"wire limit, {name}", limit, " /s", "", None)
            if mine := own():
                yield Bar(f"{name} ÷ wire limit", mine.over(limit), " ×", "", None)


def _at_least(name: str, ratio: Values, least: float) -> Bar:
    return Bar(name, ratio, " ×", f"≥ {least:g} ×", ratio.median >= least)
