"""The application as the floors below it know it.

Tasks, signatures, results, backends and executors refer to the app through this protocol, never to `FastQ` itself:
imports go down, and this is the one look-up that goes up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence
    from datetime import datetime, tzinfo

    from fastq.app.control import Control
    from fastq.app.outbox import Outbox
    from fastq.app.queues import Queues
    from fastq.app.registry import TaskRegistry
    from fastq.app.routes import Router
    from fastq.backends.base import Backend
    from fastq.canvas.signature import Signature
    from fastq.conf.settings import Settings
    from fastq.result import AsyncResult
    from fastq.signals import Signal

__all__ = ["App", "Publisher"]


class Publisher(Protocol):
    """What sends messages: `_core.Producer`, or what a test puts in its place."""

    def declare(self, queues: Sequence[Any], /) -> None:
        """Declare queues and their bindings."""

    def publish(
        self, route: Any, headers: bytes, properties: bytes, body: bytes, /, timeout: float | None = None
    ) -> str | None:
        """Send one message, which may be confirmed behind the call (`flush`).

        Returns:
            The id of the call in whose favour a unique one was not sent.
        """

    def publish_many(
        self, messages: Sequence[Any], /, timeout: float | None = None, together: bool = True
    ) -> Sequence[tuple[int, str]] | None:
        """Send messages together, confirmed; return place and holder of unique ones that were not sent.

        With `together`, one of them keeps all from being sent.
        """

    def holds(self, text: str, /) -> bool:
        """Tell whether a message that waits or is held by a worker has this text in it; True if in doubt."""

    def flush(self, timeout: float | None = None) -> None:
        """Wait until all that was sent is confirmed."""

    def close(self) -> None:
        """Let the connection go, after `flush`: what is not confirmed is sent again, over a new one."""


class App(Protocol):
    """What the parts of fastq may ask of the application they belong to."""

    main: str | None
    """The name given to the app; it stands for `__main__` in task names."""

    on_configure: Signal
    on_after_configure: Signal
    on_after_finalize: Signal

    @property
    def conf(self) -> Settings:
        """The settings; read from their source on first use."""

    @property
    def tasks(self) -> MutableMapping[str, Any]:
        """All tasks by name; finalizes the app."""

    @property
    def registry(self) -> TaskRegistry:
        """The tasks declared so far; does not finalize the app."""

    @property
    def declared(self) -> set[str]:
        """Names of the queues that the app's producer has declared."""

    @property
    def Task(self) -> type[Any]:  # noqa: N802 - Celery's name
        """The base class of this app's tasks."""

    @property
    def backend(self) -> Backend:
        """The result backend; made on first use."""

    @property
    def producer(self) -> Publisher:
        """The connection that tasks are published on; made on first use."""

    @property
    def control(self) -> Control:
        """What calls off tasks."""

    @property
    def outbox(self) -> Outbox:
        """What publishes for coroutines."""

    @property
    def queues(self) -> Queues:
        """The queues that the settings define."""

    @property
    def router(self) -> Router:
        """What decides where a call goes."""

    @property
    def timezone(self) -> tzinfo:
        """The time zone of the settings."""

    @property
    def finalized(self) -> bool:
        """Whether every declared task has been bound."""

    @property
    def closed(self) -> bool:
        """Whether `close` has been called."""

    def now(self) -> datetime:
        """Return the present time in the app's time zone."""

    def finalize(self, auto: bool = False) -> None:
        """Bind every declared task."""

    def import_default_modules(self) -> None:
        """Import the modules of the settings `imports` and `include`, and what autodiscovery finds."""

    def send_task(
        self,
        name: str,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> AsyncResult[Any]:
        """Send a task by name."""

    async def asend_task(
        self,
        name: str,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> AsyncResult[Any]:
        """Send a task by name from a coroutine."""

    def AsyncResult(self, task_id: str, **options: Any) -> AsyncResult[Any]:  # noqa: N802 - Celery's name
        """Return the result of a task."""

    def signature(self, task: Any, *args: Any, **options: Any) -> Signature[Any]:
        """Return a signature bound to this app."""

    def set_current(self) -> None:
        """Make this the current app."""

    def autodiscover_tasks(self, packages: Any, related_name: str | None = "tasks", force: bool = False) -> None:
        """Find the task modules of these packages."""

    def register_task(self, task: Any, **options: Any) -> Any:
        """Register a task object or class."""

    def gen_task_name(self, name: str, module: str) -> str:
        """Return the name of a task that was given none."""

    def close(self) -> None:
        """Let go of connections."""
