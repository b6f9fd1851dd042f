"""A task's calls as data: signatures, to be sent later or by another task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

from fastq.app.calls import Calls

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fastq.canvas import chunks, xmap, xstarmap
    from fastq.canvas.signature import Signature

__all__ = ["Signing"]

P = ParamSpec("P")
R = TypeVar("R")


class Signing(Calls[P, R], Generic[P, R]):
    """The signatures of a task: `P` are its parameters, `R` is what it returns."""

    def signature(
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> Signature[R]:
        """Return a call of this task as data: to be sent later, or by another task."""
        return self.app.signature(self, args, kwargs, **options)

    subtask = signature

    def s(self, *args: Any, **kwargs: Any) -> Signature[R]:
        """Return a signature with these arguments."""
        return self.app.signature(self, args, kwargs)

    def si(self, *args: P.args, **kwargs: P.kwargs) -> Signature[R]:
        """Return a signature with these arguments that takes no others, such as the result of a task before it."""
        return self.app.signature(self, args, kwargs, immutable=True)

    def chunks(self, it: Iterable[Any], n: int) -> chunks[R]:
        """Return a signature that calls the task with each row of items, `n` rows in each run."""
        from fastq.canvas import chunks

        return chunks(self.s(), it, n, app=self.app)

    def map(self, it: Iterable[Any]) -> xmap[R]:
        """Return a signature that calls the task with each item, one after the other, in one run."""
        from fastq.canvas import xmap

        return xmap(self.s(), it, app=self.app)

    def starmap(self, it: Iterable[Any]) -> xstarmap[R]:
        """Return a signature that calls the task with each row of items as arguments, in one run."""
        from fastq.canvas import xstarmap

        return xstarmap(self.s(), it, app=self.app)
