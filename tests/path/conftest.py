from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fastq import FastQ
from tests.support.places import database_url, redis_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.worker import RunningWorker

__all__ = ["SHOP", "client", "database_url", "file", "redis_server", "worker"]

SHOP = "tests.path.shop"


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
