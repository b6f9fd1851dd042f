"""Running a canvas here and now: `apply`, and every call with `task_always_eager`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from fastq.app.send import new_id
from fastq.canvas.layout import flattened, lay_out, sole
from fastq.canvas.links import listed
from fastq.exceptions import ChordError
from fastq.result import EagerResult, GroupResult
from fastq.states import FAILURE, PROPAGATE_STATES, SUCCESS

if TYPE_CHECKING:
    from fastq.canvas.signature import Signature

__all__ = ["elsewhere", "run_chain", "run_chord", "run_group"]

_OF_THE_WHOLE: Final = frozenset({"task_id", "link", "link_error", "chain", "chord", "group_id", "group_index"})


async def elsewhere(signature: Signature[Any], args: Any, kwargs: Any, options: dict[str, Any]) -> Any:
    """Run a signature in a thread, so that the event loop goes on."""
    import asyncio

    return await asyncio.to_thread(signature.apply, args, kwargs, **options)


def run_chain(chain: Any, args: Any, kwargs: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """Run the steps of a chain, each with what the one before it returned; return the result of the last one.

    A step that fails is the end: its failure is that of the chain, as it is in a worker.
    """
    steps = [step.clone() for step in lay_out(chain.tasks, chain.app, unroll=False)]
    own = {key: value for key, value in options.items() if key not in _OF_THE_WHOLE}
    if not steps:
        return None
    for callback in listed(options.get("link")):
        steps[-1].link(callback)
    for errback in listed(options.get("link_error")):
        for step in steps:
            step.link_error(errback)
    result: Any = None
    for number, step in enumerate(steps):
        is_last = number == len(steps) - 1
        if is_last and options.get("task_id"):
            own["task_id"] = options["task_id"]
        before = result
        result = step.apply(args, kwargs, **own) if before is None else step.apply((before.get(),), {}, **own)
        if before is not None:
            _first(result).parent = before
        if not is_last and not _goes_on(result):
            return _failed(result, options.get("task_id"))
    return result


def run_group(group: Any, args: Any, kwargs: Mapping[str, Any], options: Mapping[str, Any]) -> GroupResult[Any]:
    """Run the members of a group."""
    own = {key: value for key, value in options.items() if key not in _OF_THE_WHOLE}
    group_id = options.get("task_id") or new_id()
    place = {"group_id": options.get("group_id") or group_id}
    results = []
    for index, task in enumerate(map(sole, flattened(group.tasks, group.app))):
        results.append(task.clone().apply(args, kwargs, **own, **place, group_index=index))
    made: GroupResult[Any] = group.result(group_id, results)
    return made


def run_chord(header: Any, body: Any, args: Any, kwargs: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """Run header and body; where a member fails, the body fails with ChordError, as it does in a worker."""
    own = {key: value for key, value in options.items() if key not in _OF_THE_WHOLE}
    members = run_group(header, args, kwargs, own)
    of_body = {key: options[key] for key in ("task_id", "throw") if options.get(key) is not None}
    for callback in listed(options.get("link")):
        body.link(callback)
    for errback in listed(options.get("link_error")):
        body.link_error(errback)
    failed = next(_failures(members), None)
    if failed is None:
        result = body.apply(([members.get()] if members.results else [[]]), {}, **of_body)
    else:
        error = ChordError(f"Dependency {failed.id} raised {failed.result!r}")
        if options.get("throw"):
            raise error from failed.result
        result = EagerResult(of_body.get("task_id") or body.id or new_id(), error, FAILURE, failed.traceback)
    _first(result).parent = members
    return result


def _failures(members: GroupResult[Any]) -> Any:
    for member in members.results:
        if isinstance(member, GroupResult):
            yield from _failures(member)
        elif member.state in PROPAGATE_STATES:
            yield member


def _goes_on(result: Any) -> bool:
    """Tell whether a step has returned, so that the next one has something to begin with."""
    if isinstance(result, GroupResult):
        return not any(_failures(result))
    return bool(result.state == SUCCESS)


def _failed(result: Any, task_id: str | None) -> Any:
    """Return the result of a chain that ends with this one, under the chain's own id."""
    if task_id is None or isinstance(result, GroupResult):
        return result
    ended: EagerResult[Any] = EagerResult(task_id, result.result, result.state, result.traceback, result.name)
    ended.parent = result.parent
    return ended


def _first(result: Any) -> Any:
    while result.parent is not None:
        result = result.parent
    return result
