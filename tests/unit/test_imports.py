"""Objects by name."""

from __future__ import annotations

import os.path
import sys
from pathlib import Path

import pytest

from fastq import imports
from fastq.imports import find_related_module, import_from_cwd, qualified_name, symbol_by_name


@pytest.mark.parametrize("name", ["os.path:join", "os.path.join"])
def test_a_symbol_is_found_by_module_and_attribute(name: str) -> None:
    assert symbol_by_name(name) is os.path.join


def test_a_symbol_is_found_by_alias_inside_a_class_and_in_a_package() -> None:
    assert symbol_by_name("join", {"join": "os.path:join"}) is os.path.join
    assert symbol_by_name("pathlib:Path.cwd").__name__ == "cwd"
    assert symbol_by_name(".join", package="os.path") is os.path.join
    assert symbol_by_name(os.path.join) is os.path.join
    assert symbol_by_name("os") is os


def test_a_missing_symbol_is_an_error_or_the_default() -> None:
    with pytest.raises(ModuleNotFoundError):
        symbol_by_name("no_such_module:x")
    with pytest.raises(AttributeError):
        symbol_by_name("os:nothing")
    assert symbol_by_name("os:nothing", default=None) is None


def test_modules_are_found_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shop_from_here.py").write_text("x = 1\n")
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)

    assert import_from_cwd("shop_from_here").x == 1
    assert sys.path == before


def test_the_related_module_of_a_package_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "shop_package"
    package.mkdir()
    (package / "__init__.py").write_text("class Config: pass\n")
    (package / "tasks.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    found = find_related_module("shop_package", "tasks")
    by_class = find_related_module("shop_package.Config", "tasks")

    assert found is not None
    assert found.x == 1
    assert by_class is found
    assert find_related_module("shop_package", "nothing") is None
    assert find_related_module("shop_package", None) is sys.modules["shop_package"]


def test_a_related_module_that_is_broken_is_not_taken_for_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "broken_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "tasks.py").write_text("import no_such_module_at_all\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    with pytest.raises(ModuleNotFoundError, match=r"no_such_module_at_all"):
        find_related_module("broken_package", "tasks")
    with pytest.raises(ModuleNotFoundError):
        find_related_module("no_such_package", "tasks")


def test_qualified_names() -> None:
    assert qualified_name(Path) == "pathlib.Path"
    assert qualified_name(ValueError("x")) == "builtins.ValueError"
    assert qualified_name(os) == "os"


def test_an_earlier_group_of_entry_points_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    class Point:
        def __init__(self, group: str) -> None:
            self.name, self.group = "yaml", group

    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [Point(group)])

    found = imports.entry_points("fastq.serializers", "kombu.serializers")

    assert found["yaml"].group == "fastq.serializers"
