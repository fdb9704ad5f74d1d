"""The `varanger` command. One module per kind of work; this one puts them together."""

import sys

import typer
from rich.console import Console

from varanger.app.cli import deployment, export, files, media, operate, quarantine, release, run, train
from varanger.client import VarangerClientError
from varanger.common.errors import VarangerError
from varanger.common.ports.training import TrainingFailed
from varanger.common.settings import Settings
from varanger.common.telemetry.logs import configure_logs

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def varanger() -> None:
    """Camera-trap images from the field to a quality-checked dataset."""
    settings = Settings()
    configure_logs("cli", log_format="console", level="WARNING" if settings.log_level == "INFO" else settings.log_level)


run.add_to(app)
files.add_to(app)
train.add_to(app)
app.add_typer(deployment.app, name="deployment")
app.add_typer(media.app, name="media")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(release.app, name="release")
app.add_typer(export.app, name="export")
app.add_typer(operate.keys, name="key")
app.add_typer(operate.dead_letters, name="dlq")


def main() -> None:
    """Console script; our own errors are one sentence and exit code 1."""
    try:
        app()
    except (VarangerError, VarangerClientError, TrainingFailed, ValueError, OSError) as error:
        Console(stderr=True).print(f"[bold red]varanger:[/] {error}", highlight=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
