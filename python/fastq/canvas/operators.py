"""What `a | b` makes (inventory §5.2): chains, and chords where a group is followed by something.

Operands stay as they are: what is joined are copies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastq.canvas.chains import chain
from fastq.canvas.chords import chord
from fastq.canvas.groups import group
from fastq.canvas.layout import fold, is_empty, sole
from fastq.canvas.many import chunks
from fastq.canvas.signature import Signature, maybe_signature

__all__ = ["join"]


def join(left: Signature[Any], right: Any) -> Any:
    """Return `left | right`.

    Raises:
        TypeError: the right one is no signature, nor a dictionary that describes one.
    """
    if isinstance(right, Mapping) and "task" in right:
        right = maybe_signature(right, left._app)  # noqa: SLF001 - one of us
    if not isinstance(right, Signature):
        raise TypeError(f"A signature can follow a signature, not {type(right).__name__}.")
    left, right = (one.group() if isinstance(one, chunks) else one for one in (left, right))
    if isinstance(left, group):
        return left.clone() if is_empty(right) else chord(left.clone(), right.clone(), app=left._app)  # noqa: SLF001
    if isinstance(left, chord):
        return _after_chord(left.clone(), right)
    if isinstance(left, chain):
        steps = fold(left.unchain_tasks(), (right,))
        return left.with_steps(steps) if isinstance(steps, list) else steps
    steps = fold([left.clone()], (right,))
    return chain.of(steps, app=left._app)  # noqa: SLF001 - one of us


def _after_chord(left: Any, right: Signature[Any]) -> Any:
    if is_empty(right):
        return left
    right = sole(right)
    if isinstance(right, chain):
        return chain.of([left, *right.unchain_tasks()], app=left._app)  # noqa: SLF001 - one of us
    if isinstance(right, group):
        return chain.of([left, right.clone()], app=left._app)  # noqa: SLF001
    left.body = left.body | right
    return left
