"""Exceptions as they are stored."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fastq import exceptions
from fastq.backends.failure import restore, stored
from fastq.exceptions import NotRegistered, SecurityError, TimeLimitExceeded, WorkerLostError


def refuse(value: Any) -> None:
    json.dumps(value)


class PickyError(Exception):
    """Wants another argument than it keeps."""

    def __init__(self, order: Any) -> None:
        super().__init__(order.number, order.sku)


class Outer:
    class InnerError(Exception):
        pass


@pytest.mark.parametrize(
    "error", [ValueError("no", 3), KeyError(), OSError(2, "gone"), Outer.InnerError("a"), NotRegistered("shop.x")]
)
def test_an_exception_comes_back_as_it_was(error: Exception) -> None:
    again = restore(stored(error, refuse))
    assert (type(again), again.args) == (type(error), error.args)


@pytest.mark.parametrize(
    ("kind", "name", "module"),
    [
        (WorkerLostError, "WorkerLostError", "celery.exceptions"),
        (exceptions.FastQError, "CeleryError", "celery.exceptions"),
        (exceptions.DecodeError, "DecodeError", "kombu.exceptions"),
        (exceptions.LockFailed, "LockFailed", "celery.platforms"),
        (exceptions.NotSupported, "NotSupported", "fastq.exceptions"),
    ],
)
def test_our_own_exceptions_are_written_for_celery_to_find(kind: type[Exception], name: str, module: str) -> None:
    document = stored(kind("signal 9"), refuse)
    assert document == {"exc_type": name, "exc_message": ["signal 9"], "exc_module": module}
    assert type(restore(document)) is kind


@pytest.mark.parametrize("module", ["celery.exceptions", "billiard.exceptions"])
def test_celerys_exceptions_become_ours(module: str) -> None:
    found = restore({"exc_type": "TimeLimitExceeded", "exc_message": [30], "exc_module": module})
    assert (type(found), found.args) == (TimeLimitExceeded, (30,))


def test_an_unknown_class_is_made_up_under_its_name() -> None:
    found = restore({"exc_type": "StripeError", "exc_message": ["card"], "exc_module": "stripe.never.imported"})
    assert isinstance(found, Exception)
    assert (type(found).__name__, type(found).__module__, found.args) == (
        "StripeError",
        "stripe.never.imported",
        ("card",),
    )
    assert type(found) is type(restore({"exc_type": "StripeError", "exc_module": "stripe.never.imported"}))


def test_nothing_is_imported_to_read_an_exception() -> None:
    import sys

    restore({"exc_type": "Telnet", "exc_message": [], "exc_module": "this"})
    assert "this" not in sys.modules


@pytest.mark.parametrize(
    ("module", "name"), [("os", "system"), ("subprocess", "Popen"), ("builtins", "eval"), ("os", "path.join")]
)
def test_a_name_that_is_no_exception_class_is_refused(module: str, name: str) -> None:
    with pytest.raises(SecurityError, match="no exception class"):
        restore({"exc_type": name, "exc_message": ["rm -rf /"], "exc_module": module})


@pytest.mark.parametrize("document", [{}, {"exc_type": None}, {"exc_type": ""}, {"exc_type": 5}])
def test_an_exception_without_a_class_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="names no class"):
        restore(document)


@pytest.mark.parametrize("name", ["SystemExit", "KeyboardInterrupt", "GeneratorExit"])
def test_what_would_end_the_caller_comes_back_as_an_ordinary_exception(name: str) -> None:
    found = restore({"exc_type": name, "exc_message": [1], "exc_module": "builtins"})
    assert isinstance(found, Exception)
    assert type(found).__name__ == name


def test_a_class_that_cannot_be_made_from_its_arguments_gives_a_readable_exception() -> None:
    found = restore({"exc_type": "PickyError", "exc_message": ["n", "s"], "exc_module": __name__})
    assert type(found) is Exception
    assert str(found) == "PickyError('n', 's')"


@pytest.mark.parametrize(
    ("message", "args"), [("text", ("text",)), (None, ()), ([1, 2], (1, 2)), ({"a": 1}, ({"a": 1},))]
)
def test_older_forms_of_the_message_are_read(message: Any, args: tuple[Any, ...]) -> None:
    assert restore({"exc_type": "ValueError", "exc_message": message, "exc_module": "builtins"}).args == args


def test_a_missing_module_means_a_builtin() -> None:
    assert isinstance(restore({"exc_type": "ValueError", "exc_message": []}), ValueError)


def test_arguments_that_cannot_be_written_are_shown() -> None:
    class Hostile:
        def __repr__(self) -> str:
            raise RuntimeError

    document = stored(ValueError("a", {1}, Hostile(), [1]), refuse)
    assert document["exc_message"] == ["a", "{1}", "<Hostile whose representation raises RuntimeError>", [1]]


@pytest.mark.parametrize("name", exceptions.__all__)
def test_every_exception_of_ours_is_found_again(name: str) -> None:
    kind = getattr(exceptions, name)
    if issubclass(kind, Exception):
        assert type(restore(stored(kind("because"), refuse))) is kind
