"""Showing settings to people without their secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from fastq.conf.defaults import OPTIONS
from fastq.text import MASK, hide_password

__all__ = ["censored", "shown"]

_SUSPICIOUS: Final = re.compile("(?i)API|TOKEN|KEY|SECRET|PASS|PROFANITIES_LIST|SIGNATURE|DATABASE|BEAT_DBURI")


def censored(name: str, value: Any) -> Any:
    """Return a setting's value without secrets.

    A known setting is hidden when it is declared secret; one we do not know, and a key inside a map, when its name
    looks like one. Passwords in URLs are hidden wherever they stand.
    """
    option = OPTIONS.get(name)
    secret = option.secret if option is not None else bool(_SUSPICIOUS.search(name))
    return MASK if secret and value else _inside(value)


def _inside(value: Any) -> Any:
    if isinstance(value, str):
        return hide_password(value) if "://" in value else value
    if isinstance(value, Mapping):
        return {key: MASK if _is_secret(key, item) else _inside(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_inside(item) for item in value) if type(value) in {list, tuple} else value
    return value


def _is_secret(key: Any, value: Any) -> bool:
    # Numbers, flags and maps are no secrets themselves; `routing_key` is a word of queues.
    return (
        isinstance(value, (str, bytes))
        and len(value) > 0
        and key != "routing_key"
        and bool(_SUSPICIOUS.search(key if isinstance(key, str) else ""))
    )


def shown(name: str, value: Any) -> str:
    """Return one line about a setting: `name: value`, secrets hidden."""
    return f"{name}: {censored(name, value)!r}"
