"""The app of `fastq demo`: it counts the lines, words and identifiers of Python files, a task per file."""

from __future__ import annotations

import io
import keyword
import os
import subprocess
import sys
import sysconfig
import tokenize
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from fastq import FastQ
from fastq.pool import deathsig

__all__ = ["Summary", "app", "find_files", "index", "ping", "running_worker", "standard_library"]

app = FastQ("demo", set_as_current=False)

_NOT_OURS: Final = frozenset({"site-packages", "dist-packages", "__pycache__", "node_modules"})
_STOP_SECONDS: Final = 10.0


@app.task
def index(path: str) -> dict[str, Any]:
    """Return how many lines and words a Python file has, and how often each identifier stands in it.

    Every library holds files that are no Python, among its tests: of such a file this counts what comes before the
    first error.
    """
    data = Path(path).read_bytes()
    names: Counter[str] = Counter()
    broken = False
    try:
        for token in tokenize.tokenize(io.BytesIO(data).readline):
            if token.type == tokenize.NAME and not keyword.iskeyword(token.string):
                names[token.string] += 1
    except (tokenize.TokenError, SyntaxError, UnicodeDecodeError):
        broken = True
    return {"lines": data.count(b"\n"), "words": len(data.split()), "names": dict(names), "broken": broken}


@app.task
def ping() -> None:
    """Do nothing, to see what a round trip costs."""


@dataclass(slots=True)
class Summary:
    """What the indexes of many files say together."""

    files: int = 0
    lines: int = 0
    words: int = 0
    broken: int = 0
    names: Counter[str] = field(default_factory=Counter)

    def add(self, found: Mapping[str, Any]) -> None:
        """Add the index of one file."""
        self.files += 1
        self.lines += found["lines"]
        self.words += found["words"]
        self.broken += found["broken"]
        self.names.update(found["names"])


def standard_library() -> Path:
    """Return where the standard library of this Python lies."""
    return Path(sysconfig.get_paths()["stdlib"])


def find_files(folder: Path) -> list[Path]:
    """Return every Python file in a folder, installed packages and hidden folders left out."""
    found = []
    for directory, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _NOT_OURS and not name.startswith("."))
        found += [Path(directory, name) for name in sorted(files) if name.endswith(".py")]
    return found


@contextmanager
def running_worker(broker: str, children: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker of this app as a process of its own while the block runs.

    Args:
        broker: URL of the broker, which keeps the results too.
        children: how many tasks run at once.
        log: file that what it writes goes to.
    """
    command = [sys.executable, "-m", "fastq", "-A", __name__, "-b", broker, "-q", "worker", "-c", str(children)]
    deathsig.prepare()
    parent = os.getpid()
    with log.open("wb") as output:
        worker = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # A session of its own: Ctrl-C is for this process, which then stops the worker. And it never outlives us.
            start_new_session=True,
            preexec_fn=lambda: deathsig.die_with_parent(parent),
        )
    try:
        yield worker
    finally:
        worker.terminate()
        try:
            worker.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()
