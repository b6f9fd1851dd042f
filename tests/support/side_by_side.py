"""How tests are shared out to processes that run side by side (`pytest -n`): which ones stay together."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    import pytest

__all__ = ["ByFile"]

_TOWN = re.compile(r"(tests/compat/live/(?:rabbitmq/)?)test_.*\[(\d\.\d)")
"""Tests with a version of Celery first in their brackets share a server, and workers of both libraries on it."""


class ByFile(LoadScopeScheduling):
    """Hands out the tests of one file, or of one town, together: they share servers that take seconds to start."""

    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        super().__init__(config, log)
        # Not by how many tests there are: in the order of the folders, those with files that take long come first.
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        town = _TOWN.match(nodeid)
        return " ".join(town.groups()) if town else nodeid.partition("::")[0]
