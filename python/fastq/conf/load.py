"""Settings as names and values, from wherever they are written."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any

from fastq.exceptions import ImproperlyConfigured
from fastq.imports import import_from_cwd, symbol_by_name, working_directory_importable

__all__ = ["from_arguments", "from_file", "from_object", "from_pyproject", "from_variable"]


def from_object(source: Any) -> dict[str, Any]:
    """Return the settings of a map, of an object's attributes, or of what a text names.

    Args:
        source: a map; any object whose attributes are settings; the name of a module, `module:attribute` or
            `module.Class`; or the path of a `.toml` or `.json` file.

    Raises:
        ImportError: there is no such module, or one that it imports is missing.
        ImproperlyConfigured: the file cannot be read.
    """
    if isinstance(source, os.PathLike) or (isinstance(source, str) and source.endswith((".toml", ".json"))):
        return from_file(source)
    if isinstance(source, str):
        source = _named(source)
    if isinstance(source, Mapping):
        return dict(source)
    return {
        name: value
        for name in dir(source)
        if not name.startswith("_") and not isinstance(value := getattr(source, name), ModuleType)
    }


def _named(name: str) -> Any:
    if ":" not in name:
        try:
            return import_from_cwd(name)
        except ModuleNotFoundError as error:
            if "." not in name or not name.startswith(f"{error.name}"):
                raise
            if name.endswith(".py"):
                raise ImproperlyConfigured(
                    f"{name!r} is the name of a file; name the module: {name.removesuffix('.py')!r}."
                ) from error
    with working_directory_importable():
        try:
            return symbol_by_name(name)
        except AttributeError as error:
            raise ImportError(f"Cannot find the configuration {name!r}: {error}") from error


def from_variable(variable: str, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the settings of the module whose name stands in a variable of the environment.

    Raises:
        ImproperlyConfigured: the variable is not set.
        ImportError: there is no such module.
    """
    name = (os.environ if environ is None else environ).get(variable)
    if not name:
        raise ImproperlyConfigured(
            f"The environment variable {variable!r} is not set: let it name the module of your settings."
        )
    return from_object(name)


def from_file(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the settings of a TOML file (the table `fastq` of it, where there is one) or a JSON file.

    Raises:
        ImproperlyConfigured: the file cannot be read, or is not what its name says.
    """
    path = os.fspath(path)
    try:
        with open(path, "rb") as file:
            data = file.read()
        if path.endswith(".json"):
            json = importlib.import_module("json")
            found: Any = json.loads(data)
        else:
            found = _toml(data)
            found = found.get("fastq", found)
    except OSError as error:
        raise ImproperlyConfigured(f"Cannot read the settings file {path!r}: {error.strerror}.") from error
    except ValueError as error:
        raise ImproperlyConfigured(f"The settings file {path!r} is damaged: {error}") from error
    if not isinstance(found, dict):
        raise ImproperlyConfigured(f"The settings file {path!r} holds no map of names and values.")
    return found


def from_pyproject(directory: str | os.PathLike[str] | None = None) -> tuple[str, dict[str, Any]] | None:
    """Return path and table `[tool.fastq]` of the nearest pyproject.toml at or above a directory.

    Args:
        directory: where to begin; None: the working directory.

    Returns:
        None when there is no such file, or it says nothing of fastq. The key `app` names the app; the others are
        settings.

    Raises:
        ImproperlyConfigured: the file is damaged.
    """
    try:
        start = os.path.abspath(directory or os.getcwd())
    except OSError:  # the working directory has been removed
        return None
    for place in _upwards(start):
        path = os.path.join(place, "pyproject.toml")
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError:
            continue
        # The parser is loaded only when there is something to find: every start of a client comes by here.
        if b"tool.fastq" not in data:
            return None
        try:
            table = _toml(data).get("tool", {}).get("fastq", {})
        except ValueError as error:
            raise ImproperlyConfigured(f"{path} is damaged: {error}") from error
        return (path, table) if table else None
    return None


def _upwards(directory: str) -> Iterator[str]:
    """Iterate over a folder and all that it is in. Not with pathlib: it takes as long to import as all settings."""
    yield directory
    while (above := os.path.dirname(directory)) != directory:
        yield (directory := above)


def _toml(data: bytes) -> dict[str, Any]:
    module = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    found: dict[str, Any] = module.loads(data.decode("utf-8"))
    return found


def from_arguments(arguments: Iterable[str], namespace: str = "worker") -> dict[str, str]:
    """Return the settings given as `key=value` after `--` on the command line; values stay text.

    Args:
        arguments: `worker_prefetch_multiplier=1`, `worker.prefetch_multiplier=1` or, in the namespace,
            `.prefetch_multiplier=1`.
        namespace: put before keys that begin with a dot.

    Raises:
        ImproperlyConfigured: an argument has no `=`.
    """
    found = {}
    for argument in arguments:
        key, separator, value = argument.partition("=")
        if not separator or not key:
            raise ImproperlyConfigured(f"{argument!r} is no setting: write name=value.")
        if key.startswith("."):
            key = namespace + key
        found[key.replace(".", "_")] = value
    return found
