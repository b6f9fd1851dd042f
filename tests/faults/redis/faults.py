"""What can happen to a broker or to the way there. Each fault is over when its block ends: the broker is back.

The value of each block tells whether there is something to notice before it ends.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from tests.support.proxy import Cut, Proxy
from tests.support.redis_server import RedisServer
from tests.support.wait import wait_for

Fault = Callable[["Scene"], AbstractContextManager[bool]]


class Scene:
    """Where faults happen.

    Args:
        server: the broker.
        proxy: the worker's way there.
        chance: chooses where and how.
    """

    def __init__(self, server: RedisServer, proxy: Proxy, chance: random.Random) -> None:
        self.server = server
        self.proxy = proxy
        self.chance = chance

    def cut(self) -> Cut:
        """Return how a connection ends."""
        return self.chance.choice(list(Cut))


@contextlib.contextmanager
def cut(scene: Scene) -> Iterator[bool]:
    """Cut every connection of the worker."""
    yield False
    scene.proxy.cut(scene.cut())


@contextlib.contextmanager
def cut_in_a_reply(scene: Scene) -> Iterator[bool]:
    """Cut in the middle of what the server answers."""
    yield False
    _cut_at_a_byte(scene, replies=True)


@contextlib.contextmanager
def cut_in_a_request(scene: Scene) -> Iterator[bool]:
    """Cut in the middle of what the worker asks."""
    yield False
    _cut_at_a_byte(scene, replies=False)


def _cut_at_a_byte(scene: Scene, *, replies: bool) -> None:
    count, everything = scene.chance.randint(1, 5_000), scene.chance.random() < 0.3
    scene.proxy.cut_after(count, scene.cut(), replies=replies, everything=everything)
    wait_for(scene.proxy.has_cut, f"byte {count}")


@contextlib.contextmanager
def no_way(scene: Scene) -> Iterator[bool]:
    """Let nobody listen at the worker's address."""
    with scene.proxy.closed():
        yield True


@contextlib.contextmanager
def silence(scene: Scene) -> Iterator[bool]:
    """Let nothing through, either way."""
    with scene.proxy.stalled():
        yield True


@contextlib.contextmanager
def restart(scene: Scene) -> Iterator[bool]:
    """Kill the server, and start it with its data."""
    scene.server.kill()
    yield True
    scene.server.start()


@contextlib.contextmanager
def loading(scene: Scene) -> Iterator[bool]:
    """Kill the server, and start it so that it loads its data for a second or two, and refuses to serve till then."""
    server = scene.server
    server.do("EVAL", "for number = 1, 4096 do redis.call('SET', 'ballast:' .. number, number) end", 0)
    server.do("BGREWRITEAOF")
    wait_for(lambda: b"aof_rewrite_in_progress:0" in server.do("INFO", "persistence"), "a file without history")
    keys = server.do("DBSIZE")
    # For each key so many microseconds; below zero: the shortest sleep, for one key in so many (debug.c, debugDelay).
    delay = 1_500_000 // keys if keys < 15_000 else -(keys // 15_000)
    server.kill()
    server.launch(key_load_delay=delay, loading_process_events_interval_bytes=1024)
    yield True
    wait_for(server.serves, "the end of loading", limit=60)


@contextlib.contextmanager
def frozen(scene: Scene) -> Iterator[bool]:
    """Let the server stand still."""
    with scene.server.frozen():
        yield True


@contextlib.contextmanager
def too_many_clients(scene: Scene) -> Iterator[bool]:
    """End all connections and take no new ones."""
    with _configured(scene.server, "maxclients", 1, 10_000):
        yield True


@contextlib.contextmanager
def new_password(scene: Scene) -> Iterator[bool]:
    """End all connections, and want a password that nobody has."""
    with _configured(scene.server, "requirepass", "changed", ""):
        yield True


@contextlib.contextmanager
def no_memory(scene: Scene) -> Iterator[bool]:
    """Refuse everything that needs memory."""
    with _configured(scene.server, "maxmemory", 1, 0, hang_up=False):
        yield True


@contextlib.contextmanager
def replica(scene: Scene) -> Iterator[bool]:
    """Make it the replica of a server that is not there: it refuses to write."""
    scene.server.do("REPLICAOF", "127.0.0.1", 1)
    try:
        yield True
    finally:
        scene.server.do("REPLICAOF", "NO", "ONE")


@contextlib.contextmanager
def _configured(server: RedisServer, name: str, value: object, back: object, *, hang_up: bool = True) -> Iterator[bool]:
    server.configure(name, value)
    if hang_up:
        server.hang_up()
    try:
        yield True
    finally:
        server.configure(name, back)


CUTS: tuple[Fault, ...] = (cut, cut_in_a_reply, cut_in_a_request)
"""They are over as soon as they are there."""
OUTAGES: tuple[Fault, ...] = (no_way, restart, loading, too_many_clients, new_password, no_memory, replica)
"""The worker hears at once that it gets no answer."""
SILENCES: tuple[Fault, ...] = (silence, frozen)
"""The worker hears nothing, and gives up after a while."""
FOR_THE_WORKER_ONLY: tuple[Fault, ...] = (*CUTS, no_way, silence)
"""Producers, which go straight to the server, do not feel them."""
