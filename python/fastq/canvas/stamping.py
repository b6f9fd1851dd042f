"""Stamps: labels that a workflow's tasks carry in their headers, and hand on to what they send (protocol.md §8).

A stamp is an option of a signature whose name is listed in the option `stamped_headers`. Whoever walks a canvas to
stamp it is a visitor, which says for each part what stamps it gets.
"""
# ruff: noqa: ARG002, B027 - what a visitor may override gets more than the default needs, and may do nothing

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final, TypeVar

from fastq.canvas.links import Links, listed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastq.canvas.signature import Signature

__all__ = ["Stamped", "StampingVisitor", "gathered"]

Self = TypeVar("Self", bound="Stamped")
Stamps = dict[str, Any]

_NAMES: Final = "stamped_headers"


class StampingVisitor(ABC):
    """Says what stamps each part of a canvas gets.

    Every method gets the stamps of the parts around and returns more of them: a mapping. Its key `stamped_headers`
    lists which of the others are stamps; without that key all are. What is listed nowhere becomes a plain calling
    option.
    """

    @abstractmethod
    def on_signature(self, sig: Signature[Any], **headers: Any) -> Stamps:
        """Return the stamps of a task."""

    def on_group_start(self, group: Any, **headers: Any) -> Stamps:
        """Return the stamps of a group's members."""
        return {}

    def on_group_end(self, group: Any, **headers: Any) -> None:
        """Note that the members of a group are stamped."""

    def on_chain_start(self, chain: Any, **headers: Any) -> Stamps:
        """Return the stamps of a chain's steps."""
        return {}

    def on_chain_end(self, chain: Any, **headers: Any) -> None:
        """Note that the steps of a chain are stamped."""

    def on_chord_header_start(self, sig: Any, **header: Any) -> Stamps:
        """Return the stamps of a chord's header; by default those of the group that it is."""
        return self.on_group_start(sig.tasks, **header)

    def on_chord_header_end(self, sig: Any, **header: Any) -> None:
        """Note that a chord's header is stamped."""
        self.on_group_end(sig.tasks, **header)

    def on_chord_body(self, sig: Any, **header: Any) -> Stamps:
        """Return the stamps of a chord's body, beside those of the header."""
        return {}

    def on_callback(self, callback: Signature[Any], **header: Any) -> Stamps:
        """Return the stamps of a callback."""
        return {}

    def on_errback(self, errback: Signature[Any], **header: Any) -> Stamps:
        """Return the stamps of an errback."""
        return {}


class Stamped(Links):
    """A signature's stamps."""

    if TYPE_CHECKING:

        def set(self: Self, immutable: bool | None = None, **options: Any) -> Self:  # noqa: PYI019
            """Set calling options and return the signature."""

    def stamp(self, visitor: StampingVisitor | None = None, append_stamps: bool = False, **headers: Any) -> Any:
        """Stamp it, with what follows it, and return it.

        Args:
            visitor: says what stamps each part gets.
            append_stamps: whether a stamp that is there already becomes a list of both values; by default the first
                one stays, unless both are lists.
            **headers: stamps by name.
        """
        self.stamp_links(visitor, append_stamps, **headers)
        more = visitor.on_signature(self, **headers) if visitor is not None else None  # type: ignore[arg-type]
        self.set(**gathered(headers, more, append_stamps, self.options))
        return self

    def stamp_links(self, visitor: StampingVisitor | None, append_stamps: bool = False, **headers: Any) -> None:
        """Stamp what follows it: callbacks and errbacks. Arguments as of `stamp`."""
        from fastq.canvas.signature import maybe_signature

        for key, ask in (("link", "on_callback"), ("link_error", "on_errback")):
            if self.options.get(key) is None:
                continue
            stamps = deepcopy(headers)
            links = [maybe_signature(link, self._app) for link in listed(self.options[key])]
            for link in links:
                more = getattr(visitor, ask)(link, **stamps) if visitor is not None else None
                stamps = gathered(stamps, more, append_stamps)
                link.stamp(visitor, append_stamps, **stamps)
            self.options[key] = links


def gathered(
    headers: Mapping[str, Any],
    more: Mapping[str, Any] | None,
    append: bool,
    options: Mapping[str, Any] | None = None,
) -> Stamps:
    """Return stamps together with those of a visitor, and of a signature that has some.

    Args:
        headers: stamps; all of them, unless `stamped_headers` among them says which.
        more: those of a visitor, likewise.
        append: whether a stamp that is there twice becomes a list.
        options: of the signature; those that its `stamped_headers` lists.
    """
    stamps = _named(headers)
    if more is not None:
        _merge(stamps, _named(more), append)
    if options is not None:
        stamps[_NAMES] = list(dict.fromkeys((*stamps[_NAMES], *(options.get(_NAMES) or ()))))
        own = {name: options[name] for name in stamps[_NAMES] if name in options}
        _merge(stamps, own, append)
    stamps[_NAMES] = list(dict.fromkeys(stamps[_NAMES]))
    return stamps


def _named(headers: Mapping[str, Any]) -> Stamps:
    """Return stamps with the list of their names."""
    return {**headers, _NAMES: list(headers.get(_NAMES, headers))}


def _merge(into: Stamps, other: Mapping[str, Any], append: bool) -> None:
    """Add stamps; of two with one name the first stays, or both do, in a list."""
    for key, value in other.items():
        if key not in into:
            into[key] = value
            continue
        known = into[key]
        if isinstance(known, dict) and isinstance(value, dict):
            into[key] = merged = dict(known)
            _merge(merged, value, append)
        elif isinstance(known, list) and isinstance(value, list):
            into[key] = [*known, *value]
        elif append:
            into[key] = [*listed(known), value]
