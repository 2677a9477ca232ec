"""The command `serve`: the HTTP server, in this process."""

import sys
from typing import Any

import click

from app.cli.options.from_settings import read_settings, settings_options
from app.cli.options.shared import example


@click.command(
    short_help="Serve a model over HTTP, with a page to try it.",
    epilog=example(
        "medimageinsight serve",
        "medimageinsight serve --model lion-ai/MedImageInsights --host 0.0.0.0 --port 8001",
        "MEDIMAGEINSIGHT_PORT=8001 medimageinsight serve",
    ),
)
@settings_options()
def serve(**given: Any) -> None:
    """Serve the model over HTTP, in this process, until SIGTERM or Ctrl-C.

    Every flag is also an environment variable, named at the end of its line. The name without MEDIMAGEINSIGHT_ works
    too; the prefixed name has priority, and a flag has priority over both.

    Keys are never flags: MEDIMAGEINSIGHT_API_KEYS and MEDIMAGEINSIGHT_METRICS_KEY hold them, or files.
    """
    settings = read_settings(given)
    from app.server import run  # after the settings: a wrong one is reported at once

    sys.exit(run(settings))
