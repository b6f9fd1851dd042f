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
from fastq.exceptions import ImproperlyConfigured

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


@pytest.mark.parametrize(
    "url", ["redis://:secret@host/0", "rpc://", "db+sqlite:///x", "cache+memcached://h", "nothing"]
)
def test_an_unknown_backend_is_refused_with_what_to_use(app: FastQ, url: str) -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        by_url(url, app)
    assert "result_backend" in str(caught.value)
    assert "Use sqlite:///" in str(caught.value)
    assert "secret" not in str(caught.value)


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
