"""Attributes of tasks set by configuration: the setting `task_annotations`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fastq.imports import symbol_by_name

__all__ = ["annotate", "for_task"]


def annotate(task: Any) -> None:
    """Set on a task what the settings annotate it with; a key `@method` has a decorator for the method."""
    for annotation in for_task(task.app.conf.task_annotations, task):
        for key, value in annotation.items():
            if key.startswith("@"):
                task.add_around(key[1:], value)
            else:
                setattr(task, key, value)


def for_task(setting: Any, task: Any) -> Iterable[Mapping[str, Any]]:
    """Return the annotations of a task, in the order they are applied.

    Args:
        setting: a mapping of task names (`*`: every task) to attributes, an object with `annotate(task)`, an import
            string of one, or a list of these.
        task: the task.
    """
    if setting is None:
        return []
    entries = setting if isinstance(setting, list | tuple) else [setting]
    found: list[Mapping[str, Any]] = []
    for entry in entries:
        source = symbol_by_name(entry)
        source = source() if isinstance(source, type) else source
        if isinstance(source, Mapping):
            found.extend(source[key] for key in ("*", task.name) if key in source)
        else:
            own = (
                (source.annotate_any(), source.annotate(task))
                if hasattr(source, "annotate_any")
                else (source.annotate(task),)
            )
            found.extend(annotation for annotation in own if annotation)
    return found
