"""Write docs/reference/settings.md from the declarations in python/fastq/conf.

Without arguments it writes the page; with --check it fails when the page is not what it would write.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "settings.md"

sys.path.insert(0, str(ROOT / "python"))

from fastq.conf.defaults import GROUPS  # noqa: E402 - of the clone, not of an installed version
from fastq.conf.environment import VARIABLES  # noqa: E402
from fastq.conf.option import SAME, Option  # noqa: E402

HEAD = """\
# Settings

<!-- Written by scripts/reference.py from python/fastq/conf: change the declarations there. -->

Set them on the app (`FastQ("shop", task_time_limit=30)`, `app.conf.task_time_limit = 30`), in a module or object
(`app.config_from_object("settings")`), in the environment (`FASTQ_TASK_TIME_LIMIT=30`), in `pyproject.toml`
(`[tool.fastq]`) or on the command line (`fastq worker … -- task_time_limit=30`). The first of these that has a setting
wins; the environment's words for a list are `a,b`, for a map JSON.

Celery's old upper-case names are understood where a configuration uses them throughout: those named below, and for the
others the name in upper case (`BROKER_URL`).

Durations are seconds; a `timedelta` is understood. `None` stands for the default, except where the description says
what it means. A name that is no setting is kept, and the worker warns of it when it looks like a misspelt one.

**Later** in the last column marks a setting that is accepted and does nothing yet. Defaults that differ from Celery's
are in bold; [Coming from Celery](../from-celery.md) says why they differ.
"""

ENVIRONMENT = """\
## Environment

Every setting can be given as `FASTQ_` and its name in upper case. These variables are read under Celery's name too,
when the `FASTQ_` one is absent or empty:

| Variable | Celery's | What it is |
|---|---|---|
"""


def main() -> int:
    """Write or check the page; return the exit code."""
    parser = argparse.ArgumentParser(description="Write the reference of settings.")
    parser.add_argument("--check", action="store_true", help="fail when the page is stale, and write nothing")
    arguments = parser.parse_args()
    text = page()
    if not arguments.check:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(text, encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text:
        return 0
    print(f"{PAGE.relative_to(ROOT)} is stale: run python scripts/reference.py", file=sys.stderr)
    return 1


def page() -> str:
    """Return the page."""
    parts = [HEAD]
    for title, options in GROUPS.items():
        rows = "\n".join(row(option) for option in options)
        parts.append(f"## {title}\n\n| Setting | Takes | Default | What it does | |\n|---|---|---|---|---|\n{rows}\n")
    variables = "\n".join(f"| `{one.name}` | `{one.celery}` | {one.description} |" for one in VARIABLES)
    parts.append(f"{ENVIRONMENT}{variables}\n")
    return "\n".join(parts)


def row(option: Option) -> str:
    """Return the line of one setting."""
    takes = f"{option.kind.name}, {option.unit}" if option.unit else option.kind.name
    old = f" Old name: `{option.old}`." if option.old else ""
    state = "" if option.acts else "later"
    return f"| `{option.name}` | {takes} | {default(option)} | {option.description}{old} | {state} |"


def default(option: Option) -> str:
    """Return the default as code, in bold where it is not Celery's."""
    value = list(option.default) if isinstance(option.default, tuple) else option.default
    text = f"`{value!r}`"
    return f"**{text}**" if option.ours or option.celery is not SAME else text


if __name__ == "__main__":
    sys.exit(main())
