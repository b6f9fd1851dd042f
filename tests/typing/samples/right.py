"""Calls that are right, and the types they have. Read by type checkers, never run."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from typing_extensions import assert_type

from fastq import AsyncResult, FastQ, Signature, Task, current_app, current_task, shared_task
from fastq.app.task import AsyncTask
from fastq.result import EagerResult

app = FastQ("shop", broker="memory://", task_track_started=True)


@app.task
def add(x: int, y: int = 0) -> int:
    """Add."""
    return x + y


assert_type(add(1, 2), int)
assert_type(add.delay(1, y=2), AsyncResult[int])
assert_type(add.delay(1).get(timeout=5), int)
assert_type(add.apply_async((1, 2), countdown=3), AsyncResult[int])
assert_type(add.apply_async(args=[1], kwargs={"y": 2}, queue="slow").get(), int)
assert_type(add.apply((1, 2)), EagerResult[int])
assert_type(add.s(1), Signature[int])
assert_type(add.si(1, 2).delay().get(), int)
assert_type(add.signature((1,), countdown=3).apply_async(), AsyncResult[int])
assert_type(~add.s(1, 2), int)
assert_type(add.AsyncResult("id").get(), int)
assert_type(add.max_retries, int | None)
assert_type(add.apply_async_many([(1,), [2, 3], add.s(4)], {"y": 2}, queue="slow"), list[AsyncResult[int]])
assert_type(add.apply_async_many(kwargs=({"x": x} for x in range(3))), list[AsyncResult[int]])
assert_type(add.delay_map([1, 2], (3, 4)), list[AsyncResult[int]])


@app.task(name="named", max_retries=5, autoretry_for=(OSError,), retry_backoff=True)
def named(text: str, *parts: str, upper: bool = False) -> list[str]:
    """Split."""
    return [text, *parts]


assert_type(named.delay("a", "b", upper=True).get(), list[str])


@app.task(bind=True)
def bound(self: Task[..., Any], x: int) -> str:
    """Know itself."""
    self.update_state(state="PROGRESS", meta={"done": x})
    if self.request.retries < 3:
        raise self.retry(countdown=self.request.retries)
    return self.name


assert_type(bound.delay(1).get(), str)
assert_type(bound(1), str)


@app.task(bind=True)
def bound_without_a_type(self, x: int) -> str:  # type: ignore[no-untyped-def]
    """Know itself."""
    return str(self.name)


bound_without_a_type.delay(1)


class Special(Task[..., Any]):
    """A base class with something of its own."""

    colour = "red"


@app.task(bind=True, base=Special, name="special")
def special(self: Special, x: int) -> str:
    """Use it."""
    return self.colour


assert_type(special.delay(1).get(), str)


@app.task
async def fetch(url: str) -> bytes:
    """Wait for something."""
    return url.encode()


@app.task(bind=True)
async def fetch_bound(self: Task[..., Any], url: str) -> bytes:
    """Wait for something."""
    return url.encode()


as_a_task: Task[[str], bytes] = fetch
assert_type(fetch.delay("u").get(), bytes)
assert_type(fetch_bound.delay("u").get(), bytes)


class Download(AsyncTask[[str], bytes]):
    """A task that is a class, whose code is a coroutine function."""

    async def run(self, url: str) -> bytes:
        """Wait for something."""
        return url.encode()


download = app.register_task(Download())
assert_type(download.delay("u").get(), bytes)
assert_type(download.si("u"), Signature[bytes])


class Order(BaseModel):
    """What a task takes."""

    number: int


@app.task(pydantic=True, bind=True, pydantic_strict=True)
def pay(self: Task[..., Any], order: Order, times: int = 1) -> Order:
    """Take a model."""
    return order


assert_type(pay.delay(Order(number=1), times=2).get(), Order)


@app.task(bind=True)
def replaced(self: Task[..., Any], x: int) -> int:
    """Have another task do it."""
    self.send_event("task-half", done=50)
    result: int = self.replace(add.s(x))
    return result


async def use() -> None:
    """Await a task."""
    assert_type(await fetch("u"), bytes)
    assert_type(await add.adelay(1, y=2), AsyncResult[int])
    assert_type(await (await add.adelay(1)).aget(timeout=5), int)
    assert_type(await add.aapply_async((1, 2), countdown=3), AsyncResult[int])
    assert_type(await add.aapply_async_many([(1,)]), list[AsyncResult[int]])
    assert_type(await add.s(1).adelay(), AsyncResult[int])
    assert_type(await download("u"), bytes)
    assert_type(await (await download.adelay("u")).aget(), bytes)
    assert_type(await (await fetch_bound.adelay("u")).aget(), bytes)
    assert_type(await app.asend_task("far.away", (1,), queue="q"), AsyncResult[Any])
    assert_type(await app.asend_task_many("far.away", [(1,)]), list[AsyncResult[Any]])
    async with FastQ() as short:
        assert_type(short, FastQ)


@shared_task
def shared(x: int) -> int:
    """Be everywhere."""
    return x


@shared_task(bind=True, max_retries=None)
def shared_bound(self: Task[..., Any], x: int) -> int:
    """Be everywhere."""
    return x


assert_type(shared.delay(1).get(), int)
assert_type(shared_bound.delay(1).get(), int)


def plain(x: int) -> str:
    """Be made a task later."""
    return str(x)


def knowing(self: Task[..., Any], x: int) -> str:
    """Be made a task later, and know it."""
    return self.name


assert_type(app.task(plain, name="plain").delay(1).get(), str)
assert_type(app.task(knowing, bind=True).delay(1).get(), str)
assert_type(shared_task(plain, max_retries=1).delay(1).get(), str)
assert_type(shared_task(knowing, bind=True, name="knowing").delay(1).get(), str)


class Multiply(Task[[int, int], int]):
    """A task that is a class."""

    acks_late = False
    max_retries = None
    queue = "slow"

    def run(self, x: int, y: int) -> int:
        """Multiply."""
        return x * y


multiply = app.register_task(Multiply())
assert_type(multiply, Multiply)
assert_type(app.register_task(Multiply), Multiply)
assert_type(multiply.delay(2, 3).get(), int)


class Loose(Task):  # type: ignore[type-arg]
    """A class without types."""

    def run(self, x: int) -> int:
        """Return it."""
        return x


app.register_task(Loose()).delay(1)

assert_type(app.send_task("far.away", (1,), {"x": 2}, queue="q"), AsyncResult[Any])
assert_type(app.send_task_many("far.away", [(1,)], [{"x": 2}], queue="q"), list[AsyncResult[Any]])
assert_type(app.signature("far.away"), Signature[Any])
assert_type(current_app, FastQ)
current_task.request.id  # noqa: B018
app.conf.task_serializer = "json"
with FastQ() as short:
    assert_type(short, FastQ)
