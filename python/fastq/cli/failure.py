"""Errors as one line on standard error, with what to do, and an exit code (sysexits.h)."""

from __future__ import annotations

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

__all__ = ["EXIT_CANNOT_CREATE", "EXIT_FAILURE", "EXIT_NOT_YET", "EXIT_UNAVAILABLE", "Failure", "as_failure"]

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


def as_failure(error: BaseException) -> Failure | None:
    """Return how an error is shown to whoever typed the command; None: it is a bug and wants its traceback."""
    message = str(error)
    if isinstance(error, LockFailed):
        return Failure(message, EXIT_CANNOT_CREATE)
    if isinstance(error, (OperationalError, AccessRefused, ConnectionClosed, TimeoutError)):
        return Failure(hide_password(message), EXIT_UNAVAILABLE)
    if isinstance(error, FastQError):
        return Failure(message or type(error).__name__)
    if isinstance(error, ImportError):
        return Failure(f"A module cannot be imported: {message}.")
    if isinstance(error, (PermissionError, FileNotFoundError, FileExistsError, IsADirectoryError)):
        return Failure(f"{error.filename}: {error.strerror}.", EXIT_CANNOT_CREATE)
    return None
