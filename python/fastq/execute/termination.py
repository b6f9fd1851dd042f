"""Ending a run whose task was called off, from outside of its code.

In a process of a pool a signal does it. The core sends one only when the process can begin no other run (it has closed
the slot, see rust/core/src/pool/page.rs), and says so on the slot page. So a signal that finds this said is meant for
the run at hand, and any other, such as one that a terminal sends to the whole group, for the parent.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

__all__ = ["HEEDED", "Termination", "came_of_termination", "ends_run"]

HEEDED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR2)
"""Signals that do nothing in a child but end a run; others do there what they do in any process."""


class Termination(SystemExit):
    """Raised in a run that is to end because its task was called off.

    As `SystemExit` it passes what catches `Exception`: a task that repeats what failed does not repeat this.
    """


_MOST_CONTEXTS: Final = 20


def came_of_termination(error: BaseException) -> bool:
    """Tell whether an error is Termination, or was raised while that was on its way.

    It may come at any line, in the middle of a lock's release for instance, and code that cleans up after it may fail.
    """
    found: BaseException | None = error
    for _ in range(_MOST_CONTEXTS):
        if found is None or isinstance(found, Termination):
            break
        found = found.__context__
    return isinstance(found, Termination)


def ends_run(is_ending: Callable[[], bool]) -> Callable[[int, FrameType | None], None]:
    """Return a handler for signals that raises Termination when the run at hand is to end, and else does nothing.

    A handler and not SIG_IGN, which programs started by tasks would inherit.
    """

    def handle(number: int, _frame: FrameType | None) -> None:
        if is_ending():
            raise Termination(128 + number)

    return handle
