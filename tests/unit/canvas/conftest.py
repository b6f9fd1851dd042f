from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from fastq import FastQ
from tests.unit.app.conftest import Recorder, StateKept

if TYPE_CHECKING:
    from collections.abc import Iterator


class Shop:
    """An app with a few tasks, and what it sends."""

    def __init__(self) -> None:
        self.recorder = Recorder()
        self.app = FastQ("shop", broker="memory://", backend=f"memory://{uuid.uuid4().hex}")
        self.app.producer = self.recorder
        self.add = self.app.task(name="shop.add")(lambda x, y=0: x + y)
        self.total = self.app.task(name="shop.total")(sum)
        self.echo = self.app.task(name="shop.echo")(lambda value=None: value)
        self.fail = self.app.task(name="shop.fail")(_fail)

    @property
    def sent(self) -> list[tuple[dict[str, Any], list[Any]]]:
        """Headers and bodies."""
        return [(message.headers, message.body) for message in self.recorder.messages]


def _fail(*_: Any) -> None:
    raise ValueError("broken")


@pytest.fixture
def shop() -> Iterator[Shop]:
    with StateKept():
        yield Shop()
