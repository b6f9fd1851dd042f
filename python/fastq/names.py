"""Node names (`fastq@host`), and the `%` codes in node names, log files and pid files.

In a node name (`-n`): `%h` full host name, `%n` its first part, `%d` its domain.
In a file name: `%p` full node name, `%n` its part before the `@`, `%h` the host after it, `%d` that host's domain,
`%i` the index of the pool process (0 in the main process), `%I` the same with a leading `-`, empty in the main process.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "DEFAULT_NODE",
    "anonymous_node",
    "default_node",
    "expand",
    "expand_file",
    "expand_host",
    "host_name",
    "node_name",
    "per_process",
    "split_node",
]

DEFAULT_NODE: Final = "fastq"
"""The part before the `@` when none is given. Not Celery's, so that a worker of each may run on one host."""

_CODE: Final = re.compile(r"%(.)")


@lru_cache(maxsize=1)
def host_name() -> str:
    """Return this machine's name; asked once."""
    return os.uname().nodename  # what `socket.gethostname` returns, without importing socket


def node_name(name: str, host: str) -> str:
    """Return the node name of `name` on `host`: `name@host`."""
    return f"{name}@{host}"


def split_node(node: str) -> tuple[str | None, str]:
    """Return name and host of a node; the name is None when there is no `@`."""
    name, at, host = node.partition("@")
    return (name, host) if at else (None, name)


def default_node(node: str | None = None) -> str:
    """Return a whole node name from what the user gave: nothing, a name, `name@` or `name@host`, `%` codes expanded.

    A text without `@` is a host, as in Celery: `default_node("web1")` is `fastq@web1`.
    """
    name, host = split_node(node or "")
    return expand_host(node_name(name or DEFAULT_NODE, host or host_name()))


def anonymous_node() -> str:
    """Return the node name of a process that is no worker, such as one that calls tasks: `gen1234@host`."""
    return node_name(f"gen{os.getpid()}", host_name())


def expand(text: str, codes: Mapping[str, str | Callable[[], str]]) -> str:
    """Return `text` with `%x` replaced by `codes["x"]`; `%%` is a percent sign, an unknown code stays as it is."""

    def value(match: re.Match[str]) -> str:
        code = match.group(1)
        if code == "%":
            return "%"
        found = codes.get(code)
        if found is None:
            return match.group(0)
        return found if isinstance(found, str) else found()

    return _CODE.sub(value, text) if "%" in text else text


def expand_host(text: str, host: str | None = None) -> str:
    """Return `text` with the codes of a node name replaced."""
    host = host or host_name()
    first, _, domain = host.partition(".")
    return expand(text, {"h": host, "n": first, "d": domain})


def expand_file(text: str, node: str, index: int | None = None) -> str:
    """Return the name of a log, pid or state file with its codes replaced.

    Args:
        text: what the user gave, such as `/var/log/%n%I.log`.
        node: full node name.
        index: of the pool process; None or 0 in the main process.
    """
    name, host = split_node(node)
    _, _, domain = host.partition(".")
    codes = {
        "p": node,
        "n": name if name is not None else host,
        "h": host,
        "d": domain,
        "i": str(index or 0),
        "I": f"-{index}" if index else "",
    }
    return expand(text, codes)


def per_process(text: str) -> bool:
    """Tell whether a file name differs from one pool process to the next."""
    return any(code in "iI" for code in _CODE.findall(text))
