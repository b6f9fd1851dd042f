"""Which queue a call goes to: the setting `task_routes` in all its forms (inventory §18)."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from fastq.app.topology import Queue
from fastq.exceptions import ImproperlyConfigured
from fastq.imports import symbol_by_name

if TYPE_CHECKING:
    from fastq.app.queues import Queues

__all__ = ["MapRoute", "Router"]

Route = Mapping[str, Any] | str | None
Lookup = Callable[..., Route]

_GLOB: Final = re.compile(r"[*?\[]")
_DESTINATION: Final = ("queue", "exchange", "exchange_type", "routing_key")


class MapRoute:
    """Routes by task name: exact names first, then globs and regular expressions in their order."""

    def __init__(self, routes: Mapping[Any, Any] | Iterable[tuple[Any, Any]]) -> None:
        """Take a mapping, or pairs, of patterns and routes."""
        self.exact: dict[str, Any] = {}
        self.patterns: list[tuple[re.Pattern[str], Any]] = []
        for pattern, route in routes.items() if isinstance(routes, Mapping) else routes:
            if isinstance(pattern, re.Pattern):
                self.patterns.append((pattern, route))
            elif _GLOB.search(pattern):
                self.patterns.append((re.compile(fnmatch.translate(pattern)), route))
            else:
                self.exact[pattern] = route

    def __call__(self, name: str, *_args: Any, **_kwargs: Any) -> Route:
        """Return the route of a task, or None."""
        found = self.exact.get(name)
        if found is None:
            found = next((route for pattern, route in self.patterns if pattern.match(name)), None)
        return dict(found) if isinstance(found, Mapping) else found


class Router:
    """Turns a call's options into ones that name a queue.

    `fixed` tells that routes depend on the task's name alone, so that callers may keep an answer.
    """

    def __init__(self, routes: Any, queues: Queues, default_queue: str) -> None:
        """Prepare the routers of the setting `task_routes`."""
        self.routers: list[Lookup] = _prepare(routes)
        self.queues = queues
        self.default_queue = default_queue
        self.fixed = all(isinstance(router, MapRoute) for router in self.routers)

    def route(
        self,
        options: Mapping[str, Any],
        name: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        task: Any = None,
    ) -> dict[str, Any]:
        """Return the options with their destination: `queue` is a `Queue`, or absent when an exchange alone is named.

        What the call says wins over its route; None says nothing. A call that names queue or exchange goes there and
        nowhere else; one that names a routing key alone goes to the exchange of its route.
        """
        found = self._look_up(name, args, kwargs or {}, options, task) if self.routers else {}
        if found and (options.get("queue") or options.get("exchange")):
            found = {key: value for key, value in found.items() if key not in _DESTINATION}
        merged = {**found, **{key: value for key, value in options.items() if value is not None or key not in found}}
        queue = merged.get("queue")
        if queue:
            merged["queue"] = self.queues[queue] if isinstance(queue, str) else Queue.of(queue)
        elif not merged.get("exchange"):
            merged["queue"] = self.queues[self.default_queue]
        return merged

    def _look_up(
        self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any], task: Any
    ) -> dict[str, Any]:
        for router in self.routers:
            found = router(name, args, kwargs, options, task=task)
            if found is not None:
                return {"queue": found} if isinstance(found, str | Queue) else dict(found)
        return {}


def _prepare(routes: Any) -> list[Lookup]:
    if routes is None:
        return []
    if isinstance(routes, Mapping) or not isinstance(routes, list | tuple):
        return [_router(routes)]
    if routes and all(_is_pair(entry) for entry in routes):
        return [MapRoute(routes)]
    # Pairs among other routers keep their place, so that the order of the setting is the order of the look-up.
    return [MapRoute([entry]) if _is_pair(entry) else _router(entry) for entry in routes]


def _is_pair(entry: Any) -> bool:
    return (
        isinstance(entry, list | tuple)
        and len(entry) == 2
        and isinstance(entry[0], str | re.Pattern)
        and isinstance(entry[1], str | Mapping | Queue)
    )


def _router(entry: Any) -> Lookup:
    if isinstance(entry, str):
        entry = symbol_by_name(entry)
    if isinstance(entry, Mapping | list | tuple):
        return MapRoute(entry)
    if isinstance(entry, type):
        entry = entry()
    method = getattr(entry, "route_for_task", None)
    if method is not None:
        return lambda name, args, kwargs, *_, **__: method(name, args, kwargs)
    if not callable(entry):
        raise ImproperlyConfigured(f"task_routes has an entry that is no route: {entry!r}.")
    return entry  # type: ignore[no-any-return]
