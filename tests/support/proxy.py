"""A relay in front of a server, which breaks as networks do: between any two bytes, silently, or at the door."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")

_HOST = "127.0.0.1"
_LIMIT = 30.0
"""Seconds for what the thread is asked to do."""


_TURNS = 5


class Cut(enum.Enum):
    """How a connection ends."""

    END = "end"
    """Both sides are told that nothing more comes."""
    RESET = "reset"
    """Both sides are told that it broke."""
    FORGOTTEN = "forgotten"
    """The client is told that it broke; the server is told nothing, and goes on with what it was asked."""


class Proxy:
    """A relay on a port of its own; works in a thread of its own.

    Args:
        port: of the server, on this host.
    """

    def __init__(self, port: int) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._relay = _Relay(port)
        self._run(self._relay.open())

    def __enter__(self) -> Proxy:
        """Return it: it works already."""
        return self

    def __exit__(self, *_: object) -> None:
        """End every connection and stop."""
        self._run(self._relay.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        """The address of the server's first database, by way of this."""
        return f"redis://{_HOST}:{self._relay.port}/0"

    def cut(self, how: Cut = Cut.RESET) -> int:
        """Cut every connection now; return how many there were."""
        return self._call(lambda: self._relay.cut(self._relay.lines, how))

    def cut_after(self, count: int, how: Cut = Cut.RESET, *, replies: bool = True, everything: bool = False) -> None:
        """Cut the connection over which the `count`th byte from now on goes, right behind this byte.

        Args:
            count: of the bytes that all connections relay in one direction.
            how: it ends.
            replies: count what the server sends; otherwise what clients send.
            everything: cut all other connections, too.
        """
        self._call(lambda: self._relay.lay(_Trap(replies, count, how, everything)))

    def has_cut(self) -> bool:
        """Whether the cut that was ordered last has been made; asked behind what is being relayed now."""
        return self._call(lambda: self._relay.trap is None)

    @contextlib.contextmanager
    def stalled(self) -> Iterator[None]:
        """Relay nothing while the block inside `with` runs; connections stay, and new ones are taken."""
        self._call(lambda: self._relay.let_flow(False))
        try:
            yield
        finally:
            self._call(lambda: self._relay.let_flow(True))

    def freeze(self) -> int:
        """Relay nothing more over the connections that are there, and tell neither side; return how many they are."""
        return self._call(self._relay.freeze)

    @contextlib.contextmanager
    def closed(self) -> Iterator[None]:
        """Cut everything, and let nobody listen while the block inside `with` runs."""
        self._run(self._relay.shut())
        try:
            yield
        finally:
            self._run(self._relay.open())

    def _call(self, work: Callable[[], T]) -> T:
        async def call() -> T:
            return work()

        return self._run(call())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_LIMIT)


@dataclass
class _Trap:
    """A cut that waits for its byte."""

    replies: bool
    left: int
    how: Cut
    everything: bool


class _Relay:
    """What happens in the proxy's thread."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.flows = True
        self.lines: list[_Line] = []
        self.sides: set[_Side] = set()
        self.connecting: set[asyncio.Task[None]] = set()
        self.trap: _Trap | None = None
        self._door: asyncio.Server | None = None

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        self._door = await loop.create_server(lambda: _Line(self).client, _HOST, self.port)
        self.port = self._door.sockets[0].getsockname()[1]

    async def shut(self) -> None:
        """Listen no more, and cut every connection."""
        assert self._door is not None
        for listener in self._door.sockets:
            asyncio.get_running_loop().remove_reader(listener.fileno())
        # What was accepted just now becomes a connection within a few turns of the loop. Where the door is closed
        # before, asyncio forgets it: its socket stays open, and nobody serves it.
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        self._door.close()
        await asyncio.gather(*self.connecting)
        self.cut(self.lines, Cut.RESET)

    async def stop(self) -> None:
        """Return when every socket is closed."""
        await self.shut()
        while self.sides:
            for side in self.sides:
                side.end(reset=True)
            await asyncio.sleep(0)

    def lay(self, trap: _Trap) -> None:
        self.trap = trap

    def let_flow(self, flows: bool) -> None:
        self.flows = flows
        for line in self.lines:
            line.let_flow(flows)

    def freeze(self) -> int:
        frozen, self.lines = self.lines, []
        for line in frozen:
            line.let_flow(False)
        return len(frozen)

    def pass_on(self, line: _Line, source: _Side, chunk: bytes) -> None:
        """Relay bytes, up to the one behind which a cut was ordered."""
        trap = self.trap
        if trap is None or trap.replies != (source is line.server):
            line.other(source).send(chunk)
            return
        line.other(source).send(chunk[: trap.left])
        trap.left -= len(chunk)
        if trap.left <= 0:
            self.trap = None
            self.cut(self.lines if trap.everything else [line], trap.how)

    def cut(self, lines: list[_Line], how: Cut) -> int:
        found = [line for line in lines if line in self.lines]
        for line in found:
            self.lines.remove(line)
            line.client.end(reset=how is not Cut.END)
            if how is not Cut.FORGOTTEN:
                line.server.end(reset=how is Cut.RESET)
        return len(found)


class _Line:
    """A client's connection, and the one to the server."""

    def __init__(self, relay: _Relay) -> None:
        self.relay = relay
        self.client = _Side(self)
        self.server = _Side(self)

    def begin(self) -> None:
        """Connect to the server; what the client says meanwhile waits."""
        self.client.let_flow(False)
        task = asyncio.ensure_future(self._connect())
        self.relay.connecting.add(task)
        task.add_done_callback(self.relay.connecting.discard)

    async def _connect(self) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: self.server, _HOST, self.relay.target)
        except OSError:
            self.client.end(reset=True)
            return
        self.relay.lines.append(self)
        self.let_flow(self.relay.flows)

    def let_flow(self, flows: bool) -> None:
        self.client.let_flow(flows)
        self.server.let_flow(flows)

    def other(self, side: _Side) -> _Side:
        return self.server if side is self.client else self.client


class _Side(asyncio.Protocol):
    """One of the two connections of a line."""

    def __init__(self, line: _Line) -> None:
        self._line = line
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._line.relay.sides.add(self)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self is self._line.client:
            self._line.begin()

    def data_received(self, data: bytes) -> None:
        self._line.relay.pass_on(self._line, self, data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._line.relay.sides.discard(self)
        self._line.relay.cut([self._line], Cut.END)

    def send(self, chunk: bytes) -> None:
        if self._transport is not None:
            self._transport.write(chunk)

    def let_flow(self, flows: bool) -> None:
        if self._transport is not None and not self._transport.is_closing():
            (self._transport.resume_reading if flows else self._transport.pause_reading)()

    def end(self, *, reset: bool) -> None:
        """Close the connection after what was sent, or break it."""
        if self._transport is None:
            return
        if not reset:
            self._transport.close()
            return
        with contextlib.suppress(OSError):
            # A close that lingers for no time is a reset (socket(7), SO_LINGER).
            linger = struct.pack("ii", 1, 0)
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._transport.abort()
