"""The examples of README.md and docs/ do what the pages say.

The Python of a page is one program, run in a folder of its own: a block that begins with `# shop.py` is that module,
`print(…)  # 5` must print what the comment says, a module of tests (`# test_shop.py`) must pass, and a session (`>>>`)
must answer as it is written. Where an example waits for a result, a worker of the page's app runs beside it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from tests.support.worker import RunningWorker

CLONE: Final = Path(__file__).resolve().parents[2]
_BLOCK: Final = re.compile(r"^```(python|pycon)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MODULE: Final = re.compile(r"# (\w+)\.py\n")
_PRINTED: Final = re.compile(r"^ *print\(.*\)  # (.*)$", re.MULTILINE)
_LIMIT_SECONDS: Final = 60


@dataclass
class Examples:
    """The Python of one page."""

    modules: dict[str, str] = field(default_factory=dict)
    tests: dict[str, str] = field(default_factory=dict)
    program: list[str] = field(default_factory=list)
    sessions: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, page: str) -> Examples:
        """Return the examples in a page's text."""
        found = cls()
        for language, code in _BLOCK.findall(page):
            named = _MODULE.match(code)
            if language == "pycon":
                found.sessions.append(code)
            elif named is not None and named[1].startswith("test_"):
                found.tests[named[1]] = code
            elif named is not None:
                found.modules[named[1]] = code
                found.program.append(f"from {named[1]} import *\n")
            else:
                found.program.append(code)
        return found

    @property
    def all(self) -> str:
        """All code outside of modules."""
        return "\n".join(self.program + self.sessions)


def pages() -> list[Path]:
    """Return the pages that have examples."""
    known = [CLONE / "README.md", *sorted((CLONE / "docs").rglob("*.md"))]
    return [page for page in known if _BLOCK.search(page.read_text(encoding="utf-8"))]


def run(folder: Path, *arguments: str) -> str:
    """Run Python in a folder as a user would, and return what it prints."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FASTQ_", "CELERY_"))}
    path = os.pathsep.join((str(folder), str(CLONE / "python")))
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=folder,
        env={**kept, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=_LIMIT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(CLONE)))
def test_the_examples_of_a_page_do_what_it_says(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("FASTQ_", "CELERY_"))]:
        monkeypatch.delenv(name)
    examples = Examples.of(page.read_text(encoding="utf-8"))
    for name, code in {**examples.modules, **examples.tests}.items():
        (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
    (tmp_path / "page.py").write_text("\n".join(examples.program), encoding="utf-8")
    (tmp_path / "page.txt").write_text("\n".join(examples.sessions), encoding="utf-8")

    def run_all() -> None:
        assert run(tmp_path, "page.py").splitlines() == _PRINTED.findall("\n".join(examples.program))
        run(tmp_path, "-m", "doctest", "page.txt")
        if examples.tests:
            run(
                tmp_path,
                "-m",
                "pytest",
                "-q",
                "-p",
                "no:cacheprovider",
                "-p",
                "no:benchmark",
                *map("{}.py".format, examples.tests),
            )

    if ".get(" in examples.all:
        with RunningWorker(next(iter(examples.modules)), tmp_path, ("-c", "1")):
            run_all()
    else:
        run_all()


def test_the_page_a_newcomer_reads_first_has_examples() -> None:
    assert CLONE / "README.md" in pages()
