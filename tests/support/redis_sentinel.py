"""A sentinel of a test's own: it watches over a redis-server, and makes its replica the master."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path
from typing import Any

from servers import SERVERS, free_port
from tests.support.redis_server import Line, RefusedError
from tests.support.wait import wait_for


class Sentinel:
    """A sentinel that decides alone.

    Args:
        folder: where it keeps its settings.
        port: of the server that it watches.
        name: of the master.
        down_after: milliseconds of silence after which the master counts as gone.
    """

    def __init__(self, folder: Path, port: int, name: str, down_after: int = 30_000) -> None:
        self.port = free_port()
        settings = folder / "sentinel.conf"
        settings.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {folder}\nsentinel monitor {name} 127.0.0.1 {port} 1\n"
            f"sentinel down-after-milliseconds {name} {down_after}\n"
        )
        self._process = subprocess.Popen(
            [str(SERVERS["redis"].find()), str(settings), "--sentinel"], stdout=subprocess.DEVNULL
        )
        wait_for(self._serves, "the sentinel")
        # It asks servers for their replicas and roles every ten seconds; before Redis 7 nothing can be done about that.
        with contextlib.suppress(RefusedError):
            self.do("SENTINEL", "DEBUG", "INFO-PERIOD", 1000, "PUBLISH-PERIOD", 500)

    def _serves(self) -> bool:
        try:
            return bool(self.do("PING") == b"PONG")
        except OSError:
            return False

    def do(self, *words: object) -> Any:
        """Return the answer to a command."""
        line = Line(self.port)
        try:
            return line.do(*words)
        finally:
            line.close()

    def kill(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()
