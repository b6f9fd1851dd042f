"""Which app `-A` means, and what is said when it means none."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import pytest

from fastq.cli.finding import app_of_project, find_app

APP = "from fastq import FastQ\n{name} = FastQ({title!r}, set_as_current=False)\n"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)


def write(name: str, text: str) -> None:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture(autouse=True)
def _forget_modules() -> object:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("finding_"):
            del sys.modules[name]


@pytest.mark.parametrize(
    ("files", "spec"),
    [
        ({"finding_a.py": APP.format(name="app", title="it")}, "finding_a"),
        ({"finding_b.py": APP.format(name="celery", title="it")}, "finding_b"),
        ({"finding_c.py": APP.format(name="whatever", title="it")}, "finding_c"),
        ({"finding_d.py": APP.format(name="queue", title="it")}, "finding_d:queue"),
        ({"finding_e.py": APP.format(name="queue", title="it")}, "finding_e.queue"),
        (
            {"finding_f.py": APP.format(name="app", title="it") + APP.format(name="other", title="no")},
            "finding_f",
        ),
        ({"finding_g.py": APP.format(name="app", title="it") + "same = app\n"}, "finding_g"),
        ({"finding_h/__init__.py": "", "finding_h/celery.py": APP.format(name="app", title="it")}, "finding_h"),
        ({"finding_i/__init__.py": "", "finding_i/jobs.py": APP.format(name="app", title="it")}, "finding_i.jobs"),
        ({"finding_j.py": APP.format(name="one", title="it") + "same = one\n"}, "finding_j"),
    ],
)
def test_an_app_is_found(files: dict[str, str], spec: str) -> None:
    for name, text in files.items():
        write(name, text)
    assert find_app(spec).main == "it"


@pytest.mark.parametrize(
    ("text", "spec", "words"),
    [
        (APP.format(name="a", title="a") + APP.format(name="b", title="b"), "finding_k", "several apps, a and b"),
        ("x = 1\n", "finding_l", 'holds no app: write app = FastQ("finding_l") there'),
        (
            APP.format(name="app", title="it"),
            "finding_m:nope",
            "finding_m has no nope. It holds app: say -A finding_m:app",
        ),
        (APP.format(name="app", title="it") + "x = 1\n", "finding_n:x", "x is no FastQ app"),
        ("1 / 0\n", "finding_o", "finding_o raises ZeroDivisionError: division by zero"),
        ("def f(:\n", "finding_p", "finding_p raises SyntaxError"),
        ("import no_such_module\n", "finding_q", "finding_q needs the module no_such_module, which is not installed"),
    ],
)
def test_what_is_wrong_with_a_module_is_said_in_a_line(text: str, spec: str, words: str) -> None:
    write(f"{spec.partition(':')[0]}.py", text)
    with pytest.raises(click.ClickException) as raised:
        find_app(spec)
    assert words in raised.value.message
    assert "\n" not in raised.value.message


def test_a_module_that_is_not_there_is_named_with_the_directory_and_one_that_is() -> None:
    write("finding_shop.py", "")
    with pytest.raises(click.ClickException) as raised:
        find_app("finding_shap")
    assert f"no module finding_shap in {Path.cwd()}. Did you mean finding_shop?" in raised.value.message


def test_a_missing_part_of_a_package_is_named() -> None:
    write("finding_r/__init__.py", "")
    with pytest.raises(click.ClickException) as raised:
        find_app("finding_r.nope")
    assert "no module finding_r.nope" in raised.value.message


def test_the_environment_names_the_app_before_the_project_does(monkeypatch: pytest.MonkeyPatch) -> None:
    write("pyproject.toml", '[tool.fastq]\napp = "of_project"\n')
    assert app_of_project() == "of_project"
    monkeypatch.setenv("FASTQ_APP", "of_environment")
    assert app_of_project() == "of_environment"


def test_a_project_above_has_its_modules_beside_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    write("pyproject.toml", '[tool.fastq]\napp = "finding_s"\n')
    write("finding_s.py", APP.format(name="app", title="it"))
    top = Path.cwd()
    inner = top / "docs" / "inner"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    assert find_app(app_of_project() or "").main == "it"
    with pytest.raises(click.ClickException) as raised:
        find_app("finding_none")
    assert f"no module finding_none in {inner} or {top}." in raised.value.message


def test_without_either_there_is_no_app() -> None:
    assert app_of_project() is None


def test_an_app_of_the_project_that_is_no_text_is_refused() -> None:
    write("pyproject.toml", "[tool.fastq]\napp = 3\n")
    with pytest.raises(click.UsageError, match=r"app under .* is 3"):
        app_of_project()
