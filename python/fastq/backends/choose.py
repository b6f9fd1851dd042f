"""Which backend a URL means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fastq.backends.base import Backend
from fastq.exceptions import ImproperlyConfigured, NotSupported
from fastq.imports import entry_points, symbol_by_name
from fastq.text import hide_password

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fastq.app.protocol import App

__all__ = ["by_name", "by_url"]

_OURS: Final[Mapping[str, str]] = {
    "sqlite": "fastq.backends.native:NativeBackend",
    "memory": "fastq.backends.native:NativeBackend",
    "redis": "fastq.backends.native:NativeBackend",
    "rediss": "fastq.backends.native:NativeBackend",
    "redis+socket": "fastq.backends.native:NativeBackend",
    "sentinel": "fastq.backends.native:NativeBackend",
    "rpc": "fastq.backends.native:NativeBackend",
    "cache": "fastq.backends.memory:MemoryBackend",
    "file": "fastq.backends.filesystem:FilesystemBackend",
    "disabled": "fastq.backends.disabled:DisabledBackend",
}
_COMES_WITH_RESULTS: Final = "fastq.backends.native:comes_with_results"
"""Found by name, so that an app with another backend need not load the core for it."""
_USE: Final = "Use sqlite:///path/to/file.db, memory://, file:///directory, cache+memory:// or disabled://."


def by_url(url: str | None, app: App) -> Backend:
    """Return the backend that a URL means.

    Args:
        url: the setting `result_backend`: a URL, a name alone (`disabled`), or `package.module:Class`. None: the store
            that comes with the broker, if it has one, else no results.
        app: whose settings count.

    Raises:
        ImproperlyConfigured: the URL names no backend that is known here, or one that cannot be used.
        NotSupported: the URL names a server that this version does not speak to; names the setting.
    """
    setting = "broker_url" if url is None else "result_backend"
    try:
        return _made(_store_of_broker(app) if url is None else url, app)
    except (ImproperlyConfigured, NotSupported) as error:
        if str(error).startswith(setting):
            raise
        shown = hide_password(app.conf.broker_url if url is None else url)
        raise type(error)(f"{setting} is {shown!r}, which cannot be used: {error}") from None


def _made(url: str, app: App) -> Backend:
    scheme, found, rest = url.partition("://")
    name, plus, inner = (scheme, "", "") if scheme in _OURS else scheme.partition("+")
    kind = by_name(name if found else url, url, app)
    location = f"{inner}://{rest}" if plus else url
    if name == "cache" and inner != "memory":
        raise _unknown(url)
    return kind(app, location)


def by_name(name: str, url: str, app: App) -> Callable[[App, str], Backend]:
    """Return the class of the backend called `name`; `url` is the whole setting, for the error.

    Looked for in this order: fastq's own, the setting `override_backends`, entry points, and as the path of a class.
    """
    path: Any = (getattr(app.conf, "override_backends", None) or {}).get(name) or _OURS.get(name)
    if path is None:
        point = entry_points("fastq.result_backends", "celery.result_backends").get(name)
        path = point.value if point is not None else name if "." in name else None
    if path is None:
        raise _unknown(url)
    try:
        found = symbol_by_name(path)
    except (ImportError, AttributeError) as error:
        raise ImproperlyConfigured(
            f"result_backend is {hide_password(url)!r}, but {path} cannot be imported: {error}."
        ) from error
    if not isinstance(found, type) or not issubclass(found, Backend):
        raise ImproperlyConfigured(
            f"result_backend is {hide_password(url)!r}, but {path} is no fastq.backends.Backend. {_USE}"
        )
    return found


def _store_of_broker(app: App) -> str:
    """Return the URL of the broker when the core keeps results there too."""
    broker: str = app.conf.broker_url
    return broker if symbol_by_name(_COMES_WITH_RESULTS)(broker) else "disabled://"


def _unknown(url: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"result_backend is {hide_password(url)!r}, which this version cannot use. {_USE}")
