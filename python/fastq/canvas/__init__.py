"""Calls as data: signatures, and what is composed of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastq import later
from fastq.canvas.chains import chain
from fastq.canvas.chords import chord
from fastq.canvas.groups import group
from fastq.canvas.many import chunks, xmap, xstarmap
from fastq.canvas.signature import Signature, maybe_signature, signature, subtask
from fastq.canvas.stamping import StampingVisitor

__all__ = [
    "Signature",
    "StampingVisitor",
    "chain",
    "chord",
    "chunks",
    "group",
    "maybe_signature",
    "signature",
    "subtask",
    "xmap",
    "xstarmap",
]

_chain = chain
_chord = chord


if not TYPE_CHECKING:  # a type checker shall report a name that is not there

    def __getattr__(name: str) -> Any:
        raise later.missing(__name__, name)
