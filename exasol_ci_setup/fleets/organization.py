"""The file of a fleet with the repositories of a GitHub organization."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import yaml

from exasol_ci_setup.builds.checkout import project_name
from exasol_ci_setup.constructs import CiBuild, build
from exasol_ci_setup.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exasol_ci_setup.builds.github import Repository

_TARGET: Final = "ci"
_LONGEST_NAME: Final = 63
_HEADING: Final = """\
# The schema of this file, for editors: exasol-ci-setup deploy-fleet --schema
"""


def fleet_name(*parts: str) -> str:
    """Return the name of a fleet for an organization, and a topic if it has one. Characters that are invalid in names become hyphens."""
    name = "-".join(re.findall(r"[A-Za-z0-9]+", " ".join(parts)))
    return (name if name[:1].isalpha() else f"fleet-{name}")[:_LONGEST_NAME].rstrip("-")


def fleet_projects(repositories: Iterable[Repository]) -> tuple[dict[str, Any], list[str]]:
    """Return the projects of a fleet by name, with a CI stack for each repository, and a note for each repository that is skipped."""
    projects: dict[str, Any] = {}
    notes = []
    for each in sorted(repositories, key=lambda repository: repository.name.lower()):
        name = project_name(each.url)
        if each.archived or each.fork:
            notes.append(f"skipped {each.name}: it is {'archived' if each.archived else 'a fork'}")
        elif name in projects:
            notes.append(f"skipped {each.name}: {projects[name]['project_url']} has the same project name, {name}")
        else:
            try:
                build(CiBuild, project=name, project_url=each.url)
            except InputError as error:
                notes.append(f"skipped {each.name}: {error.message}")
                continue
            projects[name] = {"project_url": each.url, "ci": {}}
    return projects, notes


def fleet_text(name: str, projects: dict[str, Any], *, region: str, secret_name: str) -> str:
    """Return the text of the file of a fleet. The secret has the keys user and token."""
    credentials = {"secret_name": secret_name, "secret_user_key": "user", "secret_token_key": "token"}
    document = {
        "name": name,
        "targets": {_TARGET: {"region": region, "source_credentials": credentials}},
        "defaults": {"target": _TARGET},
        "projects": projects,
    }
    return _HEADING + yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
