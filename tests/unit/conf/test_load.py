"""Settings from modules, objects, files and arguments."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from fastq.conf import load
from fastq.exceptions import ImproperlyConfigured


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "shop_settings.py").write_text(
        "import os\n_private = 1\ntask_serializer = 'yaml'\nclass Test:\n    task_always_eager = True\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "shop_settings", raising=False)
    return "shop_settings"


def test_the_names_of_a_module_in_the_working_directory_are_settings(module: str) -> None:
    found = load.from_object(module)

    assert found.pop("Test").task_always_eager
    assert found == {"task_serializer": "yaml"}


@pytest.mark.parametrize("separator", [":", "."])
def test_an_object_of_a_module_is_found_by_name(module: str, separator: str) -> None:
    assert load.from_object(f"{module}{separator}Test") == {"task_always_eager": True}


def test_maps_and_objects_are_taken_as_they_are() -> None:
    class Config:
        task_serializer = "yaml"

    assert load.from_object(Config) == load.from_object({"task_serializer": "yaml"}) == {"task_serializer": "yaml"}


@pytest.mark.parametrize("name", ["no_such_module", "no_such_module:x", "no_such_module.x", "os:nothing", "os.nothing"])
def test_a_missing_module_or_object_is_an_import_error(name: str) -> None:
    with pytest.raises(ImportError):
        load.from_object(name)


def test_the_name_of_a_file_is_answered_with_the_name_of_the_module(module: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"name the module: 'shop_settings'"):
        load.from_object("shop_settings.py")


def test_an_import_that_fails_inside_the_module_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_settings.py").write_text("import no_such_package_here\n")
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ModuleNotFoundError, match=r"no_such_package_here"):
        load.from_object("broken_settings")


def test_a_variable_names_the_module(module: str) -> None:
    assert load.from_variable("SETTINGS", {"SETTINGS": module})["task_serializer"] == "yaml"
    with pytest.raises(ImproperlyConfigured, match=r"'SETTINGS' is not set"):
        load.from_variable("SETTINGS", {})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s.toml", "task_serializer = 'yaml'"),
        ("t.toml", "[fastq]\ntask_serializer = 'yaml'"),
        ("s.json", '{"task_serializer": "yaml"}'),
    ],
)
def test_files_are_read(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)

    assert load.from_object(tmp_path / name) == load.from_object(str(tmp_path / name)) == {"task_serializer": "yaml"}


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("a.toml", b"x = ", "is damaged"),
        ("a.toml", b"x = '\xff'", "is damaged"),
        ("a.json", b"[1]", "holds no map"),
        ("a.json", b"{", "is damaged"),
        ("none.json", None, "Cannot read .*No such file"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, data: bytes | None, why: str) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)

    with pytest.raises(ImproperlyConfigured, match=why):
        load.from_file(tmp_path / name)


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ('[tool.fastq]\napp = "shop"\ntask_time_limit = 3', {"app": "shop", "task_time_limit": 3}),
        ("[tool.fastq.task_routes]\na = 'b'", {"task_routes": {"a": "b"}}),
        ("[tool.other]\nx = 1", None),
        ("# tool.fastq", None),
    ],
)
def test_the_nearest_pyproject_says_what_it_says(tmp_path: Path, text: str, table: dict[str, Any] | None) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)

    found = load.from_pyproject(inner)

    assert found == (None if table is None else (str(tmp_path / "pyproject.toml"), table))


def test_a_damaged_pyproject_is_named(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.fastq")

    with pytest.raises(ImproperlyConfigured, match=r"pyproject.toml is damaged"):
        load.from_pyproject(tmp_path)


def test_arguments_are_names_and_values() -> None:
    found = load.from_arguments(["worker.concurrency=2", "task_time_limit=3", ".lease=5", "broker_url=a://b?c=d"])

    assert found == {
        "worker_concurrency": "2",
        "task_time_limit": "3",
        "worker_lease": "5",
        "broker_url": "a://b?c=d",
    }
    with pytest.raises(ImproperlyConfigured, match=r"'nonsense' is no setting: write name=value"):
        load.from_arguments(["nonsense"])
