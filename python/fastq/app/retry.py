"""Trying again: `Task.retry`, and automatic retries (`autoretry_for`) that wait longer each time."""

from __future__ import annotations

import functools
import inspect
import sys
from types import MethodType
from typing import TYPE_CHECKING, Any, Final, NoReturn

from fastq.app import checks, send
from fastq.app.pydantic import names_validation
from fastq.exceptions import Reject, Retry, TaskPredicate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from fastq.app.context import Context
    from fastq.canvas.signature import Signature

__all__ = ["arm", "backoff", "retry", "signature_from_request"]

_DEATH_HEADERS: Final = frozenset(
    {"x-death"} | {f"x-{which}-death-{what}" for which in ("first", "last") for what in ("exchange", "queue", "reason")}
)
"""What a broker adds to a dead-lettered message; it is not the next try's."""


def retry(
    task: Any,
    args: Sequence[Any] | None,
    kwargs: Mapping[str, Any] | None,
    *,
    exc: BaseException | None,
    throw: bool,
    eta: datetime | None,
    countdown: float | None,
    max_retries: int | None,
    options: dict[str, Any],
) -> Retry:
    """Do what `Task.retry` says."""
    request: Context = task.request
    if request.called_directly:
        _raise_present(exc, "A task that is called directly is not retried: there is no run to repeat.")
    limit = task.max_retries if max_retries is None else max_retries
    if max_retries is not None:
        task.override_max_retries = max_retries
    if eta is None and countdown is None:
        countdown = task.default_retry_delay
    retries = request.retries + 1
    if limit is not None and retries > limit:
        _give_up(task, request, args, kwargs, exc)
    options = {**options, "retries": retries, **({"countdown": countdown} if eta is None else {"eta": eta})}
    checks.check_options(options, options)
    signature = task.signature_from_request(request, args, kwargs, **options)
    control = Retry(exc=exc, when=eta if eta is not None else countdown, is_eager=request.is_eager, sig=signature)
    if not request.is_eager:
        _hand_over(task, request, signature, control)
    if throw:
        raise control
    return control


def _hand_over(task: Any, request: Context, signature: Signature[Any], control: Retry) -> None:
    """Add the next try to the messages of this run: it is published together with the run's end, or not at all."""
    try:
        options = dict(signature.options)
        # A task's own expiry counts from its first call; what the call said is in the options already.
        options.setdefault("expires", None)
        request.outgoing.append(send.compose(task.app, task.name, signature.args, signature.kwargs, options))
        # Celery counts the next try, which is the task itself, as one of its children.
        task.add_trail(task.AsyncResult(request.id))
    except Exception as error:  # noqa: BLE001 - serializers and handlers raise what they like
        raise Reject(error, requeue=False) from control


def _give_up(
    task: Any,
    request: Context,
    args: Sequence[Any] | None,
    kwargs: Mapping[str, Any] | None,
    exc: BaseException | None,
) -> NoReturn:
    if exc is not None:
        _raise_present(exc, "")
    args, kwargs = _arguments(task, request, args, kwargs)
    args = tuple(args)  # as Celery shows them
    raise task.MaxRetriesExceededError(
        f"Can't retry {task.name}[{request.id}] args:{args} kwargs:{kwargs}", task_args=args, task_kwargs=kwargs
    )


def _raise_present(exc: BaseException | None, otherwise: str) -> NoReturn:
    """Raise `exc`, with the exception being handled as its cause; without one, raise the latter."""
    present = sys.exc_info()[1]
    if exc is None:
        raise present if present is not None else RuntimeError(otherwise)
    if present is None or present is exc:
        raise exc
    raise exc from present


def signature_from_request(
    task: Any,
    request: Context,
    args: Sequence[Any] | None,
    kwargs: Mapping[str, Any] | None,
    queue: Any,
    options: Mapping[str, Any],
) -> Signature[Any]:
    """Return the signature that sends this run once more (protocol.md §1.6): same id, same place, next number."""
    args, kwargs = _arguments(task, request, args, kwargs)
    own = request.as_execution_options()
    headers = {key: value for key, value in (own.pop("headers") or {}).items() if key not in _DEATH_HEADERS}
    if headers:
        own["headers"] = headers
    own["ignore_result"] = request.ignore_result
    info = request.delivery_info or {}
    if info.get("priority") is not None:
        own["priority"] = info["priority"]
    if queue:
        own["queue"] = queue
    elif info.get("exchange"):
        own["exchange"], own["routing_key"] = info["exchange"], info.get("routing_key")
    elif info.get("routing_key"):
        own["queue"] = info["routing_key"]
    own = {key: value for key, value in own.items() if value is not None}
    own.update(options)
    return task.signature(args, kwargs, **own)  # type: ignore[no-any-return]


