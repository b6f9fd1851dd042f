"""Errors as one line on standard error, with what to do, and an exit code (sysexits.h)."""

from __future__ import annotations

import re
from typing import IO, Any, Final

import click

from fastq.exceptions import (
    AccessRefused,
    ConnectionClosed,
    FastQError,
    LockFailed,
    OperationalError,
)
from fastq.text import hide_password

__all__ = [
    "EXIT_CANNOT_CREATE",
    "EXIT_FAILURE",
    "EXIT_NOT_YET",
    "EXIT_UNAVAILABLE",
    "Failure",
    "as_failure",
    "explained",
]

EXIT_FAILURE: Final = 1
EXIT_UNAVAILABLE: Final = 69
EXIT_CANNOT_CREATE: Final = 73
EXIT_NOT_YET: Final = 75


class Failure(click.ClickException):
    """A line on standard error, and an exit code."""

    exit_code: int  # type: ignore[misc]  # click has it on the class; here every failure has its own

    def __init__(self, message: str, exit_code: int = EXIT_FAILURE) -> None:
        """Keep both; line breaks in the message become blanks."""
        super().__init__(" ".join(message.split()))
        self.exit_code = exit_code

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the line."""
        click.echo(f"Error: {self.message}", file=file, err=file is None)


_RESULTS: Final = ("read results", "store results", "look for results", "wait for results", "forget results")
"""What the core was about when the setting `result_backend` is the one to blame."""

_OPERATION: Final = re.compile(r"(?:[a-z]+ ){0,3}[a-z]+: (?=.)")
_ERRNO: Final = re.compile(r" \(os error [0-9]+\)")


def explained(message: str) -> str:
    """Return an error of the core for people: without what it was about, and with the setting that is to blame."""
    operation = _OPERATION.match(message)
    if operation is None:
        return _ERRNO.sub("", message)
    rest = message[operation.end() :]
    if message.startswith(_RESULTS):
        rest = rest.replace("broker_url", "result_backend")
    rest = _ERRNO.sub("", rest)
    # A name of a setting keeps its letters.
    return rest if "_" in rest.partition(" ")[0] else rest[:1].upper() + rest[1:]


def as_failure(error: BaseException) -> Failure | None:
    """Return how an error is shown to whoever typed the command; None: it is a bug and wants its traceback."""
    message = str(error)
    if isinstance(error, LockFailed):
        return Failure(message, EXIT_CANNOT_CREATE)
    if isinstance(error, (OperationalError, AccessRefused, ConnectionClosed, TimeoutError)):
        return Failure(hide_password(explained(message)), EXIT_UNAVAILABLE)
    if isinstance(error, FastQError):
        return Failure(explained(message) or type(error).__name__)
    if isinstance(error, ImportError):
        return Failure(f"A module cannot be imported: {message}.")
    if isinstance(error, (PermissionError, FileNotFoundError, FileExistsError, IsADirectoryError)):
        return Failure(f"{error.filename}: {error.strerror}.", EXIT_CANNOT_CREATE)
    return None
