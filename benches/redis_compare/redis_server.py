"""The private Redis of a run: scripts/servers.py knows how one is started."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from servers import SERVERS, free_port, wait_until


@contextmanager
def private_redis() -> Iterator[str]:
    """Start a Redis of our own that keeps nothing on disk; yield its address; stop it.

    Raises:
        RuntimeError: redis-server is not installed, or does not answer.
    """
    redis = SERVERS["redis"]
    program = redis.find()
    if program is None:
        raise RuntimeError("redis-server is missing: install the package redis-server")
    port = free_port()
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "wb") as nowhere:
        command, _ = redis.command(program, Path(folder), port)
        server = subprocess.Popen(command, stdout=nowhere, stderr=nowhere, cwd=folder, start_new_session=True)
        try:
            if not wait_until(lambda: redis.answers(port), 10, lambda: server.poll() is None):
                raise RuntimeError(f"redis-server did not answer on port {port} within 10 s")
            yield redis.url(port)
        finally:
            server.terminate()
            server.wait()
