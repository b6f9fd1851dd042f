"""The private RabbitMQ of the tests does what its methods say: a test that leans on it may rely on them."""

from __future__ import annotations

import socket
from pathlib import Path

from tests.support.rabbitmq_server import RabbitMQServer, rabbitmq_cluster, rabbitmq_vhost


def test_a_node_keeps_its_port_and_its_users_over_a_restart(tmp_path: Path) -> None:
    with RabbitMQServer(tmp_path) as server:
        server.add_user("ada", "secret")
        vhost = server.add_vhost()
        port = server.port
        server.restart()
        assert server.port == port
        assert {row["user"] for row in server.list("users", vhost=None)} == {"guest", "ada"}
        assert vhost in {row["name"] for row in server.list("vhosts", vhost=None)}
        server.kill()
        server.start()
        with server.memory_alarm():
            assert "memory" in server.evaluate("rabbit_alarm:get_alarms().")
        assert server.evaluate("rabbit_alarm:get_alarms().") == "[]"
        with server.frozen():
            pass


def test_a_virtual_host_of_the_shared_node_is_empty_and_goes_at_the_end() -> None:
    with rabbitmq_vhost() as (node, vhost):
        assert node.lengths(vhost) == {}
        with socket.create_connection(("127.0.0.1", node.port)):
            node.hang_up(vhost)
    assert vhost not in {row["name"] for row in node.list("vhosts", vhost=None)}


def test_nodes_of_a_cluster_can_be_parted() -> None:
    with rabbitmq_cluster(3) as servers:
        first, second, third = servers
        assert first.running_nodes() == sorted(server.name for server in servers)
        with first.parted_from(second, third):
            assert first.evaluate("length(nodes()).") == "0"
