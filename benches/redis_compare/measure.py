"""Take one figure of one side, in the environment of that side: measure.py ADAPTER PART PARAMETERS OUTPUT.

PARAMETERS is a JSON object, the keyword arguments of the part's function; OUTPUT is the file that gets what it returns.
The code is the same for all sides; what differs stands in the adapters, app_….py.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench import open_bench
from command import run
from part_backlog import backlog, bursts
from part_canvas import canvas, canvas_bytes
from part_capture import capture
from part_drain import drain, payload
from part_idle import idle
from part_latency import latency
from part_pools import share, sleepers, soak
from part_publish import publish

PARTS: dict[str, Callable[..., dict[str, Any]]] = {
    "backlog": backlog,
    "bursts": bursts,
    "canvas": canvas,
    "canvas_bytes": canvas_bytes,
    "capture": capture,
    "drain": drain,
    "idle": idle,
    "latency": latency,
    "payload": payload,
    "publish": publish,
    "share": share,
    "sleepers": sleepers,
    "soak": soak,
}


def main(arguments: Sequence[str]) -> None:
    """Take the figure."""
    adapter, part, parameters, output = arguments
    measured = take(adapter, part, **json.loads(parameters))
    Path(output).write_text(json.dumps(measured), encoding="utf-8")


def take(adapter: str, part: str, **parameters: Any) -> dict[str, Any]:
    """Return what a part measures, with the versions of what was measured."""
    memory = Path("/dev/shm")
    with (
        tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder,
        open_bench(adapter, Path(folder), parameters.pop("room")) as bench,
    ):
        try:
            return PARTS[part](bench, **parameters)
        except BaseException:
            sys.stderr.write(bench.worker_log())
            raise


if __name__ == "__main__":
    run(main)
