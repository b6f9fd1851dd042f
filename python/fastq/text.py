"""Text for people: bounded representations, shortening, near misses."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["MASK", "closest", "hide_password", "indent", "join_words", "plural", "saferepr", "truncate"]

MASK: Final = "********"
"""Stands for a secret. Its length says nothing of the secret's."""

_CUT: Final = "..."
_LEAF_TYPES: Final = frozenset({int, float, bool, type(None), complex})
_BRACKETS: Final[tuple[tuple[type, str, str], ...]] = (
    (list, "[", "]"),
    (tuple, "(", ")"),
    (set, "{", "}"),
    (frozenset, "frozenset({", "})"),
)


def truncate(text: str, length: int = 128, suffix: str = "...") -> str:
    """Return at most `length` characters of the text, cut between words if possible, and `suffix` if it was cut."""
    if len(text) <= length:
        return text
    head = text[:length]
    return (head.rsplit(" ", 1)[0] if " " in head else head) + suffix


def indent(text: str, width: int = 0, separator: str = "\n") -> str:
    """Return the text with every line moved right by `width` blanks."""
    return separator.join(" " * width + line for line in text.splitlines())


def plural(count: float, word: str, suffix: str = "s") -> str:
    """Return the word as it stands after the number: `plural(2, "task")` is `tasks`."""
    return word if count == 1 else word + suffix


def join_words(words: Iterable[str], last: str = "and") -> str:
    """Return words as a sentence has them: `a, b and c`."""
    known = list(words)
    if len(known) < 2:
        return "".join(known)
    return f"{', '.join(known[:-1])} {last} {known[-1]}"


def closest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that looks most like this one; None when none does."""
    import difflib

    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.75)
    return found[0] if found else None


def hide_password(url: str) -> str:
    """Return a URL, or several with `;` between them, with passwords replaced by asterisks.

    A scheme may be anything, the path of a class too, and a password may hold what URLs have to quote: what is in doubt
    is hidden.
    """
    if "@" not in url and "=" not in url:
        return url
    return ";".join(_hide_in_one(part) for part in _BETWEEN_URLS.split(url))


_BETWEEN_URLS: Final = re.compile(r";(?=[^;@/]*://)")
_USER: Final = re.compile(r"([^/@]*://[^/?#@:]*:)(.*)", re.DOTALL)
_PORT: Final = re.compile(r"[0-9]+(?:[/?#]|$)")
_SECRET_QUERY: Final = re.compile(r"(?i)((?:^|&)[^=&]*(?:password|passwd|secret|token|key|signature)[^=&]*=)[^&]*")


def _hide_in_one(url: str) -> str:
    found = _USER.match(url)
    if found is not None:
        user, rest = found.groups()
        path, _, query = rest.partition("?")
        # The last @ ends the password, unless it is part of a query, which only a port can stand before.
        if "@" in path or ("@" in query and _PORT.match(path) is None):
            password, _, _ = (path if "@" in path else rest).rpartition("@")
            url = f"{user}{MASK}{rest[len(password) :]}"
    address, mark, query = url.partition("?")
    return address + mark + _SECRET_QUERY.sub(rf"\1{MASK}", query)


def saferepr(value: Any, maxlen: int | None = 1024, maxlevels: int = 3) -> str:
    """Return `repr(value)` for a message header or a log line: bounded in length and depth, and it never raises.

    Args:
        value: anything.
        maxlen: the longest it may be, with the `...` that what was cut ends with; None: no bound.
        maxlevels: nested containers below this depth are shown as `...`.
    """
    if type(value) is tuple or type(value) is dict:
        plain = _plain(value, maxlen)
        if plain is not None:
            return plain
    writer = _Writer(maxlen, maxlevels)
    try:
        writer.write(value, 0)
    except _FullError:
        room = maxlen or 0  # without a bound it is never full
        return "".join(writer.parts)[: max(room - len(_CUT), 0)] + _CUT[:room]
    return "".join(writer.parts)


def _plain(value: Any, maxlen: int | None) -> str | None:
    """Return the representation of a flat container of numbers and short texts: nearly every call there is."""
    room = 1024 if maxlen is None else maxlen
    if type(value) is dict:
        for key in value:
            if type(key) is not str:
                return None
            room -= len(key)
        items: Iterable[Any] = value.values()
    else:
        items = value
    for item in items:
        kind = type(item)
        if kind is str:
            room -= len(item)
        elif kind not in _LEAF_TYPES:
            return None
    if room < 0:
        return None
    try:
        text = repr(value)
    except ValueError:  # an int of more digits than Python prints
        return None
    return text if maxlen is None or len(text) <= maxlen else None


class _FullError(Exception):
    """The representation has reached its bound."""


class _Writer:
    """Writes the representation of a value piece by piece, until it is full."""

    def __init__(self, maxlen: int | None, maxlevels: int) -> None:
        self.parts: list[str] = []
        self._room = maxlen
        self._maxlevels = maxlevels
        self._open: set[int] = set()

    def write(self, value: Any, level: int) -> None:
        if isinstance(value, dict):
            self._container(value, "{", "}", level)
            return
        for kind, opening, closing in _BRACKETS:
            if type(value) is kind:
                self._container(value, opening, closing, level)
                return
        self._add(self._leaf(value))

    def _add(self, text: str) -> None:
        self.parts.append(text)
        if self._room is not None:
            self._room -= len(text)
            if self._room < 0:
                raise _FullError

    def _leaf(self, value: Any) -> str:
        if isinstance(value, (str, bytes)) and self._room is not None and len(value) > self._room:
            return repr(value[: self._room + 1])
        try:
            return repr(value)
        except Exception as error:  # noqa: BLE001 - a representation for the log must not fail the call
            return f"<Unrepresentable {type(value).__name__}: {type(error).__name__}>"

    def _container(self, value: Any, opening: str, closing: str, level: int) -> None:
        if not value:
            self._add(repr(value))
            return
        if level >= self._maxlevels or id(value) in self._open:
            self._add(f"{opening}...{closing}")
            return
        self._open.add(id(value))
        self._add(opening)
        for position, item in enumerate(value):
            if position:
                self._add(", ")
            self.write(item, level + 1)
            if isinstance(value, dict):
                self._add(": ")
                self.write(value[item], level + 1)
        if type(value) is tuple and len(value) == 1:
            self._add(",")
        self._add(closing)
        self._open.discard(id(value))
