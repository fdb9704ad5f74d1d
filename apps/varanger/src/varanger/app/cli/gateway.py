"""The options of every command that talks to a gateway."""

from typing import Annotated

import typer

HERE = "http://127.0.0.1:8000"
"""Where `varanger up` listens."""
CAMERA_TIME = "%Y-%m-%dT%H:%M:%S"
"""The camera's own time: never with a zone."""

UrlOption = Annotated[str, typer.Option(envvar="VARANGER_URL", help="the gateway")]
KeyOption = Annotated[str, typer.Option(envvar="VARANGER_KEY", help="an API key that may do this in the project")]
ProjectOption = Annotated[str, typer.Option(help="project id")]
