"""The settings of an app: where they come from, and when they are read."""

from __future__ import annotations

import os
import threading
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fastq import time
from fastq.conf import Settings, load, places
from fastq.exceptions import ImproperlyConfigured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager
    from datetime import tzinfo

    from fastq.signals import Signal

__all__ = ["Configuration"]


class Configuration:
    """The part of an app that holds its settings.

    They are read from their source when one is first asked for, so that an app can be made before its configuration
    module can be imported. What is relative in them counts from the directory where the app was made all the same.
    """

    on_configure: Signal
    on_after_configure: Signal
    present: Callable[[], float] | None = None
    """Tells the time in place of the machine's clock, in seconds since 1970; set by tests that turn a clock by hand."""

    def __init__(self, preset: Mapping[str, Any], source: Any, namespace: str | None, silent: bool) -> None:
        """Remember what was given; nothing is read yet."""
        self._preset = dict(preset)
        self._source = source
        self._silent = silent
        self.namespace = namespace
        self._directory = places.working_directory()
        self._conf: Settings | None = None
        self._defaults: list[Any] = []
        # By process: what another thread held at a fork is never let go in the child, which reads the settings itself.
        self._configuring: dict[int, AbstractContextManager[Any]] = {}

    @property
    def conf(self) -> Settings:
        """The settings. They are read from their source on first use."""
        conf = self._conf
        return self._configure() if conf is None else conf

    @property
    def configured(self) -> bool:
        """Whether the settings have been read."""
        return self._conf is not None

    def _configure(self) -> Settings:
        with self._configuring.setdefault(os.getpid(), threading.RLock()):
            if self._conf is not None:
                return self._conf
            # A handler of on_configure may still name a source, or set defaults.
            self.on_configure.send(sender=self)
            conf = self._read()
            for defaults in self._defaults:
                conf.add_defaults(defaults, self._directory)
            self._conf = conf
            self.on_after_configure.send(sender=self, source=conf)
            return conf

    def _read(self) -> Settings:
        try:
            return Settings(self._preset, source=self._source, namespace=self.namespace, directory=self._directory)
        except ImportError:
            if not self._silent:
                raise
            return Settings(self._preset, namespace=self.namespace, directory=self._directory)

    def config_from_object(
        self, obj: Any, silent: bool = False, force: bool = False, namespace: str | None = None
    ) -> None:
        """Take settings from a module, object or mapping, in place of an earlier source.

        Args:
            obj: a mapping, an object whose attributes are settings, or the name of a module or object.
            silent: pass over a module that does not exist.
            force: read it now; by default when a setting is first asked for.
            namespace: beginning of the names that are settings: with `CELERY`, `CELERY_TASK_ROUTES` is `task_routes`.

        Raises:
            ImportError: it is read now and does not exist.
            ImproperlyConfigured: it is read now, and a setting is wrong.
        """
        self._source, self._silent = obj, silent
        self.namespace = namespace or self.namespace
        if self._conf is not None:
            self._conf.read(obj, namespace=self.namespace, silent=silent)
        elif force:
            self._configure()

    def config_from_envvar(self, variable_name: str, silent: bool = False, force: bool = False) -> bool:
        """Take settings from the module that a variable of the environment names; return whether there is one.

        Raises:
            ImproperlyConfigured: the variable is not set, unless `silent`.
            ImportError: there is no such module, unless `silent`.
        """
        try:
            found = load.from_variable(variable_name)
        except (ImproperlyConfigured, ImportError):
            if silent:
                return False
            raise
        self.config_from_object(found, force=force)
        return True

    def config_from_cmdline(self, argv: Iterable[str], namespace: str = "worker") -> None:
        """Set what `name=value` arguments say; names that begin with a dot are in the namespace."""
        self.conf.update_from_arguments(argv, namespace)

    def add_defaults(self, defaults: Any) -> None:
        """Add defaults, weaker than what users set: a mapping, or a function that returns one when it is needed."""
        if self._conf is not None:
            self._conf.add_defaults(defaults)
        self._defaults.append(defaults)

    @property
    def timezone(self) -> tzinfo:
        """The time zone of the settings: `timezone`, else UTC, or the machine's own with `enable_utc = False`."""
        return time.find_zone(self.conf.timezone)

    def uses_utc_timezone(self) -> bool:
        """Tell whether the app's time zone is UTC."""
        return self.timezone == time.utc

    def now(self) -> datetime:
        """Return the present time in the app's time zone."""
        if self.present is not None:
            return datetime.fromtimestamp(self.present(), self.timezone)
        return time.now(self.timezone)
