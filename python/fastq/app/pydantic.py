"""Arguments and results that are validated by pydantic (`@app.task(pydantic=True)`).

The function's annotations say what it takes and returns. Before it runs, every argument becomes what its annotation
says, and afterwards its result: a dictionary in a message becomes a model, a text a datetime, where pydantic can make
it so. Models in what the function returns become dictionaries again. A caller may give models, too: the serializer
writes them as the dictionaries they are made of.

What does not fit fails the task with pydantic's `ValidationError`. Trying again would not help, so `autoretry_for`
repeats such a run only where it names that error itself.

Celery validates parameters whose annotation is a model, and no others. Here all annotated parameters are: what a worker
is given is what it takes, or the task fails before it begins.
"""

from __future__ import annotations

import functools
import inspect
import typing
from typing import TYPE_CHECKING, Any, Final

from fastq.exceptions import ImproperlyConfigured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["OPTIONS", "Validators", "names_validation", "validated"]

OPTIONS: Final = ("pydantic_strict", "pydantic_context", "pydantic_dump_kwargs")
"""Options of the decorator that mean something together with `pydantic=True` only."""


def validated(
    name: str,
    function: Callable[..., Any],
    bound: bool,
    strict: bool | None = None,
    context: Mapping[str, Any] | None = None,
    dump_kwargs: Mapping[str, Any] | None = None,
) -> Callable[..., Any]:
    """Return a function that validates arguments and result of a task's.

    Args:
        name: of the task, for errors.
        function: its code.
        bound: whether its first parameter is the task itself.
        strict: whether a value must be of its type already, and none is converted; None: as the models say.
        context: given to validators of the models.
        dump_kwargs: options with which a result is written, as of `BaseModel.model_dump`; its `mode` is `json`.

    Raises:
        ImproperlyConfigured: pydantic is not installed, or an annotation means nothing to it.
    """
    return Validators(name, function, bound, strict, context, {"mode": "json", **(dump_kwargs or {})}).around(function)


def names_validation(kinds: Iterable[type[BaseException]]) -> bool:
    """Tell whether pydantic's error is among these classes itself, and not just as one of `Exception`."""
    from pydantic import ValidationError

    return any(issubclass(kind, ValidationError) for kind in kinds)


class Validators:
    """One adapter for each annotated parameter, and one for the result; made once, when the task is first run."""

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        bound: bool,
        strict: bool | None,
        context: Mapping[str, Any] | None,
        dump_kwargs: Mapping[str, Any],
    ) -> None:
        _package(name)
        self._name = name
        self._function = function
        self._bound = bound
        self._settings = {"strict": strict, "context": None if context is None else dict(context)}
        self._dump_kwargs = dump_kwargs
        self._signature = inspect.signature(function)

    @functools.cached_property
    def _adapters(self) -> dict[str, Any]:
        """Adapters by parameter; `return` is the result. Later than the declaration, so that names may come later."""
        adapter = _package(self._name).TypeAdapter
        try:
            hints = typing.get_type_hints(self._function, include_extras=True)
            if self._bound:
                hints.pop(next(iter(self._signature.parameters), ""), None)
            return {key: adapter(hint) for key, hint in hints.items() if hint is not Any}
        except Exception as error:
            raise ImproperlyConfigured(
                f"Task {self._name}: its annotations cannot be used by pydantic: {error}"
            ) from error

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that validates what `function` gets and returns."""
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def run_async(*args: Any, **kwargs: Any) -> Any:
                args, kwargs = self.arguments(args, kwargs)
                return self.result(await function(*args, **kwargs))

            found: Any = run_async
        else:

            @functools.wraps(function)
            def run(*args: Any, **kwargs: Any) -> Any:
                args, kwargs = self.arguments(args, kwargs)
                return self.result(function(*args, **kwargs))

            found = run
        found.validators = self
        return found  # type: ignore[no-any-return]

    def arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments as what their annotations say.

        Raises:
            TypeError: the function does not take them.
            ValidationError: one is not what its annotation says.
        """
        given = self._signature.bind(*args, **kwargs)
        adapters = self._adapters
        for key, value in given.arguments.items():
            if key in adapters:
                given.arguments[key] = self._argument(key, value)
        return given.args, given.kwargs

    def _argument(self, key: str, value: Any) -> Any:
        kind = self._signature.parameters[key].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            return tuple(self._valid(key, one) for one in value)
        if kind is inspect.Parameter.VAR_KEYWORD:
            return {name: self._valid(key, one) for name, one in value.items()}
        return self._valid(key, value)

    def _valid(self, key: str, value: Any) -> Any:
        """Return a value as what the annotation of a parameter, or of the result, says."""
        error_class = _package(self._name).ValidationError
        try:
            return self._adapters[key].validate_python(value, **self._settings)
        except error_class as error:
            what = "the result" if key == "return" else f"the argument {key}"
            raise _titled(error, f"{what} of {self._name}") from None

    def result(self, value: Any) -> Any:
        """Return a result, validated when the function says what it returns; models in it become dictionaries.

        Raises:
            ValidationError: it is not what the annotation says.
        """
        return self._dumped(self._valid("return", value) if "return" in self._adapters else value)

    def _dumped(self, value: Any) -> Any:
        kind = type(value)
        dump = getattr(kind, "model_dump", None)
        if dump is not None:
            return dump(value, **self._dump_kwargs)
        if kind is list or kind is tuple:
            return kind(self._dumped(one) for one in value)
        if kind is dict:
            return {key: self._dumped(one) for key, one in value.items()}
        return value


def _titled(error: Any, title: str) -> Any:
    """Return the error with a title that says what is not valid, which pydantic cannot know; else as it is."""
    try:
        made = type(error).from_exception_data(title, error.errors(include_url=False))
    except Exception:  # noqa: BLE001 - kinds of error that a validator has made up cannot be made again
        made = error
    made.args = (str(made),)  # what is stored of it, and so what the caller sees
    return made


def _package(name: str) -> Any:
    try:
        import pydantic
    except ImportError as error:
        raise ImproperlyConfigured(
            f"Task {name}: pydantic=True needs the package pydantic: pip install 'fastq-tasks[pydantic]'."
        ) from error
    return pydantic
