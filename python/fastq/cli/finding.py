"""Finding the app that a command works on: `module`, `module:name` or `module.name`."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from types import ModuleType
from typing import Any, Final

import click

from fastq.app import FastQ
from fastq.conf import environment, load
from fastq.text import closest, join_words

__all__ = ["app_of_project", "default_app", "find_app"]

_USUAL_NAMES: Final = ("app", "celery", "fastq")
"""Names that are tried first in a module, and as modules of a package."""


def app_of_project() -> str | None:
    """Return the app that FASTQ_APP, or `app` under [tool.fastq] in pyproject.toml, names; None when neither does."""
    named = environment.read("APP")
    if named is not None:
        return named
    found = load.from_pyproject()
    if found is None:
        return None
    path, table = found
    name = table.get("app")
    if name is not None and not isinstance(name, str):
        raise click.UsageError(f'{path}: app under [tool.fastq] is {name!r}; let it name a module, such as "shop".')
    folder = os.path.dirname(path)
    if name is not None and folder not in sys.path:
        # Called from a folder inside the project: the module lies beside the file that names it.
        sys.path.insert(0, folder)
    return name


def default_app() -> Any:
    """Return an app of no one's, for commands that need nothing but a broker."""
    return FastQ("fastq", set_as_current=False)


def find_app(spec: str) -> Any:
    """Return the app that `spec` names; its module is imported, from the working directory too.

    Raises:
        click.ClickException: there is no such module, it cannot be imported, or it holds no app or several.
    """
    _make_working_directory_importable()
    module_name, colon, attribute = spec.partition(":")
    if colon:
        return _named_app(_import(module_name, spec), attribute, spec)
    module = _import_or_parent(spec)
    if isinstance(module, tuple):
        return _named_app(*module, spec)
    return _only_app(module, spec)


def _make_working_directory_importable() -> None:
    """Put the working directory on the path for good: tasks import their neighbours while they run."""
    directory = os.getcwd()
    if directory not in sys.path and "" not in sys.path:
        sys.path.insert(0, directory)


def _import_or_parent(spec: str) -> ModuleType | tuple[ModuleType, str]:
    """Return the module `spec`, or the module before its last dot and the name after it."""
    parent, dot, name = spec.rpartition(".")
    try:
        return importlib.import_module(spec)
    except ModuleNotFoundError as error:
        if dot and error.name == spec:
            module = _import(parent, spec)
            if hasattr(module, name) or not hasattr(module, "__path__"):
                return module, name
        raise _not_found(spec, spec, error) from error
    except Exception as error:
        raise _broken(spec, error) from error


def _import(name: str, spec: str) -> ModuleType:
    if not name:
        raise click.UsageError(f"-A {spec} names no module: write module:name, such as shop:app.")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise _not_found(name, spec, error) from error
    except Exception as error:
        raise _broken(name, error) from error


def _not_found(name: str, spec: str, error: ModuleNotFoundError) -> click.ClickException:
    missing = error.name or ""
    if name != missing and not name.startswith(f"{missing}."):
        return click.ClickException(
            f"The app {spec} cannot be imported: {name} needs the module {missing}, which is not installed."
        )
    top = missing.partition(".")[0]
    beside = [entry.removesuffix(".py") for entry in os.listdir() if entry.endswith(".py") or os.path.isdir(entry)]
    near = closest(top, beside)
    hint = f" Did you mean {near}?" if near and near != top else " Call fastq where it lies, or give --workdir."
    return click.ClickException(
        f"The app {spec} cannot be imported: there is no module {missing} in {_searched()}.{hint}"
    )


def _searched() -> str:
    """Return the folders an app was looked for in: this one, and that of a pyproject.toml above."""
    found = load.from_pyproject()
    folder = os.path.dirname(found[0]) if found is not None else os.getcwd()
    return os.getcwd() if folder == os.getcwd() or folder not in sys.path else f"{os.getcwd()} or {folder}"


def _broken(name: str, error: Exception) -> click.ClickException:
    """Return what to say of a module that raises while it is imported: the line of the user's that did it."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    if isinstance(error, SyntaxError):
        where = f" ({error.filename}, line {error.lineno})"
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return click.ClickException(
        f"The app cannot be imported: {name} raises {type(error).__name__}: {text}{where}. "
        f"`python -c 'import {name}'` shows the whole traceback."
    )


def _apps_in(module: ModuleType) -> dict[str, Any]:
    return {name: value for name, value in vars(module).items() if isinstance(value, FastQ)}


def _named_app(module: ModuleType, path: str, spec: str) -> Any:
    found: Any = module
    for part in path.split("."):
        if not hasattr(found, part):
            raise click.ClickException(f"-A {spec}: {module.__name__} has no {path}. {_candidates(module)}")
        found = getattr(found, part)
    if isinstance(found, ModuleType):
        return _only_app(found, spec)
    if not isinstance(found, FastQ):
        raise click.ClickException(f"-A {spec}: {path} is no FastQ app. {_candidates(module)}")
    return found


def _candidates(module: ModuleType) -> str:
    names = sorted(_apps_in(module))
    if not names:
        return f'{module.__name__} holds no app: write app = FastQ("{module.__name__}") there.'
    return f"It holds {join_words(names)}: say -A {module.__name__}:{names[0]}."


def _only_app(module: ModuleType, spec: str) -> Any:
    apps = _apps_in(module)
    for name in _USUAL_NAMES:
        if name in apps:
            return apps[name]
    different = {id(app): name for name, app in reversed(apps.items())}
    if len(different) == 1:
        return next(iter(apps.values()))
    if different:
        names = sorted(different.values())
        raise click.ClickException(
            f"-A {spec}: there are several apps, {join_words(names)}. Say which: -A {module.__name__}:{names[0]}."
        )
    if hasattr(module, "__path__"):
        for name in (*_USUAL_NAMES, "tasks"):
            inner = f"{module.__name__}.{name}"
            if importlib.util.find_spec(inner) is not None and (apps := _apps_in(_import(inner, spec))):
                return apps.get("app") or next(iter(apps.values()))
    raise click.ClickException(f"-A {spec}: {_candidates(module)}")
