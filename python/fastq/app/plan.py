"""The short cut of a call that asks for nothing special: `task.delay(1, 2)`.

Everything that depends on the task and the settings alone is worked out once (`app/template.py`); what is left per call
is an id, two representations, the body and the publish. The plan is dropped when an attribute of the task or a setting
changes, and every case it does not cover takes the long way through `send.call`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from fastq.app import send
from fastq.app.current import current_frame
from fastq.app.options import merge
from fastq.app.publish import publish_one, with_queues
from fastq.app.template import family, make_template
from fastq.signals import after_task_publish, before_task_publish

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fastq.app.template import Template
    from fastq.conf.settings import Settings
    from fastq.result import AsyncResult

__all__ = ["Plan", "make_plan"]


class Plan(NamedTuple):
    """How calls of one task are sent."""

    revision: int
    settings: Settings
    check: Callable[..., Any] | None
    """Raises TypeError for arguments the task does not take."""
    quick: Callable[[Any, Any], AsyncResult[Any]] | None
    """Sends a call that has arguments only; None when every call must take the long way."""
    template: Template | None
    """Makes the messages of such calls; None as above."""


def make_plan(task: Any) -> Plan:
    """Return the plan for the task as it and the settings are now."""
    app = task.app
    app.finalize(auto=True)
    conf = app.conf
    revision = conf.revision
    check = task.__header__ if task.typing else None
    template = _template(task)
    return Plan(revision, conf, check, None if template is None else _sender(task, template), template)


def _template(task: Any) -> Template | None:
    if task.app.conf.task_always_eager or task.expires is not None:  # a time from now is another one in each call
        return None
    template = make_template(task.app, task, task.name, merge(task, {}), {})
    return None if template is None or template.route.due is not None else template


def _sender(task: Any, template: Template) -> Callable[[Any, Any], AsyncResult[Any]]:
    """Return the function that sends a call; everything it uses is a local of this one."""
    app, ignored, message_of = task.app, template.ignored, template.message
    make_result, new_id, identity = task.AsyncResult, send.new_id, send.identity
    needed = template.declare

    def quick(args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None) -> AsyncResult[Any]:
        args, kwargs = () if args is None else args, {} if kwargs is None else kwargs
        frame = current_frame()
        while frame is not None and frame.request.called_directly:
            frame = frame.below
        if (
            before_task_publish
            or after_task_publish
            or (type(args) is not tuple and type(args) is not list)
            or type(kwargs) is not dict
            or (frame is not None and frame.request.stamped_headers)
        ):
            return send.call(task, args, kwargs, {})
        task_id = new_id()
        above = None if frame is None else family(frame.request)
        message = message_of(task_id, args, kwargs, above, identity())
        if needed:
            with_queues(app, app.producer, needed, partial(publish_one, app, app.producer, message))
        else:
            publish_one(app, app.producer, message)
        result: AsyncResult[Any] = make_result(task_id)
        result.ignored = ignored
        if frame is not None:
            frame.task.add_trail(result)
        return result

    return quick
