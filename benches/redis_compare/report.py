"""Turn the raw figures of `make bench-compare` into tables and a chart: report.py [FOLDER] [--keep].

Writes FOLDER/report.md and FOLDER/chart.svg. With --keep, FOLDER's files are copied to benches/results/redis/ and the
tables go into benches/README.md.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from bars import bars
from chart import chart
from environment import CLONE
from figures import Figures, joined, short
from plan import PAYLOADS
from sides import SIDES

LATEST = CLONE / "benches/results/latest/redis"
KEPT = CLONE / "benches/results/redis"
PAGE = CLONE / "benches/README.md"
BEGIN, END = "<!-- bench-compare: begin -->", "<!-- bench-compare: end -->"


def main(arguments: Sequence[str]) -> None:
    """Write the report; keep it, when asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=LATEST)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args(arguments)
    write_report(options.folder)
    if options.keep:
        keep(options.folder)


def write_report(folder: Path) -> None:
    """Print the tables, and write them and the chart into the folder."""
    figures = Figures(folder)
    report = "\n\n".join(("; ".join(sorted(figures.machines)), *filter(None, map("\n".join, _tables(figures)))))
    (folder / "report.md").write_text(report + "\n", encoding="utf-8")
    if picture := chart(figures):
        (folder / "chart.svg").write_text(picture, encoding="utf-8")
    print(report)


def keep(folder: Path) -> None:
    """Copy the raw figures to where they are kept, and put the tables on the page."""
    KEPT.mkdir(parents=True, exist_ok=True)
    for file in (*folder.glob("*.json"), folder / "chart.svg"):
        shutil.copy(file, KEPT)
    page = PAGE.read_text(encoding="utf-8")
    before, after = page.split(BEGIN)[0], page.split(END)[1]
    picture = "![Tasks a second of each side, with and without results](results/redis/chart.svg)"
    report = (folder / "report.md").read_text(encoding="utf-8")
    PAGE.write_text(
        f"{before}{BEGIN}\n\n{picture}\n\nRaw figures: [results/redis](results/redis).\n\n{report}\n{END}{after}",
        encoding="utf-8",
    )


def _tables(figures: Figures) -> Iterator[list[str]]:
    yield _table(
        ("fastq", "median (lowest – highest)", "bar", ""),
        (
            (
                bar.figure,
                bar.values.text(bar.unit),
                bar.bar,
                {None: "", True: "reached", False: "**not reached**"}[bar.reached],
            )
            for bar in bars(figures)
        ),
    )
    yield _table(("side", *(column for column, _ in COLUMNS)), _side_rows(figures))
    yield _table(
        ("payload", "tasks a second", "MB a second", "memory, MB", "parent's peak, MB"), _payload_rows(figures)
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a Markdown table; nothing when it has no rows."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return ["| " + " | ".join(heads) + " |", "|---" + "|--:" * (len(heads) - 1) + "|", *lines] if lines else []


def _single(case: str, path: str) -> Callable[[Figures, str], str]:
    def cell(figures: Figures, side: str) -> str:
        values = figures.values(case, side, path)
        return values.text() if values else "–"

    return cell


def _several(case: str, *paths: str) -> Callable[[Figures, str], str]:
    return lambda figures, side: joined([figures.values(case, side, path) for path in paths])


DRAIN = "drain, results"
COLUMNS: tuple[tuple[str, Callable[[Figures, str], str]], ...] = (
    ("drain, /s", _single("drain", "rate")),
    ("drain with results, /s", _single(DRAIN, "rate")),
    ("`delay()` in a loop, /s", _single("publish", "rate")),
    ("in bulk, /s", _single("publish", "bulk_rate")),
    ("`delay()` → `get()`, idle, p50 / p99 ms", _several("latency", "round_trip_ms/p50", "round_trip_ms/p99")),
    ("capacity beside a sender, /s", _single("latency", "capacity")),
    ("sent → started at 20 %, p50 / p99 ms", _several("latency", "load/20/start_ms/p50", "load/20/start_ms/p99")),
    ("at 80 %", _several("latency", "load/80/start_ms/p50", "load/80/start_ms/p99")),
    ("sent → ended at 20 %, p50 / p99 ms", _several("latency", "load/20/end_ms/p50", "load/20/end_ms/p99")),
    ("at 80 %", _several("latency", "load/80/end_ms/p50", "load/80/end_ms/p99")),
    ("CPU s per 1 000, worker + Redis", _several(DRAIN, "worker_cpu_s_per_1000", "redis_cpu_s_per_1000")),
    ("Redis commands per task", _single(DRAIN, "commands_per_task")),
    ("bytes per task, in / out of Redis", _several(DRAIN, "bytes_in_per_task", "bytes_out_per_task")),
    ("memory, PSS / sum of peak RSS, MB", _several(DRAIN, "pss_mb", "peak_rss_mb")),
    ("idle, % of a core", _single("idle", "cpu_percent")),
    ("idle, Redis commands /s", _single("idle", "commands_per_second")),
)


def _side_rows(figures: Figures) -> Iterator[list[str]]:
    """Yield a row for each side that was measured, the slowest first."""
    cases = ("drain", DRAIN, "publish", "latency", "idle")
    measured = {side for case in cases for side in figures.sides(case)}

    def rate(side: str) -> float:
        values = figures.values(DRAIN, side, "rate")
        return values.median if values else 0.0

    for side in sorted(measured, key=rate):
        name = f"{SIDES[side].title} {figures.versions.get(side, '')}"
        yield [name, *(cell(figures, side) for _, cell in COLUMNS)]


def _payload_rows(figures: Figures) -> Iterator[list[str]]:
    for case, (size, _) in PAYLOADS.items():
        if rate := figures.values(case, "fastq", "rate"):
            memory = (figures.values(case, "fastq", path) for path in ("pss_mb", "peak_rss_first_mb"))
            yield [case, rate.text(), short(rate.median * size / 1e6), *(values.text() for values in memory if values)]


if __name__ == "__main__":
    main(sys.argv[1:])
