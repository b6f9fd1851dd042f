"""Celery's path of the class of signals; see `fastq.signals`."""

from __future__ import annotations

from fastq.signals import Signal

__all__ = ["Signal"]
