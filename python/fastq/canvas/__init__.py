"""Calls as data: signatures, and later what is composed of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastq import later
from fastq.canvas.signature import Signature, maybe_signature, signature, subtask

__all__ = ["Signature", "maybe_signature", "signature", "subtask"]


if not TYPE_CHECKING:  # a type checker shall report a name that is not there

    def __getattr__(name: str) -> Any:
        raise later.missing(__name__, name)
