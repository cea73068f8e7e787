"""Commands that several hints name, each with one spelling."""

from __future__ import annotations

from typing import Final

DEPLOY_SOURCE_CREDENTIALS: Final = (
    "exasol-ci-setup deploy-source-credentials --secret-name NAME --secret-user-key KEY --secret-token-key KEY"
)
