"""The states a task's result can have, and which of two is the later one.

========== ===== ========= ==========================================================================
state      ready exception meaning
========== ===== ========= ==========================================================================
PENDING                    nothing is known of the task: it waits, or there is no such task
RECEIVED                   a worker has it (events only, never stored)
STARTED                    it runs; stored only with `task_track_started`
SUCCESS    yes             it returned
FAILURE    yes   yes       it raised, was lost, or ran out of time
REVOKED    yes   yes       it was called off
RETRY            yes       it raised and waits for another try
REJECTED                   it was rejected (events and the worker's own book-keeping)
IGNORED                    it asked to be ignored (the worker's own book-keeping)
========== ===== ========= ==========================================================================

Any other text is a custom state, written by `Task.update_state`.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "ALL_STATES",
    "EXCEPTION_STATES",
    "FAILURE",
    "IGNORED",
    "NONE_PRECEDENCE",
    "PENDING",
    "PRECEDENCE",
    "PRECEDENCE_LOOKUP",
    "PROPAGATE_STATES",
    "READY_STATES",
    "RECEIVED",
    "REJECTED",
    "RETRY",
    "REVOKED",
    "STARTED",
    "SUCCESS",
    "UNREADY_STATES",
    "precedence",
    "state",
]

PENDING: Final = "PENDING"
RECEIVED: Final = "RECEIVED"
STARTED: Final = "STARTED"
SUCCESS: Final = "SUCCESS"
FAILURE: Final = "FAILURE"
REVOKED: Final = "REVOKED"
REJECTED: Final = "REJECTED"
RETRY: Final = "RETRY"
IGNORED: Final = "IGNORED"

READY_STATES: Final = frozenset({SUCCESS, FAILURE, REVOKED})
UNREADY_STATES: Final = frozenset({PENDING, RECEIVED, STARTED, REJECTED, RETRY})
EXCEPTION_STATES: Final = frozenset({RETRY, FAILURE, REVOKED})
PROPAGATE_STATES: Final = frozenset({FAILURE, REVOKED})
ALL_STATES: Final = frozenset({PENDING, RECEIVED, STARTED, SUCCESS, FAILURE, RETRY, REVOKED})

PRECEDENCE: Final[tuple[str | None, ...]] = (
    SUCCESS,
    FAILURE,
    None,
    REVOKED,
    STARTED,
    RECEIVED,
    REJECTED,
    RETRY,
    PENDING,
)
"""From the most final to the least; None stands for unknown and custom states."""

PRECEDENCE_LOOKUP: Final[dict[str | None, int]] = {name: position for position, name in enumerate(PRECEDENCE)}
NONE_PRECEDENCE: Final = PRECEDENCE_LOOKUP[None]


def precedence(state: str | None) -> int:
    """Return how final a state is: 0 is final, higher comes earlier in a task's life."""
    return PRECEDENCE_LOOKUP.get(state, NONE_PRECEDENCE)


class state(str):  # noqa: N801 - Celery's name
    """A state that compares by precedence: `state("STARTED") > state("PENDING")`."""

    __slots__ = ()

    def __gt__(self, other: str) -> bool:
        return precedence(self) < precedence(other)

    def __ge__(self, other: str) -> bool:
        return precedence(self) <= precedence(other)

    def __lt__(self, other: str) -> bool:
        return precedence(self) > precedence(other)

    def __le__(self, other: str) -> bool:
        return precedence(self) >= precedence(other)
