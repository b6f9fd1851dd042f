"""Finding Python objects by name: `package.module:attribute`."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Mapping
    from importlib.metadata import EntryPoint

__all__ = [
    "entry_points",
    "find_related_module",
    "import_from_cwd",
    "qualified_name",
    "symbol_by_name",
    "use_entry_points",
    "working_directory_importable",
]

_MISSING: Final = object()
_logger: Final = logging.getLogger("celery.imports")


def symbol_by_name(
    name: Any,
    aliases: Mapping[str, str] | None = None,
    package: str | None = None,
    default: Any = _MISSING,
    separator: str = ":",
) -> Any:
    """Return the object that a text names.

    Args:
        name: `module:attribute`, `module:outer.inner`, `module.attribute`, or `.attribute` of `package`. Anything that
            is not a text is returned as it is.
        aliases: short names and what they stand for.
        package: where relative names start.
        default: returned when the name cannot be found.
        separator: between module and attribute.

    Raises:
        ImportError: there is no such module.
        AttributeError: the module has no such attribute.
    """
    if not isinstance(name, str):
        return name
    name = (aliases or {}).get(name) or name
    module_name, found, attribute = name.rpartition(separator)
    if not found:
        module_name, _, attribute = name.rpartition(".")
    try:
        if not module_name:
            module_name, attribute = (package, attribute) if package else (attribute, "")
        return _attribute_of(importlib.import_module(module_name, package=package), attribute)
    except (ImportError, AttributeError):
        if default is _MISSING:
            raise
        return default


def _attribute_of(module: ModuleType, path: str) -> Any:
    found: Any = module
    for part in filter(None, path.split(".")):
        found = getattr(found, part)
    return found


@contextmanager
def working_directory_importable() -> Iterator[None]:
    """Put the working directory first among the places that imports search, while the block runs."""
    directory = os.getcwd()
    if directory in sys.path:
        yield
        return
    sys.path.insert(0, directory)
    try:
        yield
    finally:
        # The imported code may have changed the list: take away ours and no other.
        if directory in sys.path:
            sys.path.remove(directory)


def import_from_cwd(module: str, package: str | None = None) -> ModuleType:
    """Return the module of that name, looked for in the working directory too.

    Raises:
        ModuleNotFoundError: there is no such module, or one that it imports is missing (`.name` says which).
    """
    with working_directory_importable():
        return importlib.import_module(module, package=package)


def find_related_module(package: str, related_name: str | None) -> ModuleType | None:
    """Return the module `related_name` in or beside `package`, as autodiscovery looks for `tasks`; None: there is none.

    `package` may name a module, or a class in one (an entry of Django's INSTALLED_APPS). An error inside the found
    module is raised, so that a broken tasks module is not taken for an absent one.
    """
    try:
        module = importlib.import_module(package)
    except ModuleNotFoundError as error:
        parent = package.rpartition(".")[0]
        if not parent or error.name != package:
            raise
        module = importlib.import_module(parent)
        package = parent
    if not related_name:
        return module
    name = f"{package}.{related_name}"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name == name:
            return None
        raise


def qualified_name(value: Any) -> str:
    """Return `module.name` of a class, function or module, or of the class of any other object."""
    if isinstance(value, ModuleType):
        return value.__name__
    if not hasattr(value, "__qualname__"):
        value = type(value)
    return f"{value.__module__}.{value.__qualname__}"


def entry_points(*groups: str) -> dict[str, EntryPoint]:
    """Return the entry points of these groups by name; an earlier group wins."""
    from importlib.metadata import entry_points as installed

    found: dict[str, EntryPoint] = {}
    for group in groups:
        for point in installed(group=group):
            found.setdefault(point.name, point)
    return found


def use_entry_points(
    points: Mapping[str, EntryPoint], known: Container[str], use: Callable[[str, Any], object]
) -> None:
    """Load entry points and use what they stand for; one that fails is logged, and the others are used.

    Args:
        points: by name.
        known: names that are taken already; those are not loaded.
        use: called with the name and what was loaded.
    """
    for name, point in points.items():
        if name in known:
            continue
        try:
            use(name, point.load())
        except Exception as error:  # noqa: BLE001 - it is another package's code
            _logger.warning("The entry point %r (%s) cannot be used: %r", name, point.value, error)
