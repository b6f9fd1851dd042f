"""Ways to a server: TLS, a Unix socket, sentinels; each from a call to its result, by client and worker."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fastq import FastQ
from fastq.exceptions import AccessRefused, OperationalError
from servers import free_port
from tests.path.conftest import SHOP
from tests.path.redis.conftest import Watched
from tests.support.certificates import Certificates
from tests.support.redis_sentinel import Sentinel
from tests.support.redis_server import RefusedError
from tests.support.wait import wait_for

if TYPE_CHECKING:
    from tests.support.worker import RunningWorker

LIMIT = 30.0

Round = Callable[..., int]


@pytest.fixture
def round_trip(start_worker: Callable[..., RunningWorker]) -> Iterator[Round]:
    """Return a function that calls a task over a URL, has a worker run it, and returns the result."""
    apps: list[FastQ] = []

    def make(url: str, **settings: Any) -> int:
        environment = {f"FASTQ_{name.upper()}": json.dumps(value) for name, value in settings.items()}
        start_worker(SHOP, ("-c", "1"), {"FASTQ_BROKER_URL": url, "FASTQ_RESULT_BACKEND": url, **environment})
        app = FastQ("client", set_as_current=False, broker=url, backend=url, **settings)
        apps.append(app)
        result = app.send_task("shop.add", (2, 3))
        value: int = result.get(timeout=LIMIT)
        return value

    yield make
    for app in apps:
        app.close()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def secure(server: Watched, certificates: Certificates) -> Callable[..., str]:
    """Return a function that restarts the server with TLS and returns its URL."""

    def restart(certificate: str = "server", clients: str = "no") -> str:
        server.kill()
        port = free_port()
        server.start(
            tls_port=port,
            tls_cert_file=certificates[certificate],
            tls_key_file=certificates.key(certificate),
            tls_ca_cert_file=certificates.authority,
            tls_auth_clients=clients,
        )
        return f"rediss://localhost:{port}/0"

    return restart


def state(url: str, **settings: Any) -> str:
    app = FastQ("client", set_as_current=False, broker="memory://", backend=url, **settings)
    try:
        return app.AsyncResult("id").state
    finally:
        app.close()


def test_tls_by_the_url(secure: Callable[..., str], certificates: Certificates, round_trip: Round) -> None:
    query = f"?ssl_cert_reqs=required&ssl_ca_certs={certificates.authority}"
    assert round_trip(secure() + query) == 5


def test_tls_by_settings_with_a_certificate_of_our_own(
    secure: Callable[..., str], certificates: Certificates, round_trip: Round
) -> None:
    url = secure(clients="yes").replace("rediss:", "redis:")
    tls = {
        "ssl_cert_reqs": "required",
        "ssl_ca_certs": certificates.authority,
        "ssl_certfile": certificates["client"],
        "ssl_keyfile": certificates.key("client"),
    }
    assert round_trip(url, broker_use_ssl=tls, redis_backend_use_ssl=tls) == 5


def test_a_certificate_that_is_not_to_be_trusted_is_refused(
    secure: Callable[..., str], certificates: Certificates
) -> None:
    url = secure()
    assert state(f"{url}?ssl_cert_reqs=none") == "PENDING"
    with pytest.raises(AccessRefused, match="is not trusted: name its authority in ssl_ca_certs"):
        state(f"{url}?ssl_cert_reqs=required")
    with pytest.raises(AccessRefused, match="is not trusted"):
        state(f"{url}?ssl_ca_certs={certificates['client']}")


def test_a_certificate_for_another_host_is_refused_unless_the_name_does_not_matter(
    secure: Callable[..., str], certificates: Certificates
) -> None:
    url = f"{secure('other')}?ssl_ca_certs={certificates.authority}"
    with pytest.raises(AccessRefused, match="is not trusted"):
        state(url)
    assert state(f"{url}&ssl_check_hostname=false") == "PENDING"


def test_a_server_that_wants_a_certificate_says_so(secure: Callable[..., str], certificates: Certificates) -> None:
    url = f"{secure(clients='yes')}?ssl_ca_certs={certificates.authority}"
    with pytest.raises((AccessRefused, OperationalError), match="ssl_certfile and ssl_keyfile"):
        state(url)


def test_a_server_with_tls_is_no_server_without(secure: Callable[..., str]) -> None:
    with pytest.raises(OperationalError, match="write rediss:// in place of redis://"):
        state(secure().replace("rediss:", "redis:"))


def test_a_unix_socket(server: Watched, tmp_path: Path, round_trip: Round) -> None:
    server.kill()
    server.start(unixsocket=tmp_path / "redis.sock")

    assert round_trip(f"redis+socket://{tmp_path}/redis.sock?virtual_host=2") == 5
    assert b" db=2 " in server.clients()[0]


@pytest.fixture
def sentinel(server: Watched, tmp_path: Path) -> Iterator[Sentinel]:
    (tmp_path / "sentinel").mkdir()
    sentinel = Sentinel(tmp_path / "sentinel", server.port, "shop")
    yield sentinel
    sentinel.kill()


def test_sentinels(sentinel: Sentinel, round_trip: Round) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        gone = door.getsockname()[1]
    url = f"sentinel://127.0.0.1:{gone};sentinel://127.0.0.1:{sentinel.port}/1"
    options = {"master_name": "shop"}

    assert round_trip(url, broker_transport_options=options, result_backend_transport_options=options) == 5


def test_sentinels_with_a_password_of_their_own(sentinel: Sentinel) -> None:
    sentinel.do("SENTINEL", "CONFIG", "SET", "sentinel-pass", "")
    sentinel.do("ACL", "SETUSER", "default", "resetpass", ">open sesame")
    url = f"sentinel://127.0.0.1:{sentinel.port}"
    options: dict[str, Any] = {"master_name": "shop"}

    with pytest.raises(OperationalError, match="no sentinel could name"):
        state(url, result_backend_transport_options=options)
    options["sentinel_kwargs"] = {"password": "open sesame"}
    assert state(url, result_backend_transport_options=options) == "PENDING"


def test_a_master_that_sentinels_do_not_know(sentinel: Sentinel) -> None:
    with pytest.raises(OperationalError, match=r"no sentinel could name a Redis master that serves.*master_name: x"):
        state(f"sentinel://127.0.0.1:{sentinel.port}", result_backend_transport_options={"master_name": "x"})


def role(server: Watched) -> bytes:
    """Return the role of a server; nothing while it changes, for then it hangs up."""
    try:
        return bytes(server.do("ROLE")[0])
    except OSError:
        server.serves()
        return b""


def test_calls_go_to_the_new_master_after_a_failover(sentinel: Sentinel, server: Watched, tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    with Watched(tmp_path / "second") as second:
        second.do("REPLICAOF", "127.0.0.1", server.port)
        options = {"master_name": "shop"}
        app = FastQ(
            "client",
            set_as_current=False,
            broker=f"sentinel://127.0.0.1:{sentinel.port}",
            backend="disabled://",
            broker_transport_options=options,
        )
        app.send_task("x")
        wait_for(lambda: second.do("LLEN", "celery") == 1, "the replica to have it")

        def fail_over() -> bool:
            try:
                return sentinel.do("SENTINEL", "FAILOVER", "shop") == b"OK"
            except RefusedError:  # it looks for replicas every ten seconds
                return False

        wait_for(fail_over, "the sentinel to know the replica", limit=LIMIT)
        wait_for(lambda: role(second) == b"master", "the second to be the master", limit=LIMIT)
        wait_for(lambda: role(server) == b"slave", "the first to be none any more", limit=LIMIT)

        app.send_task("x")
        assert second.do("LLEN", "celery") == 2
        app.close()
