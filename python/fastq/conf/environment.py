"""The environment, read here and nowhere else.

Every setting can be given as `FASTQ_` and its name in upper case. The variables below are no settings, or are read
under Celery's name too when the `FASTQ_` one is absent.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

from fastq.conf import names
from fastq.conf.defaults import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PREFIX", "VARIABLES", "Variable", "misspelt", "read", "read_settings"]

PREFIX: Final = "FASTQ_"


class Variable(NamedTuple):
    """A variable of the environment: our name, Celery's, and what it does."""

    name: str
    celery: str
    description: str


VARIABLES: Final = (
    Variable("FASTQ_APP", "CELERY_APP", "The app that commands work on: `module` or `module:attribute`."),
    Variable("FASTQ_CONFIG_MODULE", "CELERY_CONFIG_MODULE", "A module of settings, for apps that name none."),
    Variable("FASTQ_BROKER_URL", "CELERY_BROKER_URL", "The setting `broker_url`."),
    Variable("FASTQ_BROKER_READ_URL", "CELERY_BROKER_READ_URL", "The setting `broker_read_url`."),
    Variable("FASTQ_BROKER_WRITE_URL", "CELERY_BROKER_WRITE_URL", "The setting `broker_write_url`."),
    Variable("FASTQ_RESULT_BACKEND", "CELERY_RESULT_BACKEND", "The setting `result_backend`."),
)

_CELERY_NAMES: Final = {variable.name: variable.celery for variable in VARIABLES}


def read(name: str, environ: Mapping[str, str] | None = None) -> str | None:
    """Return a variable's text, read under Celery's name when ours is absent; None when both are, or are empty.

    Args:
        name: without the prefix: `APP`.
        environ: instead of the process's own.
    """
    environ = os.environ if environ is None else environ
    ours = PREFIX + name
    return environ.get(ours) or environ.get(_CELERY_NAMES.get(ours, "")) or None


def read_settings(environ: Mapping[str, str] | None = None) -> dict[str, tuple[str, str]]:
    """Return the settings that the environment gives: by name, the text and the variable it stands in."""
    environ = os.environ if environ is None else environ
    found: dict[str, tuple[str, str]] = {}
    for variable in VARIABLES:
        name = variable.name.removeprefix(PREFIX).lower()
        if name in OPTIONS and environ.get(variable.celery):
            found[name] = (environ[variable.celery], variable.celery)
    for key, text in environ.items():
        if key.startswith(PREFIX) and text:
            name = key.removeprefix(PREFIX).lower()
            if name in OPTIONS:
                found[name] = (text, key)
    return found


def misspelt(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables whose names are slips, each with the one that was meant.

    Others that begin like ours may be options of commands (`FASTQ_WORKER_LOGLEVEL`), or a user's own.
    """
    known = {variable.name for variable in VARIABLES}
    found = {}
    for key in os.environ if environ is None else environ:
        name = key.removeprefix(PREFIX).lower()
        if key.startswith(PREFIX) and key not in known and name not in OPTIONS:
            meant = names.misspelt(name)
            if meant is not None:
                found[key] = PREFIX + meant.upper()
    return found
