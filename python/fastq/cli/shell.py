"""`fastq shell`: Python with the app and its tasks at hand."""

from __future__ import annotations

import code
import importlib
from typing import Any

import click

from fastq.cli.chosen import Chosen, app_options, chosen

__all__ = ["command"]


@click.command("shell")
@app_options()
@click.option("-I", "--ipython", "which", flag_value="ipython", help="Use IPython.")
@click.option("--python", "which", flag_value="python", help="Use the plain shell.")
@click.option("-T", "--without-tasks", is_flag=True, help="Leave the tasks out of the namespace.")
@chosen
def command(choice: Chosen, which: str | None, without_tasks: bool) -> None:
    """Open a Python shell: `app`, and every task by the last part of its name."""
    app = choice.load()
    app.import_default_modules()
    names = _namespace(app, with_tasks=not without_tasks)
    shown = ", ".join(sorted(name for name in names if name != "celery"))
    banner = f"fastq shell of app {app.main or '(no name)'}: {shown}"
    if which != "python":
        try:
            ipython: Any = importlib.import_module("IPython")
        except ImportError:
            if which == "ipython":
                raise click.UsageError("IPython is not installed: pip install ipython, or use --python.") from None
        else:
            ipython.start_ipython(argv=[], user_ns=names, display_banner=False)
            return
    code.interact(banner, local=names, exitmsg="")


def _namespace(app: Any, *, with_tasks: bool) -> dict[str, Any]:
    from fastq.app.task import Task
    from fastq.canvas.signature import signature
    from fastq.result import AsyncResult

    tasks = app.tasks if with_tasks else {}
    short = {name.rpartition(".")[2]: task for name, task in tasks.items() if not name.startswith("celery.")}
    return {
        **short,
        "app": app,
        "celery": app,
        "Task": Task,
        "signature": signature,
        "subtask": signature,
        "AsyncResult": AsyncResult,
    }
