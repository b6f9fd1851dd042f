"""Tasks by name: an app's own, those shared by all apps, and finding the modules that define them."""

from __future__ import annotations

import inspect
import threading
from typing import TYPE_CHECKING, Any, Final

from fastq.exceptions import InvalidTaskError, NotRegistered
from fastq.imports import find_related_module

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import ModuleType

    from fastq.app.protocol import App
    from fastq.app.task import Task

__all__ = ["TaskRegistry", "autodiscover", "share", "shared_tasks"]


class TaskRegistry(dict[str, "Task[..., Any]"]):
    """The tasks of an app by name."""

    NotRegistered = NotRegistered

    def __missing__(self, name: str) -> Task[..., Any]:
        raise NotRegistered(name)

    def register(self, task: Task[..., Any] | type[Task[..., Any]]) -> None:
        """Add a task, given as one or as its class."""
        made: Task[..., Any] = task() if inspect.isclass(task) else task
        if not made.name:
            raise InvalidTaskError(f"Task class {type(made).__name__!r} must specify .name attribute")
        self[made.name] = made

    def unregister(self, name: str | Task[..., Any]) -> None:
        """Remove a task, given by name or as one.

        Raises:
            NotRegistered: there is no such task.
        """
        key = name if isinstance(name, str) else name.name
        if key not in self:
            raise NotRegistered(key)
        del self[key]

    def regular(self) -> Iterator[tuple[str, Task[..., Any]]]:
        """Iterate over names and tasks, the built-in ones left out."""
        return ((name, task) for name, task in self.items() if not name.startswith("celery."))


_shared: Final[list[Callable[[App], Any]]] = []
_shared_lock: Final = threading.Lock()


def share(declare: Callable[[App], Any]) -> None:
    """Have `declare` called with every app that is finalized from now on."""
    with _shared_lock:
        _shared.append(declare)


def shared_tasks() -> list[Callable[[App], Any]]:
    """Return what declares the shared tasks in an app."""
    with _shared_lock:
        return list(_shared)


def autodiscover(
    packages: Iterable[str] | Callable[[], Iterable[str]], related_name: str | None = "tasks"
) -> list[ModuleType]:
    """Import the module `related_name` of each package, where there is one, and return those found.

    Args:
        packages: names of packages, or a function that returns them.
        related_name: of the module; None imports the packages themselves.

    Raises:
        ImportError: a package does not exist, or a found module cannot be imported.
    """
    names = packages() if callable(packages) else packages
    names = [names] if isinstance(names, str) else names
    return [module for name in names if (module := find_related_module(name, related_name)) is not None]
