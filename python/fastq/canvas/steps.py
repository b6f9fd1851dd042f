"""What sending a canvas takes, as data: a stream of steps, made one by one as they are asked for.

A canvas says which calls it begins with, and what must be there before they are sent. It sends nothing: who drives the
stream decides whether the messages go to the broker in chunks (a client), through the outbox (a coroutine) or into the
Outcome of a run (a worker). See `canvas/sending.py`.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from fastq.app.protocol import App

__all__ = ["Call", "ChordSent", "ChordStart", "Step", "Steps", "Trail"]


class Call(NamedTuple):
    """A task is to be sent."""

    app: App
    task: Any
    """None when only its name is known here."""
    name: str
    args: Any
    kwargs: dict[str, Any]
    options: dict[str, Any]
    common: Any = None
    """The same object in calls of a group that differ in id, place and arguments alone, and have no option of their
    own; None: this call is like no other."""


class ChordStart(NamedTuple):
    """The size of a chord is known: to be noted before its last member, whose call comes next, is sent."""

    app: App
    group_id: str
    size: int
    body: dict[str, Any]
    """The signature of the body, frozen."""
    members: Any
    """The GroupResult of the header; kept where the body is to be given lists in lists."""


class ChordSent(NamedTuple):
    """All members of a chord are sent: where nobody counts them, somebody must look whether they have ended."""

    app: App
    members: Any
    body: Any


class Trail(NamedTuple):
    """The run that sends this has a result of many tasks among its children."""

    result: Any


Step = Call | ChordStart | ChordSent | Trail
Steps = Generator[Step, None, Any]
"""Steps; what the generator returns is the result of what is sent, None where nothing is."""
