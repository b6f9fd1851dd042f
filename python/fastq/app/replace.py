"""Ending a run by another task that takes its place: `Task.replace`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastq.app.builtins import ACCUMULATE
from fastq.canvas.layout import ends_in_group
from fastq.canvas.sending import collect
from fastq.exceptions import Ignore, ImproperlyConfigured

if TYPE_CHECKING:
    from fastq.canvas.signature import Signature

__all__ = ["add_to_chord", "hand_over", "successor"]


def successor(task: Any, given: Any) -> Signature[Any]:
    """Return the signature that takes the place of the task's run: its id, its family, and all that is to follow it.

    Args:
        task: whose run is replaced.
        given: a signature, or a mapping that describes one.

    Raises:
        ImproperlyConfigured: the signature is the header of a chord already, or a chain without a step.
    """
    request = task.request
    signature: Any = task.app.signature(given)
    if signature.options.get("chord"):
        raise ImproperlyConfigured("A signature that replaces a task must not be part of a chord of its own.")
    if hasattr(signature, "group"):  # chunks
        signature = signature.group()
    kind = signature.get("subtask_type")
    if kind == "chain" and not signature.tasks:
        raise ImproperlyConfigured("A task cannot be replaced by a chain without a step.")
    if kind == "group" or ends_in_group(signature):
        # A task has one value: the list of the members' is made by a task behind them.
        signature = signature | task.app.tasks[ACCUMULATE].s(index=0)
    if request.is_eager or request.called_directly:
        return signature  # type: ignore[no-any-return]  # it runs within this run, which goes on with what it returns
    request.update(replaced=True)
    for callback in _listed(request.callbacks):
        signature.link(callback)
    for errback in _listed(request.errbacks):
        signature.link_error(errback)
    chain = [*_listed(request.chain), *_listed(signature.options.get("chain"))]  # the next step stands last
    if chain:
        signature.options["chain"] = chain
    signature.options.update(
        task_id=request.id,
        chord=request.chord,
        group_id=request.group,
        group_index=request.group_index,
        root_id=request.root_id,
        replaced_task_nesting=(request.replaced_task_nesting or 0) + 1,
    )
    return signature  # type: ignore[no-any-return]


def hand_over(task: Any, signature: Signature[Any]) -> Any:
    """Do what `Task.on_replace` says."""
    request = task.request
    if request.is_eager or request.called_directly:
        return signature.apply(throw=True).get()
    options = {key: value for key, value in signature.options.items() if value is not None}
    signature["options"] = options
    # It leaves with the end of this run: published with it, or not at all.
    collect(signature.steps(), request.outgoing, request.chords, lambda _: None)
    raise Ignore("Replaced by new task")


def add_to_chord(task: Any, given: Any, lazy: bool) -> Any:
    """Do what `Task.add_to_chord` says."""
    request = task.request
    if not request.chord:
        raise ValueError("This run is no member of a chord: there is nothing to add to.")
    signature = task.app.signature(given)
    signature.set(group_id=request.group, group_index=request.group_index, chord=request.chord, root_id=request.root_id)
    result = signature.freeze()
    task.backend.add_to_chord(request.group, result)
    return signature if lazy else signature.delay()


def _listed(value: Any) -> list[Any]:
    if not value:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]
