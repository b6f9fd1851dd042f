"""The settings of an app: where they come from, and when they are read."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any

from fastq import time
from fastq.conf import Settings
from fastq.exceptions import ImproperlyConfigured

if TYPE_CHECKING:
    from fastq.signals import Signal

__all__ = ["Configuration"]


class Configuration:
    """The part of an app that holds its settings.

    They are read from their source when one is first asked for, so that an app can be made before its configuration
    module can be imported.
    """

    on_configure: Signal
    on_after_configure: Signal

    def __init__(self, preset: dict[str, Any], source: Any, namespace: str | None, silent: bool) -> None:
        """Remember what was given; nothing is read yet."""
        self._preset = preset
        self._source = source
        self._namespace = namespace
        self._silent = silent
        self._conf: Settings | None = None
        self._defaults: list[Any] = []
        self._configuring = threading.RLock()

    @property
    def conf(self) -> Settings:
        """The settings. They are read from their source on first use."""
        conf = self._conf
        return self._load() if conf is None else conf

    def _load(self) -> Settings:
        with self._configuring:
            if self._conf is None:
                self.on_configure.send(sender=self)
                conf = Settings(self._preset)
                self._conf = conf
                self.on_after_configure.send(sender=self, source=conf)
            return self._conf

    @property
    def timezone(self) -> tzinfo:
        """The time zone of the settings: `timezone`, else UTC, or the machine's own with `enable_utc = False`."""
        conf = self.conf
        return time.find_zone(conf.timezone or ("UTC" if conf.enable_utc else None))

    def now(self) -> datetime:
        """Return the present time in the app's time zone."""
        return time.now(self.timezone)
