from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fastq import FastQ
from tests.support.redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.worker import RunningWorker

SHOP = "tests.path.shop"


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Return the server of all path tests."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["sqlite", "redis"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty broker and store: every story is told on each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/queue.db"
    server: RedisServer = request.getfixturevalue("redis_server")
    server.do("FLUSHALL")
    return server.url


@pytest.fixture
def client(database_url: str) -> Iterator[FastQ]:
    """Return an app that knows no task, as another program would have it, on the broker of this test."""
    app = FastQ("client", broker=database_url, backend=database_url, set_as_current=False)
    yield app
    app.close()


@pytest.fixture
def worker(start_worker: Callable[..., RunningWorker]) -> RunningWorker:
    """Return a worker of the shop with two children."""
    return start_worker(SHOP)


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str], str]:
    """Return a function that names a file which does not exist yet."""
    return lambda name: str(tmp_path / name)
