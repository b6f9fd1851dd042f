"""RabbitMQ for tests: a node of a test's own that can be stopped and killed, or virtual hosts of the shared one."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import secrets
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from servers import RabbitMQ, free_port
from tests.support.servers import server_url
from tests.support.wait import wait_for

_LIMIT = 90.0
"""Seconds for a start, and for one command."""

_VHOSTS = itertools.count(1)


class ControlError(Exception):
    """A command of rabbitmqctl failed; the text is what it has printed."""


class RabbitMQNode:
    """A node that runs, and what can be asked of it and done to it.

    Args:
        control: path of the node's own rabbitmqctl.
        port: on which it serves AMQP.
    """

    def __init__(self, control: Path, port: int) -> None:
        self.port = port
        self._control = control

    @property
    def url(self) -> str:
        """The address of the default virtual host, as a user who may do everything."""
        return self.url_of("/")

    def url_of(self, vhost: str, user: str = "guest", password: str = "guest") -> str:
        """Return the address of a virtual host."""
        return f"amqp://{user}:{password}@127.0.0.1:{self.port}/{quote(vhost, safe='')}"

    def control(self, *words: object) -> str:
        """Return what a command of rabbitmqctl prints.

        Raises:
            ControlError: it failed.
        """
        command = [str(self._control), *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_LIMIT)
        if done.returncode:
            raise ControlError(done.stderr.strip() or done.stdout.strip())
        return done.stdout

    def list(self, kind: str, *columns: str, vhost: str | None = "/") -> list[dict[str, Any]]:
        """Return what `rabbitmqctl list_{kind}` shows, a dict for each row.

        Args:
            kind: `queues`, `exchanges`, `bindings`, `connections`, `channels`, `consumers`, …
            *columns: what to show; without one, what rabbitmqctl shows.
            vhost: where to look; None for kinds that are not in a virtual host.
        """
        place = [] if vhost is None else ["-p", vhost]
        rows: list[dict[str, Any]] = json.loads(self.control(f"list_{kind}", "--formatter", "json", *place, *columns))
        return rows

    def lengths(self, vhost: str = "/") -> dict[str, int]:
        """Return how many messages each queue has, ready and not acknowledged together."""
        return {row["name"]: row["messages"] for row in self.list("queues", "name", "messages", vhost=vhost)}

    def add_vhost(self, name: str | None = None) -> str:
        """Make a virtual host in which the user `guest` may do everything; return its name."""
        name = name or f"test-{os.getpid()}-{next(_VHOSTS)}"
        # One command, not two: each starts an Erlang machine of its own.
        here, all_of_it = f'<<"{name}">>', ", ".join(['<<".*">>'] * 3)
        self.evaluate(
            f'rabbit_vhost:add({here}, <<"tests">>), '
            f'ok = rabbit_auth_backend_internal:set_permissions(<<"guest">>, {here}, {all_of_it}, <<"tests">>).'
        )
        return name

    def delete_vhost(self, name: str) -> None:
        """Remove a virtual host with all that is in it; its connections end."""
        self.control("delete_vhost", name)

    def add_user(self, name: str, password: str) -> None:
        """Make a user who may do nothing yet."""
        self.control("add_user", name, password)

    def permit(self, user: str, vhost: str, configure: str = ".*", write: str = ".*", read: str = ".*") -> None:
        """Let a user do what the three patterns say; patterns that match nothing (`^$`) withdraw a permission."""
        self.control("set_permissions", "-p", vhost, user, configure, write, read)

    def delete_queue(self, name: str, vhost: str = "/") -> None:
        """Delete a queue under those who consume from it."""
        self.control("delete_queue", "-p", vhost, name)

    def hang_up(self, vhost: str | None = None, reason: str = "closed by a test") -> None:
        """Close every connection, as the management tool does; only those of one virtual host when it is named."""
        place = ["--global"] if vhost is None else ["--vhost", vhost]
        self.control("close_all_connections", *place, reason)

    @contextlib.contextmanager
    def memory_alarm(self) -> Iterator[None]:
        """Let the node be out of memory while the block inside `with` runs: it blocks those who publish.

        It begins when all connections know of it: before that, what is sent over them is still taken.
        """
        self.control("set_vm_memory_high_watermark", "absolute", "1MiB")
        try:
            wait_for(self._holds_back, "all connections to be held back")
            yield
        finally:
            self.control("set_vm_memory_high_watermark", "0.6")

    def _holds_back(self) -> bool:
        states = [row["state"] for row in self.list("connections", "state", vhost=None)]
        return all(state in ("blocking", "blocked") for state in states)

    def running_nodes(self) -> list[str]:
        """Return the names of the cluster's nodes that run, as this one sees it."""
        status = json.loads(self.control("cluster_status", "--formatter", "json"))
        return sorted(status["running_nodes"])

    def evaluate(self, expression: str) -> str:
        """Return the value of an Erlang expression, evaluated by the node."""
        return self.control("eval", expression).strip()


