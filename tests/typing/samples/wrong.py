"""Calls that are wrong: a type checker must report the marked lines and no others. Never run."""

from __future__ import annotations

from typing import Any

import fastq
from fastq import FastQ, Task, shared_task
from fastq.app.task import AsyncTask

app = FastQ("shop")
nothing = fastq.nothing  # expect-error
FastQ(broker=1)  # expect-error


@app.task
def add(x: int, y: int) -> int:
    """Add."""
    return x + y


add.delay("x", 1)  # expect-error
add.delay(1)  # expect-error
add.delay(1, 2, 3)  # expect-error
add.delay(1, z=2)  # expect-error
add("x", 1)  # expect-error
text: str = add.delay(1, 2).get()  # expect-error
add.apply_async(1)  # expect-error
add.apply_async((1, 2), task_id=5)  # expect-error
other: str = add.s(1).delay().get()  # expect-error
add.si(1)  # expect-error
add.si("x", 1)  # expect-error
add.nonsense()  # expect-error
two: str = (add.s(1) | add.s(2)).delay().get()  # expect-error


@app.task(max_retries=3)
def named(*, flag: bool) -> None:
    """Do nothing."""


named.delay(True)  # expect-error
named.delay(flag="x")  # expect-error


@app.task(bind=True)
def bound(self: Task[..., Any], x: int) -> int:
    """Know itself."""
    return x


bound.delay("x")  # expect-error
bound.delay(bound, 1)  # expect-error


@app.task(bind=True)  # expect-error
def no_self(x: int) -> int:
    """Forget that bind gives the task."""
    return x


@app.task
async def fetch(url: str) -> bytes:
    """Wait."""
    return url.encode()


fetch.delay(1)  # expect-error
fetch.adelay(1)  # expect-error
fetch.si(1)  # expect-error
page: str = fetch.delay("u").get()  # expect-error


@shared_task
def shared(x: int) -> int:
    """Be everywhere."""
    return x


shared.delay("x")  # expect-error


class Multiply(Task[[int, int], int]):
    """A task that is a class."""

    def run(self, x: int, y: int) -> int:
        """Multiply."""
        return x * y


app.register_task(Multiply()).delay(1, "x")  # expect-error
app.register_task(5)  # expect-error


class Download(AsyncTask[[str], bytes]):
    """A task that is a class, whose code is a coroutine function."""

    async def run(self, url: str) -> bytes:
        """Wait."""
        return url.encode()


app.register_task(Download()).delay(1)  # expect-error
number: int = app.register_task(Download()).delay("u").get()  # expect-error


async def use() -> None:
    """Await tasks."""
    await add.adelay("x", 1)  # expect-error
    _wrong: str = await (await add.adelay(1, 2)).aget()  # expect-error
    await app.register_task(Download())(5)  # expect-error


@shared_task(bind=True)
def shared_bound(self: Task[..., Any], x: int) -> int:
    """Be everywhere."""
    return x


shared_bound.delay("x")  # expect-error
shared_bound.adelay()  # expect-error
