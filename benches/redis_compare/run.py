"""The same workload for every side, in turn, on one private Redis: run.py --help.

Writes one file of raw figures for each part, and then the report.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Any

from command import activated, parser, run, stay_on_cores, take
from plan import MOST_ROUNDS, PARTS, Turn
from redis_server import private_redis
from sides import SIDES
from versions import machine, versions
from wire import wire

from report import write_report

HERE = Path(__file__).resolve().parent


def main(arguments: Sequence[str]) -> int:
    """Measure what was asked for; return 1 when a figure could not be taken."""
    options = parser("bench-compare", __doc__, PARTS, SIDES, "redis").parse_args(arguments)
    folder: Path = options.output
    folder.mkdir(parents=True, exist_ok=True)
    stay_on_cores()
    failures = 0
    with private_redis() as url, tempfile.TemporaryDirectory() as scratch:
        os.environ["BENCH_REDIS_URL"] = url
        whole = Run(Path(scratch))
        if "wire" in options.parts or ("publish" in options.parts and "lpush" in options.sides):
            whole.capture()
        for part in options.parts:
            failures += whole.part(part, options, folder / f"{part}.json")
    write_report(folder)
    return 1 if failures else 0


class Run:
    """One run: a server that is there, a folder to exchange files in."""

    def __init__(self, scratch: Path) -> None:
        """Take over the folder.

        Args:
            scratch: it is empty.
        """
        self.scratch = scratch

    def capture(self) -> None:
        """Put the bytes of one of fastq's messages, and of a stored result, where those who only send them look."""
        captured = self.take(Turn("capture", "fastq", "capture", {}, 10, results=True))
        for name, text in captured.items():
            (self.scratch / name).write_text(text, encoding="utf-8")
            os.environ[f"BENCH_{name.upper()}"] = str(self.scratch / name)

    def part(self, part: str, options: argparse.Namespace, output: Path) -> int:
        """Measure one part, side after side, round after round; return how many figures could not be taken."""
        sides = [side for side in options.sides if not SIDES[side].only or part in SIDES[side].only]
        turns = list(PARTS[part](sides, options.scale))
        cases: dict[str, dict[str, list[Any]]] = {turn.case: {} for turn in turns}
        failures = 0
        for number in range(min(options.rounds, MOST_ROUNDS.get(part, options.rounds))):
            for turn in turns:
                values = cases[turn.case].setdefault(turn.side, [])
                began = monotonic()
                try:
                    values.append(self.take(turn))
                except subprocess.SubprocessError as error:
                    values.append(None)
                    failures += 1
                    print(f"{turn.case}, {turn.side}: {error}", file=sys.stderr)
                print(
                    f"{number + 1}  {turn.case:16} {turn.side:14} {monotonic() - began:5.1f} s {_short(values[-1])}",
                    flush=True,
                )
            raw = {"machine": machine(), "versions": versions(sides), "scale": options.scale, "cases": cases}
            output.write_text(json.dumps(raw, indent=1) + "\n", encoding="utf-8")
        return failures

    def take(self, turn: Turn) -> dict[str, Any]:
        """Return one figure, taken in new processes.

        Raises:
            subprocess.SubprocessError: it could not be taken; standard error says why.
        """
        if turn.part == "wire":
            return wire(**turn.parameters)
        side = SIDES[turn.side]
        variables = {**activated(side.environment), **side.variables, "BENCH_RESULTS": "1" if turn.results else "0"}
        parameters = json.dumps({**turn.parameters, "room": turn.room})
        program, output = HERE / "measure.py", self.scratch / "figure.json"
        return take(side.environment, program, [side.adapter, turn.part, parameters], output, variables)


def _short(figure: dict[str, Any] | None) -> str:
    if figure is None:
        return "failed"
    if "rate" in figure:
        return f"{figure['rate']:10,.0f} /s"
    return json.dumps(figure)[:160]


if __name__ == "__main__":
    run(main)
