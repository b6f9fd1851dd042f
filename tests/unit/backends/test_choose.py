"""Which backend a URL means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fastq import FastQ
from fastq.backends import Backend, by_url
from fastq.backends.disabled import DisabledBackend
from fastq.backends.filesystem import FilesystemBackend
from fastq.backends.memory import MemoryBackend
from fastq.backends.native import NativeBackend
from fastq.exceptions import ImproperlyConfigured, NotSupported

if TYPE_CHECKING:
    from pathlib import Path


class CustomBackend(MemoryBackend):
    """A user's own."""


class NoBackend:
    """Something else."""


@pytest.fixture
def app() -> FastQ:
    return FastQ("shop", broker="memory://", set_as_current=False)


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("memory://x", NativeBackend),
        ("sqlite:////tmp/never-opened.db", NativeBackend),
        ("cache+memory://", MemoryBackend),
        ("file:///tmp/never-made", FilesystemBackend),
        ("disabled://", DisabledBackend),
        ("disabled", DisabledBackend),
        (f"{__name__}:CustomBackend", CustomBackend),
        (f"{__name__}.CustomBackend", CustomBackend),
        (f"{__name__}.CustomBackend://host", CustomBackend),
    ],
)
def test_a_url_means_a_backend(app: FastQ, url: str, kind: type[Backend]) -> None:
    backend = by_url(url, app)
    assert type(backend) is kind
    assert backend.app is app


def test_without_a_setting_results_go_to_the_broker(app: FastQ, tmp_path: Path) -> None:
    assert isinstance(app.backend, NativeBackend)
    assert app.backend.capability.native
    other = FastQ("other", broker=f"sqlite:///{tmp_path}/queue.db", set_as_current=False)
    assert other.backend.url == f"sqlite:///{tmp_path}/queue.db"


@pytest.mark.parametrize("url", ["amqp://:secret@host/0", "db+sqlite:///x", "cache+memcached://h", "nothing"])
def test_an_unknown_backend_is_refused_with_what_to_use(app: FastQ, url: str) -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        by_url(url, app)
    assert "result_backend" in str(caught.value)
    assert "Use sqlite:///" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_results_as_messages_need_a_broker_that_sends_them(app: FastQ) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^result_backend is 'rpc://', .*broker_url of RabbitMQ"):
        by_url("rpc://", app)
    rabbit = FastQ("rabbit", broker="amqp://u:hunter2@h", backend="rpc://", set_as_current=False)
    assert isinstance(rabbit.backend, NativeBackend)


@pytest.mark.parametrize("path", ["no.such.module:Backend", f"{__name__}:Missing", f"{__name__}:NoBackend"])
def test_a_class_that_is_no_backend_is_refused(app: FastQ, path: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="result_backend"):
        by_url(path, app)


def test_the_setting_override_backends_adds_names(app: FastQ) -> None:
    app.conf.override_backends = {"mine": f"{__name__}:CustomBackend"}
    assert isinstance(by_url("mine://host", app), CustomBackend)


def test_entry_points_add_names(app: FastQ, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint

    from fastq.backends import choose

    def points(*groups: str) -> dict[str, EntryPoint]:
        assert groups == ("fastq.result_backends", "celery.result_backends")
        return {"theirs": EntryPoint("theirs", f"{__name__}:CustomBackend", groups[0])}

    monkeypatch.setattr(choose, "entry_points", points)
    assert isinstance(by_url("theirs://", app), CustomBackend)


def test_secrets_are_hidden_where_a_backend_is_shown(app: FastQ) -> None:
    backend: Any = by_url(f"{__name__}.CustomBackend://user:secret@host", app)
    assert "secret" not in repr(backend)
    assert "secret" not in backend.as_uri()
    assert "secret" in backend.as_uri(include_password=True)


@pytest.mark.parametrize("url", ["sqlite://queue.db", "sqlite:///", "nonsense", "sqlit:///x", "amqp://u:hunter2@h"])
def test_the_setting_is_named_where_a_client_reads_a_result(url: str) -> None:
    result = FastQ("shop", broker="memory://", backend=url, set_as_current=False).AsyncResult("id-1")
    for ask in (lambda: result.state, lambda: result.get(timeout=0)):
        with pytest.raises((ImproperlyConfigured, NotSupported), match=r"^result_backend is ") as caught:
            ask()
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["nonsense", "sqlite://queue.db", "amqp://u:hunter2@h"])
def test_the_broker_is_named_where_results_were_to_be_kept_there(url: str) -> None:
    app = FastQ("shop", broker=url, set_as_current=False)
    if url.startswith("amqp"):
        assert isinstance(app.backend, DisabledBackend)
    else:
        with pytest.raises(ImproperlyConfigured, match=r"^broker_url is "):
            app.AsyncResult("id-1").ready()


def test_files_in_no_place_are_refused_by_readers_too(app: FastQ, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    for url, why in (
        (f"file://{tmp_path}/missing/results", f"but there is no directory '{tmp_path}/missing' to make it in"),
        (f"file://{tmp_path}/file", "but that is no directory"),
    ):
        with pytest.raises(ImproperlyConfigured, match=f"^result_backend is '{url}', {why}"):
            by_url(url, app)
    assert by_url(f"file://{tmp_path}/results", app).get_state("id-1") == "PENDING"
