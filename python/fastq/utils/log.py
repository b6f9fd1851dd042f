"""Celery's path of logging helpers; see `fastq.log`."""

from __future__ import annotations

from fastq.log import ColorFormatter, LoggingProxy, get_logger, get_task_logger
from fastq.log import level_number as mlevel

__all__ = ["ColorFormatter", "LoggingProxy", "get_logger", "get_task_logger", "mlevel"]
