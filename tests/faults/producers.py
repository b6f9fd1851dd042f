"""Start producers, and read what was confirmed to them."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.faults.conftest import Place
from tests.support.worker import CLONE


@dataclass
class Producer:
    """A running producer and the file it writes."""

    process: subprocess.Popen[bytes]
    output: Path

    def confirmed(self) -> dict[int, str]:
        """Return number and id of every task that was confirmed so far."""
        lines = [line for line in self.output.read_text().splitlines(keepends=True) if line[0].isdigit()]
        return {int(number): task_id for number, task_id in (line.split() for line in lines if line.endswith("\n"))}

    def refusal(self) -> str | None:
        """Return why the broker refused a task; None: it did not."""
        found = [line for line in self.output.read_text().splitlines() if line.startswith("refused: ")]
        return found[0].removeprefix("refused: ") if found else None


def start_producer(place: Place, first: int, count: int, *, largest_file: int | None = None) -> Producer:
    """Start a producer.

    Args:
        place: where it sends to.
        first: its first number.
        count: how many it sends.
        largest_file: bytes that no file may exceed, as on a full disk.
    """
    output = place.folder / f"producer-{first}.txt"

    def limit() -> None:
        if largest_file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.producer", str(first), str(count)],
            cwd=CLONE,
            env={**os.environ, **place.environment},
            stdin=subprocess.DEVNULL,
            stdout=file,
            preexec_fn=limit,
        )
    return Producer(process, output)
