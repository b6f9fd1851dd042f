"""The worker's parent process: it boots in order, parks, and stops in order. The core decides; this tells and obeys."""

from __future__ import annotations

from fastq.worker.options import WorkerOptions
from fastq.worker.worker import Worker

__all__ = ["Worker", "WorkerOptions"]
