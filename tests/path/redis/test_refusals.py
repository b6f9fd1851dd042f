"""A server that refuses, each in its own way: one sentence with setting, URL without its secrets, and advice."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fastq import FastQ
from fastq.exceptions import AccessRefused, ImproperlyConfigured, NotSupported, OperationalError, PreconditionFailed
from fastq.exceptions import TimeoutError as OutOfTime
from tests.path.redis.conftest import Watched
from tests.support.wait import wait_for

LIMIT = 30.0
SECRET = "hunter2"


def refusals(url: str, **settings: Any) -> list[Exception]:
    """Return what a call and a look at a result raise."""
    found: list[Exception] = []
    app = FastQ("shop", set_as_current=False, broker=url, backend=url, **settings)
    for use in (lambda: app.send_task("x", retry=False), lambda: app.backend.store_result("id", 1, "SUCCESS")):
        try:
            use()
        except Exception as error:
            found.append(error)
    app.close()
    return found


def check(url: str, expected: type[Exception], *words: str, **settings: Any) -> None:
    """Hold what is raised against the class and the words expected."""
    found = refusals(url, **settings)
    assert len(found) == 2, found
    for error, setting in zip(found, ("broker_url", "result_backend"), strict=True):
        text = str(error)
        assert type(error) is expected, repr(error)
        assert "\n" not in text
        assert SECRET not in text
        for word in words:
            assert word in text, text
        assert f"{setting}: {re.sub(f':{SECRET}@', ':**@', url)}" in text, text


def test_nobody_listens(server: Watched) -> None:
    server.kill()
    check(server.url, OperationalError, "no Redis server listens at this address", "correct host and port")


def test_the_host_has_no_address() -> None:
    check("redis://nowhere.invalid:6379/0", OperationalError, "the name of the Redis server", "resolved")


def test_a_password_is_missing_wrong_or_unwanted(server: Watched) -> None:
    with_password = server.url.replace("//", f"//:{SECRET}@")
    check(with_password, AccessRefused, "has a password and the Redis server none", "take it out of the URL")

    server.configure("requirepass", "open sesame")
    check(server.url, AccessRefused, "wants a password", "redis://:password@host:6379/0", "NOAUTH")
    check(with_password, AccessRefused, "refused user name or password", "WRONGPASS")
    check(with_password.replace("//:", "//me:"), AccessRefused, "refused user name or password", "WRONGPASS")
    assert not refusals(server.url.replace("//", "//:open%20sesame@"))


@pytest.mark.parametrize("rights", [["~other*", "+@all"], ["~*", "+@all", "-lpush", "-set", "-setex", "-eval"]])
def test_the_user_lacks_a_right(server: Watched, rights: list[str]) -> None:
    server.do("ACL", "SETUSER", "me", "on", f">{SECRET}", "&*", *rights)
    url = server.url.replace("//", f"//me:{SECRET}@")

    check(url, AccessRefused, "may not run this command or use this key", "ACL SETUSER", "NOPERM")


def test_the_servers_memory_is_full(server: Watched) -> None:
    server.configure("maxmemory", 1)
    check(server.url, OperationalError, "is out of memory", "maxmemory")


def test_the_server_is_a_replica(server: Watched) -> None:
    server.do("REPLICAOF", "127.0.0.1", 1)
    check(server.url, OperationalError, "is a replica and takes no writes", "sentinel://", "READONLY")


def test_the_server_is_still_loading_its_data(server: Watched) -> None:
    server.kill()
    server.start(appendonly="no")
    for number in range(200):
        server.do("SET", f"key {number}", "x" * 10_000)
    server.do("SAVE")
    server.kill()
    server.launch(appendonly="no", key_load_delay=50_000, loading_process_events_interval_bytes=1024)

    check(server.url, OperationalError, "is still loading its data", "try again", "LOADING")


def test_the_server_has_too_many_clients(server: Watched) -> None:
    server.configure("maxclients", 3)
    with contextlib.ExitStack() as crowd:
        for _ in range(6):
            crowd.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        check(server.url, OperationalError, "has as many clients as it allows", "maxclients")


def test_there_is_no_such_database(server: Watched) -> None:
    check(server.url.replace("/0", "/99"), ImproperlyConfigured, "no database of this number", "correct it in the URL")


def test_the_key_of_a_queue_is_something_else(server: Watched) -> None:
    server.do("SET", "celery", "text")
    (error,) = refusals(server.url)
    assert type(error) is PreconditionFailed
    assert "choose another key prefix (global_keyprefix)" in str(error)


@pytest.fixture
def stranger() -> Iterator[str]:
    """Return the URL of a server of another kind."""
    with socket.create_server(("127.0.0.1", 0)) as door:

        def answer() -> None:
            with contextlib.suppress(OSError):
                while True:
                    line, _ = door.accept()
                    with line:
                        line.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        yield f"redis://127.0.0.1:{door.getsockname()[1]}/0"


def test_it_is_no_redis_server(stranger: str) -> None:
    check(stranger, OperationalError, "no Redis server", "HTTP/1.1 400 Bad Request")


def test_it_does_not_speak_tls(server: Watched) -> None:
    url = server.url.replace("redis:", "rediss:") + "?ssl_cert_reqs=none"
    call, look = refusals(url, redis_socket_timeout=1.0)
    for error, kind in ((call, OperationalError), (look, OutOfTime)):
        assert type(error) is kind
        assert "did not answer the TLS handshake" in str(error)
        assert "write redis:// in place of rediss://" in str(error)


def test_a_socket_that_is_not_there_or_not_ours(tmp_path: Path) -> None:
    check(f"redis+socket://{tmp_path}/none.sock", OperationalError, "no Redis server listens at this address")


@pytest.mark.parametrize(
    ("url", "settings", "sentence"),
    [
        (
            "redis://h",
            {"broker_transport_options": {"visibility_timeuot": 1}},
            'broker_transport_options: redis:// has no transport option "visibility_timeuot"; did you mean '
            '"visibility_timeout"?',
        ),
        (
            "redis://h",
            {"broker_transport_options": {"priority_steps": [0, 99]}},
            'broker_transport_options: the option "priority_steps" must be a list of numbers from 0 to 9',
        ),
        ("sentinel://h", {}, "sentinels must be asked for a master by its name: set master_name"),
        (f"redis://:{SECRET}@h/one", {}, "the path of a Redis URL is the number of a database"),
        (f"redis://:{SECRET}@h:port/0", {}, "the port in a URL is no number"),
        ("rediss://h?ssl_cert_reqs=perhaps", {}, "ssl_cert_reqs is required, optional or none"),
        ("rediss://h?ssl_ca_certs=/nowhere.pem", {}, "a file named in the TLS options cannot be read"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_opened(url: str, settings: dict[str, Any], sentence: str) -> None:
    app = FastQ("shop", set_as_current=False, broker=url, backend="disabled://", **settings)
    with pytest.raises(ImproperlyConfigured) as caught:
        app.send_task("x")
    assert sentence in str(caught.value)
    assert SECRET not in str(caught.value)


def test_an_option_of_results_is_named_with_its_setting() -> None:
    app = FastQ("shop", set_as_current=False, broker="memory://", backend="redis://h")
    app.conf.result_backend_transport_options = {"global_keyprefx": "x"}
    with pytest.raises(
        ImproperlyConfigured, match=r"^read results: |result_backend_transport_options: redis:// has no"
    ):
        _ = app.AsyncResult("id").state


def test_credentials_of_another_provider_are_refused() -> None:
    app = FastQ("shop", set_as_current=False, broker="memory://", backend="redis://h")
    app.conf.redis_backend_credential_provider = "a.b.C"
    with pytest.raises(NotSupported, match="write user and password into the URL"):
        _ = app.AsyncResult("id").state


def test_after_a_refusal_the_same_connection_serves_again(server: Watched, make_app: Callable[..., FastQ]) -> None:
    app = make_app()
    app.send_task("x")
    (known,) = server.clients()
    server.configure("maxmemory", 1)
    with pytest.raises(OperationalError, match="out of memory"):
        app.send_task("x", retry=False)
    server.configure("maxmemory", 0)

    app.send_task("x")

    assert server.do("LLEN", "celery") == 2
    assert [line.split()[0] for line in server.clients()] == [known.split()[0]]


def test_a_replica_that_becomes_the_master_again_takes_the_call_that_is_repeated(
    server: Watched, make_app: Callable[..., FastQ]
) -> None:
    app = make_app()
    app.send_task("x")
    server.do("REPLICAOF", "127.0.0.1", 1)
    policy = {"max_retries": None, "interval_start": 0.01, "interval_max": 0.01}
    sending = threading.Thread(target=lambda: app.send_task("x", retry_policy=policy, timeout=LIMIT))
    sending.start()
    wait_for(lambda: b"READONLY" in server.do("INFO", "errorstats"), "a refusal")

    server.do("REPLICAOF", "NO", "ONE")
    sending.join(LIMIT)

    assert server.do("LLEN", "celery") == 2
