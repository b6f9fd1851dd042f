"""The parent's end of a port, driven by hand.

The frames are written and read here in Python, after the format in rust/core/src/pool/frame.rs, so that the two sides
of the seam are checked against the document and not against each other.
"""

from __future__ import annotations

import os
import socket
import struct
import tempfile
from typing import Final, NamedTuple

from fastq import _core

JOB: Final = 1
RETIRE: Final = 2
HELLO: Final = 16
STARTED: Final = 17
FINISHED: Final = 18
STORE: Final = 19
BYE: Final = 20
DROPPED: Final = 21

PAGE_BYTES: Final = 1024 * 4 * 8
UNLIMITED: Final = 2**64 - 1
LIMIT_SECONDS: Final = 10.0


class Frame(NamedTuple):
    """One frame as it was read from the pipe."""

    kind: int
    tag: int
    payload: bytes


class Fields:
    """Reads a payload from front to back."""

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.at = 0

    def number(self, code: str) -> int:
        """Return the next little-endian integer."""
        (value,) = struct.unpack_from(f"<{code}", self.payload, self.at)
        self.at += struct.calcsize(f"<{code}")
        return int(value)

    def field(self) -> bytes:
        """Return the next field."""
        length = self.number("I")
        self.at += length
        return self.payload[self.at - length : self.at]

    def at_end(self) -> bool:
        """Return whether nothing is left."""
        return self.at == len(self.payload)


class Parent:
    """The parent's end of a port."""

    def __init__(self) -> None:
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(LIMIT_SECONDS)
        self.page = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the fixture
        self.page.truncate(PAGE_BYTES)
        self.port = _core.Port.from_fd(theirs.detach(), os.dup(self.page.fileno()), 0)
        self.buffer = b""

    def send(
        self,
        seq: int,
        *,
        tag: int = 0,
        flags: int = 0,
        priority: int = -1,
        deaths: int = 0,
        limits: tuple[int, int] = (UNLIMITED, UNLIMITED),
        properties: bytes = b'{"content_type":"application/json"}',
        body: bytes = b"[]",
    ) -> None:
        """Send a job; its tag is ten times its number unless given."""
        fields = (b"id-1", b"shop.add", b"celery", b"", b"key", b'{"task":"shop.add"}', properties, body)
        payload = struct.pack("<QBhIQQ", seq, flags, priority, deaths, *limits)
        payload += b"".join(struct.pack("<I", len(field)) + field for field in fields)
        self.frame(JOB, tag or seq * 10, payload)

    def frame(self, kind: int, tag: int = 0, payload: bytes = b"") -> None:
        """Send a frame."""
        self.socket.sendall(struct.pack("<IBQ", 9 + len(payload), kind, tag) + payload)

    def hear(self) -> Frame:
        """Return the next frame the port sent; an error when none comes."""
        while len(self.buffer) < 4 or len(self.buffer) < 4 + struct.unpack_from("<I", self.buffer)[0]:
            chunk = self.socket.recv(65536)
            assert chunk, "the port closed its end"
            self.buffer += chunk
        length, kind, tag = struct.unpack_from("<IBQ", self.buffer)
        payload, self.buffer = self.buffer[13 : 4 + length], self.buffer[4 + length :]
        return Frame(kind, tag, payload)

    def word(self, index: int) -> int:
        """Return a word of the slot page."""
        return int(struct.unpack("=Q", os.pread(self.page.fileno(), 8, index * 8))[0])

    def close(self) -> None:
        """Leave, as a dying parent does."""
        self.socket.close()
