"""The application: tasks, and how they are called."""

from __future__ import annotations

from typing import Final, cast

from fastq.app import current
from fastq.app.base import FastQ
from fastq.app.current import current_task
from fastq.app.declaration import shared_task
from fastq.app.task import Task

__all__ = ["FastQ", "Task", "current_app", "current_task", "shared_task"]

current_app: Final = cast("FastQ", current.current_app)
"""Stands for the current app."""
