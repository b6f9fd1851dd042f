"""The relay that tests break connections with."""

from __future__ import annotations

import contextlib
import socket

from tests.support.proxy import Proxy


def test_what_is_being_accepted_when_the_door_closes_is_ended_with_the_rest() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as server, Proxy(server.getsockname()[1]) as proxy:
        port = int(proxy.url.rsplit(":", 1)[1].split("/")[0])
        for _ in range(50):
            with contextlib.ExitStack() as stack:
                clients = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(8)]
                for client in clients:
                    stack.enter_context(client)
                with proxy.closed():
                    assert [_received(client) for client in clients] == [b""] * 8


def _received(client: socket.socket) -> bytes:
    try:
        return client.recv(1)
    except ConnectionResetError:
        return b""
