"""The floors: what is a breach, and that this clone has none."""

from __future__ import annotations

from pathlib import Path

import pytest

import floors

TABLE = """
[tool.floors.rust]
source = "core/src"
floors = [["error"], ["message"], ["broker", "job"], ["worker"]]
siblings = ["broker -> job"]
pure = ["job"]
forbidden-when-pure = ['\\btokio::']
[tool.floors.rust.allowed]
[tool.floors.python]
source = "pkg"
everywhere = [""]
free-siblings = true
floors = [["errors"], ["_core", "conf"], ["app", "send"], ["cli"]]
core-importers = ["send"]
[tool.floors.python.allowed]
"* -> app.protocol" = "the one upward look-up"
[tool.floors.size]
folders = ["core", "pkg"]
tests = ["core/tests/"]
file-lines = 20
assembly-lines = 5
assemblies = ["pkg/cli.py"]
function-lines = 4
[tool.floors.size.long-functions]
"""

NEEDED = {"pkg/conf.py": "from pkg.app.protocol import App\n"}
"""Uses the one exception, which would be a breach otherwise."""


def found(folder: Path, capsys: pytest.CaptureFixture[str], files: dict[str, str], table: str = TABLE) -> list[str]:
    """Return what is said of a clone that holds `files`."""
    for name, text in {"pyproject.toml": table, "core/src/lib.rs": "", **NEEDED, **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    code = floors.main([str(folder)])
    lines = capsys.readouterr().out.splitlines()
    assert code == bool(lines)
    return lines


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("core/src/message.rs", "use crate::broker::Broker;", "message (floor 1) names broker (floor 2)"),
        ("core/src/job.rs", "use crate::broker::Broker;", "job (floor 2) names broker (floor 2)"),
        ("core/src/job.rs", "fn f() { tokio::spawn(); }", "job is pure and names tokio::"),
        ("core/src/stray.rs", "", "stray has no floor"),
        ("pkg/errors.py", "import pkg.app\n", "errors (floor 0) names app (floor 2)"),
        ("pkg/app.py", "def f():\n    from pkg.cli import main\n", "app (floor 2) names cli (floor 3)"),
        ("pkg/app.py", "from pkg._core import Producer\n", "app imports _core; only send do"),
        ("pkg/stray.py", "", "stray has no floor"),
        ("pkg/app.py", "def f():\n" + "    x = 1\n" * 5, "f has 6 lines; the ceiling is 4"),
        ("core/src/job.rs", "fn f() {\n" + "    x();\n" * 5 + "}\n", "f has 7 lines; the ceiling is 4"),
        ("pkg/app.py", "x = 1\n" * 21, "21 lines; the ceiling is 20: split it by concept"),
        ("pkg/cli.py", "x = 1\n" * 6, "6 lines; the ceiling is 5: split it by concept"),
    ],
)
def test_a_breach_is_named_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, text: str, expected: str
) -> None:
    (line,) = found(tmp_path, capsys, {name: text})

    assert line.startswith(name)
    assert line.endswith(expected)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("core/src/broker.rs", "use crate::job::Job;\nuse crate::message::Message;"),
        ("core/src/message.rs", "#[cfg(test)]\nmod tests { use crate::worker::Worker; }"),
        ("core/src/lib.rs", "use crate::worker::Worker;"),
        ("pkg/cli.py", "from pkg.app import App\nfrom pkg.conf import Settings\n"),
        ("pkg/send.py", "from pkg._core import Producer\n"),
        ("pkg/app.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pkg._core import Producer\n"),
        ("pkg/app.py", 'def f():\n    """First.\n\n    a\n    b\n    c\n    """\n    return 1\n'),
        ("pkg/__init__.py", "from pkg.cli import main\n"),
    ],
)
def test_what_goes_down_or_is_allowed_passes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, text: str
) -> None:
    assert found(tmp_path, capsys, {name: text}) == []


def test_an_exception_that_nothing_needs_is_a_breach(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = TABLE + '"pkg/app.py:f" = "a table"\n'

    lines = found(tmp_path, capsys, {"pkg/conf.py": "", "pkg/app.py": "def f():\n    return 1\n"}, table)

    assert lines == [
        "pyproject.toml: python allows * -> app.protocol, which nothing needs",
        "pyproject.toml: long-functions names pkg/app.py:f, which is not long",
    ]
