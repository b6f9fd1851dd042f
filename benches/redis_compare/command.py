"""What the programs of the comparisons share: options, cores, an end, and figures taken in processes of their own."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from environment import CLONE, python_of

LIMIT = 600
"""Seconds for one figure."""
CORES = 2


def run(main: Callable[[Sequence[str]], int | None]) -> NoReturn:
    """Run a program, and exit with what it returns; one that is told to end stops what it has started first."""
    signal.signal(signal.SIGTERM, _ended)
    sys.exit(main(sys.argv[1:]))


def stay_on_cores() -> None:
    """Keep this process, and all that it starts, on the cores that everybody has."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])


def parser(
    program: str, description: str | None, parts: Collection[str], sides: Collection[str], server: str
) -> argparse.ArgumentParser:
    """Return the options of a comparison.

    Args:
        program: its name.
        description: what it does.
        parts: what it can measure.
        sides: whom.
        server: the name of the folder for what it writes.
    """
    options = argparse.ArgumentParser(prog=program, description=description)
    for flag, known in (("--parts", parts), ("--sides", sides)):
        options.add_argument(flag, type=_names(known), default=list(known), help=f"of {','.join(known)} [all]")
    options.add_argument("--rounds", type=int, default=5, help="[5]")
    options.add_argument("--scale", type=float, default=1.0, help="factor for counts and times [1]")
    output = CLONE / "benches/results/latest" / server
    options.add_argument("--output", type=Path, default=output, help="folder [%(default)s]")
    return options


def activated(name: str) -> dict[str, str]:
    """Return the variables of a process in one of the environments, as if that were activated."""
    return {**os.environ, "PATH": f"{python_of(name).parent}{os.pathsep}{os.environ['PATH']}"}


def take(
    name: str, program: Path, arguments: Sequence[str], output: Path, variables: Mapping[str, str]
) -> dict[str, Any]:
    """Return the figure that a program takes, and writes into the file that is its last argument.

    Args:
        name: of the environment that it runs in.
        program: it.
        arguments: its others.
        output: that file.
        variables: of its process.

    Raises:
        subprocess.SubprocessError: it could not be taken; standard error says why.
    """
    command: list[str | Path] = [python_of(name), program, *arguments, output]
    with subprocess.Popen(command, env=variables, stdout=sys.stderr) as process:
        try:
            code = process.wait(LIMIT)
        except BaseException:
            process.terminate()
            raise
    if code:
        raise subprocess.CalledProcessError(code, command)
    figure: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
    return figure


def _names(known: Collection[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        if unknown := [name for name in text.split(",") if name not in known]:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(known)}")
        return text.split(",")

    return parse


def _ended(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(143)
