"""Types are part of the product: what mypy and pyright make of calls that are right, and of calls that are wrong.

`samples/right.py` must be free of errors; in `samples/wrong.py` the lines marked `# expect-error` must have some, and
no others.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import mypy.api
import pytest

ROOT = Path(__file__).parents[2]
SAMPLES = Path(__file__).parent / "samples"
MARK = "# expect-error"


def lines_of_mypy(sample: Path, monkeypatch: pytest.MonkeyPatch) -> set[int]:
    monkeypatch.setenv("MYPYPATH", str(ROOT / "python"))
    arguments = ["--config-file=", "--strict", "--python-version=3.10", "--no-pretty", "--cache-dir=.mypy_cache/typing"]
    output, complaint, status = mypy.api.run([*arguments, str(sample)])
    assert status in (0, 1), output + complaint
    found = [line.split(":", 3) for line in output.splitlines() if ": error:" in line]
    strangers = [":".join(parts) for parts in found if Path(parts[0]).name != sample.name]
    assert not strangers
    return {int(parts[1]) for parts in found}


def lines_of_pyright(sample: Path, monkeypatch: pytest.MonkeyPatch) -> set[int]:
    program = shutil.which("basedpyright", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if program is None:
        pytest.fail("basedpyright is not installed: it comes with the development requirements")
    monkeypatch.chdir(ROOT)
    ran = subprocess.run(
        [program, "--outputjson", "--pythonpath", sys.executable, str(sample)],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    report = json.loads(ran.stdout)
    return {
        found["range"]["start"]["line"] + 1 for found in report["generalDiagnostics"] if found["severity"] == "error"
    }


CHECKERS = [pytest.param(lines_of_mypy, id="mypy"), pytest.param(lines_of_pyright, id="pyright")]
Checker = "Callable[[Path, pytest.MonkeyPatch], set[int]]"


@pytest.mark.parametrize("sample", ["right.py", "canvas.py"])
@pytest.mark.parametrize("checker", CHECKERS)
def test_calls_that_are_right_have_the_types_they_should(
    checker: Checker, sample: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert checker(SAMPLES / sample, monkeypatch) == set()


@pytest.mark.parametrize("checker", CHECKERS)
def test_calls_that_are_wrong_are_errors(checker: Checker, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = SAMPLES / "wrong.py"
    marked = {number for number, line in enumerate(sample.read_text().splitlines(), 1) if line.endswith(MARK)}
    assert marked
    assert checker(sample, monkeypatch) == marked
