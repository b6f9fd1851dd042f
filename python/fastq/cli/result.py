"""`fastq result`: the state and the result of a task."""

from __future__ import annotations

from typing import Any

import click

from fastq.cli.chosen import Chosen, app_options, chosen
from fastq.cli.output import json_option, print_json, print_value, timeout_option

__all__ = ["command"]


@click.command("result")
@app_options()
@click.argument("task_id")
@click.option("-t", "--task", metavar="NAME", help="Name of the task, when it has a result store of its own.")
@click.option("--traceback", is_flag=True, help="Print the traceback of a failure.")
@click.option("-w", "--wait", is_flag=True, help="Wait until the task has ended.")
@timeout_option("--timeout")
@json_option
@chosen
def command(
    choice: Chosen,
    task_id: str,
    task: str | None,
    traceback: bool,
    wait: bool,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Print what the task TASK_ID returned.

    The exit code is 1 when it failed, and 75 while it has not ended.
    """
    from fastq.cli.failure import EXIT_NOT_YET, Failure

    app = choice.load()
    if not task_id.strip():
        raise click.UsageError("TASK_ID is empty: give the id that `fastq call` has printed.")
    result = _result_of(app, task_id, task)
    if wait or timeout is not None:
        try:
            result.get(timeout=timeout, propagate=False)
        except TimeoutError as error:
            raise Failure(
                f"Task {task_id} has not ended within {timeout:g} s: {result.state}.", EXIT_NOT_YET
            ) from error
    state, value = result.state, result.result
    if as_json:
        print_json(_document(result, state, value))
    elif state == "SUCCESS":
        print_value(value)
    elif traceback and result.traceback:
        click.echo(result.traceback)
    if state == "SUCCESS":
        return
    if not result.ready():
        raise Failure(_unfinished(task_id, state, value), EXIT_NOT_YET)
    raise Failure(f"Task {task_id} is {state}: {_named(value)}")


def _result_of(app: Any, task_id: str, task: str | None) -> Any:
    if task is None:
        return app.AsyncResult(task_id)
    app.import_default_modules()
    if task not in app.tasks:
        from fastq.text import closest

        near = closest(task, app.tasks)
        hint = f" Did you mean {near}?" if near else ""
        raise click.UsageError(f"--task {task}: this app knows no such task.{hint}")
    return app.tasks[task].AsyncResult(task_id)


def _unfinished(task_id: str, state: str, value: Any) -> str:
    if state == "PENDING":
        return f"Task {task_id} is PENDING: it has not run yet, it stores no result, or there is no such task."
    return f"Task {task_id} is {state}" + (f": {_named(value)}" if value is not None else ".")


def _document(result: Any, state: str, value: Any) -> dict[str, Any]:
    done = result.date_done
    return {
        "id": result.id,
        "state": state,
        "result": _named(value) if isinstance(value, BaseException) else value,
        "traceback": result.traceback,
        "date_done": done.isoformat() if hasattr(done, "isoformat") else done,
    }


def _named(value: Any) -> str:
    return f"{type(value).__name__}: {value}" if isinstance(value, BaseException) else repr(value)
