"""The seam check finds what it is there to find."""

from __future__ import annotations

import ast
from dataclasses import make_dataclass
from types import ModuleType
from typing import NamedTuple

import pytest

import seam

STUB = """
class Depth(TypedDict):
    queue: str
class Port:
    def next(self, timeout: float | None = None) -> Job | None: ...
    @staticmethod
    def from_fd(fd: int) -> Port: ...
def new_id() -> str: ...
"""


class Port:
    """A module's class that is as the stub says."""

    def next(self, timeout: float | None = None) -> None:
        """Take."""

    @staticmethod
    def from_fd(fd: int) -> Port:
        """Make."""
        raise NotImplementedError


class Renamed(Port):
    """`next` has another parameter."""

    def next(self, limit: float | None = None) -> None:
        """Take."""

    from_fd = staticmethod(Port.from_fd)


class WithoutDefault(Port):
    """`next` has no default."""

    def next(self, timeout: float | None) -> None:
        """Take."""

    from_fd = staticmethod(Port.from_fd)


class Bare:
    """`from_fd` is missing, and there is something else."""

    def next(self, timeout: float | None = None) -> None:
        """Take."""

    def more(self) -> None:
        """Do more."""


class Bound(Port):
    """`from_fd` is not static."""

    next = Port.next

    def from_fd(self, fd: int) -> Port:  # type: ignore[override]
        """Make."""
        return self


def new_id() -> str:
    """Make an id."""
    return ""


def module(port: type) -> ModuleType:
    """Return a module that holds `port` as Port."""
    built = ModuleType("_core")
    vars(built).update(Port=port, new_id=new_id)
    return built


def test_a_module_as_its_stub_says_has_no_differences() -> None:
    assert list(seam.compare_module(ast.parse(STUB), module(Port))) == []


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        (Renamed, ["Port.next: the stub says (self, timeout=…), the module (self, limit=…)"]),
        (WithoutDefault, ["Port.next: the stub says (self, timeout=…), the module (self, timeout)"]),
        (
            Bare,
            [
                "Port: the stub describes from_fd, which the module has not",
                "Port: the module has more, which the stub does not describe",
            ],
        ),
        (Bound, ["Port.from_fd: only one of stub and module is static"]),
    ],
)
def test_a_difference_is_named(port: type, expected: list[str]) -> None:
    assert list(seam.compare_module(ast.parse(STUB), module(port))) == expected


def test_twins_are_compared_field_by_field(monkeypatch: pytest.MonkeyPatch) -> None:
    class Route(NamedTuple):
        exchange: str
        key: str

    python = ModuleType("_seam")
    vars(python).update(Policy=make_dataclass("Policy", ["name", "late"]), Route=Route)
    monkeypatch.setattr(seam, "TWINS", {"Policy": "PolicySpec"})
    monkeypatch.setattr(seam, "LENGTHS", {"Route": "a Route"})

    same = 'struct PolicySpec {\n    name: String,\n    pub(crate) late: bool,\n}\n of(route, "a Route", 2)'
    other = 'struct PolicySpec {\n    name: String,\n}\n of(route, "a Route", 3)'

    assert list(seam.compare_twins(python, same)) == []
    assert list(seam.compare_twins(python, other)) == [
        "_seam.Policy has ['name', 'late'], seam.rs PolicySpec reads ['name']",
        "_seam.Route has 2 fields, seam.rs expects [3]",
    ]
