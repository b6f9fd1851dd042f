"""Check the floors: imports go down, files and functions keep their size. The table is [tool.floors] in pyproject.toml.

    scripts/floors.py [FOLDER]      FOLDER: the clone; default: the one this script is in

Prints one line for each breach, and exits with 1 when there is one. Every exception in the table has a reason, and an
exception that nothing needs any more is a breach too, so the table stays as short as the truth.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import python_source
import rust_source

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass
class Floors:
    """Which module stands on which floor; a module belongs to the longest entry that is a prefix of it."""

    floor_of: Mapping[str, int]
    separator: str
    siblings: frozenset[tuple[str, str]] = frozenset()
    """Pairs on one floor, (who, may name whom)."""
    allowed: Mapping[str, str] = field(default_factory=dict)
    """Upward imports that are allowed, `who -> whom`, each with its reason."""
    free_siblings: bool = False
    """Whether all modules of one floor may name each other."""
    used: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, table: Mapping[str, Any], separator: str) -> Floors:
        """Return the floors of one language's part of the table."""
        return cls(
            floor_of={name: number for number, names in enumerate(table["floors"]) for name in names},
            separator=separator,
            siblings=frozenset(_pair(arrow) for arrow in table.get("siblings", ())),
            allowed=table.get("allowed", {}),
            free_siblings=table.get("free-siblings", False),
        )

    def entry(self, module: str) -> str | None:
        """Return the table's entry that a module belongs to; None: it has none."""
        parts = module.split(self.separator)
        for length in range(len(parts), 0, -1):
            name = self.separator.join(parts[:length])
            if name in self.floor_of:
                return name
        return None

    def breach(self, source: str, target: str) -> str | None:
        """Return what is wrong with `source` naming `target`; None: nothing."""
        here, there = self.entry(source), self.entry(target)
        if there is None or here == there:
            return None
        if here is None:
            return f"{source} has no floor"
        if self.floor_of[there] < self.floor_of[here]:
            return None
        if self.floor_of[there] == self.floor_of[here] and (self.free_siblings or (here, there) in self.siblings):
            return None
        for arrow in self.allowed:
            who, whom = _pair(arrow)
            if who in ("*", here, source) and _within(target, whom, self.separator):
                self.used.add(arrow)
                return None
        return f"{here} (floor {self.floor_of[here]}) names {there} (floor {self.floor_of[there]})"


def main(arguments: Sequence[str]) -> int:
    """Check the clone; print what is wrong; return the exit code."""
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parent.parent
    table = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["floors"]
    breaches = [
        *rust_breaches(root, table["rust"]),
        *python_breaches(root, table["python"]),
        *sizes(root, table["size"]),
    ]
    for breach in breaches:
        print(breach)
    if breaches:
        print(f"floors: {len(breaches)} breaches", file=sys.stderr)
    return 1 if breaches else 0


def rust_breaches(root: Path, table: Mapping[str, Any]) -> Iterator[str]:
    """Yield upward paths in the core, and what pure modules may not name."""
    source = root / table["source"]
    floors = Floors.read(table, "::")
    forbidden = re.compile("|".join(table["forbidden-when-pure"]))
    for file in sorted(source.rglob("*.rs")):
        if file.name == "tests.rs" or "tests" in file.relative_to(source).parts:
            continue
        module = rust_source.module_of(file, source)
        code = rust_source.code_only(file.read_text(encoding="utf-8"))
        where = file.relative_to(root)
        if module and floors.entry(module) is None:
            yield f"{where}: {module} has no floor"
        for line, target in rust_source.named_paths(code, module) if module else ():
            if what := floors.breach(module, target):
                yield f"{where}:{line}: {what}"
        if any(_within(module, pure, "::") for pure in table["pure"]):
            for number, text in enumerate(code.splitlines(), 1):
                if found := forbidden.search(text):
                    yield f"{where}:{number}: {module} is pure and names {found.group()}"
    yield from _unused("rust", floors)


def python_breaches(root: Path, table: Mapping[str, Any]) -> Iterator[str]:
    """Yield upward imports in the package, and imports of the core from where it is not expected."""
    source = root / table["source"]
    package = source.name
    floors = Floors.read(table, ".")
    for file in sorted(source.rglob("*.py")):
        module = python_source.module_of(file, source)
        where = file.relative_to(root)
        if module in table["everywhere"]:
            continue
        if floors.entry(module) is None:
            yield f"{where}: {module} has no floor"
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for line, target, typing_only in python_source.imports(tree, package):
            if what := floors.breach(module, target):
                yield f"{where}:{line}: {what}"
            of_core = _within(target, "_core", ".") and not typing_only
            if of_core and not any(_within(module, importer, ".") for importer in table["core-importers"]):
                yield f"{where}:{line}: {module} imports _core; only {', '.join(table['core-importers'])} do"
    yield from _unused("python", floors)


def sizes(root: Path, table: Mapping[str, Any]) -> Iterator[str]:
    """Yield files and functions that are too long, and exceptions that are not needed."""
    needed: set[str] = set()
    for folder in table["folders"]:
        for file in sorted((root / folder).rglob("*")):
            if file.suffix not in (".py", ".rs", ".pyi"):
                continue
            where = str(file.relative_to(root))
            text = file.read_text(encoding="utf-8")
            ceiling = table["assembly-lines"] if where in table["assemblies"] else table["file-lines"]
            if (lines := text.count("\n")) > ceiling:
                yield f"{where}: {lines} lines; the ceiling is {ceiling}: split it by concept"
            if file.suffix == ".pyi" or any(where.startswith(test) for test in table["tests"]):
                continue
            for line, name, length in _functions(file, text):
                if length > table["function-lines"]:
                    needed.add(f"{where}:{name}")
                    if f"{where}:{name}" not in table["long-functions"]:
                        yield f"{where}:{line}: {name} has {length} lines; the ceiling is {table['function-lines']}"
    for name in set(table["long-functions"]) - needed:
        yield f"pyproject.toml: long-functions names {name}, which is not long"


def _functions(file: Path, text: str) -> Iterator[tuple[int, str, int]]:
    if file.suffix == ".rs":
        return rust_source.functions("" if file.name == "tests.rs" else rust_source.code_only(text))
    return python_source.functions(ast.parse(text))


def _unused(language: str, floors: Floors) -> Iterator[str]:
    for arrow in set(floors.allowed) - floors.used:
        yield f"pyproject.toml: {language} allows {arrow}, which nothing needs"


def _pair(arrow: str) -> tuple[str, str]:
    who, _, whom = arrow.partition(" -> ")
    return who, whom


def _within(module: str, ancestor: str, separator: str) -> bool:
    return module == ancestor or module.startswith(ancestor + separator)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
