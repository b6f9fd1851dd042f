"""Results of tasks, as those see them who sent the tasks."""

from __future__ import annotations

from fastq.result.async_result import AsyncResult, RemoteTraceback, result_from_tuple
from fastq.result.eager_result import EagerResult
from fastq.result.wait import allow_join_result, assert_will_not_block, denied_join_result

__all__ = [
    "AsyncResult",
    "EagerResult",
    "RemoteTraceback",
    "allow_join_result",
    "assert_will_not_block",
    "denied_join_result",
    "result_from_tuple",
]
