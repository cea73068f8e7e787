"""Results and subjects of checks. The code of a subject is never reused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Status = Literal["ok", "warning", "problem", "skipped"]


@dataclass(frozen=True, slots=True)
class Check:
    """The result of a check.

    `status` is ``problem`` if commands will fail, ``warning`` if some commands may fail, and ``skipped`` if a problem of another check
    prevents this one. `fix` describes what to do; it is empty if the status is ``ok`` or ``skipped``.
    """

    code: str
    name: str
    status: Status
    message: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """The subject of a check, with a permanent code."""

    code: str
    name: str

    def ok(self, message: str) -> Check:
        """Return a successful check."""
        return Check(self.code, self.name, "ok", message)

    def warning(self, message: str, fix: str) -> Check:
        """Return a check for which some commands may fail."""
        return Check(self.code, self.name, "warning", message, fix)

    def problem(self, message: str, fix: str) -> Check:
        """Return a check for which commands will fail."""
        return Check(self.code, self.name, "problem", message, fix)

    def skipped(self, needed: Subject) -> Check:
        """Return a check that cannot run before the problem of `needed` is fixed."""
        return Check(self.code, self.name, "skipped", f"needs {needed.code}")


PLATFORM: Final = Subject("E-CI-01", "platform and Python")
AWS_CLI: Final = Subject("E-CI-02", "AWS CLI")
PROFILE: Final = Subject("E-CI-03", "AWS profile")
REGION: Final = Subject("E-CI-04", "AWS region")
CREDENTIALS: Final = Subject("E-CI-05", "AWS credentials")
CLOCK: Final = Subject("E-CI-06", "clock")
CLOUDFORMATION: Final = Subject("E-CI-07", "CloudFormation")
CODEBUILD: Final = Subject("E-CI-08", "CodeBuild")
SECRETS_MANAGER: Final = Subject("E-CI-09", "Secrets Manager")
DOCKER_SECRET: Final = Subject("E-CI-10", "Docker secret")
SOURCE_CREDENTIALS: Final = Subject("E-CI-11", "source credentials")
TEMPLATES: Final = Subject("E-CI-12", "templates")
DOCKER: Final = Subject("E-CI-13", "Docker engine")
SERVICE_ROLE: Final = Subject("E-CI-14", "role of ECS")
PERMISSIONS: Final = Subject("E-CI-15", "permissions")

SUBJECTS: Final = (
    PLATFORM,
    AWS_CLI,
    PROFILE,
    REGION,
    CREDENTIALS,
    CLOCK,
    CLOUDFORMATION,
    CODEBUILD,
    SECRETS_MANAGER,
    DOCKER_SECRET,
    SOURCE_CREDENTIALS,
    TEMPLATES,
    DOCKER,
    SERVICE_ROLE,
)
"""The subjects that are always checked, in the order of the output. `PERMISSIONS` is checked for a kind of stack only."""
