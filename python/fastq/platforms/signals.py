"""Operating system signals by name: `TERM`, `SIGTERM` and 15 are the same."""

from __future__ import annotations

import signal
from typing import Final

__all__ = ["signal_name", "signal_number"]

_PREFIX: Final = "SIG"


def signal_number(name: str | int) -> signal.Signals:
    """Return a signal by its name, with or without `SIG`, in any case, or by its number.

    Raises:
        ValueError: this system has no such signal.
    """
    try:
        if isinstance(name, int):
            return signal.Signals(name)
        word = name.strip().upper()
        if word.isdigit():
            return signal.Signals(int(word))
        return signal.Signals[word if word.startswith(_PREFIX) else _PREFIX + word]
    except (KeyError, ValueError):
        raise ValueError(f"This system has no signal {name!r}.") from None


def signal_name(number: int) -> str:
    """Return the name of a signal: `SIGTERM`; of an unknown one its number."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
