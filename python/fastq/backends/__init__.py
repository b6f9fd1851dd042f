"""Result backends: where the states and results of tasks are kept."""

from __future__ import annotations

from fastq.backends.base import Backend, Capability
from fastq.backends.choose import by_url

__all__ = ["Backend", "Capability", "by_url"]
