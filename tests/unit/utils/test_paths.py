"""Celery's import paths of small helpers."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from pathlib import Path

import pytest

import fastq.utils

MODULES = [module.name for module in pkgutil.iter_modules(fastq.utils.__path__)]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("fastq.utils.log", "get_task_logger"),
        ("fastq.utils.log", "get_logger"),
        ("fastq.utils.dispatch", "Signal"),
        ("fastq.utils.imports", "symbol_by_name"),
        ("fastq.utils.saferepr", "saferepr"),
        ("fastq.utils.nodenames", "gethostname"),
        ("fastq.utils.time", "rate"),
    ],
)
def test_a_helper_is_found_where_celery_has_it(path: str, name: str) -> None:
    assert callable(getattr(importlib.import_module(path), name))


@pytest.mark.parametrize("module", MODULES)
def test_these_modules_only_name_things_that_live_elsewhere(module: str) -> None:
    found = importlib.import_module(f"fastq.utils.{module}")
    tree = ast.parse(Path(str(found.__file__)).read_text(encoding="utf-8"))

    assert all(isinstance(node, (ast.Expr, ast.ImportFrom, ast.Assign)) for node in tree.body)
    assert all(hasattr(found, name) for name in found.__all__)
