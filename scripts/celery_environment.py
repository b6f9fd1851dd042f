"""Environments of their own with real Celery, one for each version that fastq is held against.

They are made when they are missing, or made anew when their requirements have changed, from the exact versions in
`requirements/celery-VERSION.txt`: about ten seconds each. The recordings and the live tests share them.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VERSIONS = ("5.6", "5.7")


def environment(version: str) -> Path:
    """Return the interpreter of the environment that has this version; who comes second waits while it is made."""
    folder = ROOT / f".venv-celery{version.replace('.', '')}"
    python = folder / "bin" / "python"
    requirements = ROOT / "requirements" / f"celery-{version}.txt"
    stamp = folder / "requirements.txt"
    with requirements.open() as wanted:
        fcntl.flock(wanted, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted.read():
            subprocess.run([os.environ.get("PYTHON", sys.executable), "-m", "venv", "--clear", folder], check=True)
            install = ["install", "--quiet", "--disable-pip-version-check", "--requirement", str(requirements)]
            subprocess.run([python, "-m", "pip", *install], check=True)
            shutil.copy(requirements, stamp)
    return python
