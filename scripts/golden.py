"""Record what Celery writes on Redis, into tests/compat/golden: the bytes that fastq is held against.

    scripts/golden.py [VERSION ...]      5.6 and 5.7 by default

Each version has an environment of its own (scripts/celery_environment.py) and a Redis server of its own, stopped at the
end. Ids, process ids and times stay as they were recorded, so every run changes the files: record again when a version
or a call is added, not otherwise.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from celery_environment import ROOT, VERSIONS, environment
from servers import SERVERS, serving
from tap import Tap

FOLDER = ROOT / "tests" / "compat" / "golden"

KEPT = {
    "message": {"LPUSH"},
    "result": {"LPUSH", "PUBLISH", "SET", "SETEX"},
    "event": {"PUBLISH"},
}
"""Which commands belong to a recording, by the first word of its name; of others all but these:"""
NOISE = {"CLIENT", "ECHO", "HELLO", "INFO", "MONITOR", "PING", "SELECT"}

Word = str | dict[str, str]


@dataclass
class Recording:
    """The commands of one call, run or event."""

    name: str
    description: str
    commands: list[list[Word]] = field(default_factory=list)

    def add(self, command: Sequence[bytes]) -> None:
        """Keep a command, if it belongs here."""
        kept = KEPT.get(self.name.partition("-")[0])
        verb = command[0].decode()
        if verb in kept if kept is not None else verb not in NOISE:
            self.commands.append([_word(word) for word in command])


class Recorder:
    """Sorts the commands that a server is given into recordings; an ECHO begins the next one."""

    def __init__(self) -> None:
        self.recordings: list[Recording] = []
        self.ended = threading.Event()
        self._current: Recording | None = None
        self._narrator = b""
        """Who sends the ECHOs; what else it sends is no part of a recording."""

    def heard(self, sender: bytes, command: Sequence[bytes]) -> None:
        """Take the next command."""
        if sender == b"lua":
            return  # what a script does; the script itself was heard
        if command[0] == b"ECHO":
            self._narrator = sender
            self._begin(**json.loads(command[1]))
        elif self._current is not None and sender != self._narrator:
            self._current.add(command)

    def _begin(self, name: str, description: str) -> None:
        if name:
            self._current = Recording(name, description)
            self.recordings.append(self._current)
        else:
            self.ended.set()


def main(versions: Sequence[str]) -> int:
    """Record the versions; return the exit code."""
    for version in versions or VERSIONS:
        if version not in VERSIONS:
            print(f"golden: no Celery {version} is recorded; known are {', '.join(VERSIONS)}", file=sys.stderr)
            return 2
        python = environment(version)
        _write(version, _installed(python), _record(python))
    return 0


def _record(python: Path) -> list[Recording]:
    recorder = Recorder()
    with serving("redis") as port, tempfile.TemporaryDirectory(prefix="shop-") as folder:
        # Tracebacks are part of what is stored. Reached through a link, the files in them have the same names wherever
        # the clone is.
        link = Path(folder) / "fastq"
        link.symlink_to(ROOT)
        settings = {"RECORDED_REDIS_URL": SERVERS["redis"].url(port), "PYTHONPATH": str(link), "TZ": "UTC"}
        tap = Tap(port, recorder.heard)
        command = [str(link / python.relative_to(ROOT)), "-m", "tests.compat.recording"]
        subprocess.run(command, cwd=folder, env={**os.environ, **settings}, check=True)
        if not recorder.ended.wait(10.0):
            raise SystemExit("golden: the end of the recording was not heard")
        tap.close()
    return [recording for recording in recorder.recordings if recording.commands]


def _installed(python: Path) -> dict[str, str]:
    names = ["celery", "kombu", "redis", "billiard"]
    code = f"import importlib.metadata as m, json; print(json.dumps({{n: m.version(n) for n in {names!r}}}))"
    found: dict[str, str] = json.loads(subprocess.check_output([python, "-c", code]))
    return found


def _write(version: str, installed: dict[str, str], recordings: Sequence[Recording]) -> None:
    folder = FOLDER / version
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for recording in recordings:
        document: dict[str, Any] = {
            "description": recording.description,
            "versions": installed,
            "commands": recording.commands,
        }
        text = json.dumps(document, indent=1, ensure_ascii=True)
        (folder / f"{recording.name}.json").write_text(f"{text}\n")
    print(f"Celery {installed['celery']}: {len(recordings)} recordings in {folder.relative_to(ROOT)}")


def _word(word: bytes) -> Word:
    """Return a word as text; bytes that are none as base64."""
    try:
        return word.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(word).decode()}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
