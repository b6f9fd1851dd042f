"""Towns with a virtual host of RabbitMQ for the messages, and a server of Redis for the results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from servers import SERVERS, serving
from tests.compat.live.conftest import OpenTown, celery, lively
from tests.compat.live.peers import Town
from tests.support.rabbitmq_server import rabbitmq_vhost


@pytest.fixture(scope="session")
def open_town(version: str, tmp_path_factory: pytest.TempPathFactory) -> OpenTown:
    """Return a function that opens a town with these settings; with a worker of each library, unless told."""
    python = celery(version)

    @contextmanager
    def open_town(settings: Mapping[str, Any] | None = None, *, workers: bool = True) -> Iterator[Town]:
        with rabbitmq_vhost() as (node, vhost), serving("redis") as port:
            folder, own = tmp_path_factory.mktemp("town"), {"result_backend": SERVERS["redis"].url(port)}
            town = Town(python, node.url_of(vhost), folder, {**own, **(settings or {})})
            town.lengths = lambda: node.lengths(vhost)
            with lively(town, workers=workers):
                yield town

    return open_town


@pytest.fixture(scope="session")
def town(open_town: OpenTown) -> Iterator[Town]:
    """Return the town in which most things happen."""
    with open_town() as town:
        yield town
