"""Tests of code that sends tasks: what was sent, a clock that is turned by hand, and a worker in a thread.

Without pytest too; its fixtures are in `fastq.contrib.pytest`.
"""

from __future__ import annotations

from fastq.contrib.testing.sent import Sent
from fastq.contrib.testing.testing import Testing
from fastq.contrib.testing.use import in_memory
from fastq.contrib.testing.worker import ThreadWorker, start_worker

__all__ = ["Sent", "Testing", "ThreadWorker", "in_memory", "start_worker"]
