"""What the settings say about connections to Redis, as transport options of the core (kombu-layouts.md §2.6)."""

from __future__ import annotations

import logging
import socket
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

from fastq.exceptions import ImproperlyConfigured
from fastq.text import hide_password, join_words

if TYPE_CHECKING:
    from fastq.conf.settings import Settings

__all__ = ["SCHEMES", "for_broker", "for_store", "given", "tls"]

SCHEMES: Final = frozenset({"redis", "rediss", "redis+socket", "unix", "sentinel"})
"""Of URLs that lead to Redis, or to what speaks like it."""

_logger: Final = logging.getLogger("celery.app.base")

_TLS: Final = ("ssl_cert_reqs", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname")
_REQUIREMENTS: Final = ("none", "optional", "required")
"""By the numbers of `ssl.VerifyMode`."""
_RESULTS: Final[Mapping[str, str]] = {
    "redis_username": "username",
    "redis_password": "password",
    "redis_host": "host",
    "redis_port": "port",
    "redis_db": "db",
    "redis_max_connections": "max_connections",
    "redis_socket_connect_timeout": "socket_connect_timeout",
    "redis_retry_on_timeout": "retry_on_timeout",
    "redis_socket_keepalive": "socket_keepalive",
    "redis_backend_credential_provider": "credential_provider",
    "redis_client_name": "client_name",
}
"""Settings of results on Redis, and the core's options for them."""
_NO_LIMIT: Final = 86_400.0
"""Seconds."""


def for_broker(conf: Settings, url: str) -> dict[str, Any]:
    """Return the options of a broker on Redis: `broker_transport_options` over what other settings say.

    Raises:
        ImproperlyConfigured: an option has a value that cannot work; names the setting.
    """
    options: dict[str, Any] = {}
    if conf.is_set("broker_pool_limit"):
        options["max_connections"] = conf.broker_pool_limit or 0
    if conf.is_set("broker_connection_timeout") and conf.broker_connection_timeout is not None:
        options["socket_connect_timeout"] = conf.broker_connection_timeout
    options.update(tls("broker_use_ssl", conf.broker_use_ssl))
    options.update(given("broker_transport_options", conf.broker_transport_options))
    _warn_of_insecure("broker_url", url, options)
    return options


def for_store(conf: Settings, url: str) -> dict[str, Any]:
    """Return the options of results on Redis: `result_backend_transport_options` over what other settings say.

    Where results are on the broker's server because no other was named, they are reached as the broker is.

    Raises:
        ImproperlyConfigured: an option has a value that cannot work; names the setting.
    """
    options: dict[str, Any] = {}
    if conf.result_backend is None:
        broker = for_broker(conf, url)
        options.update({key: value for key, value in broker.items() if key != "global_keyprefix"})
    limit = conf.redis_socket_timeout
    options["publish_timeout"] = _NO_LIMIT if limit is None else limit
    options["health_check_interval"] = conf.redis_backend_health_check_interval or 0
    if conf.redis_max_connections is None and conf.is_set("broker_pool_limit"):
        options["max_connections"] = conf.broker_pool_limit or 0
    for setting, option in _RESULTS.items():
        if conf[setting]:
            options[option] = conf[setting]
    options.update(tls("redis_backend_use_ssl", conf.redis_backend_use_ssl))
    options.update(given("result_backend_transport_options", conf.result_backend_transport_options))
    if conf.result_backend is not None:
        _warn_of_insecure("result_backend", url, options)
    return options


def given(setting: str, values: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return transport options as the core takes them."""
    options = dict(values or {})
    if options.get("socket_keepalive_options"):
        options["socket_keepalive_options"] = _keep_alive(setting, options["socket_keepalive_options"])
    if isinstance(options.get("ssl"), Mapping):
        options.update(tls(setting, options.pop("ssl")))
    if "ssl_cert_reqs" in options:
        options["ssl_cert_reqs"] = _requirement(setting, options["ssl_cert_reqs"])
    return options


def _keep_alive(setting: str, given: Mapping[Any, Any]) -> dict[str, int]:
    """Return socket options by name: programs give them by the numbers that their system has for them."""
    names = {
        getattr(socket, name): name
        for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
        if hasattr(socket, name)
    }
    found = {names.get(int(key) if str(key).isdigit() else key, str(key)): value for key, value in given.items()}
    unknown = sorted(set(found) - {"TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT"})
    if unknown:
        raise ImproperlyConfigured(
            f"{setting}: socket_keepalive_options has no {join_words(unknown)}: use socket.TCP_KEEPIDLE, "
            "socket.TCP_KEEPINTVL and socket.TCP_KEEPCNT."
        )
    return found


def tls(setting: str, value: Any, server: str = "Redis", more: Sequence[str] = ()) -> dict[str, Any]:
    """Return the options of TLS. The keys may lack their `ssl_`, as they do in settings for RabbitMQ.

    Args:
        setting: where they stand.
        value: True, or a map.
        server: what is connected to, for the error.
        more: options that only this server's connections have.

    Raises:
        ImproperlyConfigured: there is one that these connections do not have.
    """
    if not value:
        return {}
    given = {} if value is True else dict(value)
    known = {key if key.startswith("ssl_") else f"ssl_{key}": entry for key, entry in given.items()}
    allowed = (*_TLS, *more)
    unknown = sorted(set(known) - {*allowed})
    if unknown:
        raise ImproperlyConfigured(
            f"{setting} has {join_words(unknown)}, which {server} connections do not have here: use "
            f"{join_words(allowed)}."
        )
    # Said nothing, a certificate is looked at: who wants it otherwise says so.
    known["ssl_cert_reqs"] = _requirement(setting, known.get("ssl_cert_reqs", "required"))
    return {"ssl": True, **{key: entry for key, entry in known.items() if entry is not None}}


def _requirement(setting: str, value: Any) -> str:
    """Return whether certificates are looked at, given as `ssl.CERT_REQUIRED`, its number or its name."""
    if value is None:
        return "none"
    if isinstance(value, int) and 0 <= value < len(_REQUIREMENTS):
        return _REQUIREMENTS[value]
    word = str(value).lower().removeprefix("cert_")
    if word not in _REQUIREMENTS:
        raise ImproperlyConfigured(
            f"{setting}: ssl_cert_reqs is {value!r}; it may be {join_words(_REQUIREMENTS, 'or')}."
        )
    return word


def _warn_of_insecure(setting: str, url: str, options: Mapping[str, Any]) -> None:
    """Warn when a server is believed to be whoever it says: kombu's default for `rediss://`, and so ours."""
    query = parse_qs(urlsplit(url).query)
    said = {"ssl_cert_reqs", "ssl_ca_certs"}
    if url.startswith("rediss:") and said.isdisjoint(options) and said.isdisjoint(query):
        _logger.warning(
            "%s is %s, and nothing says that the server's certificate is to be looked at: add "
            "?ssl_cert_reqs=required, or =none if that is meant.",
            setting,
            hide_password(url),
        )
