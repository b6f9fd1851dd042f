"""What the modules of the ground floor list as public is there."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import fastq.conf
import fastq.platforms
import fastq.serialization

FLOOR = ["exceptions", "states", "signals", "log", "time", "text", "names", "imports", "proxy"]
PACKAGES = [fastq.conf, fastq.serialization, fastq.platforms]
MODULES = [f"fastq.{name}" for name in FLOOR] + [
    module.name for package in PACKAGES for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
]


@pytest.mark.parametrize("name", MODULES)
def test_listed_names_exist_once_and_are_documented(name: str) -> None:
    module = importlib.import_module(name)

    assert sorted(set(module.__all__)) == sorted(module.__all__)
    for public in module.__all__:
        value = getattr(module, public)
        assert not callable(value) or value.__doc__
    assert module.__doc__
