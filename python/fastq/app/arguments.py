"""Whether a call's arguments fit the task, found out before the message is sent.

`inspect.Signature.bind` takes 5 µs a call. So a function with the same parameters and an empty body is compiled once
per task: calling it costs what any call costs, and the interpreter writes the sentence when something does not fit.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["argument_check"]

_EMPTY: Final = inspect.Parameter.empty


def argument_check(name: str, function: Callable[..., Any], bound: bool) -> Callable[..., None] | None:
    """Return a function that raises TypeError for arguments which `function` does not take.

    Args:
        name: what the TypeError says was called: the name of the task.
        function: the code of the task.
        bound: whether the first parameter is the task itself.

    Returns:
        The check, or None when nothing can be known of the parameters (code written in C) or all are taken.
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return None
    if bound:
        parameters = _without_first(parameters)
    if _takes_everything(parameters):
        return None
    namespace: dict[str, Any] = {}
    # Only the names of parameters are put into the source: identifiers, by the grammar that let them be defined.
    exec(f"def check({_written(parameters)}): pass", namespace)  # noqa: S102
    check: Callable[..., None] = namespace["check"]
    check.__name__ = check.__qualname__ = name  # the interpreter's sentence begins with it
    return check


def _without_first(parameters: list[inspect.Parameter]) -> list[inspect.Parameter]:
    if parameters and parameters[0].kind is not inspect.Parameter.VAR_POSITIONAL:
        return parameters[1:]
    return parameters


def _takes_everything(parameters: list[inspect.Parameter]) -> bool:
    kinds = [parameter.kind for parameter in parameters]
    return kinds == [inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD]


def _written(parameters: list[inspect.Parameter]) -> str:
    """Return the parameters as source text; what a default is does not matter here, only that there is one."""
    parts: list[str] = []
    kinds = [parameter.kind for parameter in parameters]
    starred = False
    for position, parameter in enumerate(parameters):
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            starred = True
            parts.append(f"*{parameter.name}")
        elif parameter.kind is inspect.Parameter.VAR_KEYWORD:
            parts.append(f"**{parameter.name}")
        else:
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY and not starred:
                starred = True
                parts.append("*")
            parts.append(parameter.name if parameter.default is _EMPTY else f"{parameter.name}=None")
        last_positional_only = (
            parameter.kind is inspect.Parameter.POSITIONAL_ONLY
            and inspect.Parameter.POSITIONAL_ONLY not in kinds[position + 1 :]
        )
        if last_positional_only:
            parts.append("/")
    return ", ".join(parts)
