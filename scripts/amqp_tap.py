"""Listen to what a program says to a RabbitMQ server: every method of AMQP 0-9-1 that it sends, decoded.

The tap stands between them and passes everything on. One thread serves all connections, so that what was sent before a
mark is heard before it, whichever connection it came by.
"""

from __future__ import annotations

import base64
import contextlib
import selectors
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["AmqpTap", "Command", "split"]

Command = dict[str, Any]
"""A method: its name and its arguments; with `properties` and `body` where it carries a message."""

_METHODS: Final[dict[tuple[int, int], tuple[str, str]]] = {
    (40, 10): ("exchange.declare", "- exchange:s type:s passive,durable,auto_delete,internal,nowait arguments:t"),
    (40, 20): ("exchange.delete", "- exchange:s if_unused,nowait"),
    (40, 30): ("exchange.bind", "- destination:s source:s routing_key:s nowait arguments:t"),
    (50, 10): ("queue.declare", "- queue:s passive,durable,exclusive,auto_delete,nowait arguments:t"),
    (50, 20): ("queue.bind", "- queue:s exchange:s routing_key:s nowait arguments:t"),
    (50, 30): ("queue.purge", "- queue:s nowait"),
    (50, 40): ("queue.delete", "- queue:s if_unused,if_empty,nowait"),
    (60, 10): ("basic.qos", "size:l count:h global"),
    (60, 20): ("basic.consume", "- queue:s tag:s no_local,no_ack,exclusive,nowait arguments:t"),
    (60, 30): ("basic.cancel", "tag:s nowait"),
    (60, 40): ("basic.publish", "- exchange:s routing_key:s mandatory,immediate"),
    (60, 70): ("basic.get", "- queue:s no_ack"),
    (60, 80): ("basic.ack", "delivery:q multiple"),
    (60, 90): ("basic.reject", "delivery:q requeue"),
    (60, 120): ("basic.nack", "delivery:q multiple,requeue"),
    (85, 10): ("confirm.select", "nowait"),
}
"""What is decoded, and how: `name:type`, `-` for two reserved bytes, names with commas for bits (AMQP 0-9-1, 1.3)."""

_PROPERTIES: Final = (
    ("content_type", "s"), ("content_encoding", "s"), ("headers", "t"), ("delivery_mode", "b"), ("priority", "b"),
    ("correlation_id", "s"), ("reply_to", "s"), ("expiration", "s"), ("message_id", "s"), ("timestamp", "q"),
    ("type", "s"), ("user_id", "s"), ("app_id", "s"), ("cluster_id", "s"),
)  # fmt: skip
_METHOD, _HEADER, _BODY, _END = 1, 2, 3, 0xCE
_NUMBERS: Final = {"b": ">B", "h": ">H", "l": ">L", "q": ">Q"}
_VALUES: Final = {
    "b": ">b", "B": ">B", "s": ">h", "u": ">H", "I": ">i", "i": ">I", "l": ">q", "L": ">q", "f": ">f", "d": ">d",
    "T": ">Q",
}  # fmt: skip


class Reader:
    """Takes values off the front of bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        """Return the next bytes."""
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, form: str) -> Any:
        """Return the next number, of a form of `struct`."""
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def value(self, kind: str) -> Any:
        """Return the next value of one of the types used in `_METHODS` and `_PROPERTIES`."""
        if kind == "s":
            return self.take(self.number(">B")).decode()
        return self.table() if kind == "t" else self.number(_NUMBERS[kind])

    def table(self) -> dict[str, Any]:
        """Return the next table; of each value its type's letter and the value, for the letter is on the wire too."""
        end = self.number(">L") + self.at
        found = {}
        while self.at < end:
            name = self.value("s")
            found[name] = self.field()
        return found

    def field(self) -> Any:
        """Return a value of a table: `[letter, value]`."""
        letter = self.take(1).decode()
        if letter == "V":
            return [letter, None]
        if letter == "t":
            return [letter, self.number(">B") != 0]
        if letter in "Sx":
            return [letter, _text(self.take(self.number(">L")))]
        if letter == "F":
            return [letter, self.table()]
        if letter == "A":
            end = self.number(">L") + self.at
            items = []
            while self.at < end:
                items.append(self.field())
            return [letter, items]
        if letter == "D":
            return [letter, [self.number(">B"), self.number(">L")]]
        return [letter, self.number(_VALUES[letter])]


def split(data: bytes) -> tuple[list[tuple[int, int, bytes]], bytes]:
    """Return the frames that bytes begin with, each as type, channel and payload; and what is left of them."""
    frames = []
    while len(data) >= 7:
        kind, channel, size = struct.unpack(">BHL", data[:7])
        if len(data) < size + 8:
            break
        frames.append((kind, channel, data[7 : 7 + size]))
        data = data[8 + size :]
    return frames, data


