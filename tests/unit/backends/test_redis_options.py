"""What settings become for connections to Redis."""

from __future__ import annotations

import logging
import socket
import ssl
from typing import Any

import pytest

from fastq import FastQ
from fastq.backends.redis_options import for_broker, for_store
from fastq.exceptions import ImproperlyConfigured

URL = "redis://h/0"
ALWAYS = {"publish_timeout": 5.0, "health_check_interval": 0}
"""What every store is told."""


def conf(**settings: Any) -> Any:
    return FastQ("options", set_as_current=False, changes={"broker_url": URL, "result_backend": URL, **settings}).conf


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, {}),
        ({"broker_pool_limit": 3}, {"max_connections": 3}),
        ({"broker_pool_limit": None}, {"max_connections": 0}),
        ({"broker_pool_limit": 0}, {"max_connections": 0}),
        ({"broker_connection_timeout": 1.5}, {"socket_connect_timeout": 1.5}),
        ({"broker_use_ssl": True}, {"ssl": True, "ssl_cert_reqs": "required"}),
        ({"broker_use_ssl": False}, {}),
        (
            {"broker_use_ssl": {"ssl_cert_reqs": ssl.CERT_NONE, "ssl_ca_certs": "/ca.pem"}},
            {"ssl": True, "ssl_cert_reqs": "none", "ssl_ca_certs": "/ca.pem"},
        ),
        (
            {"broker_use_ssl": {"keyfile": "k", "certfile": "c", "ca_certs": "a", "cert_reqs": ssl.CERT_REQUIRED}},
            {"ssl": True, "ssl_keyfile": "k", "ssl_certfile": "c", "ssl_ca_certs": "a", "ssl_cert_reqs": "required"},
        ),
        ({"broker_use_ssl": {"ssl_cert_reqs": "CERT_OPTIONAL"}}, {"ssl": True, "ssl_cert_reqs": "optional"}),
        ({"broker_use_ssl": {"ssl_cert_reqs": None}}, {"ssl": True, "ssl_cert_reqs": "none"}),
        ({"broker_transport_options": {"visibility_timeout": 60}}, {"visibility_timeout": 60}),
        ({"broker_pool_limit": 3, "broker_transport_options": {"max_connections": 7}}, {"max_connections": 7}),
        ({"broker_transport_options": {"ssl_cert_reqs": 2}}, {"ssl_cert_reqs": "required"}),
        (
            {"broker_transport_options": {"ssl": {"ssl_cert_reqs": "none"}}},
            {"ssl": True, "ssl_cert_reqs": "none"},
        ),
        (
            {"broker_transport_options": {"socket_keepalive_options": {socket.TCP_KEEPINTVL: 5, "TCP_KEEPCNT": 2}}},
            {"socket_keepalive_options": {"TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 2}},
        ),
    ],
)
def test_options_of_the_broker(settings: dict[str, Any], expected: dict[str, Any]) -> None:
    assert for_broker(conf(**settings), URL) == expected


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, {}),
        ({"redis_socket_timeout": 7}, {"publish_timeout": 7}),
        ({"redis_socket_timeout": None}, {"publish_timeout": 86_400.0}),
        ({"redis_socket_connect_timeout": 2.0}, {"socket_connect_timeout": 2.0}),
        ({"redis_retry_on_timeout": True}, {"retry_on_timeout": True}),
        ({"redis_socket_keepalive": True}, {"socket_keepalive": True}),
        ({"redis_backend_health_check_interval": 30}, {"health_check_interval": 30}),
        ({"redis_client_name": "web"}, {"client_name": "web"}),
        ({"redis_max_connections": 4}, {"max_connections": 4}),
        ({"broker_pool_limit": 6}, {"max_connections": 6}),
        (
            {"redis_username": "u", "redis_password": "p", "redis_host": "r", "redis_port": 1, "redis_db": 2},
            {"username": "u", "password": "p", "host": "r", "port": 1, "db": 2},
        ),
        (
            {"redis_backend_use_ssl": {"ssl_ca_certs": "/ca"}},
            {"ssl": True, "ssl_ca_certs": "/ca", "ssl_cert_reqs": "required"},
        ),
        ({"result_backend_transport_options": {"master_name": "m"}}, {"master_name": "m"}),
        ({"broker_transport_options": {"master_name": "m"}}, {}),
        (
            {
                "result_backend": None,
                "broker_transport_options": {"master_name": "m", "global_keyprefix": "q"},
                "broker_use_ssl": True,
            },
            {"master_name": "m", "ssl": True, "ssl_cert_reqs": "required"},
        ),
    ],
)
def test_options_of_results(settings: dict[str, Any], expected: dict[str, Any]) -> None:
    assert for_store(conf(**settings), URL) == {**ALWAYS, **expected}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"broker_use_ssl": {"ssl_ciphers": "x", "ssl_ca_path": "/"}},
            "broker_use_ssl has ssl_ca_path and ssl_ciphers",
        ),
        ({"broker_use_ssl": {"ssl_cert_reqs": "maybe"}}, "broker_use_ssl: ssl_cert_reqs is 'maybe'"),
        ({"broker_transport_options": {"ssl_cert_reqs": 7}}, "broker_transport_options: ssl_cert_reqs is 7"),
        ({"broker_transport_options": {"socket_keepalive_options": {99: 1}}}, "broker_transport_options: .* no 99"),
        ({"redis_backend_use_ssl": {"what": 1}}, "redis_backend_use_ssl has ssl_what"),
    ],
)
def test_what_cannot_work_is_named_with_its_setting(settings: dict[str, Any], sentence: str) -> None:
    make = for_store if any(setting.startswith("redis") for setting in settings) else for_broker
    with pytest.raises(ImproperlyConfigured, match=sentence):
        make(conf(**settings), URL)


@pytest.mark.parametrize(
    ("url", "settings", "warned"),
    [
        ("rediss://u:secret@h/0", {}, True),
        ("rediss://h/0?ssl_cert_reqs=none", {}, False),
        ("rediss://h/0?ssl_ca_certs=/ca.pem", {}, False),
        ("rediss://h/0", {"broker_use_ssl": {"ssl_cert_reqs": "none"}}, False),
        ("redis://h/0", {}, False),
    ],
)
def test_a_server_that_is_believed_without_proof_is_warned_of(
    url: str, settings: dict[str, Any], warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for_broker(conf(**settings), url)

    assert ("ssl_cert_reqs=required" in caplog.text) is warned
    assert "secret" not in caplog.text
