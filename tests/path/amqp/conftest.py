"""A virtual host that only one test uses, and a client's app on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from fastq import FastQ
from tests.path.conftest import SHOP
from tests.support.rabbitmq_server import RabbitMQNode, rabbitmq_vhost

if TYPE_CHECKING:
    from tests.support.worker import RunningWorker


@pytest.fixture
def node() -> Iterator[RabbitMQNode]:
    """Return the node, and remember the virtual host of this test."""
    with rabbitmq_vhost() as (node, vhost):
        node.test_vhost = vhost  # type: ignore[attr-defined]
        yield node


@pytest.fixture
def database_url(node: Any) -> str:
    """Return the URL of the virtual host: where workers go."""
    url: str = node.url_of(node.test_vhost)
    return url


@pytest.fixture
def make_app(database_url: str) -> Iterator[Callable[..., FastQ]]:
    """Return a function that makes an app on the virtual host; all are closed at the end."""
    made: list[FastQ] = []

    def make(**settings: Any) -> FastQ:
        given = {"broker": database_url, "backend": "rpc://", "broker_publish_timeout": 10, **settings}
        app = FastQ("shop", set_as_current=False, **given)
        made.append(app)
        return app

    yield make
    for app in made:
        app.close()


@pytest.fixture
def app(make_app: Callable[..., FastQ]) -> FastQ:
    """Return an app on the virtual host, whose results come as messages."""
    return make_app()


@pytest.fixture
def serve(start_worker: Callable[..., RunningWorker], database_url: str) -> Callable[..., RunningWorker]:
    """Return a function that starts a worker of the shop on the virtual host."""

    def serve(*options: str, **environment: str) -> RunningWorker:
        given = {"FASTQ_BROKER_URL": database_url, "FASTQ_RESULT_BACKEND": "rpc://", **environment}
        return start_worker(SHOP, options or ("-c", "2"), given)

    return serve
