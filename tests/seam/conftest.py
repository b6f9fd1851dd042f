"""What the tests of the seam share: a port with its parent's end, and places for messages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fastq import _core
from tests.seam.pipe import Parent


@pytest.fixture
def parent() -> Iterator[Parent]:
    """Return the parent's end of a fresh port; the port is `parent.port`."""
    parent = Parent()
    yield parent
    parent.close()
    parent.page.close()


@pytest.fixture(params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty broker and store, once of each kind."""
    if request.param == "memory":
        return f"memory://{_core.new_id()}"
    return f"sqlite:///{tmp_path}/queue.db"


@pytest.fixture
def shared_url(tmp_path: Path) -> str:
    """Return the URL of an empty broker and store that several processes can use."""
    return f"sqlite:///{tmp_path}/queue.db"
