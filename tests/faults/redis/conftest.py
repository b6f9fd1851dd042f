"""A server of a test's own, and a way to it that can be broken."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import Place
from tests.faults.redis.faults import Scene
from tests.faults.redis.story import Story
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


@pytest.fixture
def way(server: RedisServer, proxy: Proxy, tmp_path: Path) -> Iterator[Place]:
    """Return an empty place, whose workers go by way of the proxy."""
    place = Place(tmp_path, server.url, proxy.url)
    yield place
    place.close()


@pytest.fixture
def scene(server: RedisServer, proxy: Proxy, chance: random.Random) -> Scene:
    """Return where faults happen."""
    return Scene(server, proxy, chance)


@pytest.fixture
def story(way: Place, scene: Scene) -> Iterator[Story]:
    """Return a story under way, in which a worker gives up soon on a broker that does not answer."""
    story = Story(way, scene, {"answer_timeout": 1.5})
    yield story
    story.sender.stop()
