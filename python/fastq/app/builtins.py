"""The tasks that every app has (inventory §1.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastq.app.protocol import App

__all__ = ["declare"]


def declare(app: App) -> None:
    """Declare the built-in tasks in an app."""
    from fastq.app.declaration import make_task

    def backend_cleanup() -> None:
        """Remove results that have expired, in backends that do not do so themselves."""
        app.backend.cleanup()

    make_task(app, backend_cleanup, {"name": "celery.backend_cleanup", "ignore_result": True})
