"""A node of a test's own, and a way to it that can be broken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fastq import FastQ
from tests.faults.conftest import Place
from tests.support.proxy import Proxy
from tests.support.rabbitmq_server import RabbitMQServer


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQServer]:
    """Return a node that only these tests use: it is stopped, killed and starved."""
    with RabbitMQServer(tmp_path_factory.mktemp("rabbitmq")) as node:
        yield node


@pytest.fixture
def vhost(node: RabbitMQServer) -> Iterator[str]:
    """Return the name of an empty virtual host."""
    name = node.add_vhost()
    yield name
    node.delete_vhost(name)


@pytest.fixture
def proxy(node: RabbitMQServer) -> Iterator[Proxy]:
    """Return a relay to the node."""
    with Proxy(node.port) as proxy:
        yield proxy


class RabbitPlace(Place):
    """A virtual host with its ledger, a client and workers; results come as messages."""

    def __init__(self, folder: Path, url: str, worker_url: str | None = None) -> None:
        """Make the client; arguments as those of `Place`."""
        super().__init__(folder, url, worker_url)
        self.client.close()
        self.client = FastQ(
            "faults-client", broker=url, backend="rpc://", set_as_current=False, broker_publish_timeout=10.0
        )
        self.environment["FASTQ_RESULT_BACKEND"] = "rpc://"
        self.environment["FASTQ_BROKER_HEARTBEAT"] = "4"


@pytest.fixture
def place(node: RabbitMQServer, vhost: str, proxy: Proxy, tmp_path: Path) -> Iterator[RabbitPlace]:
    """Return an empty place, whose workers go by way of the proxy."""
    url = node.url_of(vhost)
    place = RabbitPlace(tmp_path, url, url.replace(f":{node.port}/", f":{proxy.url.rsplit(':', 1)[1].split('/')[0]}/"))
    yield place
    place.close()
