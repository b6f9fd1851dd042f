"""Results as files: `file:///directory`, one file per task, named as Celery names it.

# Format

`celery-task-meta-{task id}` holds the document of `backends/document.py` and nothing else. The files belong to their
writer alone (mode 0600) and appear whole: each is written under another name first and then moved.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from fastq._seam import Record
from fastq.backends.base import Backend, Capability
from fastq.backends.document import JSON, PICKLE
from fastq.exceptions import BackendStoreError, ImproperlyConfigured, SecurityError, SerializationError
from fastq.serialization import content_type_of
from fastq.states import SUCCESS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fastq.app.protocol import App

__all__ = ["FilesystemBackend"]

_PREFIX: Final = "celery-task-meta-"
_HALF_WRITTEN: Final = ".fastq-"
_HALF_WRITTEN_SECONDS: Final = 3600.0
"""After so long nobody is writing such a file any more."""
_LONGEST_NAME: Final = 200
_counter: Final = itertools.count()


class FilesystemBackend(Backend):
    """Results in a directory."""

    capability = Capability(expires=True)

    def __init__(self, app: App, url: str) -> None:
        """Read the directory from the URL; it is made at the first write, but none that it lies in.

        Raises:
            ImproperlyConfigured: it can be no directory. Said now, for a reader would take it for an empty one.
        """
        super().__init__(app, url)
        self.directory = _directory(url)
        if not self.directory.parent.is_dir():
            raise ImproperlyConfigured(
                f"result_backend is {url!r}, but there is no directory {str(self.directory.parent)!r} to make it in."
            )
        if self.directory.exists() and not self.directory.is_dir():
            raise ImproperlyConfigured(f"result_backend is {url!r}, but that is no directory.")

    def save(self, records: Sequence[Record]) -> None:
        """Write records."""
        for record in records:
            if not self._has_succeeded(record.task_id):
                self._write(self._path(record.task_id), record)

    def _has_succeeded(self, task_id: str) -> bool:
        try:
            known = self._read(task_id)
        except (SerializationError, SecurityError, ValueError):
            return False  # damaged, or written by someone whose format is not accepted here
        return known is not None and known.state == SUCCESS

    def _write(self, path: Path, record: Record) -> None:
        part = self.directory / f"{_HALF_WRITTEN}{os.getpid()}-{next(_counter)}"
        try:
            try:
                file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileNotFoundError:
                self.directory.mkdir(mode=0o700, exist_ok=True)
                file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                with open(file, "wb") as stream:
                    stream.write(record.body)
                os.replace(part, path)
            except BaseException:
                part.unlink(missing_ok=True)
                raise
        except (PermissionError, NotADirectoryError, FileExistsError, FileNotFoundError) as error:
            raise ImproperlyConfigured(
                f"result_backend is {self.url!r}, but nothing can be written in that directory: {error.strerror}."
            ) from error
        except OSError as error:
            raise BackendStoreError(
                f"The result could not be written to {path}: {error.strerror}.",
                state=record.state,
                task_id=record.task_id,
            ) from error

    def load(self, task_ids: Sequence[str]) -> list[Record | None]:
        """Return the records of these tasks."""
        return [self._read(task_id) for task_id in task_ids]

    def _read(self, task_id: str) -> Record | None:
        path = self._path(task_id)
        try:
            with path.open("rb") as stream:
                if self._has_expired(os.fstat(stream.fileno()).st_mtime):
                    return None
                body = stream.read()
        except FileNotFoundError:
            return None
        except (PermissionError, NotADirectoryError) as error:
            raise ImproperlyConfigured(
                f"result_backend is {self.url!r}, but {path} cannot be read: {error.strerror}."
            ) from error
        record = Record(task_id, "", self._content_type(body), body)
        return record._replace(state=self.decode(record)["status"])

    def _content_type(self, body: bytes) -> str:
        """Return the format of a file, which says so only by how it begins."""
        if body.startswith(b"{"):
            return JSON
        if body.startswith(b"\x80") and body[1:2] in {b"\x02", b"\x03", b"\x04", b"\x05"}:
            return PICKLE
        return content_type_of(self.app.conf.result_serializer)

    def forget(self, task_ids: Sequence[str]) -> None:
        """Delete the files of these tasks."""
        for task_id in task_ids:
            self._path(task_id).unlink(missing_ok=True)

    def clean(self) -> int:
        """Delete files that have expired, and what a writer that died has left."""
        count = 0
        for entry in self._entries():
            try:
                age = time.time() - entry.stat().st_mtime
                if entry.name.startswith(_PREFIX) and self._has_expired(entry.stat().st_mtime):
                    os.unlink(entry.path)
                    count += 1
                elif entry.name.startswith(_HALF_WRITTEN) and age > _HALF_WRITTEN_SECONDS:
                    os.unlink(entry.path)
            except FileNotFoundError:
                continue  # another process cleans too
        return count

    def _entries(self) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(self.directory) as entries:
                yield from entries
        except FileNotFoundError:
            return

    def _has_expired(self, written_at: float) -> bool:
        expires = self.expires_seconds
        return expires is not None and written_at + expires < time.time()

    def _path(self, task_id: str) -> Path:
        """Return the file of a task. An id comes from outside: no part of it may lead out of the directory."""
        name = quote(task_id, safe="", errors="backslashreplace")
        if len(name) > _LONGEST_NAME:
            name = hashlib.sha256(name.encode()).hexdigest()
        return self.directory / f"{_PREFIX}{name}"


def _directory(url: str) -> Path:
    """Return the directory that a URL names: `file:///dir`, `file://localhost/dir`, `file://relative/dir`."""
    path = url.partition("://")[2]
    if path.startswith("localhost/"):
        path = path.removeprefix("localhost")
    if not path:
        raise ImproperlyConfigured(
            f"result_backend is {url!r}, which names no directory: write file:///path/to/directory."
        )
    return Path(path)
