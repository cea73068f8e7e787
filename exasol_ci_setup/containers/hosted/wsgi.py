"""The application for gunicorn and other servers: ``gunicorn --worker-class asgi exasol_ci_setup.containers.hosted.wsgi:app``."""

from __future__ import annotations

import os
import sys

from exasol_ci_setup.containers.hosted.app import create_app
from exasol_ci_setup.containers.hosted.settings import Settings, deploy_key
from exasol_ci_setup.core.errors import SetupError

try:
    app = create_app(Settings(), deploy_key(os.environ))
except SetupError as error:
    sys.exit(f"error: {error}" + (f"\n\nhint: {error.hint}" if error.hint else ""))
