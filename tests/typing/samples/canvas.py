"""Canvases that are right, and the types they have. Read by type checkers, never run."""

from __future__ import annotations

from typing import Any

from typing_extensions import assert_type

from fastq import AsyncResult, FastQ, GroupResult, Signature, chain, chord, group
from fastq.canvas import StampingVisitor, chunks, xmap, xstarmap
from fastq.result import EagerResult

app = FastQ("shop", broker="memory://")


@app.task
def add(x: int, y: int = 0) -> int:
    """Add."""
    return x + y


@app.task
def show(value: object) -> str:
    """Show."""
    return str(value)


@app.task
def total(values: list[int]) -> float:
    """Sum up."""
    return float(sum(values))


assert_type(add.s(1) | show.s(), Signature[str])
assert_type((add.s(1) | add.s(2) | show.s()).delay().get(), str)
assert_type(chain(add.s(1), show.s()).delay(), AsyncResult[str])
assert_type(chain(add.s(1), add.s(2), total.s()).apply_async((1,), countdown=3).get(timeout=1), float)
assert_type(chain(show.s(1)).apply(), EagerResult[str])
assert_type(group(add.s(1), add.s(2)).delay(), GroupResult[int])
assert_type(group(add.s(n) for n in range(3)).apply_async(queue="slow").get(), list[int])
assert_type(group([show.s(1)])(2), GroupResult[str])
assert_type(group([show.s(1)]).apply(), GroupResult[str])
assert_type(group(add.s(1)) | total.s(), Signature[float])
assert_type(chord([add.s(1), add.s(2)], total.s()).delay().get(), float)
assert_type(chord(group(add.s(1)), total.s()).apply().get(), float)
assert_type(add.chunks([(1, 2)], 10), chunks[int])
assert_type(add.chunks([(1, 2)], 10)().get(), list[list[int]])
assert_type(add.map([1, 2]), xmap[int])
assert_type(add.map([1, 2]).delay().get(), list[int])
assert_type(add.starmap([(1, 2)]), xstarmap[int])
assert_type(add.s(1).on_error(show.s()).set(queue="slow"), Signature[int])


async def story() -> None:
    """Await."""
    assert_type(await (await add.adelay(1)), int)
    many = await group(add.s(1), add.s(2)).adelay()
    assert_type(await many, list[int])
    async for result in many:
        assert_type(result, AsyncResult[int])
    assert_type(await (await (add.s(1) | show.s()).adelay()), str)


class Numbered(StampingVisitor):
    """Stamps."""

    def on_signature(self, sig: Signature[Any], **headers: Any) -> dict[str, Any]:
        """Return stamps."""
        return {"task": sig.task}


add.s(1).stamp(Numbered(), order="o")
