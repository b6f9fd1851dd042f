"""What was measured, and on what."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from environment import python_of
from sides import SIDES


@cache
def machine() -> str:
    """Return one line on the machine and the server."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in line
    ]
    redis = subprocess.run(["redis-server", "--version"], check=True, capture_output=True, text=True).stdout
    version = next(word.removeprefix("v=") for word in redis.split() if word.startswith("v="))
    kernel = f"{platform.system()} {platform.release()}"
    return f"{len(models)} × {models[0]}, {kernel}, Python {platform.python_version()}, Redis {version}"


def versions(sides: Sequence[str]) -> dict[str, str]:
    """Return the version of each side's library."""
    return {side: _version(SIDES[side].environment, SIDES[side].package) for side in sides}


@cache
def _version(environment: str, package: str) -> str:
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    done = subprocess.run([str(python_of(environment)), "-c", code], check=True, capture_output=True, text=True)
    return done.stdout.strip()
