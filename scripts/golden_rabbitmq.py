"""Record what Celery says to RabbitMQ, into tests/compat/golden/rabbitmq: what fastq is held against.

    scripts/golden_rabbitmq.py [VERSION ...]      5.6 and 5.7 by default

Each version has an environment of its own (scripts/celery_environment.py) and a server of its own, with a tap before it
(scripts/amqp_tap.py). Ids and times stay as they were recorded: record again when a version or a call is added.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from amqp_tap import AmqpTap, Command
from celery_environment import ROOT, VERSIONS, environment
from servers import serving

FOLDER = ROOT / "tests" / "compat" / "golden" / "rabbitmq"

KEPT = {
    "message": {"basic.publish"},
    "sent": {"exchange.declare", "queue.declare", "queue.bind", "basic.publish"},
    "delayed": {"basic.publish"},
    "answer": {"queue.declare", "basic.publish", "basic.consume"},
    "worker": {
        "exchange.declare", "exchange.bind", "queue.declare", "queue.bind", "basic.qos", "basic.consume",
    },
}  # fmt: skip
"""Which methods belong to a recording, by the first word of its name; of others none."""


class Recorder:
    """Sorts what is heard into recordings."""

    def __init__(self) -> None:
        self.recordings: list[dict[str, Any]] = []
        self._kept: set[str] = set()

    def heard(self, command: Command) -> None:
        """Take the next method."""
        if command["method"] in self._kept:
            self.recordings[-1]["commands"].append(command)

    def begin(self, name: str, description: str) -> None:
        """Begin the next recording."""
        self._kept = KEPT.get(name.partition("-")[0], set())
        self.recordings.append({"name": name, "description": description, "commands": []})


def main(versions: Sequence[str]) -> int:
    """Record the versions; return the exit code."""
    for version in versions or VERSIONS:
        if version not in VERSIONS:
            print(f"golden: no Celery {version} is recorded; known are {', '.join(VERSIONS)}", file=sys.stderr)
            return 2
        _write(version, _record(environment(version)))
    return 0


def _record(python: Path) -> list[dict[str, Any]]:
    recorder = Recorder()
    with serving("rabbitmq") as port:
        tap = AmqpTap(port, recorder.heard)
        settings = {
            "RECORDED_BROKER_URL": _url(tap.port),
            "RECORDED_BACKEND_URL": "disabled://",
            "RECORDED_SERVER_URL": _url(port),
            "PYTHONPATH": str(ROOT),
            "TZ": "UTC",
        }
        command = [str(python), "-m", "tests.compat.recording.rabbitmq"]
        with subprocess.Popen(
            command, env={**os.environ, **settings}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            for line in process.stdout:
                mark = json.loads(line)
                tap.mark(lambda mark=mark: recorder.begin(**mark))  # type: ignore[misc]
                process.stdin.write("\n")
                process.stdin.flush()
        tap.close()
        if process.returncode:
            raise SystemExit(f"golden: the recorded program ended with {process.returncode}")
    return [recording for recording in recorder.recordings if recording["commands"]]


def _url(port: int) -> str:
    return f"amqp://guest:guest@127.0.0.1:{port}//"


def _write(version: str, recordings: Sequence[dict[str, Any]]) -> None:
    folder = FOLDER / version
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for recording in recordings:
        name = recording.pop("name")
        (folder / f"{name}.json").write_text(f"{json.dumps(recording, indent=1, ensure_ascii=True)}\n")
    print(f"Celery {version}: {len(recordings)} recordings in {folder.relative_to(ROOT)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
