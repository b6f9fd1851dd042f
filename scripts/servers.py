"""The server programs that scripts/services can run: how each is found, started, asked and stopped."""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_PORTS = range(10_000, 32_000)

_NOTICED_WITHIN = 2.0
"""Seconds within which a name service has noticed that a node is gone."""


class Server:
    """One kind of server: named, started on a port of its own with all its files in one folder."""

    name: str
    package: str
    variable: str
    """The environment variable in which tests find its address."""
    start_within = 10.0
    """Seconds."""
    stop_within = 5.0
    """Seconds."""

    def find(self) -> str | None:
        """Return the path of its program; None when it is not installed."""
        raise NotImplementedError

    def command(self, program: str, folder: Path, port: int) -> tuple[list[str], dict[str, str]]:
        """Return the command line and what it adds to the environment."""
        raise NotImplementedError

    def url(self, port: int) -> str:
        """Return its address as fastq writes it."""
        raise NotImplementedError

    def environment(self, folder: Path, port: int) -> dict[str, str]:  # noqa: ARG002 - a kind may tell more
        """Return what tests find in their environment: the address, and what else they need to steer the server."""
        return {self.variable: self.url(port)}

    def answers(self, port: int) -> bool:
        """Whether it speaks its protocol."""
        raise NotImplementedError

    def after_stop(self, folder: Path) -> None:
        """Do what must be done when it has ended."""


class Redis(Server):
    """redis-server, keeping nothing on disk."""

    name = "redis"
    package = "redis-server"
    variable = "FASTQ_TEST_REDIS_URL"

    def find(self) -> str | None:
        """Return the path of redis-server."""
        return shutil.which("redis-server")

    def command(self, program: str, folder: Path, port: int) -> tuple[list[str], dict[str, str]]:
        """Return a command line that names every setting, so that no configuration file is read."""
        settings = {"bind": "127.0.0.1", "port": str(port), "dir": str(folder), "save": "", "appendonly": "no"}
        return [program, *(word for name, value in settings.items() for word in (f"--{name}", value))], {}

    def url(self, port: int) -> str:
        """Return the address of its first database."""
        return f"redis://127.0.0.1:{port}/0"

    def answers(self, port: int) -> bool:
        """Whether it answers PING."""
        return _exchange(port, b"PING\r\n").startswith(b"+PONG")


