"""The environments of the sides: each library in its own, in the versions of requirements/bench-NAME.txt."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CLONE = Path(__file__).resolve().parent.parent.parent


def python_of(environment: str) -> Path:
    """Return the interpreter that has a side's library; make the environment on first use, or when its file changed."""
    if not environment:
        return CLONE / ".venv/bin/python"
    folder, requirements = CLONE / f".venv-bench-{environment}", CLONE / f"requirements/bench-{environment}.txt"
    python, stamp = folder / "bin/python", folder / ".stamp"
    wanted = requirements.read_text(encoding="utf-8")
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        print(f"bench-compare: making {folder.name}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "-r", str(requirements)], check=True)
        stamp.write_text(wanted, encoding="utf-8")
    return python
