"""What can happen to a node. Each fault is over when its block ends: the node is back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from tests.support.rabbitmq_server import RabbitMQServer

Fault = Callable[[], contextlib.AbstractContextManager[object]]


@contextlib.contextmanager
def restart(node: RabbitMQServer) -> Iterator[None]:
    """Stop it in good order."""
    node.stop()
    try:
        yield
    finally:
        node.start()


@contextlib.contextmanager
def kill(node: RabbitMQServer) -> Iterator[None]:
    """Kill it."""
    node.kill()
    try:
        yield
    finally:
        node.start()


@contextlib.contextmanager
def hang_up(node: RabbitMQServer, vhost: str) -> Iterator[None]:
    """Have it end all connections to a virtual host."""
    node.hang_up(vhost)
    yield
