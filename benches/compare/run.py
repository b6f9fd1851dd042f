"""The same workload for huey and fastq, in turn, on this machine (run.py OUTPUT.json).

huey lives in an environment of its own, .venv-bench, made on first use.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).resolve().parent
CLONE = HERE.parent.parent
REPEATS = 5
WORKLOADS = {"publish": 5_000, "drain": 20_000}
SIDES: dict[str, tuple[str, dict[str, str]]] = {
    "fastq": ("app_fastq", {}),
    "huey": ("app_huey", {}),
    "huey, fsync=False": ("app_huey", {"FASTQ_BENCH_FSYNC": "off"}),
}


def main(output: Path) -> None:
    """Measure everything and write the raw figures."""
    pythons = {"app_fastq": CLONE / ".venv/bin/python", "app_huey": huey_environment()}
    figures: dict[str, dict[str, list[float]]] = {what: {side: [] for side in SIDES} for what in WORKLOADS}
    for what, count in WORKLOADS.items():
        for repeat in range(REPEATS + 1):
            for side, (app, settings) in SIDES.items():
                figure = measure(pythons[app], app, what, count, settings)
                if repeat:  # the first is the warm-up
                    figures[what][side].append(figure)
                print(f"{what:8} {side:18} {figure:10,.0f} /s" + ("" if repeat else "  (warm-up)"), flush=True)
    output.write_text(json.dumps({"workloads": WORKLOADS, "figures": figures, "huey": huey_version()}, indent=1))


def measure(python: Path, app: str, what: str, count: int, settings: Mapping[str, str]) -> float:
    """Return one figure of one side, taken in a process and a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, **settings, "FASTQ_BENCH_FILE": f"{folder}/queue.db"}
        command = [str(python), str(HERE / "measure.py"), app, what, str(count)]
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return float(done.stdout)


def huey_environment() -> Path:
    """Return the Python that has huey, in the version of requirements/bench.txt."""
    folder, requirements = CLONE / ".venv-bench", CLONE / "requirements/bench.txt"
    python, stamp = folder / "bin/python", folder / ".stamp"
    if not stamp.exists() or stamp.stat().st_mtime < requirements.stat().st_mtime:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "-r", str(requirements)], check=True)
        stamp.touch()
    return python


def huey_version() -> str:
    """Return the version that was measured."""
    command = [str(huey_environment()), "-c", "import huey; print(huey.__version__)"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
