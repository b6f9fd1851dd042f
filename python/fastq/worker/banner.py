"""What a worker says of itself when it starts."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import fastq
from fastq.text import hide_password, plural

if TYPE_CHECKING:
    from fastq.app.protocol import App
    from fastq.pool.base import Pool

__all__ = ["banner"]


def banner(app: App, node: str, pool: Pool, *, with_tasks: bool = False) -> str:
    """Return the lines that tell who starts, with what, for which queues.

    Args:
        app: its app.
        node: its name.
        pool: its slots.
        with_tasks: whether the tasks are listed.
    """
    queues = app.queues.consume_from
    slots = pool.slots
    least = f"{pool.children} to " if pool.children < pool.most_children else ""
    if pool.inline:
        what = "1 task at a time, in this process"
    elif pool.takes_processes:
        processes = f"{pool.children} {plural(pool.children, 'process', 'es')}"
        what = f"{processes}, {pool.permits} {plural(pool.permits or 1, 'task')} each"
    elif pool.children:
        what = f"{least}{slots} {plural(slots, 'process', 'es')}"
    else:
        what = f"{slots} {plural(slots, 'task')} at a time, in this process"
    facts = {
        "app": app.main or "(no name)",
        "broker": hide_password(app.conf.broker_read_url or app.conf.broker_url),
        "results": hide_password(app.backend.url) or "disabled",
        "concurrency": f"{what} ({pool.name})",
        plural(len(queues), "queue"): ", ".join(sorted(queues)) or "none",
    }
    lines = [f"fastq {fastq.__version__} · {node} · Python {platform.python_version()}", ""]
    lines += [f"  {name:<12} {value}" for name, value in facts.items()]
    if with_tasks:
        names = sorted(name for name in app.tasks if not name.startswith("celery."))
        lines += [f"  {'tasks' if place == 0 else '':<12} {name}" for place, name in enumerate(names)]
        if not names:
            lines.append(f"  {'tasks':<12} none: import their modules with -I, or the setting `imports`")
    return "\n".join([*lines, ""])
