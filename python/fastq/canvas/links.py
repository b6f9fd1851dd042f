"""What follows a signature: callbacks when it succeeds, errbacks when it fails (inventory §5.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from fastq.canvas.fields import Fields

if TYPE_CHECKING:
    from fastq.app.protocol import App

__all__ = ["Links", "listed"]

Self = TypeVar("Self", bound="Links")


class Links(Fields):
    """A signature's callbacks and errbacks; both are options of it."""

    _app: App | None

    def link(self, callback: Any) -> Any:
        """Have `callback` sent with the result when this succeeds; return the callback."""
        return self.append_to_list_option("link", callback)

    def link_error(self, errback: Any) -> Any:
        """Have `errback` called when this fails; return the errback."""
        return self.append_to_list_option("link_error", errback)

    def on_error(self: Self, errback: Any) -> Self:  # noqa: PYI019 - typing has Self from 3.11 on
        """Have `errback` called when this fails; return this signature."""
        self.link_error(errback)
        return self

    def append_to_list_option(self, key: str, value: Any) -> Any:
        """Add a value to an option that is a list, unless it is there already; return the value."""
        values = self.options[key] = listed(self.options.get(key))
        if value not in values:
            values.append(value)
        return value

    def extend_list_option(self, key: str, values: Any) -> None:
        """Add values, of which there may be one alone, to an option that is a list."""
        for value in listed(values):
            self.append_to_list_option(key, value)

    def flatten_links(self) -> list[Any]:
        """Return it, its callbacks, their callbacks and so on."""
        from fastq.canvas.signature import maybe_signature

        callbacks = [maybe_signature(link, self._app) for link in listed(self.options.get("link"))]
        return [self, *(linked for callback in callbacks for linked in callback.flatten_links())]


def listed(value: Any) -> list[Any]:
    """Return a list: of nothing for None, of one value that is none, else a new one of the same values."""
    if value is None:
        return []
    if isinstance(value, Mapping | str) or not hasattr(value, "__iter__"):
        return [value]
    return list(value)