def _arguments(
    task: Any, request: Context, args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None
) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """Return the arguments of the next try.

    What is not given comes from the run. A keyword given now that the run got by position replaces it there.
    """
    if args is not None and kwargs is not None:
        return args, kwargs
    if args is None and kwargs is None:
        return request.args or (), request.kwargs or {}
    names = _positional_names(task)
    if kwargs is not None:
        given, keywords = list(request.args or ()), dict(kwargs)
        for position, name in enumerate(names[: len(given)]):
            if name in keywords:
                given[position] = keywords.pop(name)
        return given, keywords
    args = args or ()
    taken = set(names[: len(args)])
    return args, {key: value for key, value in (request.kwargs or {}).items() if key not in taken}


def _positional_names(task: Any) -> list[str]:
    try:
        parameters = inspect.signature(task.run).parameters.values()
    except (TypeError, ValueError):
        return []
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [parameter.name for parameter in parameters if parameter.kind in positional]


def backoff(factor: float, retries: int, maximum: float, jitter: bool) -> float:
    """Return the seconds before a try: `factor` doubled with each retry, up to `maximum`.

    With jitter it is a random part of that ("full jitter"), so that tasks which failed together do not return together.
    """
    longest = min(maximum, factor * 2.0 ** min(retries, 64))
    if not jitter:
        return longest
    import random  # not on the way of a call

    return random.uniform(0, longest)  # noqa: S311 - not a secret


def arm(task: Any) -> None:
    """Replace the task's `run` by one that retries when it raises an exception of `autoretry_for`."""
    if not task.autoretry_for or task.armed:
        return
    run = task.run
    task.armed = True
    wanted, unwanted = _classes(task.autoretry_for), (TaskPredicate, *_classes(task.dont_autoretry_for))
    validators = getattr(run, "validators", None)
    if validators is not None and not names_validation(wanted):
        # What is not valid now will not be at the next try: the retries go inside of the validation.
        again = validators.around(_armed(task, run.__wrapped__, wanted, unwanted))
        task.run = MethodType(again, task) if inspect.ismethod(run) else again
        return
    task.run = _armed(task, run, wanted, unwanted)


def _armed(task: Any, run: Callable[..., Any], wanted: Any, unwanted: Any) -> Callable[..., Any]:
    retrying = _retrying_coroutine if inspect.iscoroutinefunction(run) else _retrying
    return retrying(task, run, wanted, unwanted)


def _classes(value: Any) -> tuple[type[BaseException], ...]:
    return (value,) if isinstance(value, type) else tuple(value)


def _retrying(task: Any, run: Callable[..., Any], wanted: Any, unwanted: Any) -> Callable[..., Any]:
    @functools.wraps(run)
    def attempt(*args: Any, **kwargs: Any) -> Any:
        try:
            return run(*args, **kwargs)
        except unwanted:
            raise
        except wanted as error:
            _try_again(task, error)
            raise

    return attempt


def _retrying_coroutine(task: Any, run: Callable[..., Any], wanted: Any, unwanted: Any) -> Callable[..., Any]:
    @functools.wraps(run)
    async def attempt(*args: Any, **kwargs: Any) -> Any:
        try:
            return await run(*args, **kwargs)
        except unwanted:
            raise
        except wanted as error:
            _try_again(task, error)
            raise

    return attempt


def _try_again(task: Any, error: BaseException) -> None:
    """Raise the retry of a run that raised `error`; return when it is to fail: then that goes on as it came."""
    request: Context = task.request
    options = {key: value for key, value in task.retry_kwargs.items() if key not in ("throw", "exc")}
    if getattr(task, "override_max_retries", None) is not None:
        options["max_retries"] = task.override_max_retries
    limit = options.get("max_retries")
    limit = task.max_retries if limit is None else limit
    if request.called_directly or (limit is not None and request.retries >= limit):
        return
    if task.retry_backoff:
        factor = 1.0 if task.retry_backoff is True else float(task.retry_backoff)
        options["countdown"] = backoff(factor, request.retries, task.retry_backoff_max, task.retry_jitter)
    raise task.retry(exc=error, throw=False, **options) from error
