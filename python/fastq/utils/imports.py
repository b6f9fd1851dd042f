"""Celery's path of import helpers; see `fastq.imports`."""

from __future__ import annotations

from fastq.imports import import_from_cwd, symbol_by_name
from fastq.imports import qualified_name as qualname

__all__ = ["import_from_cwd", "qualname", "symbol_by_name"]