class RabbitMQ(Server):
    """rabbitmq-server as a node of its own, with a name service (epmd) of its own.

    Its folder has a command `rabbitmqctl` that speaks to this node and to no other one.
    """

    name = "rabbitmq"
    package = "rabbitmq-server"
    variable = "FASTQ_TEST_RABBITMQ_URL"
    control_variable = "FASTQ_TEST_RABBITMQ_CTL"
    """The environment variable in which tests find the path of that command."""
    start_within = 90.0
    stop_within = 30.0

    def find(self) -> str | None:
        """Return the path of the program itself: Debian's wrapper would change the user."""
        inner = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
        return str(inner) if inner.exists() else shutil.which("rabbitmq-server")

    def command(self, program: str, folder: Path, port: int) -> tuple[list[str], dict[str, str]]:
        """Return the command and an environment in which every file, port and name is the node's own."""
        return [program], self.node(program, folder, port, free_port())

    def node(self, program: str, folder: Path, port: int, epmd_port: int, cookie: str = "") -> dict[str, str]:
        """Write the node's files; return its environment.

        Args:
            program: path of rabbitmq-server.
            folder: where everything of the node lies.
            port: on which it serves AMQP.
            epmd_port: of the name service; nodes of one cluster share it.
            cookie: what nodes know each other by; a new one unless it is given.
        """
        (folder / "epmd-port").write_text(str(epmd_port))
        (folder / "enabled_plugins").write_text("[].\n")
        self._write_cookie(folder, cookie or secrets.token_hex(16))
        (folder / "rabbitmq.conf").write_text("loopback_users.guest = true\nlog.console.level = warning\n")
        environment = {
            "ERL_EPMD_PORT": str(epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "HOME": str(folder),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "no-rabbitmq-env.conf"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_NODENAME": f"fastq-{port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }
        self._write_control(Path(program).with_name("rabbitmqctl"), folder, environment)
        return environment

    def _write_cookie(self, folder: Path, cookie: str) -> None:
        file = folder / ".erlang.cookie"
        file.unlink(missing_ok=True)
        file.write_text(cookie)
        file.chmod(0o400)

    def _write_control(self, program: Path, folder: Path, environment: dict[str, str]) -> None:
        """Write the command that steers this node, whatever environment it is called in."""
        control = folder / "rabbitmqctl"
        names = [f"{name}={shlex.quote(value)}" for name, value in environment.items()]
        words = ["exec env", *names, shlex.quote(str(program)), "--quiet", '"$@"']
        control.write_text("#!/bin/sh\n" + " \\\n    ".join(words) + "\n")
        control.chmod(0o755)

    def url(self, port: int) -> str:
        """Return the address of the default virtual host."""
        return f"amqp://guest:guest@127.0.0.1:{port}//"

    def environment(self, folder: Path, port: int) -> dict[str, str]:
        """Return the address, and the command that steers the node."""
        return {**super().environment(folder, port), self.control_variable: str(folder / "rabbitmqctl")}

    def answers(self, port: int) -> bool:
        """Whether it answers the protocol header with a method frame (AMQP 0-9-1, section 4.2.2)."""
        return _exchange(port, b"AMQP\x00\x00\x09\x01").startswith(b"\x01\x00\x00")

    def after_stop(self, folder: Path) -> None:
        """End the name service, which the node leaves behind, unless other nodes use it."""
        port_file, epmd = folder / "epmd-port", shutil.which("epmd")
        if epmd is None or not port_file.exists():
            return
        environment = {**os.environ, "ERL_EPMD_PORT": port_file.read_text()}

        def ended() -> bool:
            return subprocess.run([epmd, "-kill"], env=environment, check=False, capture_output=True).returncode == 0

        # It says no while it knows of a node: of one that was killed until it has noticed that.
        wait_until(ended, _NOTICED_WITHIN)


SERVERS: dict[str, Server] = {server.name: server for server in (Redis(), RabbitMQ())}


@contextlib.contextmanager
def serving(name: str) -> Iterator[int]:
    """Run a server that only the block inside `with` knows of; the value is its port.

    Raises:
        FileNotFoundError: it is not installed.
        TimeoutError: it does not start.
    """
    server = SERVERS[name]
    program, port = server.find(), free_port()
    if program is None:
        raise FileNotFoundError(f"{name} is missing: install the package {server.package}")
    with tempfile.TemporaryDirectory(prefix=f"{name}-") as folder:
        command, extra = server.command(program, Path(folder), port)
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, **extra})
        try:
            if not wait_until(lambda: server.answers(port), server.start_within, lambda: process.poll() is None):
                raise TimeoutError(f"{name} did not answer within {server.start_within:g} s")
            yield port
        finally:
            process.terminate()
            process.wait(server.stop_within)
            server.after_stop(Path(folder))


def free_port() -> int:
    """Return a TCP port of this host that nobody uses.

    It is below those that systems give away by themselves (from 32768 on Linux, from 49152 elsewhere): a server that is
    down for a moment, or does not listen yet, would lose one of them to whatever asks for any port.
    """
    while True:
        port = secrets.choice(_PORTS)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def wait_until(fact: Callable[[], bool], limit: float, while_true: Callable[[], bool] = lambda: True) -> bool:
    """Return whether `fact` came true within `limit` seconds; give up as soon as `while_true` is not."""
    end = time.monotonic() + limit
    pause = threading.Event()
    while not fact():
        if time.monotonic() > end or not while_true():
            return False
        pause.wait(0.02)
    return True


def _exchange(port: int, request: bytes) -> bytes:
    """Return what a server says to `request`; nothing when it does not answer."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0) as connection:
            connection.sendall(request)
            return connection.recv(64)
    except OSError:
        return b""
