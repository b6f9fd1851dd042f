"""Where a task raised that ran in another process."""

from __future__ import annotations

__all__ = ["RemoteTraceback"]


class RemoteTraceback(Exception):  # noqa: N818 - it is no error but shows where one came from
    """Where the task raised, as the cause of what `get` raises."""

    def __init__(self, text: str) -> None:
        """Keep the worker's traceback."""
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"\n\n{self.text}"
