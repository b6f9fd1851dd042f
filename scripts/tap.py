"""Listen to a Redis server: every command it is given, byte for byte, in the order in which it carries them out."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable

__all__ = ["Tap"]

_WORD = re.compile(rb'"((?:[^"\\]|\\.)*)"')


class Tap:
    """A connection that MONITORs a server, and the thread that reads it.

    Args:
        port: of the server, on this host.
        heard: called in that thread with who sent a command (an address) and its words, the first in upper case.
    """

    def __init__(self, port: int, heard: Callable[[bytes, list[bytes]], None]) -> None:
        self._heard = heard
        self._connection = socket.create_connection(("127.0.0.1", port), timeout=10.0)
        self._connection.sendall(b"MONITOR\r\n")
        self._lines = self._connection.makefile("rb")
        if self._lines.readline() != b"+OK\r\n":
            raise RuntimeError("the server does not answer MONITOR")
        self._connection.settimeout(None)
        self._thread = threading.Thread(target=self._listen, name="tap", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening, once everything that was sent has been read."""
        self._connection.shutdown(socket.SHUT_RD)
        self._thread.join(10.0)
        self._connection.close()

    def _listen(self) -> None:
        for line in self._lines:
            head, _, tail = line.partition(b"] ")
            words = [_plain(word) for word in _WORD.findall(tail)]
            if words:
                self._heard(head.rpartition(b" ")[2], [words[0].upper(), *words[1:]])


def _plain(word: bytes) -> bytes:
    r"""Return a word as it was sent: the server writes it as a text in C, with `\n`, `\"` and `\x00`."""
    return word.decode("unicode_escape").encode("latin-1")
