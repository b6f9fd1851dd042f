"""From the names people write to the names of settings.

A configuration uses the lower-case names or the upper-case names of Celery 3, not both. With a namespace, only names
that begin with it count: with `namespace="CELERY"`, `CELERY_TASK_SERIALIZER` is `task_serializer`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastq.conf.defaults import OPTIONS
from fastq.exceptions import ImproperlyConfigured
from fastq.text import closest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["OLD_NAMES", "looks_like_a_setting", "misspelt", "nearest", "new_name", "translate"]

OLD_NAMES: Final[Mapping[str, str]] = {old: option.name for option in OPTIONS.values() for old in option.old_names}
"""New name of each old one."""

_SHORT_NAMES: Final = {"broker": "broker_url", "backend": "result_backend"}
"""What the app's constructor calls some settings."""

_SURELY: Final = 0.92
"""How alike a name is to a setting's when it can hardly mean anything else: a letter or two."""

_GROUPS: Final = frozenset(name.partition("_")[0] for name in OPTIONS if "_" in name)


def new_name(name: str) -> str | None:
    """Return the name of the setting that is meant by a name, new or old; None when there is none."""
    return name if name in OPTIONS else OLD_NAMES.get(name)


def nearest(name: str) -> str | None:
    """Return the name of the setting that an unknown name was probably to be."""
    word = name.lower().removeprefix("celery_").removeprefix("celeryd_")
    short = closest(word, _SHORT_NAMES)
    return closest(word, OPTIONS) or (_SHORT_NAMES[short] if short else None)


def misspelt(name: str) -> str | None:
    """Return the name of the setting that an unknown name can only be a slip of; None when it may be something else."""
    import difflib

    found = difflib.get_close_matches(name.lower(), OPTIONS, n=1, cutoff=_SURELY)
    return found[0] if found else None


def looks_like_a_setting(name: str) -> bool:
    """Tell whether an unknown name seems to be meant as a setting.

    A module holds imports and helpers too, and a user's own values: those are kept and not complained about.
    """
    if name.startswith(("CELERY_", "CELERYD_", "CELERYBEAT_")) or misspelt(name) is not None:
        return True
    return name.lower().partition("_")[0] in _GROUPS and nearest(name) is not None


def translate(found: Mapping[str, Any], namespace: str | None, source: str) -> dict[str, Any]:
    """Return a configuration with the new names of all settings; unknown names stay as they are.

    Args:
        found: names and values as written.
        namespace: names must begin with it and `_`; None: all names count.
        source: where they were written, for the error.

    Raises:
        ImproperlyConfigured: new and old names are mixed; says how to write those that are in the minority.
    """
    if namespace:
        return _within_namespace(found, f"{namespace.rstrip('_').upper()}_")
    new = [name for name in found if name in OPTIONS]
    old = [name for name in found if name in OLD_NAMES]
    _refuse_mixture(new, old, source)
    translated = {name: value for name, value in found.items() if name not in OLD_NAMES}
    for name in old:
        translated.setdefault(OLD_NAMES[name], found[name])
    return translated


def _within_namespace(found: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    translated = {}
    for name, value in found.items():
        if name.upper().startswith(prefix):
            rest = name[len(prefix) :].lower()
            translated[rest if rest in OPTIONS else OLD_NAMES.get(name.upper(), rest)] = value
    return translated


def _refuse_mixture(new: Iterable[str], old: Iterable[str], source: str) -> None:
    set_by_new = set(new)
    # A setting given under both names is no mixture: libraries do that to suit both.
    only_old = {name for name in old if OLD_NAMES[name] not in set_by_new}
    only_new = set_by_new - {OLD_NAMES[name] for name in old}
    if not only_old or not only_new:
        return
    if len(only_old) <= len(only_new):
        hints = [f"{name} is {OLD_NAMES[name]}" for name in sorted(only_old)]
    else:
        hints = [f"{name} is {OPTIONS[name].old_names[0]}" for name in sorted(only_new) if OPTIONS[name].old_names]
    raise ImproperlyConfigured(
        f"{source} mixes new lower-case names of settings with old upper-case ones; use one kind: {', '.join(hints)}."
    )
