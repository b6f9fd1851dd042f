"""Check the seam: the stub python/fastq/_core.pyi against the built module, _seam.py against its twins in Rust.

    .venv/bin/python scripts/seam.py

The stub and the module must have the same names, and every function the same parameters: their names, kinds and
whether they have a default. The classes of _seam.py that Rust reads by name must have the fields of the Rust struct
that reads them; those read by position must have the length that Rust expects.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

Parameters = tuple[tuple[str, str, bool], ...]
"""Of each parameter: its name, its kind, whether it has a default."""

TWINS = {"QueueSpec": "QueueSpec", "Policy": "PolicySpec", "WorkerConfig": "ConfigSpec"}
"""Dataclass in _seam.py -> struct in seam.rs, read by field name."""

LENGTHS = {
    "Route": "a Route",
    "Record": "a Record",
    "OutgoingMessage": "an OutgoingMessage",
    "Part": "a Part",
    "NewChord": "a NewChord",
    "Outcome": "an Outcome",
}
"""NamedTuple in _seam.py -> how seam.rs calls it where it checks the length."""


def main() -> int:
    """Check the clone's build; print what differs; return the exit code."""
    stub = ast.parse((ROOT / "python/fastq/_core.pyi").read_text(encoding="utf-8"))
    differences = [
        *compare_module(stub, importlib.import_module("fastq._core")),
        *compare_twins(importlib.import_module("fastq._seam"), (ROOT / "rust/bridge/src/seam.rs").read_text("utf-8")),
    ]
    for difference in differences:
        print(difference)
    return 1 if differences else 0


def compare_module(stub: ast.Module, module: ModuleType) -> Iterator[str]:
    """Yield where the module is not what the stub says."""
    described = {node.name: node for node in stub.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    described = {name: node for name, node in described.items() if not _is_typed_dict(node)}
    built = {name: thing for name, thing in vars(module).items() if not name.startswith("_")}
    yield from _missing("_core", described, built)
    for name in described.keys() & built.keys():
        node = described[name]
        if isinstance(node, ast.FunctionDef):
            yield from _compare_parameters(name, _described_parameters(node), built[name])
        else:
            yield from _compare_class(node, built[name])


def compare_twins(seam: ModuleType, rust: str) -> Iterator[str]:
    """Yield where a class of _seam.py and its reader in Rust differ."""
    for python_name, rust_name in TWINS.items():
        found = re.search(rf"struct {rust_name} \{{(.*?)\n\}}", rust, re.DOTALL)
        fields = re.findall(r"^\s*(?:pub(?:\([^)]*\))?\s+)?(\w+):", found.group(1), re.MULTILINE) if found else []
        expected = list(getattr(seam, python_name).__dataclass_fields__)
        if fields != expected:
            yield f"_seam.{python_name} has {expected}, seam.rs {rust_name} reads {fields}"
    for python_name, phrase in LENGTHS.items():
        lengths = {int(length) for length in re.findall(rf'"{phrase}", (\d+)\)', rust)}
        expected_length = len(getattr(seam, python_name)._fields)
        if lengths != {expected_length}:
            yield f"_seam.{python_name} has {expected_length} fields, seam.rs expects {sorted(lengths)}"


def _compare_class(node: ast.ClassDef, built: type) -> Iterator[str]:
    described = {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}
    names = {name: thing for name, thing in vars(built).items() if not name.startswith("_") or name in described}
    yield from _missing(node.name, described, names)
    for name in described.keys() & names.keys():
        item, thing = described[name], names[name]
        where = f"{node.name}.{name}"
        decorators = {ast.unparse(decorator) for decorator in item.decorator_list}
        if ("property" in decorators) != inspect.isgetsetdescriptor(thing):
            yield f"{where}: only one of stub and module has a property"
        elif ("staticmethod" in decorators) != isinstance(thing, staticmethod):
            yield f"{where}: only one of stub and module is static"
        elif name == "__new__":
            yield from _compare_parameters(node.name, _described_parameters(item)[1:], built)
        elif "property" not in decorators:
            yield from _compare_parameters(where, _described_parameters(item), getattr(built, name))


def _compare_parameters(where: str, described: Parameters, built: Any) -> Iterator[str]:
    try:
        signature = inspect.signature(built)
    except ValueError:
        yield f"{where}: the module tells no signature"
        return
    real = tuple(
        (parameter.name, parameter.kind.description, parameter.default is not inspect.Parameter.empty)
        for parameter in signature.parameters.values()
    )
    kinds = {"positional-only": "positional or keyword"}  # PyO3 writes `self` as positional-only, which says nothing
    real = tuple((name, kinds.get(kind, kind) if name == "self" else kind, default) for name, kind, default in real)
    if described != real:
        yield f"{where}: the stub says {_shown(described)}, the module {_shown(real)}"


def _described_parameters(node: ast.FunctionDef) -> Parameters:
    """Return the parameters of a stub's function, as `inspect` would tell them."""
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    first_default = len(positional) - len(arguments.defaults)
    found = []
    for index, argument in enumerate(positional):
        kind = "positional-only" if index < len(arguments.posonlyargs) else "positional or keyword"
        found.append((argument.arg, kind, index >= first_default))
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        found.append((argument.arg, "keyword-only", default is not None))
    return tuple(found)


def _missing(where: str, described: Mapping[str, object], built: Mapping[str, object]) -> Iterator[str]:
    for name in sorted(described.keys() - built.keys()):
        yield f"{where}: the stub describes {name}, which the module has not"
    for name in sorted(built.keys() - described.keys()):
        yield f"{where}: the module has {name}, which the stub does not describe"


def _is_typed_dict(node: ast.ClassDef | ast.FunctionDef) -> bool:
    return isinstance(node, ast.ClassDef) and any(ast.unparse(base) == "TypedDict" for base in node.bases)


def _shown(parameters: Parameters) -> str:
    return "(" + ", ".join(name + ("=…" if default else "") for name, _, default in parameters) + ")"


if __name__ == "__main__":
    sys.exit(main())