@dataclass
class _Stream:
    """One direction of one connection: bytes that are not a whole frame yet, and messages that are not whole yet."""

    pending: bytes = b""
    greeted: bool = False
    waiting: dict[int, Command] = field(default_factory=dict)
    missing: dict[int, int] = field(default_factory=dict)

    def feed(self, data: bytes) -> list[Command]:
        """Take in bytes; return the methods that are complete with them."""
        self.pending += data
        if not self.greeted:
            if len(self.pending) < 8:
                return []
            self.pending, self.greeted = self.pending[8:], True
        frames, self.pending = split(self.pending)
        commands = (self._frame(kind, channel, payload) for kind, channel, payload in frames)
        return [command for command in commands if command is not None]

    def _frame(self, kind: int, channel: int, payload: bytes) -> Command | None:
        if kind == _METHOD:
            command = _method(payload)
            if command is not None and command["method"] == "basic.publish":
                self.waiting[channel] = command
                return None
            return command
        if kind == _HEADER:
            self.missing[channel], properties = _header(payload)
            self.waiting[channel].update(properties=properties, body=b"")
        elif kind == _BODY:
            self.waiting[channel]["body"] += payload
            self.missing[channel] -= len(payload)
        else:
            return None
        if self.missing[channel]:
            return None
        whole = self.waiting.pop(channel)
        whole["body"] = _text(whole["body"])
        return whole


def _method(payload: bytes) -> Command | None:
    reader = Reader(payload)
    known = _METHODS.get((reader.number(">H"), reader.number(">H")))
    if known is None:
        return None
    name, form = known
    command: Command = {"method": name}
    for word in form.split():
        if word == "-":
            reader.take(2)
        elif ":" in word:
            argument, _, kind = word.partition(":")
            command[argument] = reader.value(kind)
        else:
            bits = reader.number(">B")
            command.update({bit: bool(bits >> place & 1) for place, bit in enumerate(word.split(","))})
    return command


def _header(payload: bytes) -> tuple[int, dict[str, Any]]:
    reader = Reader(payload)
    reader.take(4)
    size, flags = reader.number(">Q"), reader.number(">H")
    return size, {name: reader.value(kind) for place, (name, kind) in enumerate(_PROPERTIES) if flags >> 15 - place & 1}


def _text(data: bytes) -> Any:
    """Return bytes as text; those that are none as base64."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


class AmqpTap:
    """Passes connections on to a server and tells what is said to it.

    Args:
        port: of the server, on this host.
        heard: called in the tap's thread with each method that a client sends.
        raw: called with the bytes themselves.
    """

    def __init__(
        self,
        port: int,
        heard: Callable[[Command], None] = lambda _: None,
        raw: Callable[[bytes], None] = lambda _: None,
    ) -> None:
        self._server, self._raw = port, raw
        self._heard = heard
        self._orders: list[tuple[Callable[[], None], threading.Event]] = []
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._bell, self._ear = socket.socketpair()
        self._selector.register(self._listener, selectors.EVENT_READ, None)
        self._selector.register(self._ear, selectors.EVENT_READ, None)
        self._open = True
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, name="amqp-tap", daemon=True)
        self._thread.start()

    def mark(self, call: Callable[[], None]) -> None:
        """Call something in the tap's thread, when everything has been heard that was sent before."""
        done = threading.Event()
        self._orders.append((call, done))
        self._bell.send(b".")
        done.wait(10.0)

    def close(self) -> None:
        """End all connections."""
        self._open = False
        with contextlib.suppress(OSError):  # something else has woken the thread, and it is gone
            self._bell.send(b".")
        self._thread.join(10.0)

    def _serve(self) -> None:
        while self._open:
            self._turn(None)
            while self._orders:
                while self._turn(0):
                    pass
                call, done = self._orders.pop(0)
                call()
                done.set()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._bell.close()

    def _turn(self, timeout: float | None) -> bool:
        """Serve what is ready; return whether that was anything."""
        events = self._selector.select(timeout)
        for key, _ in events:
            if key.fileobj is self._listener:
                self._accept()
            elif key.fileobj is self._ear:
                self._ear.recv(64)
            else:
                self._pass_on(key)
        return bool(events)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        try:
            server = socket.create_connection(("127.0.0.1", self._server), timeout=10.0)
        except OSError:
            client.close()
            return
        self._selector.register(client, selectors.EVENT_READ, (server, _Stream()))
        self._selector.register(server, selectors.EVENT_READ, (client, None))

    def _pass_on(self, key: selectors.SelectorKey) -> None:
        source: Any = key.fileobj
        target, stream = key.data
        if source.fileno() < 0:
            return  # closed with its other end, which was ready in the same turn
        try:
            data = source.recv(65536)
            if data:
                if stream is not None:
                    self._raw(data)
                for command in stream.feed(data) if stream is not None else ():
                    self._heard(command)
                target.sendall(data)
                return
        except OSError:
            pass
        for end in (source, target):
            if end in self._selector.get_map():
                self._selector.unregister(end)
            end.close()
