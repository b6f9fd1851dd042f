"""Run the server programs that tests need, privately: own folders, free ports, stopped at the end.

    scripts/services run [NAME ...] -- COMMAND   start, run COMMAND with their addresses in its environment, stop
    scripts/services start NAME ...              start, print the environment as `export` lines
    scripts/services status                      what runs
    scripts/services stop                        stop what `start` left running

A server that the machine runs for itself is never used and never touched. A missing program is installed with the
system's package manager where that is allowed (as root, with apt-get); otherwise one line says what is missing.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

from servers import SERVERS, Server, free_port, wait_until

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".services"

NEEDED: tuple[str, ...] = ("redis", "rabbitmq")
"""What `run` starts when it is given no names. One that cannot be had is passed over, loudly, unless CI is set."""


class ServicesError(Exception):
    """A server cannot be had; the message is the one line to print."""


@dataclass(frozen=True)
class Running:
    """A server that was started: what is needed to stop it and to reach it."""

    name: str
    pid: int
    port: int
    environment: dict[str, str]
    folder: str

    @property
    def alive(self) -> bool:
        """Whether its process still exists."""
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return False
        return True


def main(arguments: Sequence[str]) -> int:
    """Carry out one command line; return the exit code."""
    command, *rest = arguments or ["--help"]
    commands: dict[str, Callable[[list[str]], int]] = {
        "run": run_command,
        "start": start_command,
        "status": status_command,
        "stop": stop_command,
    }
    if command not in commands:
        print(__doc__.strip())
        return 0 if command in ("-h", "--help") else 2
    try:
        return commands[command](rest)
    except ServicesError as error:
        print(f"scripts/services: {error}", file=sys.stderr)
        return 1


def run_command(arguments: list[str]) -> int:
    """Start servers, run what stands behind `--`, stop the servers; return the exit code of the command."""
    if "--" not in arguments:
        raise ServicesError("run needs a command behind --")
    split = arguments.index("--")
    named, command = arguments[:split], arguments[split + 1 :]
    signal.signal(signal.SIGTERM, _interrupted)
    environment = dict(os.environ)
    started: list[Running] = []
    try:
        for name in named or NEEDED:
            try:
                # Its own, whatever else runs: tests may run twice at a time.
                server = start(name, FOLDER / f"{name}-{os.getpid()}")
            except ServicesError as error:
                if named or os.environ.get("CI"):
                    raise
                print(f"scripts/services: NOT TESTED: {error}", file=sys.stderr)
                continue
            started.append(server)
            environment.update(server.environment)
        return subprocess.run(command, env=environment, check=False).returncode
    except KeyboardInterrupt:
        return 130
    finally:
        for server in started:
            stop(server)


def start_command(arguments: list[str]) -> int:
    """Start servers and leave them running."""
    for name in arguments:
        server = _left_running(name) or start(name, FOLDER / name)
        for variable, value in server.environment.items():
            print(f"export {variable}={value}")
    return 0


def status_command(_arguments: list[str]) -> int:
    """Print what runs."""
    for server in running():
        print(f"{server.name}: pid {server.pid}, port {server.port}, {'up' if server.alive else 'gone'}")
    return 0


def stop_command(_arguments: list[str]) -> int:
    """Stop everything that runs."""
    for server in running():
        stop(server)
    return 0


def start(name: str, folder: Path) -> Running:
    """Start one server that keeps everything in `folder`; wait until it answers."""
    if name not in SERVERS:
        raise ServicesError(f"no server is called {name!r}; there are {', '.join(SERVERS)}")
    server = SERVERS[name]
    program = _program(server)
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command, extra = server.command(program, folder, port)
    with (folder / "output.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **extra},
            cwd=folder,
            start_new_session=True,
        )
    started = Running(name, process.pid, port, server.environment(folder, port), str(folder))
    (folder / "running.json").write_text(json.dumps(asdict(started)))
    if not wait_until(lambda: server.answers(port), server.start_within, lambda: process.poll() is None):
        stop(started)
        raise ServicesError(f"{name} did not answer within {server.start_within:g} s; see {folder / 'output.log'}")
    return started


def stop(server: Running) -> None:
    """Stop one server: politely, then not, and forget its data."""
    definition = SERVERS[server.name]
    folder = Path(server.folder)
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, how)
        except ProcessLookupError:
            break
        if wait_until(lambda: _reaped(server), definition.stop_within):
            break
    definition.after_stop(folder)
    shutil.rmtree(folder, ignore_errors=True)


def running() -> list[Running]:
    """Return what `start` has noted."""
    return [Running(**json.loads(file.read_text())) for file in sorted(FOLDER.glob("*/running.json"))]


def _left_running(name: str) -> Running | None:
    """Return the server of this name that an earlier `start` has left running; forget one that has ended since."""
    for server in running():
        if server.folder == str(FOLDER / name):
            if server.alive:
                return server
            stop(server)
    return None


def _reaped(server: Running) -> bool:
    """Whether the server is gone; collects its exit status when it is our own child."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(server.pid, os.WNOHANG)
    return not server.alive


def _program(server: Server) -> str:
    """Return the path of the server's program; install its package when that is allowed."""
    found = server.find()
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        _install(server.package)
        found = server.find()
    if found is None:
        raise ServicesError(f"{server.name} is missing: install the package {server.package}")
    return found


def _install(package: str) -> None:
    """Install a Debian package without letting it start its service."""
    print(f"scripts/services: installing {package}", file=sys.stderr)
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        subprocess.run(["apt-get", "update", "-qq"], check=False, env=environment, stdout=subprocess.DEVNULL)
        subprocess.run(
            ["apt-get", "install", "-y", "-qq", package], check=False, env=environment, stdout=subprocess.DEVNULL
        )
    finally:
        if ours:
            policy.unlink()


def _interrupted(_signum: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
