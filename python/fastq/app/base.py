"""FastQ: the application. It wires the parts together and decides nothing."""

from __future__ import annotations

import os
import threading
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, cast

from fastq import later, signals
from fastq.app import builtins, checks, current, registry
from fastq.app.configuration import Configuration
from fastq.app.declaration import Declaration
from fastq.app.queues import Queues
from fastq.app.registry import TaskRegistry
from fastq.app.routes import Router
from fastq.app.sending import Sending
from fastq.app.task import Task
from fastq.backends import by_url
from fastq.canvas.signature import signature
from fastq.imports import import_from_cwd, symbol_by_name
from fastq.result import AsyncResult as Result
from fastq.result import GroupResult as Group
from fastq.result import ResultSet as Results
from fastq.signals import Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from types import TracebackType

    from fastq.app.protocol import App
    from fastq.backends.base import Backend
    from fastq.canvas.signature import Signature

__all__ = ["FastQ"]

AnyTask = Task[..., Any]
Self = TypeVar("Self", bound="FastQ")

# Found by name: what stands on a higher floor.
_WORKER = "fastq.worker:Worker"
_COMMAND_LINE = "fastq.cli.main:main"
_TESTING = "fastq.contrib.testing:Testing"


@later.lacks(later.APP)
class FastQ(Configuration, Declaration, Sending):
    """An application: its settings, its tasks, and its connections to broker and result store.

    Args:
        main: its name; stands for `__main__` in the names of tasks.
        broker: URL of the broker; the setting `broker_url`.
        backend: URL of the result store; the setting `result_backend`.
        include: modules that workers import; the setting `include`.
        set_as_current: whether it becomes the current app.
        namespace: prefix of its settings in the configuration source.
        strict_typing: whether calls are checked against the parameters of tasks.
        config_source: module, object or mapping with settings, as for `config_from_object`.
        config_source_silent: whether a source that does not exist is passed over.
        task_cls: base class of its tasks, or where to import it from.
        autofinalize: whether it is finalized when its tasks are first needed; else `finalize` must be called.
        changes: settings, by name.
        **settings: settings.
    """

    task_cls: type[Task[..., Any]] | str = Task
    finalized = False
    closed = False
    _backend: Backend | None = None
    _router: tuple[int, Router] | None = None

    def __init__(
        self,
        main: str | None = None,
        *,
        broker: str | None = None,
        backend: Any = None,
        include: Iterable[str] | str | None = None,
        set_as_current: bool = True,
        namespace: str | None = None,
        strict_typing: bool = True,
        config_source: Any = None,
        config_source_silent: bool = False,
        task_cls: type[Task[..., Any]] | str | None = None,
        autofinalize: bool = True,
        changes: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        """Make an application; nothing is read and nothing connected yet."""
        self.main = main
        self.set_as_current = set_as_current
        self.strict_typing = strict_typing
        self.autofinalize = autofinalize
        if task_cls is not None:
            self.task_cls = task_cls
        self.on_configure = Signal("app.on_configure")
        self.on_after_configure = Signal("app.on_after_configure", ("source",))
        self.on_after_finalize = Signal("app.on_after_finalize")
        self.registry = TaskRegistry()
        self._finalizing: dict[int, AbstractContextManager[Any]] = {}  # by process, as `_configuring`
        self._discoveries: list[Callable[[], object]] = []
        given = {"broker_url": broker, "result_backend": backend, "include": _listed(include)}
        preset = {**(changes or {}), **settings, **{key: value for key, value in given.items() if value is not None}}
        Sending.__init__(self)
        Configuration.__init__(self, preset, config_source, namespace, config_source_silent)
        current.remember_app(self)
        if set_as_current:
            self.set_current()

    # -------------------------------------------------------------------- tasks

    @property
    def tasks(self) -> TaskRegistry:
        """All tasks by name. Asking for them finalizes the app."""
        self.finalize(auto=True)
        return self.registry

    @cached_property
    def Task(self) -> type[Task[..., Any]]:  # noqa: N802 - Celery's name
        """The base class of this app's tasks."""
        base = cast("type[Task[..., Any]]", symbol_by_name(self.task_cls))
        attributes = {"_app": self, "abstract": True, "typing": self.strict_typing, "__module__": base.__module__}
        return type(base.__name__, (base,), attributes)

    def finalize(self, auto: bool = False) -> None:
        """Declare shared and built-in tasks and bind every task; done once.

        Raises:
            RuntimeError: `auto` is given, and the app was made with `autofinalize=False`.
        """
        if self.finalized:
            return
        with self._finalizing.setdefault(os.getpid(), threading.RLock()):
            if self.finalized:  # by another thread, meanwhile
                return  # type: ignore[unreachable]
            if auto and not self.autofinalize:
                raise RuntimeError("The app is not finalized: call finalize() once all tasks are declared.")
            # From here on it counts as finalized: what is declared while shared tasks are is bound right away.
            self.finalized = True
            builtins.declare(self)
            for declare in registry.shared_tasks():
                declare(self)
            for task in list(self.registry.values()):
                task.bind(self)
            self.on_after_finalize.send(sender=self)

    def autodiscover_tasks(
        self,
        packages: Iterable[str] | Callable[[], Iterable[str]],
        related_name: str | None = "tasks",
        force: bool = False,
    ) -> None:
        """Have the module `related_name` of each package imported: when a worker imports its own, or now by `force`."""
        if force:
            registry.autodiscover(packages, related_name)
        else:
            self._discoveries.append(lambda: registry.autodiscover(packages, related_name))

    def import_default_modules(self) -> None:
        """Import the modules of the settings `imports` and `include`, and what autodiscovery finds.

        Raises:
            ImportError: a module cannot be imported.
            ImproperlyConfigured: a setting names a serializer or compression that none of them has registered.
        """
        signals.import_modules.send(sender=self)
        for module in dict.fromkeys((*_listed(self.conf.imports, ()), *_listed(self.conf.include, ()))):
            import_from_cwd(module)
        while self._discoveries:
            self._discoveries.pop(0)()
        checks.check_settings(self.conf)

    @property
    def current_task(self) -> AnyTask | None:
        """The task that runs here, or None."""
        return current.get_current_task()

    @property
    def current_worker_task(self) -> AnyTask | None:
        """The task that a worker runs here, or None; tasks that it calls as functions do not count."""
        return current.get_current_worker_task()

    # ------------------------------------------------------------------ calling

    def signature(
        self, task: Any, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> Signature[Any]:
        """Return a call of a task, given as one or by name, as data."""
        return signature(task, args, kwargs, app=self, **options)

    @cached_property
    def queues(self) -> Queues:
        """The queues of the settings."""
        return Queues.from_settings(self.conf)

    @property
    def router(self) -> Router:
        """What decides where a call goes: the setting `task_routes`. Made anew when a setting has changed."""
        conf = self.conf
        if self._router is None or self._router[0] != conf.revision:
            self._router = conf.revision, Router(conf.task_routes, self.queues, conf.task_default_queue)
        return self._router[1]

    def select_queues(self, queues: Iterable[str] | str | None = None) -> None:
        """Consume only these queues."""
        self.queues.select(queues)

    # ------------------------------------------------------------------ results

    @property
    def backend(self) -> Backend:
        """The result backend; made on first use."""
        if self._backend is not None:
            return self._backend
        # Of two that threads make at once one is kept.
        made: Backend = self.__dict__.setdefault("_backend", by_url(self.conf.result_backend, app=self))
        return made

    @backend.setter
    def backend(self, backend: Backend | None) -> None:
        self.__dict__.pop("_backend", None)
        if backend is not None:
            self._backend = backend

    def AsyncResult(self, task_id: str, **options: Any) -> Result[Any]:  # noqa: N802 - Celery's name
        """Return the result of the task with that id."""
        return Result(task_id, app=self, **options)

    def GroupResult(self, id: str | None = None, results: Any = None, **options: Any) -> Group[Any]:  # noqa: A002, N802
        """Return the result of the group with that id and these members."""
        return Group(id, results, app=self, **options)

    def ResultSet(self, results: Iterable[Any], **options: Any) -> Results[Any]:  # noqa: N802 - Celery's name
        """Return these results as one."""
        return Results(results, app=self, **options)

    # ----------------------------------------------------------------- programs

    @property
    def Worker(self) -> Any:  # noqa: N802 - Celery's name
        """The worker's class."""
        return symbol_by_name(_WORKER)

    def worker_main(self, argv: Sequence[str] | None = None) -> Any:
        """Run a worker of this app; `argv` is what follows the command's name: `["worker", "-c", "4"]`."""
        return self.start(["worker"] if argv is None else argv)

    def start(self, argv: Sequence[str] | None = None) -> Any:
        """Run the command line for this app."""
        return symbol_by_name(_COMMAND_LINE)(argv=None if argv is None else list(argv), app=self)

    @cached_property
    def testing(self) -> Any:
        """What tests use: it knows what was sent, turns the clock and runs what is due. See `fastq.contrib.testing`."""
        return symbol_by_name(_TESTING)(self)

    def set_current(self) -> None:
        """Make this the current app."""
        current.set_current_app(self)

    def set_default(self) -> None:
        """Make this the app that is current where no other was made current."""
        current.set_default_app(self)

    def close(self) -> None:
        """Let go of the connections; they come back when they are used again."""
        self.closed = True
        testing = self.__dict__.pop("testing", None)
        if testing is not None:
            testing.close()
        backend = self.__dict__.pop("_backend", None)
        Sending.close(self)
        for watcher in getattr(backend, "watchers", {}).values():
            watcher.close()
        close = getattr(backend, "close", None)
        if close is not None:
            close()

    def __enter__(self: Self) -> Self:  # noqa: PYI019 - typing has Self from 3.11 on
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.main or '__main__'} at {id(self):#x}>"


def _listed(value: Any, empty: Any = None) -> Any:
    """Return a text as a list of one."""
    if not value:
        return empty
    return [value] if isinstance(value, str) else list(value)


current.set_default_factory(lambda: cast("App", FastQ("default", set_as_current=False)))
