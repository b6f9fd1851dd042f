"""Calls as data: signatures, and later what is composed of them."""

from __future__ import annotations

from fastq.canvas.signature import Signature, maybe_signature, signature, subtask

__all__ = ["Signature", "maybe_signature", "signature", "subtask"]
