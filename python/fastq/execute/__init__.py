"""Running tasks: what happens between a Job and its Outcome."""

from __future__ import annotations

from fastq.execute.trace import Executor, compile_trace

__all__ = ["Executor", "compile_trace"]
