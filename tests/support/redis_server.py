"""A redis-server of a test's own: it can be killed, frozen, restarted with its data, and made to refuse."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from servers import SERVERS, free_port
from tests.support.wait import wait_for

_LIMIT = 30.0
"""Seconds for a start, and for one answer."""


class RefusedError(Exception):
    """The server answered with an error; the text begins with its code."""


class RedisServer:
    """A server on a port that stays the same over its restarts. What it has confirmed survives a kill.

    Args:
        folder: where it keeps its data.
    """

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._line: Line | None = None

    def __enter__(self) -> RedisServer:
        """Start it."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Kill it."""
        self.kill()

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None, "the server was not started"
        return self._process.pid

    @property
    def log(self) -> str:
        """What it has written so far."""
        return (self._folder / "redis.log").read_text(errors="replace")

    def start(self, **settings: object) -> None:
        """Start it and wait until it serves.

        Args:
            **settings: of redis.conf, with `_` for `-`.
        """
        self.launch(**settings)
        wait_for(self.serves, "redis-server", limit=_LIMIT)

    def launch(self, **settings: object) -> None:
        """Start it and wait until it listens; it may still be loading its data."""
        program = SERVERS["redis"].find()
        if program is None:
            _missing()
        fixed = {"bind": "127.0.0.1", "port": self.port, "dir": self._folder, "save": "", "appendonly": "yes"}
        named = {"appendfsync": "always", **{name.replace("_", "-"): value for name, value in settings.items()}}
        words = [word for name, value in {**fixed, **named}.items() for word in (f"--{name}", str(value))]
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(program), *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        wait_for(self._listens, f"redis-server on port {self.port}", limit=_LIMIT)

    def kill(self) -> None:
        """Kill it, and wait until it is gone."""
        self._forget_line()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it stand still while the block inside `with` runs: connections stay, nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def do(self, *words: object) -> Any:
        """Return the answer to a command, over a connection that is kept; over another one when somebody has ended it.

        Raises:
            RefusedError: the server's answer is an error.
        """
        if self._line is not None:
            try:
                return self._line.do(*words)
            except ConnectionError:
                self._forget_line()
        self._line = Line(self.port)
        return self._line.do(*words)

    def configure(self, name: str, value: object) -> None:
        """Change a setting while it runs."""
        self.do("CONFIG", "SET", name, value)

    def hang_up(self) -> None:
        """End every connection but the one that says so."""
        for kind in ("normal", "pubsub"):
            self.do("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")

    def serves(self) -> bool:
        """Whether it carries out commands."""
        try:
            return bool(self.do("EXISTS", "nothing") == 0)
        except OSError:
            self._forget_line()
            return False
        except RefusedError:
            return False

    def _forget_line(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=_LIMIT):
            return True
        return False


class Line:
    """A connection to a server, for one command at a time from any thread.

    Args:
        port: of the server, on this host.
    """

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_LIMIT)
        self._answers = self._socket.makefile("rb")
        self._turn = threading.Lock()

    def do(self, *words: object) -> Any:
        """Return the answer to a command; text as bytes.

        Raises:
            RefusedError: the server's answer is an error.
            OSError: the connection broke.
        """
        encoded = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        request = b"".join([b"*%d\r\n" % len(words), *(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded)])
        with self._turn:
            self._socket.sendall(request)
            return _read(self._answers)

    def close(self) -> None:
        """End it."""
        self._answers.close()
        self._socket.close()


def _read(answers: BinaryIO) -> Any:
    """Return the next answer (RESP2)."""
    line = answers.readline()
    if not line.endswith(b"\r\n"):
        raise ConnectionResetError("the server has ended the connection")
    kind, rest = line[:1], line[1:-2]
    readers: dict[bytes, Callable[[], Any]] = {
        b"+": lambda: rest,
        b":": lambda: int(rest),
        b"$": lambda: None if rest == b"-1" else answers.read(int(rest) + 2)[:-2],
        b"*": lambda: None if rest == b"-1" else [_read(answers) for _ in range(int(rest))],
    }
    if kind == b"-":
        raise RefusedError(rest.decode())
    return readers[kind]()


def _missing() -> None:
    """Skip the test; fail it where CI is set."""
    message = "no redis-server on this machine: `scripts/services run redis -- …` installs it"
    pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
