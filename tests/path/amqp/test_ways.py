"""Ways to a RabbitMQ server over TLS: from a call to its result, by client and worker; and what keeps them out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from fastq import FastQ
from fastq.exceptions import AccessRefused, OperationalError
from servers import free_port
from tests.path.conftest import SHOP
from tests.support.certificates import Certificates
from tests.support.rabbitmq_server import RabbitMQServer

if TYPE_CHECKING:
    from tests.support.worker import RunningWorker

LIMIT = 60.0


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def port() -> int:
    """Return the port on which the node speaks TLS."""
    return free_port()


@pytest.fixture(scope="module")
def secured(
    certificates: Certificates, port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RabbitMQServer]:
    """Return a node that speaks TLS, wants to see a certificate, and takes it for a login where it is asked to."""
    settings = {
        "auth_mechanisms.1": "PLAIN",
        "auth_mechanisms.2": "EXTERNAL",
        "ssl_cert_login_from": "common_name",
        "listeners.ssl.default": f"127.0.0.1:{port}",
        "ssl_options.cacertfile": certificates.authority,
        "ssl_options.certfile": certificates["server"],
        "ssl_options.keyfile": certificates.key("server"),
        "ssl_options.verify": "verify_peer",
        "ssl_options.fail_if_no_peer_cert": "true",
    }
    folder = tmp_path_factory.mktemp("rabbitmq")
    server = RabbitMQServer(folder, settings=settings)
    (folder / "enabled_plugins").write_text("[rabbitmq_auth_mechanism_ssl].\n")
    with server:
        yield server


@pytest.fixture(scope="module")
def address(secured: RabbitMQServer, port: int) -> str:
    """Return host and port of the node."""
    return f"localhost:{port}"


def _ours(certificates: Certificates) -> dict[str, str]:
    return {
        "ssl_ca_certs": certificates.authority,
        "ssl_certfile": certificates["client"],
        "ssl_keyfile": certificates.key("client"),
    }


def _send(url: str, **settings: Any) -> None:
    app = FastQ("client", set_as_current=False, broker=url, backend="disabled://", **settings)
    app.conf.task_publish_retry = False
    try:
        app.send_task("shop.add", (2, 3))
    finally:
        app.close()


def _query(certificates: Certificates) -> str:
    return "&".join(f"{name}={value}" for name, value in _ours(certificates).items())


@pytest.mark.parametrize("by_url", [True, False], ids=["by the url", "by settings"])
def test_tls_with_a_certificate_of_our_own(
    address: str, certificates: Certificates, start_worker: Callable[..., RunningWorker], by_url: bool
) -> None:
    url = f"amqps://{address}//?{_query(certificates)}" if by_url else f"amqp://{address}//"
    settings = {} if by_url else {"broker_use_ssl": _ours(certificates)}
    environment = {f"FASTQ_{name.upper()}": json.dumps(value) for name, value in settings.items()}
    start_worker(SHOP, ("-c", "1"), {"FASTQ_BROKER_URL": url, "FASTQ_RESULT_BACKEND": "rpc://", **environment})
    app = FastQ("client", set_as_current=False, broker=url, backend="rpc://", **settings)
    assert app.send_task("shop.add", (2, 3)).get(timeout=LIMIT) == 5
    app.close()


def test_a_server_that_is_not_to_be_trusted_is_refused(address: str, certificates: Certificates) -> None:
    own = {**_ours(certificates), "ssl_ca_certs": certificates["client"]}
    with pytest.raises(AccessRefused, match="is not trusted"):
        _send(f"amqp://{address}//", broker_use_ssl=own)


def test_a_server_that_wants_a_certificate_says_so(address: str, certificates: Certificates) -> None:
    with pytest.raises((AccessRefused, OperationalError), match="ssl_certfile and ssl_keyfile"):
        _send(f"amqps://{address}//?ssl_ca_certs={certificates.authority}")


def test_a_server_with_tls_is_no_server_without(address: str) -> None:
    with pytest.raises(OperationalError, match="write amqps:// in place of amqp://"):
        _send(f"amqp://{address}//")


def test_a_certificate_is_a_login(
    secured: RabbitMQServer, address: str, certificates: Certificates, start_worker: Callable[..., RunningWorker]
) -> None:
    """The user is who the certificate says; `guest`, whom the URL would mean, may not come in here."""
    secured.add_vhost("certified")
    secured.control("clear_permissions", "-p", "certified", "guest")
    with pytest.raises(AccessRefused, match="virtual host"):
        _send(f"amqps://{address}/certified?{_query(certificates)}")
    external = {"broker_login_method": "EXTERNAL"}
    with pytest.raises(AccessRefused, match="user name or password"):
        _send(f"amqps://{address}/certified?{_query(certificates)}", **external)
    secured.add_user("client", "never used")
    secured.permit("client", "certified")
    url = f"amqps://{address}/certified?{_query(certificates)}"
    environment = {"FASTQ_BROKER_URL": url, "FASTQ_RESULT_BACKEND": "rpc://", "FASTQ_BROKER_LOGIN_METHOD": "EXTERNAL"}
    start_worker(SHOP, ("-c", "1"), environment)
    app = FastQ("client", set_as_current=False, broker=url, backend="rpc://", **external)
    assert app.send_task("shop.add", (2, 3)).get(timeout=LIMIT) == 5
    connections = secured.list("connections", "user", "vhost", vhost=None)
    assert {row["user"] for row in connections if row["vhost"] == "certified"} == {"client"}
    app.close()
