"""Celery's path of `saferepr`; see `fastq.text`."""

from __future__ import annotations

from fastq.text import saferepr

__all__ = ["saferepr"]
