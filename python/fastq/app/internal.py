"""The queue of an app's own built-in tasks, which every worker of it takes from beside its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastq.app.protocol import App

__all__ = ["internal_queue"]


def internal_queue(app: App) -> str:
    """Return the name of the queue of the app's own built-in tasks."""
    return f"{app.conf.task_default_queue}.fastq"
