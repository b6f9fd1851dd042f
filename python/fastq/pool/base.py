"""What a pool is: the place where a worker's jobs run, as the worker knows it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

if TYPE_CHECKING:
    from fastq._core import Worker as Core
    from fastq.app.protocol import App

__all__ = ["ATTEND_SECONDS", "Pool", "PoolSettings"]

ATTEND_SECONDS: Final = 1.0
"""How long the main thread waits for Events at once. Signals and Events end the wait: this only bounds a mistake."""


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """How many slots, and when a child is replaced by a new one."""

    node: str
    concurrency: int
    processes: int = 1
    """Child processes, where each runs `concurrency` jobs at the same time."""
    least: int | None = None
    """With less to do there are fewer slots, down to so many; None: always as many."""
    max_tasks_per_child: int | None = None
    max_memory_per_child: int | None = None
    """KiB of resident memory, looked at after each job."""
    set_up_logging: Callable[[int], object] | None = None
    """Called with the child's index (from 1): opens a log file of its own where the name says `%i`."""


class Pool(ABC):
    """The slots of a worker. Made before the core, served by the main thread, closed after the core has stopped."""

    name: ClassVar[str]
    """What `-P` calls it."""

    inline: ClassVar[bool] = False
    """Jobs run on the main thread, so that a signal's handler must act by itself instead of leaving a note."""

    has_limits: ClassVar[bool] = False
    """Time limits are enforced."""

    gives_up_slots: ClassVar[bool] = False
    """A slot whose run passes its limit can be given up for another one."""

    takes_processes: ClassVar[bool] = False
    """`worker_processes` says how many children there are, `worker_concurrency` how many jobs each runs at once."""

    default_concurrency: ClassVar[int | None] = None
    """None: as many as there are processors."""
    most_concurrency: ClassVar[int] = 1024

    def __init__(self, app: App, settings: PoolSettings) -> None:
        """Make the pool; nothing runs yet."""
        self.app = app
        self.settings = settings

    @property
    def children(self) -> int:
        """Child processes that the core is to keep alive; 0: jobs run in this process."""
        return 0

    @property
    def most_children(self) -> int:
        """As many may there be when there is work for them."""
        return self.children

    @property
    def permits(self) -> int | None:
        """Jobs that a slot runs side by side; None: one at a time."""
        return None

    @property
    def slots(self) -> int:
        """Jobs that run at the same time, altogether."""
        return self.settings.concurrency

    def prepare(self) -> int | None:
        """Fork what must be forked before the core has threads; return the descriptor of the nursery, if there is one.

        Raises:
            OSError: the system has no more processes or descriptors.
        """
        return None

    @abstractmethod
    def serve(self, core: Core, attend: Callable[[float], bool]) -> None:
        """Park the main thread until the worker has stopped.

        Args:
            core: the running core.
            attend: sees to Events and signals, waiting at most so many seconds; returns whether to go on.
        """

    def limit_passed(self, slot: int, task_id: str, seconds: float, *, hard: bool) -> None:  # noqa: B027 - most need not
        """Act on a limit that the run of a task in a slot has passed, where the core cannot; on the main thread."""

    def terminated(self, slot: int, task_id: str) -> None:  # noqa: B027 - most need not
        """End the run of a task that is called off, where the core cannot; on the main thread."""

    def close(self) -> None:  # noqa: B027 - a pool in this process has nothing to reap
        """Reap what is left; nothing of the pool runs when this returns."""

    def info(self) -> dict[str, Any]:
        """Return what is to be known of it, for the remote command `stats`."""
        return {
            "implementation": f"{type(self).__module__}:{type(self).__qualname__}",
            "max-concurrency": self.settings.concurrency,
            **({"min-concurrency": self.settings.least} if self.settings.least is not None else {}),
            "max-tasks-per-child": self.settings.max_tasks_per_child or "N/A",
        }
