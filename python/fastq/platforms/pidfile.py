"""Pid files: a file that holds the process id of a running program, so that it runs once and can be found.

The file is written under another name and then linked to its own, which either makes it whole or finds it there: two
programs that start together cannot both believe to be first, and nobody reads half a number.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

from fastq.exceptions import LockFailed

__all__ = ["PidFile", "is_alive"]


def is_alive(pid: int) -> bool:
    """Tell whether a process of that id exists (another user's too)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    except OverflowError:
        return False
    return True


class PidFile:
    """A pid file, held while the program runs; also a context manager.

    Args:
        path: where it lies.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Keep the path; nothing is written yet."""
        self.path = Path(path)
        self._holder: int | None = None

    def acquire(self) -> None:
        """Write the file.

        Raises:
            LockFailed: a living process holds it, or it cannot be written; says which and why.
        """
        if self.path.is_dir():
            raise LockFailed(f"The pid file {str(self.path)!r} is a directory: name a file in it.")
        for _ in range(3):
            if self._create():
                self._holder = os.getpid()
                return
            pid = self.read()
            if pid is not None and pid != os.getpid() and is_alive(pid):
                raise LockFailed(f"The pid file {str(self.path)!r} is held by process {pid}, which is alive.")
            self._remove_stale()
        raise LockFailed(f"The pid file {str(self.path)!r} is taken by others again and again.")

    def _create(self) -> bool:
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            with temporary.open("w", encoding="ascii") as file:
                file.write(f"{os.getpid()}\n")
                file.flush()
                os.fsync(file.fileno())
            os.link(temporary, self.path)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno in {errno.EPERM, errno.ENOTSUP, errno.ENOSYS}:
                return self._create_without_link()
            raise LockFailed(f"Cannot write the pid file {str(self.path)!r}: {error.strerror}.") from error
        finally:
            temporary.unlink(missing_ok=True)
        return True

    def _create_without_link(self) -> bool:
        """Write the file on a file system without hard links."""
        try:
            with self.path.open("x", encoding="ascii") as file:
                file.write(f"{os.getpid()}\n")
        except FileExistsError:
            return False
        except OSError as error:
            raise LockFailed(f"Cannot write the pid file {str(self.path)!r}: {error.strerror}.") from error
        return True

    def read(self) -> int | None:
        """Return the process id in the file; None when there is no file, or no number in it."""
        try:
            return int(self.path.read_text(encoding="ascii").strip())
        except (OSError, ValueError):
            return None

    def _remove_stale(self) -> None:
        self.path.unlink(missing_ok=True)

    def release(self) -> None:
        """Remove the file if this process wrote it. A forked child does not."""
        if self._holder == os.getpid() and self.read() == self._holder:
            self._remove_stale()
        self._holder = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()
