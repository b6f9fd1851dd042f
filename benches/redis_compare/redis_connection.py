"""Questions to Redis over a bare socket, so that they cost every side the same and need no library."""

from __future__ import annotations

import socket
from typing import Any


class RedisConnection:
    """A connection for questions: about the server itself, about what is stored."""

    def __init__(self, url: str) -> None:
        """Connect.

        Args:
            url: redis://HOST:PORT/0.
        """
        host, _, port = url.removeprefix("redis://").partition("/")[0].partition(":")
        self._socket = socket.create_connection((host, int(port)))
        self._replies = self._socket.makefile("rb")

    def call(self, *words: str | bytes) -> Any:
        """Return the reply to a command: bytes (of a number: its digits), None, or a list of them."""
        parts = [word.encode() if isinstance(word, str) else word for word in words]
        request = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        self._socket.sendall(request)
        return self._reply()

    def _reply(self) -> Any:
        line = self._replies.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise RuntimeError(rest.decode())
        if kind == b"*":
            return [self._reply() for _ in range(int(rest))]
        if kind != b"$":
            return rest
        return None if rest == b"-1" else self._replies.read(int(rest) + 2)[:-2]

    def info(self, *sections: str) -> dict[str, str]:
        """Return the fields of INFO."""
        lines = self.call("INFO", *sections).decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def commands(self) -> dict[str, int]:
        """Return how often each command was called, without this connection's INFO."""
        fields = self.info("commandstats")
        calls = {name.removeprefix("cmdstat_"): int(text.split("=")[1].split(",")[0]) for name, text in fields.items()}
        calls.pop("info", None)
        return calls
