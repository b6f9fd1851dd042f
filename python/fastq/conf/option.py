"""One setting: its name, what it takes, its default, and what it does in one sentence."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fastq.exceptions import ImproperlyConfigured
from fastq.text import MASK, hide_password

if TYPE_CHECKING:
    from fastq.conf.kinds import Kind

__all__ = ["SAME", "Option"]

SAME: Final = object()
"""Celery has the same default."""


class Option(NamedTuple):
    """A setting.

    Attributes:
        name: lower case.
        kind: what it takes.
        default: when nobody has set it.
        description: one sentence; what None means, when it means something.
        unit: of a number.
        old: the upper-case name of Celery 3, where it is not the name in upper case.
        celery: Celery's default, where it is another one.
        nullable: None has a meaning of its own; else it stands for the default.
        secret: never shown.
        ours: Celery does not have it.
        acts: it does something in this version; else it is accepted for configurations that name it.
    """

    name: str
    kind: Kind
    default: Any
    description: str
    unit: str = ""
    old: str = ""
    celery: Any = SAME
    nullable: bool = False
    secret: bool = False
    ours: bool = False
    acts: bool = True

    @property
    def old_names(self) -> tuple[str, ...]:
        """The upper-case names that mean this setting where no namespace is used."""
        if self.ours:
            return ()
        return (self.old,) if self.old else (self.name.upper(), f"CELERY_{self.name.upper()}")

    def fresh_default(self) -> Any:
        """Return the default, a copy of its own when it can be changed."""
        return copy.deepcopy(self.default) if isinstance(self.default, (dict, list)) else self.default

    def convert(self, value: Any, source: str) -> Any:
        """Return a value in the form that is kept.

        Args:
            value: as given.
            source: where it was given, for the error: `the environment variable FASTQ_TASK_TIME_LIMIT`.

        Raises:
            ImproperlyConfigured: the value is of a wrong type; names setting, value and source.
        """
        if value is None:
            return None if self.nullable else self.fresh_default()
        try:
            return self.kind.convert(value)
        except (ValueError, TypeError, ArithmeticError):
            unit = f" ({self.unit})" if self.unit else ""
            raise ImproperlyConfigured(
                f"The setting {self.name} must be {self.kind.wanted}{unit}, not {self.shown(value)} (from {source})."
            ) from None

    def shown(self, value: Any) -> str:
        """Return the value for people, secrets hidden."""
        if self.secret and value:
            return MASK
        return repr(hide_password(value)) if isinstance(value, str) else repr(value)
