"""Towns: a server of its own, clients of both libraries, and a worker of each; for every version of Celery."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from celery_environment import VERSIONS, environment
from servers import SERVERS, serving
from tests.compat.live.peers import CELERY, FASTQ, Client, Town

OpenTown = Callable[..., AbstractContextManager[Town]]

QUEUES = "{0},both,{0}-shelf,{0}-order,{0}-news,{0}-bell"
"""What a library's worker takes from: its own queues, and one that both take from."""


class Way(NamedTuple):
    """Who calls, and who runs it."""

    town: Town
    caller: str
    runner: str

    @property
    def client(self) -> Client:
        return self.town.client(self.caller)

    @property
    def queue(self) -> str:
        """The queue that only workers of the runner take from: it has the runner's name."""
        return self.runner


@pytest.fixture(scope="session", params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def open_town(version: str, tmp_path_factory: pytest.TempPathFactory) -> OpenTown:
    """Return a function that opens a town with these settings; with a worker of each library, unless told."""
    python = celery(version)

    @contextmanager
    def open_town(settings: Mapping[str, Any] | None = None, *, workers: bool = True) -> Iterator[Town]:
        with serving("redis") as port:
            town = Town(python, SERVERS["redis"].url(port), tmp_path_factory.mktemp("town"), settings)
            with lively(town, workers=workers):
                yield town

    return open_town


@contextmanager
def lively(town: Town, *, workers: bool) -> Iterator[None]:
    """Have a worker of each library in a town, unless told, and nothing of it in the end."""
    try:
        started = [town.start(library, QUEUES.format(library)) for library in (CELERY, FASTQ) if workers]
        for worker in started:
            worker.wait_until_ready()
        yield
    finally:
        town.close()


@pytest.fixture(scope="session")
def town(open_town: OpenTown) -> Iterator[Town]:
    """Return the town in which most things happen."""
    with open_town() as town:
        yield town


@pytest.fixture(params=[(CELERY, FASTQ), (FASTQ, CELERY), (CELERY, CELERY)], ids="-to-".join)
def pair(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Return who calls and who runs it: across, and, as the standard, Celery among itself."""
    return tuple(request.param)


@pytest.fixture
def way(pair: tuple[str, str], town: Town) -> Way:
    """Return who calls whom in the town."""
    return Way(town, *pair)


def celery(version: str) -> Path:
    """Return the interpreter that has this version; where it, or a server, cannot be had, there is nothing to test."""
    missing = None if SERVERS["redis"].find() else "no redis-server: `scripts/services run redis -- …` installs it"
    try:
        python = environment(version)
    except subprocess.CalledProcessError as error:
        missing = f"no Celery {version}: {error}"
    if missing is not None:
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    return python
