"""Gather the results of one run into one table (report.py FOLDER).

FOLDER holds python.json (pytest-benchmark), compare.json (compare/run.py) and criterion/ (a copy of target/criterion).
Prints the table; writes it to FOLDER/report.md, and all figures, with every single value, to FOLDER/figures.json.
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

UNITS = {"s": 1.0, "ms": 1e3, "µs": 1e6, "ns": 1e9}
"""What a second is in each unit of time."""


@dataclass(frozen=True)
class Figure:
    """One row: what was measured, its unit, every value, and the bar it must clear."""

    name: str
    unit: str
    values: list[float]
    bar: str = ""
    reached: bool | None = None
    note: str = ""

    @property
    def median(self) -> float:
        """The middle value."""
        return statistics.median(self.values)


def main(folder: Path) -> int:
    """Write and print the report; return 1 when a bar was not reached."""
    figures = [*python_figures(folder), *compare_figures(folder), *criterion_figures(folder)]
    report = f"{machine()}\n\n{table(figures)}"
    (folder / "report.md").write_text(report + "\n", encoding="utf-8")
    raw = {"machine": machine(), "figures": [asdict(figure) for figure in figures]}
    (folder / "figures.json").write_text(json.dumps(raw, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(report)
    missed = [figure.name for figure in figures if figure.reached is False]
    if missed:
        print(f"\nnot reached: {', '.join(missed)}")
    return 1 if missed else 0


def python_figures(folder: Path) -> Iterator[Figure]:
    """Yield what pytest-benchmark measured."""
    for benchmark in _read(folder / "python.json").get("benchmarks", ()):
        extra: dict[str, Any] = benchmark["extra_info"]
        unit, name = extra["unit"], extra["figure"]
        if "values" in extra:
            values = extra["values"]
        else:
            scale = UNITS[unit] / extra.get("per", 1)
            values = [seconds * scale for seconds in benchmark["stats"]["data"]]
        if extra.get("percentiles"):
            ordered = sorted(values)
            p99 = ordered[int(len(ordered) * 0.99)]
            yield _barred(Figure(f"{name}, p50", unit, values))
            yield _barred(Figure(f"{name}, p99", unit, [p99], note=f"of {len(ordered)}"))
        else:
            yield _barred(Figure(name, unit, values))


def compare_figures(folder: Path) -> Iterator[Figure]:
    """Yield both sides' figures, and the ratio of their medians."""
    data = _read(folder / "compare.json")
    for what, sides in data.get("figures", {}).items():
        count = data["workloads"][what]
        for side, values in sides.items():
            note = f"huey {data['huey']}" if side.startswith("huey") else ""
            yield Figure(f"{what} of {count}: {side}", "/s", values, note=note)
        for side, values in sides.items():
            if side != "fastq":
                ratios = [ours / theirs for ours, theirs in zip(sides["fastq"], values, strict=True)]
                yield _barred(Figure(f"{what}: fastq ÷ {side}", "×", ratios))


def criterion_figures(folder: Path) -> Iterator[Figure]:
    """Yield what criterion measured, in nanoseconds for one iteration."""
    for file in sorted((folder / "criterion").glob("**/new/sample.json")):
        sample = json.loads(file.read_text())
        name = json.loads(file.with_name("benchmark.json").read_text())["full_id"]
        values = [time / count for time, count in zip(sample["times"], sample["iters"], strict=True)]
        unit = "µs" if statistics.median(values) >= 1_000 else "ns"
        yield Figure(name, unit, [value * UNITS[unit] / 1e9 for value in values])


BARS = {
    "delay() to get(), idle worker, p50": ("< 2 ms", lambda value: value < 2),
    "delay() to get(), idle worker, p99": ("< 10 ms", lambda value: value < 10),
    "fastq --help": ("< 150 ms", lambda value: value < 150),
    "worker start to first result, tiny app": ("< 500 ms", lambda value: value < 500),
    "idle worker, two children": ("< 1 %", lambda value: value < 1),
    "private memory of one more child": ("< 5 MB", lambda value: value < 5),
    "drain: fastq ÷ huey": ("≥ 8 ×", lambda value: value >= 8),
    "publish: fastq ÷ huey": ("≥ 3 ×", lambda value: value >= 3),
}


def table(figures: Iterable[Figure]) -> str:
    """Return the figures as a Markdown table."""
    lines = ["| figure | median | lowest – highest | runs | bar | |", "|---|--:|--:|--:|---|---|"]
    for figure in figures:
        spread = f"{_short(min(figure.values))} – {_short(max(figure.values))}"
        verdict = {None: figure.note, True: "reached", False: "**not reached**"}[figure.reached]
        cells = (
            figure.name,
            f"{_short(figure.median)} {figure.unit}",
            spread,
            str(len(figure.values)),
            figure.bar,
            verdict,
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def machine() -> str:
    """Return one line on what this ran on."""
    cpu = Path("/proc/cpuinfo")
    models = (
        [line.partition(":")[2].strip() for line in cpu.read_text().splitlines() if "model name" in line]
        if cpu.exists()
        else []
    )
    model = f"{len(models)} × {models[0]}" if models else platform.processor()
    return f"{model}, {platform.system()} {platform.release()}, Python {platform.python_version()}"


def _barred(figure: Figure) -> Figure:
    bar, reached = BARS.get(figure.name, ("", None))
    if reached is None:
        return figure
    return Figure(figure.name, figure.unit, figure.values, bar, bool(reached(figure.median)), figure.note)


def _read(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return content


def _short(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
