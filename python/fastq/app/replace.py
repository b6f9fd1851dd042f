"""Ending a run by another task that takes its place: `Task.replace`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastq.app import send
from fastq.exceptions import Ignore, ImproperlyConfigured, NotSupported

if TYPE_CHECKING:
    from fastq.canvas.signature import Signature

__all__ = ["hand_over", "successor"]


def successor(task: Any, given: Any) -> Signature[Any]:
    """Return the signature that takes the place of the task's run: its id, its family, and all that is to follow it.

    Args:
        task: whose run is replaced.
        given: a signature, or a mapping that describes one.

    Raises:
        ImproperlyConfigured: the signature is the header of a chord already.
        NotSupported: it is made of several.
    """
    request = task.request
    signature: Signature[Any] = task.app.signature(given).clone()
    if signature.options.get("chord"):
        raise ImproperlyConfigured("A signature that replaces a task must not be part of a chord of its own.")
    if signature.get("subtask_type"):
        raise NotSupported(f"A task cannot be replaced by a {signature['subtask_type']} in this version of fastq.")
    if request.is_eager or request.called_directly:
        return signature  # it runs within this run, which goes on with what it returns
    options = signature.options
    for key, own in (("link", request.callbacks), ("link_error", request.errbacks)):
        both = [*_listed(options.get(key)), *_listed(own)]
        if both:
            options[key] = both
    chain = [*_listed(request.chain), *_listed(options.get("chain"))]  # the next step stands last
    if chain:
        options["chain"] = chain
    options.update(
        task_id=request.id,
        chord=request.chord,
        group_id=request.group,
        group_index=request.group_index,
        root_id=request.root_id,
        replaced_task_nesting=(request.replaced_task_nesting or 0) + 1,
    )
    return signature


def hand_over(task: Any, signature: Signature[Any]) -> Any:
    """Do what `Task.on_replace` says."""
    request = task.request
    if request.is_eager or request.called_directly:
        return signature.apply(throw=True).get()
    options = {key: value for key, value in signature.options.items() if value is not None}
    # It leaves with the end of this run: published with it, or not at all.
    request.outgoing.append(send.compose(task.app, signature["task"], signature.args, signature.kwargs, options))
    raise Ignore("Replaced by new task")


def _listed(value: Any) -> list[Any]:
    if not value:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]
