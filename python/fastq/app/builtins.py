"""The tasks that every app has (inventory §1.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastq.backends.chords import REFERENCE
from fastq.imports import symbol_by_name

if TYPE_CHECKING:
    from fastq.app.protocol import App

__all__ = ["ACCUMULATE", "declare"]

ACCUMULATE: Final = "celery.accumulate"


def declare(app: App) -> None:
    """Declare the built-in tasks in an app."""
    from fastq.app.declaration import make_task

    def backend_cleanup() -> None:
        """Remove results that have expired, in backends that do not do so themselves."""
        app.backend.cleanup()

    make_task(app, backend_cleanup, {"name": "celery.backend_cleanup", "ignore_result": True})
    for function, options in _canvas(app):
        make_task(app, function, options)


def _canvas(app: App) -> list[tuple[Any, dict[str, Any]]]:
    """Return what runs the parts of a canvas that are tasks."""
    from fastq.canvas import maybe_signature

    def xmap(task: Any, it: Any) -> list[Any]:
        """Call a task with each item."""
        run = maybe_signature(task, app)
        return [run(item) for item in it]

    def starmap(task: Any, it: Any) -> list[Any]:
        """Call a task with each row of items as its arguments."""
        run = maybe_signature(task, app)
        return [run(*row) for row in it]

    def accumulate(*args: Any, index: int | None = None) -> Any:
        """Return the arguments; or one of them."""
        return args if index is None else args[index]

    options = {"typing": False}
    return [
        (xmap, {"name": "celery.map", **options}),
        (starmap, {"name": "celery.starmap", **options}),
        (accumulate, {"name": ACCUMULATE, **options}),
        *_composed(app),
        *_chords(),
    ]


def _chords() -> list[tuple[Any, dict[str, Any]]]:
    """Return what ends chords. How, runs know, who stand on a higher floor."""

    def chord_release(self: Any, group_id: str, callback: Any = None, why: str = "") -> None:
        """Call the body of a chord whose members have ended, or fail it."""
        symbol_by_name("fastq.execute.release:release")(self, group_id, callback, why)

    def chord_body(self: Any, results: Any, **_: Any) -> None:
        """Call the body of a chord that a Celery worker has completed; the rest names the chords around it."""
        symbol_by_name("fastq.execute.release:stand_in")(self, results)

    def chord_unlock(
        self: Any,
        group_id: str,
        callback: Any,
        interval: float | None = None,
        max_retries: int | None = None,
        result: Any = (),
        **_: Any,
    ) -> None:
        """Call the body of a chord whose members have ended, or look again."""
        symbol_by_name("fastq.execute.unlock:unlock")(self, group_id, callback, interval, max_retries, result)

    options = {"bind": True, "ignore_result": True, "acks_late": True, "max_retries": None, "typing": False}
    return [
        (chord_release, {"name": "fastq.chord_release", **options}),
        (chord_body, {"name": REFERENCE, **options, "ignore_result": False}),
        (chord_unlock, {"name": "celery.chord_unlock", **options}),
    ]


def _composed(app: App) -> list[tuple[Any, dict[str, Any]]]:
    """Return what takes the place of a composed signature that was sent as a task: the run is replaced by it."""
    from fastq.canvas import chain, chord, chunks, group, maybe_signature

    def replaced(task: Any, composed: Any) -> Any:
        return task.replace(composed)

    def make_chunks(self: Any, task: Any, it: Any, n: int) -> Any:
        """Call a task with each row of items, `n` rows in each run."""
        return replaced(self, chunks(maybe_signature(task, app), it, n, app=app).group())

    def make_group(self: Any, tasks: Any, *_: Any, partial_args: Any = (), **__: Any) -> Any:
        """Run tasks side by side."""
        return replaced(self, group([maybe_signature(task, app) for task in tasks], app=app).clone(partial_args))

    def make_chain(self: Any, *args: Any, tasks: Any = (), **_: Any) -> Any:
        """Run tasks one after the other."""
        return replaced(self, chain.of([maybe_signature(task, app) for task in tasks], app=app).clone(args))

    def make_chord(self: Any, header: Any, body: Any, partial_args: Any = (), **options: Any) -> Any:
        """Run a task when others have ended."""
        inner = options.get("kwargs") or {}
        return replaced(self, chord(header, body, kwargs=inner, app=app).clone(partial_args))

    made = {"chunks": make_chunks, "group": make_group, "chain": make_chain, "chord": make_chord}
    return [(function, {"name": f"celery.{name}", "bind": True, "typing": False}) for name, function in made.items()]
