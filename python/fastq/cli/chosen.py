"""What the options before every command choose: the app, and what is changed about it for this run."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from fastq.app.protocol import App

__all__ = ["Chosen", "app_options", "chosen"]

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(slots=True)
class Chosen:
    """The options given before or after the command; the later one wins."""

    given: App | None = None
    """The app that called the command line, if one did."""
    app: str | None = None
    broker: str | None = None
    result_backend: str | None = None
    config: str | None = None
    workdir: str | None = None
    no_color: bool = False
    quiet: bool = False
    _loaded: Any = field(default=None, repr=False)

    def load(self, *, required: bool = False) -> Any:
        """Return the app, with what these options change.

        Args:
            required: whether a command makes no sense without an app of the user's own.

        Raises:
            click.ClickException: there is no app, or it cannot be imported.
        """
        if self._loaded is None:
            self._loaded = self._load(required)
        return self._loaded

    @property
    def named(self) -> bool:
        """Whether the user has said which app; to be asked after `load`."""
        return self.given is not None or self.app is not None

    def _load(self, required: bool) -> Any:
        from fastq.cli import finding

        if self.workdir is not None:
            try:
                os.chdir(self.workdir)
            except OSError as error:
                raise click.UsageError(f"--workdir {self.workdir}: {error.strerror}.") from error
        if self.app is None and self.given is None:
            self.app = finding.app_of_project()
        if self.given is not None:
            app: Any = self.given
        elif self.app is not None:
            app = finding.find_app(self.app)
        elif required:
            raise click.UsageError(
                'Which app? Say `fastq -A module …`, set FASTQ_APP=module, or write app = "module" under '
                "[tool.fastq] in pyproject.toml."
            )
        else:
            app = finding.default_app()
        self._change(app)
        return app

    def _change(self, app: Any) -> None:
        if self.config is not None:
            _configure(app, self.config)
        if self.broker is not None:
            app.conf.broker_url = self.broker
        if self.result_backend is not None:
            app.conf.result_backend = self.result_backend
        source = "--broker" if self.broker is not None else app.conf.source_of("broker_url")
        _check_broker(app.conf.broker_url, source)


def _configure(app: Any, name: str) -> None:
    """Read the settings of `--config` at once, so that what is wrong with it is said by that name."""
    try:
        app.config_from_object(name, force=True)
    except ImportError as error:
        raise click.UsageError(f"--config {name}: {error}, looked for in {os.getcwd()} too.") from error


def _check_broker(url: str, source: str) -> None:
    """Refuse a broker that cannot be used with the name of the setting and of where it was set."""
    from fastq._core import url_info
    from fastq.exceptions import ImproperlyConfigured

    try:
        info = url_info(url)
    except ImproperlyConfigured as error:
        raise click.ClickException(f"broker_url (set by {source}) cannot be used: {error}") from error
    if not info["supported"]:
        raise click.ClickException(
            f"broker_url (set by {source}) is {info['display']}, but this version has no "
            f"{info['scheme']} broker. Use sqlite:///path/to/file.db."
        )


def chosen(command: Callable[..., Any]) -> Callable[..., Any]:
    """Pass the `Chosen` of this run to a command."""
    return click.make_pass_decorator(Chosen)(command)


def app_options(*, hidden: bool = True) -> Callable[[Function], Function]:
    """Give a command the options that choose the app.

    Args:
        hidden: whether `--help` leaves out all but `-A`: the help of `fastq` itself shows them.
    """

    def option(*names: str, shown: bool = False, **how: Any) -> Callable[[Function], Function]:
        hide = hidden and not shown
        return click.option(*names, expose_value=False, callback=_remember, hidden=hide, **how)

    options = [
        option("-A", "--app", metavar="MODULE[:NAME]", help="The app, such as shop or shop.app:queue.", shown=True),
        # No variable of their own: FASTQ_BROKER_URL and FASTQ_RESULT_BACKEND are settings, read where settings are.
        option("-b", "--broker", metavar="URL", allow_from_autoenv=False, help="Broker to use in place of the app's."),
        option(
            "--result-backend",
            metavar="URL",
            allow_from_autoenv=False,
            help="Result store to use in place of the app's.",
        ),
        option("--config", metavar="MODULE", help="Module of settings to use in place of the app's."),
        option("--workdir", metavar="PATH", help="Directory to change to first."),
        option("-C", "--no-color", is_flag=True, default=None, help="No colours."),
        option("-q", "--quiet", is_flag=True, default=None, help="Print less."),
        click.option("--loader", expose_value=False, callback=_refuse_loader, hidden=True, allow_from_autoenv=False),
        click.option("--skip-checks", is_flag=True, expose_value=False, hidden=True, allow_from_autoenv=False),
    ]

    def decorate(command: Function) -> Function:
        for add in reversed(options):
            command = add(command)
        return command

    return decorate


def _remember(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value is not None and parameter.name is not None:
        setattr(ctx.ensure_object(Chosen), parameter.name, value)


def _refuse_loader(_ctx: click.Context, _parameter: click.Parameter, value: Any) -> None:
    if value is not None:
        raise click.UsageError(
            "fastq has no loaders: let --config name the module of settings, or call app.config_from_object."
        )
