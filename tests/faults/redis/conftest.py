"""A server of a test's own, and a way to it that can be broken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import Place
from tests.support.proxy import Proxy
from tests.support.redis_server import RedisServer


@pytest.fixture
def proxy(server: RedisServer) -> Iterator[Proxy]:
    """Return a relay to the server."""
    with Proxy(server.port) as proxy:
        yield proxy


@pytest.fixture
def place(server: RedisServer, tmp_path: Path) -> Iterator[Place]:
    """Return an empty place, to which clients and workers go straight."""
    place = Place(tmp_path, server.url)
    yield place
    place.close()
