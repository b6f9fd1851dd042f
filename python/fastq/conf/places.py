"""Where the files lie that URLs name: `sqlite:///queue.db` counts from a directory, and keeps counting from it.

A process may change its working directory, and a task may too. So a relative path is made whole once, when the setting
is read, and every process that is forked later uses the same file.
"""

from __future__ import annotations

import os
import re
from typing import Any, Final

__all__ = ["SETTINGS", "shortened", "whole", "working_directory"]

SETTINGS: Final = frozenset({"broker_url", "broker_read_url", "broker_write_url", "result_backend"})
"""The settings that may name a file."""

_BETWEEN_URLS: Final = re.compile(r";(?=[^;/]*://)")
_SQLITE: Final = "sqlite:///"
_FILE: Final = "file://"


def working_directory() -> str | None:
    """Return the working directory; None when it has been removed."""
    try:
        return os.getcwd()
    except OSError:
        return None


def whole(url: Any, directory: str | None) -> Any:
    """Return a URL, or several with `;` between them, with relative paths of files made absolute.

    Args:
        url: anything; what names no file is returned as it is.
        directory: what relative paths count from; None, or one that cannot stand in a URL: they stay relative.
    """
    if not isinstance(url, str) or not (_SQLITE in url or _FILE in url) or directory is None or "?" in directory:
        return url
    return ";".join(_whole(part, directory) for part in _BETWEEN_URLS.split(url))


def _whole(url: str, directory: str) -> str:
    if url.startswith(_SQLITE):
        path = url[len(_SQLITE) :]
        # Without a name, or in memory: the core says what is wrong with that.
        if path and not path.startswith(("/", "?", ":")):
            return _SQLITE + os.path.join(directory, path)
    elif url.startswith(_FILE):
        path = url[len(_FILE) :]
        if path and not path.startswith(("/", "localhost/")):
            return _FILE + os.path.join(directory, path)
    return url


def shortened(url: str) -> str:
    """Return a URL for people: the path of a file below the working directory relative to it."""
    directory = working_directory()
    below = f"{directory}/"
    for scheme in (_SQLITE, _FILE):
        if directory and url.startswith(scheme + below):
            return scheme + url[len(scheme) + len(below) :]
    return url
