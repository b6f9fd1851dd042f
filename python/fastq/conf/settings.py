"""The settings of an app, looked up in layers.

From the strongest to the weakest: what the program sets (arguments of the app, `app.conf.name = value`), the
configuration object, the environment, `[tool.fastq]` of pyproject.toml, the app's own defaults, fastq's defaults.

Reading is what happens most, on every call of a task: each known setting is an ordinary attribute, computed when a
layer changes. `revision` counts the changes, so that others know when what they derived is old.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any, Final, NamedTuple

from fastq.conf import censor, environment, load, names, places
from fastq.conf.defaults import OPTIONS
from fastq.exceptions import CDeprecationWarning

__all__ = ["Settings"]

_MISSING: Final = object()

_SAME_AS: Final = {
    "broker_read_url": "broker_url",
    "broker_write_url": "broker_url",
    "task_default_exchange": "task_default_queue",
    "task_default_routing_key": "task_default_queue",
}
"""Settings that are another one when they are None."""


class _Layer(NamedTuple):
    source: str
    known: dict[str, Any]
    other: dict[str, Any]


class Settings(MutableMapping[str, Any]):
    """Settings by attribute and by item; old upper-case names are understood too.

    Writing goes to the strongest layer and may be done at any time, from any thread.

    Args:
        changes: what the program sets.
        source: a configuration object, module name or file (see `load.from_object`).
        namespace: beginning of the names in `source`, such as `CELERY`.
        environ: instead of the process's environment.
        directory: where pyproject.toml is looked for, and where relative paths in the URLs of what is read now begin;
            None: the working directory. An empty text: there too, and pyproject.toml is not looked for.
    """

    revision: int
    """Counts the changes."""

    def __init__(
        self,
        changes: Mapping[str, Any] | None = None,
        *,
        source: Any = None,
        namespace: str | None = None,
        environ: Mapping[str, str] | None = None,
        directory: str | os.PathLike[str] | None = None,
    ) -> None:
        """Read all layers.

        Raises:
            ImproperlyConfigured: a value has a wrong type, or names are mixed; says which and where from.
            ImportError: the configuration module cannot be imported.
        """
        own = self.__dict__
        own["revision"] = 0
        own["namespace"] = namespace
        own["_lock"] = threading.RLock()
        own["_directory"] = os.path.abspath(directory) if directory else places.working_directory()
        own["_defaults"] = {name: self._placed(name, option.fresh_default()) for name, option in OPTIONS.items()}
        own["_old_names"] = set()
        own["_meant"] = set()
        own["_environ"] = environ
        own["_changes"] = self._layer(changes or {}, None, "the program", meant=True)
        own["_config"] = _Layer("the configuration", {}, {})
        own["_environment"] = self._read_environment(environ)
        own["_project"] = self._read_project(directory)
        own["_app_defaults"] = _Layer("the app's defaults", {}, {})
        if source is None:
            source = environment.read("CONFIG_MODULE", environ)
        if source is not None:
            own["_config"] = self._layer(load.from_object(source), namespace, _described(source))
        own["_directory"] = None
        self._resolve(OPTIONS)

    # Layers

    def _placed(self, name: str, value: Any) -> Any:
        """Return a setting's value; a file that it names keeps its place when the working directory is changed."""
        if name not in places.SETTINGS:
            return value
        return places.whole(value, self.__dict__["_directory"] or places.working_directory())

    def _layer(self, found: Mapping[str, Any], namespace: str | None, source: str, *, meant: bool = False) -> _Layer:
        """Return what a source gives. `meant` tells that all its names are meant as settings, be they known or not."""
        self._old_names.update(name for name in found if name in names.OLD_NAMES and not namespace)
        layer = _Layer(source, {}, {})
        for name, value in names.translate(found, namespace, source.capitalize()).items():
            option = OPTIONS.get(name)
            if option is None:
                layer.other[name] = value
                if meant or namespace:
                    self._meant.add(name)
            else:
                layer.known[name] = self._placed(name, option.convert(value, source))
        return layer

    def _read_environment(self, environ: Mapping[str, str] | None) -> _Layer:
        layer = _Layer("the environment", {}, {})
        for name, (text, variable) in environment.read_settings(environ).items():
            value = OPTIONS[name].convert(text, f"the environment variable {variable}")
            layer.known[name] = self._placed(name, value)
        return layer

    def _read_project(self, directory: str | os.PathLike[str] | None) -> _Layer:
        found = None if directory == "" else load.from_pyproject(directory)
        if found is None:
            return _Layer("pyproject.toml", {}, {})
        path, table = found
        table = {name: value for name, value in table.items() if name != "app"}
        return self._layer(table, None, str(path), meant=True)

    @property
    def _layers(self) -> tuple[_Layer, ...]:
        return self._changes, self._config, self._environment, self._project, self._app_defaults

    def _resolve(self, changed: Any) -> None:
        own = self.__dict__
        layers = self._layers
        for name in changed:
            own[name] = next((layer.known[name] for layer in layers if name in layer.known), self._defaults[name])
        for name, other in _SAME_AS.items():
            if self._find(name) is None:
                own[name] = own[other]
        own["timezone"] = self._find("timezone") or ("UTC" if own["enable_utc"] else None)
        own["revision"] += 1

    def _find(self, name: str) -> Any:
        return next((layer.known[name] for layer in self._layers if name in layer.known), self._defaults[name])

    def read(self, source: Any, *, namespace: str | None = None, silent: bool = False) -> bool:
        """Take another configuration object in place of the present one.

        Args:
            source: see `load.from_object`.
            namespace: beginning of the names in it; None: as before.
            silent: return False instead of raising when it cannot be imported.

        Returns:
            Whether it was read.
        """
        try:
            found = load.from_object(source)
        except ImportError:
            if silent:
                return False
            raise
        with self._lock:
            self.__dict__["namespace"] = namespace if namespace is not None else self.namespace
            self.__dict__["_config"] = self._layer(found, self.namespace, _described(source))
            self._resolve(OPTIONS)
        return True

    def add_defaults(self, defaults: Any, directory: str | None = None) -> None:
        """Add defaults of the app. They are weaker than everything users set.

        Args:
            defaults: a map, or a function that returns one.
            directory: where relative paths in their URLs begin; None: the working directory.
        """
        found = defaults() if callable(defaults) else defaults
        with self._lock:
            self.__dict__["_directory"] = directory
            try:
                layer = self._layer(load.from_object(found), None, "the app's defaults")
            finally:
                self.__dict__["_directory"] = None
            self._app_defaults.known.update(layer.known)
            self._app_defaults.other.update(layer.other)
            self._resolve(OPTIONS)

    # Reading. Known settings are in the instance's dictionary: these are asked only about the rest.

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_"):
            value = self._look_up(name)
            if value is not _MISSING:
                return value
        raise AttributeError(f"There is no setting {name!r}.{_hint(name)}")

    def __getitem__(self, name: str) -> Any:
        value = self._look_up(name)
        if value is _MISSING:
            raise KeyError(name)
        return value

    def _look_up(self, name: str) -> Any:
        known = names.new_name(name)
        if known is not None:
            return self.__dict__[known]
        for layer in self._layers:
            if name in layer.other:
                return layer.other[name]
        return _MISSING

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._look_up(name) is not _MISSING

    def __iter__(self) -> Iterator[str]:
        yield from OPTIONS
        yield from self._other_names()

    def __len__(self) -> int:
        return len(OPTIONS) + len(self._other_names())

    def _other_names(self) -> list[str]:
        return sorted({name for layer in self._layers for name in layer.other})

    # Writing

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __setitem__(self, name: str, value: Any) -> None:
        self.update({name: value})

    def __delattr__(self, name: str) -> None:
        del self[name]

    def __delitem__(self, name: str) -> None:
        known = names.new_name(name) or name
        with self._lock:
            if known not in self._changes.known and known not in self._changes.other:
                raise KeyError(name)
            self._changes.known.pop(known, None)
            self._changes.other.pop(known, None)
            self._resolve((known,) if known in OPTIONS else ())

    def update(self, *maps: Any, **settings: Any) -> None:
        """Set several settings at once: all of them, or none when one is wrong."""
        self._update(dict(*maps, **settings), meant=False)

    def update_from_arguments(self, arguments: Iterable[str], namespace: str = "worker") -> None:
        """Set what `name=value` arguments of the command line say (see `load.from_arguments`)."""
        self._update(load.from_arguments(arguments, namespace), meant=True)

    def _update(self, found: Mapping[str, Any], *, meant: bool) -> None:
        # Each name stands for itself here: `conf.update(CELERY_X=1)` after `conf.task_y = 2` mixes nothing.
        translated = {names.new_name(name) or name: value for name, value in found.items()}
        with self._lock:
            layer = self._layer(translated, None, "the program", meant=meant)
            self._changes.known.update(layer.known)
            self._changes.other.update(layer.other)
            self._resolve(layer.known)

    # About the settings

    @property
    def changes(self) -> dict[str, Any]:
        """What the program has set."""
        return {**self._changes.other, **self._changes.known}

    @property
    def unknown(self) -> dict[str, str | None]:
        """Names that seem to be meant as settings and are none, with the name that was probably meant.

        They are arguments of the app or of the command line, keys of pyproject.toml, what a configuration object or
        `app.conf` was given, and variables of the environment.
        """
        unknown = (name for name in self._other_names() if name in self._meant or names.looks_like_a_setting(name))
        return {name: names.nearest(name) for name in unknown} | environment.misspelt(self._environ)

    def is_set(self, name: str) -> bool:
        """Tell whether anyone has set this setting, to whatever value."""
        known = names.new_name(name)
        return any(name in layer.other or known in layer.known for layer in self._layers)

    value_set_for = is_set

    def source_of(self, name: str) -> str:
        """Return where a setting's value comes from, for people."""
        known = names.new_name(name)
        for layer in self._layers:
            if name in layer.other or known in layer.known:
                return layer.source
        return "the default"

    def first(self, *wanted: str) -> Any:
        """Return the first of these settings that is not None; None when all are."""
        return next((value for name in wanted if (value := self.get(name)) is not None), None)

    def get_by_parts(self, *parts: str) -> Any:
        """Return the setting whose name consists of these parts: `get_by_parts("task", None, "serializer")`."""
        return self["_".join(part for part in parts if part)]

    def find_value_for_key(self, name: str, namespace: str = "") -> Any:
        """Return the setting of that name, or of that name in a namespace such as `worker`."""
        return self.get_by_parts(namespace, name) if f"{namespace}_{name}" in self else self[name]

    def without_defaults(self) -> dict[str, Any]:
        """Return the settings that differ from fastq's defaults."""
        own = self.__dict__
        set_ones = {name: own[name] for name in OPTIONS if self.is_set(name) or own[name] != self._as_default(name)}
        return {**set_ones, **{name: self[name] for name in self._other_names()}}

    def _as_default(self, name: str) -> Any:
        """Return the value that a setting has which nobody has set."""
        own = self.__dict__
        if name == "timezone":
            return "UTC" if own["enable_utc"] else None
        if name in places.SETTINGS and name not in _SAME_AS:
            return self._defaults[name]
        return own[_SAME_AS[name]] if name in _SAME_AS else OPTIONS[name].default

    def table(self, with_defaults: bool = False, censored: bool = True) -> dict[str, Any]:
        """Return the settings by name.

        Args:
            with_defaults: those nobody has set too.
            censored: hide secrets.
        """
        found = dict(self) if with_defaults else self.without_defaults()
        return {name: censor.censored(name, value) if censored else value for name, value in found.items()}

    def humanize(self, with_defaults: bool = False, censored: bool = True) -> str:
        """Return the settings as text, one a line."""
        return "\n".join(f"{name}: {value!r}" for name, value in self.table(with_defaults, censored).items())

    def maybe_warn_deprecated_settings(self) -> bool:
        """Warn of old names, and return whether any is used."""
        for name in sorted(self._old_names):
            warnings.warn(
                f"The setting {name} has an old name; write {names.OLD_NAMES[name]}.", CDeprecationWarning, stacklevel=2
            )
        return bool(self._old_names)

    def __repr__(self) -> str:
        return f"<Settings: {self.humanize()}>"


def _hint(name: str) -> str:
    near = names.nearest(name)
    return f" Did you mean {near!r}?" if near else ""


def _described(source: Any) -> str:
    if isinstance(source, (str, os.PathLike)):
        return f"the configuration {os.fspath(source)}"
    return f"the configuration {getattr(source, '__name__', type(source).__name__)}"
