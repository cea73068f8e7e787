"""The result of a check, and the list of all that is checked: codes are never given to another check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Status = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Check:
    """What was found.

    `status` is ``problem`` if commands will fail because of it, ``warning`` if some may. `fix` says what to do, and is
    empty only if nothing is to be done.
    """

    code: str
    name: str
    status: Status
    message: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is checked, under a code that stays."""

    code: str
    name: str

    def ok(self, message: str) -> Check:
        """Return that all is well."""
        return Check(self.code, self.name, "ok", message)

    def warning(self, message: str, fix: str) -> Check:
        """Return what may matter."""
        return Check(self.code, self.name, "warning", message, fix)

    def problem(self, message: str, fix: str) -> Check:
        """Return what has to be mended."""
        return Check(self.code, self.name, "problem", message, fix)


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
)
"""Everything that is checked, in the order in which it is shown."""
