"""What floors.py must know of a Python file: its module, what it imports, how long its functions are."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path


def module_of(file: Path, source: Path) -> str:
    """Return the dotted module of a file below `source`: `app.base` for app/base.py, `app` for app/__init__.py."""
    parts = list(file.relative_to(source).with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts)


def imports(tree: ast.AST, package: str) -> Iterator[tuple[int, str, bool]]:
    """Yield line, module (without the package's name) and whether only types are meant, for each import of ours.

    `from package.app import base` yields both `app` and `app.base`, because either may be the module; floors are looked
    up by the longest known prefix, so the shorter one adds nothing.
    """
    for node, typing_only in _walk(tree, typing_only=False):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name == package or name.startswith(package + "."):
                yield node.lineno, name.removeprefix(package).removeprefix("."), typing_only


def functions(tree: ast.AST) -> Iterator[tuple[int, str, int]]:
    """Yield line, name and length of every function: from `def` to the last line, without the docstring's lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            first = node.body[0]
            if ast.get_docstring(node, clean=False) is not None:
                length -= (first.end_lineno or first.lineno) - first.lineno + 1
            yield node.lineno, node.name, length


def _walk(node: ast.AST, *, typing_only: bool) -> Iterator[tuple[ast.AST, bool]]:
    yield node, typing_only
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        for statement in node.body:
            yield from _walk(statement, typing_only=True)
        for statement in node.orelse:
            yield from _walk(statement, typing_only=typing_only)
        return
    for child in ast.iter_child_nodes(node):
        yield from _walk(child, typing_only=typing_only)