class RabbitMQServer(RabbitMQNode):
    """A node of a test's own, on a port that stays the same over its restarts. Durable queues survive a kill.

    Args:
        folder: where it keeps everything.
        epmd_port: of the name service, when it shall share one with the other nodes of a cluster.
        cookie: what the nodes of a cluster know each other by.
        settings: more lines of rabbitmq.conf.
    """

    def __init__(
        self, folder: Path, epmd_port: int | None = None, cookie: str = "", settings: Mapping[str, object] | None = None
    ) -> None:
        self._kind = RabbitMQ()
        self._program = self._kind.find()
        if self._program is None:
            _missing()
        self._folder = folder
        self._folder.mkdir(parents=True, exist_ok=True)
        super().__init__(folder / "rabbitmqctl", free_port())
        self.epmd_port = epmd_port or free_port()
        self._environment = self._kind.node(str(self._program), folder, self.port, self.epmd_port, cookie)
        with (folder / "rabbitmq.conf").open("a") as file:
            file.writelines(f"{name} = {value}\n" for name, value in (settings or {}).items())
        self.name = self._environment["RABBITMQ_NODENAME"]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> RabbitMQServer:
        """Start it."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Kill it, and the name service with it."""
        self.kill()
        self._kind.after_stop(self._folder)

    @property
    def log(self) -> str:
        """What it has written so far."""
        return (self._folder / "output.log").read_text(errors="replace")

    def start(self) -> None:
        """Start it and wait until it serves; its data of earlier is there again."""
        with (self._folder / "output.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._program)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self._environment},
                cwd=self._folder,
                start_new_session=True,
            )
        wait_for(self._serves, f"rabbitmq-server on port {self.port}", limit=_LIMIT)

    def stop(self) -> None:
        """Stop it in good order, and wait until it is gone."""
        assert self._process is not None, "the server was not started"
        self._process.terminate()
        self._process.wait(_LIMIT)
        self._process = None

    def kill(self) -> None:
        """Kill it, and wait until it is gone; nothing happens when it does not run."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(_LIMIT)
            self._process = None

    def restart(self) -> None:
        """Stop it in good order and start it again."""
        self.stop()
        self.start()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it stand still while the block inside `with` runs: connections stay, nothing is answered."""
        assert self._process is not None, "the server was not started"
        os.killpg(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self._process.pid, signal.SIGCONT)

    def join(self, other: RabbitMQServer) -> None:
        """Make a cluster with another node, which shares the name service; this node's own data goes."""
        self.control("stop_app")
        self.control("reset")
        self.control("join_cluster", other.name)
        self.control("start_app")

    @contextlib.contextmanager
    def parted_from(self, *others: RabbitMQServer) -> Iterator[None]:
        """Let this node and the others not hear each other while the block inside `with` runs."""
        names = "[" + ", ".join(f"'{other.name}'" for other in others) + "]"
        self.evaluate(f"[begin erlang:set_cookie(N, parted), erlang:disconnect_node(N) end || N <- {names}].")
        try:
            yield
        finally:
            self.evaluate(f"[erlang:set_cookie(N, erlang:get_cookie()) || N <- {names}].")

    def _serves(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log
        return self._kind.answers(self.port)


@contextlib.contextmanager
def rabbitmq_cluster(nodes: int = 3) -> Iterator[list[RabbitMQServer]]:
    """Run a cluster on this machine while the block inside `with` runs; the value is its nodes."""
    with tempfile.TemporaryDirectory(prefix="fastq-rabbitmq-") as folder, contextlib.ExitStack() as running:
        epmd_port, cookie = free_port(), secrets.token_hex(16)
        servers = [RabbitMQServer(Path(folder) / str(n), epmd_port, cookie) for n in range(nodes)]
        first, *others = servers
        for server in servers:
            running.enter_context(server)
        for server in others:
            server.join(first)
        yield servers


def shared_rabbitmq() -> RabbitMQNode:
    """Return the node that `scripts/services` runs for all tests: use a virtual host of your own on it."""
    url = server_url(RabbitMQ.variable)
    port = int(url.rsplit(":", 1)[1].split("/")[0])
    return RabbitMQNode(Path(os.environ[RabbitMQ.control_variable]), port)


@contextlib.contextmanager
def rabbitmq_vhost() -> Iterator[tuple[RabbitMQNode, str]]:
    """Make a virtual host on the shared node while the block inside `with` runs; the value is node and name."""
    node = shared_rabbitmq()
    name = node.add_vhost()
    try:
        yield node, name
    finally:
        node.delete_vhost(name)


def _missing() -> None:
    """Skip the test; fail it where CI is set."""
    message = "no rabbitmq-server on this machine: `scripts/services run rabbitmq -- …` installs it"
    pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
