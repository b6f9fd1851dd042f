"""The backends the contract is held against. A new one adds a line here and no assertion anywhere."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from fastq import FastQ
from fastq.backends.memory import MemoryBackend
from tests.support.redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fastq.backends.base import Backend

URLS = {
    "sqlite": "sqlite:///{directory}/results.db",
    "memory": "memory://{unique}",
    "cache": "cache+memory://",
    "file": "file://{directory}/results",
}


class Place(NamedTuple):
    """Where the results of one test live."""

    url: str
    app: FastQ
    backend: Backend

    def another(self, **settings: Any) -> Backend:
        """Return the backend as another app with other settings sees it."""
        app = FastQ("other", broker="memory://", backend=self.url, set_as_current=False)
        app.conf.update(settings)
        return app.backend


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=sorted(URLS))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "redis":
        server: RedisServer = request.getfixturevalue("redis_server")
        server.do("FLUSHALL")
        url = server.url
    else:
        url = URLS[request.param].format(directory=tmp_path, unique=uuid.uuid4().hex)
    app = FastQ("shop", broker="memory://", backend=url, set_as_current=False)
    yield Place(url, app, app.backend)
    app.backend.close()
    MemoryBackend._shelf.kept.clear()


@pytest.fixture
def backend(place: Place) -> Backend:
    return place.backend
