"""Calling off the task of a result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastq.app.protocol import App

__all__ = ["Revocable"]


class Revocable:
    """A result whose task can be called off."""

    id: str

    if TYPE_CHECKING:

        @property
        def app(self) -> App:
            """The app the task belongs to."""

    def revoke(
        self,
        connection: Any = None,  # noqa: ARG002 - Celery's
        terminate: bool = False,
        signal: str | int | None = None,
        wait: bool = False,
        timeout: float | None = None,  # noqa: ARG002 - Celery's
    ) -> None:
        """Call off the task; see `app.control.revoke`.

        Args:
            connection: accepted as Celery accepts it.
            terminate: also end its run, if it has begun.
            signal: sent to the process that runs it, in the prefork pool; SIGTERM by default.
            wait: wait for replies of workers; not part of this version.
            timeout: seconds to wait for them.

        Raises:
            ValueError: there is no such signal.
            NotSupported: `wait`.
            OperationalError: the broker could not be reached in time.
        """
        self.app.control.revoke(self.id, terminate=terminate, signal=signal or "SIGTERM", reply=wait)

    async def arevoke(self, *, terminate: bool = False, signal: str | int | None = None) -> None:
        """Call off the task from a coroutine; the event loop goes on meanwhile."""
        await self.app.control.arevoke(self.id, terminate=terminate, signal=signal or "SIGTERM")

    def revoke_by_stamped_headers(
        self,
        headers: Mapping[str, Any],
        connection: Any = None,  # noqa: ARG002 - Celery's
        terminate: bool = False,
        signal: str | int | None = None,
        wait: bool = False,
        timeout: float | None = None,  # noqa: ARG002 - Celery's
    ) -> None:
        """Call off every task that bears one of these stamps; arguments and errors as of `revoke`."""
        control = self.app.control
        control.revoke_by_stamped_headers(headers, terminate=terminate, signal=signal or "SIGTERM", reply=wait)
