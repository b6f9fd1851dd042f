"""A call that may hang, in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Call(threading.Thread):
    """A call under way.

    Args:
        function: what is called.
    """

    def __init__(self, function: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self._function = function
        self.value: object = None
        """What it has returned."""
        self.error: Exception | None = None
        """What it has raised."""
        self.seconds = 0.0
        """How long it took."""
        self.start()

    def run(self) -> None:
        """Call."""
        began = time.monotonic()
        try:
            self.value = self._function()
        except Exception as error:
            self.error = error
        self.seconds = time.monotonic() - began

    def end(self, *, limit: float) -> Call:
        """Return it when it has ended; a call that hangs fails the test.

        Args:
            limit: seconds.
        """
        self.join(limit)
        assert not self.is_alive(), f"the call hangs: it has not ended within {limit:g} s"
        return self
