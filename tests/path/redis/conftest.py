"""A redis-server that only one test uses, and a client's app on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fastq import FastQ
from tests.support.redis_server import RedisServer


class Watched(RedisServer):
    """A server whose clients are counted."""

    def clients(self, kind: str = "normal") -> list[bytes]:
        """Return a line for each connection but our own; `kind` is normal or pubsub."""
        own = f"id={self.do('CLIENT', 'ID')} ".encode()
        lines: bytes = self.do("CLIENT", "LIST", "TYPE", kind)
        return [line for line in lines.splitlines() if not line.startswith(own)]

    def calls(self, command: str) -> int:
        """Return how often a command was carried out."""
        lines: bytes = self.do("INFO", "commandstats")
        found = [line for line in lines.splitlines() if line.startswith(f"cmdstat_{command}:".encode())]
        return int(found[0].partition(b"calls=")[2].partition(b",")[0]) if found else 0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Watched]:
    """Return a server that runs."""
    with Watched(tmp_path) as server:
        yield server


@pytest.fixture
def database_url(server: Watched) -> str:
    """Return the URL of the server: where workers go."""
    return server.url


@pytest.fixture
def make_app(server: Watched) -> Iterator[Callable[..., FastQ]]:
    """Return a function that makes an app on the server; all are closed at the end."""
    made: list[FastQ] = []

    def make(**settings: Any) -> FastQ:
        app = FastQ("shop", set_as_current=False, **{"broker": server.url, "backend": server.url, **settings})
        made.append(app)
        return app

    yield make
    for app in made:
        app.close()


@pytest.fixture
def app(make_app: Callable[..., FastQ]) -> FastQ:
    """Return an app on the server."""
    return make_app()


@pytest.fixture
def add(app: FastQ) -> Any:
    """Return a task."""

    @app.task(name="shop.add")
    def add(x: int, y: int = 0) -> int:
        return x + y

    return add
