"""`fastq report`: what a bug report needs."""

from __future__ import annotations

import platform
import sys
from importlib import metadata
from typing import Any, Final

import click

from fastq.cli.chosen import Chosen, app_options, chosen
from fastq.cli.output import json_option, print_json

__all__ = ["command"]

_PACKAGES: Final = ("orjson", "click", "rich", "msgpack", "PyYAML", "setproctitle")


@click.command("report")
@app_options()
@json_option
@chosen
def command(choice: Chosen, as_json: bool) -> None:
    """Print versions, platform and settings; secrets are hidden."""
    app = choice.load()
    facts = _facts(app)
    if as_json:
        print_json(facts)
        return
    for title, values in facts.items():
        click.echo(title)
        for name, value in values.items():
            click.echo(f"  {name:<28} {value if isinstance(value, str) else repr(value)}")
        if not values:
            click.echo("  all defaults")
        click.echo()


def _facts(app: Any) -> dict[str, dict[str, Any]]:
    import fastq
    from fastq import _core
    from fastq.text import hide_password

    versions = {"fastq": fastq.__version__, **{f"core {key}": value for key, value in _core.build_info().items()}}
    versions["python"] = f"{platform.python_version()} ({platform.python_implementation()})"
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    system = {"system": platform.platform(), "executable": sys.executable}
    places = {
        "broker": hide_password(app.conf.broker_url),
        "results": hide_password(app.backend.url) or "disabled",
    }
    settings = {name: repr(value) for name, value in sorted(app.conf.table(censored=True).items())}
    return {"versions": versions, "platform": system, "app": {"name": app.main, **places}, "settings": settings}
