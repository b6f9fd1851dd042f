"""The same workload for Celery and fastq on one private RabbitMQ, in turn, with the wire limit: run.py --help.

Writes the raw figures as JSON, and a table with the bars that they are held against.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "redis_compare")]

from command import LIMIT, activated, parser, run, stay_on_cores, take  # noqa: E402 - found by the line above
from environment import CLONE, python_of  # noqa: E402

from amqp_tap import AmqpTap, split  # noqa: E402 - scripts/ is on the path already, and the next by the line above
from servers import SERVERS, free_port, wait_until  # noqa: E402

SIDES = {"celery": ("on_celery", "celery"), "fastq": ("on_fastq", "")}
"""Adapter, and environment as in benches/redis_compare."""
PARTS = {
    "wire": {"fastq": 200_000},
    "drain": {"celery": 6_000, "fastq": 150_000},
    "publish": {"celery": 10_000, "fastq": 30_000},
}
"""How many tasks, by side."""
BATCH = 128


def main(arguments: Sequence[str]) -> int:
    """Measure what was asked for; return 1 when a figure could not be taken."""
    options = parser("bench-compare-amqp", __doc__, PARTS, SIDES, "rabbitmq").parse_args(arguments)
    folder: Path = options.output
    folder.mkdir(parents=True, exist_ok=True)
    stay_on_cores()
    figures: dict[str, dict[str, list[Any]]] = {}
    for number in range(options.rounds):
        for part in options.parts:
            for side in [side for side in options.sides if side in PARTS[part]]:
                count = max(200, int(PARTS[part][side] * options.scale))
                taken = _take(part, side, count)
                figures.setdefault(part, {}).setdefault(side, []).append(taken)
                print(f"{number + 1}  {part:8} {side:8} {json.dumps(taken)}", flush=True)
        (folder / "rabbitmq.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    report = "\n".join(_report(figures)) + "\n"
    (folder / "rabbitmq.md").write_text(report, encoding="utf-8")
    print(report)
    return 1 if any(taken is None for sides in figures.values() for turns in sides.values() for taken in turns) else 0


def _take(part: str, side: str, count: int) -> dict[str, Any] | None:
    """Return one figure, taken in new processes on a new server; None: it could not be taken, and it was said why."""
    try:
        with _server() as (port, pid), tempfile.TemporaryDirectory() as scratch:
            if part == "wire":
                return _wire(port, count, Path(scratch))
            adapter, environment = SIDES[side]
            output, variables = Path(scratch) / "figure.json", _environment(port, pid, side)
            return take(environment, HERE / "take.py", [adapter, part, str(count)], output, variables)
    except (subprocess.SubprocessError, RuntimeError) as error:
        print(f"{part}, {side}: {error}", file=sys.stderr)
        return None


def _environment(port: int, pid: int, side: str) -> dict[str, str]:
    variables = {"BENCH_BROKER_URL": _url(port), "BENCH_SERVER": str(pid), "C_FORCE_ROOT": "1"}
    return {**activated(SIDES[side][1]), **variables}


@contextmanager
def _server() -> Iterator[tuple[int, int]]:
    """Run a server of one figure's own; the value is its port, and the id of its first process."""
    kind = SERVERS["rabbitmq"]
    program, port = kind.find(), free_port()
    if program is None:
        raise RuntimeError("rabbitmq-server is missing: install the package rabbitmq-server")
    with tempfile.TemporaryDirectory(prefix="rabbitmq-") as folder:
        command, extra = kind.command(program, Path(folder), port)
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **extra},
            start_new_session=True,
        )  # fmt: skip
        try:
            if not wait_until(lambda: kind.answers(port), kind.start_within, lambda: process.poll() is None):
                raise RuntimeError("rabbitmq-server did not answer")
            yield port, process.pid
        finally:
            process.terminate()
            process.wait(kind.stop_within)
            kind.after_stop(Path(folder))


def _wire(port: int, count: int, scratch: Path) -> dict[str, float]:
    """Return how many tasks a second a bare client publishes and drains, with the bytes of one of fastq's messages."""
    message, program = scratch / "message", CLONE / "target/bench-compare/amqp_wire"
    message.write_bytes(_captured(port))
    program.parent.mkdir(parents=True, exist_ok=True)
    source = CLONE / "benches/rust/amqp_wire.rs"
    subprocess.run(["rustc", "--edition", "2024", "-O", "-o", program, source], check=True)
    command: list[str | Path] = [program, str(port), str(count), str(BATCH), message]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=LIMIT)
    return {what: float(rate) for what, rate in (line.split("\t") for line in done.stdout.splitlines())}


def _captured(port: int) -> bytes:
    """Return the frames of one of fastq's messages, heard on its way."""
    chunks: list[bytes] = []
    tap = AmqpTap(port, raw=chunks.append)
    code = "import on_fastq; on_fastq.send(0); on_fastq.send(1)"  # the first one makes the queue
    environment = {**_environment(tap.port, 0, "fastq"), "BENCH_LEDGER": os.devnull, "BENCH_LEDGER_COUNT": "0"}
    environment["PYTHONPATH"] = f"{HERE}{os.pathsep}{HERE / 'nothing'}{os.pathsep}{HERE.parent / 'redis_compare'}"
    code = f"import mmap, sys, types; sys.modules['ledger'] = types.SimpleNamespace(recorder=lambda: None); {code}"
    subprocess.run([str(python_of("")), "-c", code], env=environment, check=True)
    tap.mark(lambda: None)
    tap.close()
    frames, _ = split(b"".join(chunks)[8:])
    last = max(at for at, (kind, _, payload) in enumerate(frames) if kind == 1 and payload[:4] == b"\0\x3c\0\x28")
    whole = frames[last : last + 3]
    return b"".join(
        bytes([kind]) + channel.to_bytes(2, "big") + len(payload).to_bytes(4, "big") + payload + b"\xce"
        for kind, channel, payload in whole
    )


def _report(figures: dict[str, dict[str, list[Any]]]) -> Iterator[str]:
    """Yield the lines of a table: what was measured, and the bar of each ratio."""

    def middle(part: str, side: str, name: str) -> float | None:
        values = [taken[name] for taken in figures.get(part, {}).get(side, []) if taken and name in taken]
        return statistics.median(values) if values else None

    drained, emptied = middle("drain", "fastq", "rate"), middle("wire", "fastq", "drain")
    sent, filled = middle("publish", "fastq", "rate"), middle("publish", "fastq", "bulk_rate")
    cost, theirs = (middle("drain", side, "worker_cpu_s_per_1000") for side in ("fastq", "celery"))
    rows = [
        ("drain, tasks/s", drained, middle("drain", "celery", "rate"), "12 ×"),
        ("drain, of the wire limit", drained, emptied, "0.7 ×"),
        ("delay(), calls/s", sent, middle("publish", "celery", "rate"), "2 ×"),
        ("bulk, of the wire limit", filled, middle("wire", "fastq", "publish"), "0.7 ×"),
        ("worker CPU, s per 1 000", cost, theirs, "0.1 × at most"),
    ]
    yield "| RabbitMQ, -c 2 | fastq | beside it | ratio | bar |"
    yield "|---|--:|--:|--:|--:|"
    for what, own, other, bar in rows:
        if own is not None and other:
            yield f"| {what} | {own:,.4g} | {other:,.4g} | {own / other:.2f} × | {bar} |"


def _url(port: int) -> str:
    return f"amqp://guest:guest@127.0.0.1:{port}//"


if __name__ == "__main__":
    run(main)
