"""`fastq demo`: fastq at work, with no server and no set-up."""

from __future__ import annotations

import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from fastq.cli.chosen import Chosen, app_options, chosen
from fastq.cli.output import for_terminal

if TYPE_CHECKING:
    from types import FrameType

    from fastq.contrib.demo import Summary

__all__ = ["command"]

_CHILDREN: Final = 2
_PINGS: Final = 200
_TOP: Final = 10
_PATIENCE_SECONDS: Final = 60.0
"""How long no result may come before the demo gives up."""


@click.command("demo")
@app_options()
@click.argument("path", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@chosen
def command(choice: Chosen, path: Path | None) -> None:
    """Index every Python file of this Python's standard library, or of the folder PATH.

    Starts a worker with two processes on a new SQLite file, sends a task per file, merges the results, and removes
    everything again.
    """
    from fastq.cli.failure import Failure
    from fastq.contrib import demo

    folder = (path or demo.standard_library()).resolve()
    files = demo.find_files(folder)
    if not files:
        raise Failure(f"There is no .py file in {folder}.")
    click.echo(f"Indexing {len(files)} Python files in {folder}:")
    click.echo(f"a worker with {_CHILDREN} processes, a task per file, one SQLite file, no server.\n")
    signal.signal(signal.SIGTERM, _interrupt)  # as Ctrl-C: what was started is stopped, what was made is removed
    with tempfile.TemporaryDirectory(prefix="fastq-demo-") as place:
        broker = f"sqlite:///{place}/queue.db"
        demo.app.conf.broker_url = broker
        log = Path(place, "worker.log")
        with demo.running_worker(broker, _CHILDREN, log) as worker:
            run = _Run(demo, worker, log)
            run.warm_up()
            run.index(files, choice.no_color)
            run.measure_round_trips()
        demo.app.close()
    _print_summary(run)


class _Run:
    """One run of the demo: what was sent when, and what came back."""

    def __init__(self, demo: Any, worker: subprocess.Popen[bytes], log: Path) -> None:
        self._demo = demo
        self._worker = worker
        self._log = log
        self.summary: Summary = demo.Summary()
        self.sending = self.working = 0.0
        self.latencies: list[float] = []
        self.round_trips: list[float] = []

    def warm_up(self) -> None:
        """Wait until the worker has answered once: its start is not what is measured."""
        self._get(self._demo.ping.delay())

    def index(self, files: Sequence[Path], no_color: bool) -> None:
        """Send a task per file and gather what they return."""
        begin = time.perf_counter()
        sent = [(time.time(), self._demo.index.delay(str(file))) for file in files]
        self.sending = time.perf_counter() - begin
        with _progress(len(files), no_color) as advance:
            for moment, result in sent:
                self.summary.add(self._get(result))
                done = result.date_done
                ended = done if isinstance(done, datetime) else datetime.fromisoformat(done)
                self.latencies.append(ended.timestamp() - moment)
                advance()
        self.working = time.perf_counter() - begin

    def measure_round_trips(self) -> None:
        """Call an idle worker and wait for its answer, again and again."""
        for _ in range(_PINGS):
            begin = time.perf_counter()
            self._get(self._demo.ping.delay())
            self.round_trips.append(time.perf_counter() - begin)

    def _get(self, result: Any) -> Any:
        """Return a result; give up when the worker is gone."""
        from fastq.cli.failure import Failure

        for _ in range(int(_PATIENCE_SECONDS)):
            try:
                return result.get(timeout=1.0)
            except TimeoutError:
                if self._worker.poll() is not None:
                    lines = self._log.read_text("utf-8", "replace").strip() or "it wrote nothing"
                    raise Failure(
                        f"The demo's worker has ended (exit code {self._worker.returncode}): {lines}"
                    ) from None
        raise Failure(f"No result came within {_PATIENCE_SECONDS:g} s. The worker wrote: {self._log.read_text()}")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextmanager
def _progress(total: int, no_color: bool) -> Iterator[Callable[[], object]]:
    """Show how far it is: a bar on a terminal, else a line per tenth."""
    if not for_terminal():
        yield _Lines(total).advance
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("indexing"), BarColumn(None), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(no_color=no_color or None)) as bar:
        task = bar.add_task("indexing", total=total)
        yield lambda: bar.advance(task)


class _Lines:
    """Progress where there is no terminal."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0

    def advance(self) -> None:
        """Count one, and print a line for every tenth of all."""
        before, self._done = self._done * 10 // self._total, self._done + 1
        if self._done * 10 // self._total > before:
            click.echo(f"indexed {self._done} of {self._total} files")


def _print_summary(run: _Run) -> None:
    total = run.summary
    count = total.files
    rows = [
        ("files", f"{count:,}" + (f" ({total.broken} of them no valid Python)" if total.broken else "")),
        ("lines", f"{total.lines:,}"),
        ("words", f"{total.words:,}"),
        ("identifiers", f"{total.names.total():,}, {len(total.names):,} different"),
        ("top words", ", ".join(f"{name} {times:,}" for name, times in total.names.most_common(_TOP))),
        ("sent", f"{count / run.sending:,.0f} tasks/s"),
        ("done", f"{count / run.working:,.0f} tasks/s, all of them in {run.working:.2f} s"),
        ("send to result", f"{_percentiles(run.latencies)}, all sent at once: most of it is waiting in the queue"),
        ("round trip", f"{_percentiles(run.round_trips)}, one call at a time to the idle worker ({_PINGS} calls)"),
    ]
    click.echo()
    for name, value in rows:
        click.echo(f"  {name:<15} {value}")
    guide = _guide()
    click.echo(
        "\nSend to result: from the clock just before delay() to the date_done that the worker stored.\n"
        "Round trip: from just before delay() until get() has returned.\n\n"
        "What next:\n"
        "  fastq demo PATH              the same for a folder of yours\n"
        f"{guide}"
        "  fastq -A shop worker -c 4    start its worker, once you have a shop.py\n"
        "  fastq --help                 everything else"
    )


def _guide() -> str:
    """Return the line that says where to read on: a clone has the documents, an installed package its docstrings."""
    document = Path(__file__).resolve().parents[3] / "docs" / "quickstart.md"
    if document.is_file():
        return f"  {document!s:<28} an app of your own, in five minutes\n"
    return f"  {'python -m pydoc fastq':<28} what the package offers\n"


def _percentiles(seconds: Sequence[float]) -> str:
    if len(seconds) < 2:
        return f"{_short(seconds[0])}"
    points = statistics.quantiles(seconds, n=100, method="inclusive")
    return f"p50 {_short(points[49])}, p99 {_short(points[98])}"


def _short(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"
