"""Results of tasks, as those see them who sent the tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastq import later
from fastq.result.async_result import AsyncResult, RemoteTraceback
from fastq.result.eager_result import EagerResult
from fastq.result.group_result import GroupResult
from fastq.result.result_set import ResultSet
from fastq.result.stored import result_from_tuple
from fastq.result.wait import allow_join_result, assert_will_not_block, denied_join_result

__all__ = [
    "AsyncResult",
    "EagerResult",
    "GroupResult",
    "RemoteTraceback",
    "ResultSet",
    "allow_join_result",
    "assert_will_not_block",
    "denied_join_result",
    "result_from_tuple",
]


if not TYPE_CHECKING:  # a type checker shall report a name that is not there

    def __getattr__(name: str) -> Any:
        raise later.missing(__name__, name)
