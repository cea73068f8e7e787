"""`init`: print the commands of a first deployment, in their order."""

from __future__ import annotations

import os
import shlex
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from exasol_ci_setup.cli.session import common_options
from exasol_ci_setup.core.errors import InputError

if TYPE_CHECKING:
    from exasol_ci_setup.cli.session import Session
    from exasol_ci_setup.constructs import CiBuild

_REGION: Final = "eu-central-1"
_BRANCH: Final = "refs/heads/main"
_GITHUB_SECRET: Final = "github"  # noqa: S105 - the name of a secret
_DOCKER_SECRET: Final = "Dockerhub"  # noqa: S105 - the name of a secret
_CONFIG: Final = "build_config.json"
_NO_SECRET: Final = "none"  # noqa: S105 - the name of no secret


@dataclass(frozen=True, slots=True)
class _Step:
    """A step of the deployment: what it does, and its commands."""

    title: str
    commands: tuple[str, ...]


@click.command("init")
@click.option("--project", metavar="NAME", help="Name of the project.  [default: the name of the repository]")
@click.option("--project-url", metavar="URL", help="URL of the repository.  [default: the origin of the checkout]")
@click.option(
    "--github-secret",
    metavar="SECRET",
    help=f"Secret with the keys user and token, for the access of CodeBuild to GitHub.  [default: {_GITHUB_SECRET}]",
)
@click.option(
    "--docker-secret",
    metavar="SECRET",
    help=f"Secret with the keys User and AccessToken, for the login of builds to Docker Hub; none for builds without login.  [default: {_DOCKER_SECRET}]",
)
@common_options
def init(
    session: Session,
    project: str | None,
    project_url: str | None,
    github_secret: str | None,
    docker_secret: str | None,
) -> None:
    """Print the commands of a first deployment, after a few questions.

    In a terminal, the command asks for each value without an option. Otherwise the defaults apply. It calls no AWS API and changes nothing.
    """
    from exasol_ci_setup.builds.checkout import git, project_name, working_directory
    from exasol_ci_setup.cli.render import records
    from exasol_ci_setup.constructs import CiBuild, build

    origin = git(working_directory(), "remote", "get-url", "origin")
    asked = _Questions(session)
    region = session.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    session.region = asked.value("AWS region", region, _REGION, "--region", is_known=session.sandbox)
    url = asked.value("URL of the repository", project_url, _url_of(origin), "--project-url")
    name = asked.value("Name of the project", project, project_name(url), "--project")
    construct = build(CiBuild, project=name, project_url=url)
    github = asked.value("Secret for GitHub", github_secret, _GITHUB_SECRET, "--github-secret")
    docker = asked.value("Secret for Docker Hub, or none", docker_secret, _DOCKER_SECRET, "--docker-secret")
    steps = _steps(session, construct, _branch(origin, url), github, docker)
    lines = [
        line
        for number, step in enumerate(steps, 1)
        for line in (*([""] if number > 1 else []), f"# {number}. {step.title}", *step.commands)
    ]
    session.output.data("\n".join(lines))
    for step in steps:
        session.output.record({"type": "step", "title": step.title, "commands": list(step.commands)})
    session.output.record(records.result("printed", changed=False))


class _Questions:
    """Asks for values on a terminal; elsewhere their defaults apply."""

    def __init__(self, session: Session) -> None:
        self._output = session.output

    def value(self, title: str, given: str | None, default: str, option: str, *, is_known: bool = False) -> str:
        """Return `given`, the answer, or the default. Raises InputError that names `option` if all are empty."""
        if given or is_known:
            return given or default
        if self._output.can_ask:
            with suppress(EOFError):
                default = self._output.ask(f"{title}{f' [{default}]' if default else ''}") or default
        if not default:
            raise InputError(
                f"{option} is missing", hint=f"add {option}, or run the command in a clone of the repository"
            )
        return default


def _url_of(origin: str) -> str:
    """Return the HTTPS URL of the repository at `origin`; empty without one."""
    from exasol_ci_setup.builds.checkout import repository_key

    key = repository_key(origin)
    # The key is in lower case, and the URL keeps its spelling.
    start = origin.lower().find(key.partition("/")[2]) if key else -1
    return f"https://{key.partition('/')[0]}/{origin[start:].strip('/').removesuffix('.git')}" if start >= 0 else ""


def _branch(origin: str, url: str) -> str:
    """Return the full name of the branch to build: the checked-out one, if the checkout is of the repository at `url`."""
    from exasol_ci_setup.builds.checkout import git, repository_key, working_directory

    is_checkout = origin and repository_key(origin) == repository_key(url)
    return (git(working_directory(), "symbolic-ref", "--quiet", "HEAD") if is_checkout else "") or _BRANCH


def _steps(session: Session, construct: CiBuild, branch: str, github: str, docker: str) -> list[_Step]:
    login = [] if docker == _DOCKER_SECRET else ["--docker-secret", docker]
    project = ["--project", construct.project]
    deploy = ["deploy-ci-build", *project, "--project-url", construct.project_url, *login]
    credentials = ["--secret-name", github, "--secret-user-key", "user", "--secret-token-key", "token"]
    steps = [
        _Step("Check this machine and the account", (_own(session, "health", *login),)),
        _Step("Give CodeBuild access to GitHub", (_own(session, "deploy-source-credentials", *credentials),)),
        _Step(
            "Show the plan of the CI stack, then deploy it",
            tuple(_own(session, *deploy, *more) for more in (["--plan"], [])),
        ),
        _Step(
            "Generate the buildspec files in the root of the repository, and commit them",
            (shlex.join(["exasol-ci-setup", "generate-buildspec", *_builds(), *login]),),
        ),
        _Step(
            "Push a commit, or start a build; then follow its log",
            (
                _own(session, "start-ci-build", *project, "--branch", branch),
                _own(session, "logs", *project, "--follow"),
            ),
        ),
        _Step(
            "To delete all of it",
            (_own(session, "delete", construct.stack_name, "SLCSourceCredentials", "--empty"),),
        ),
    ]
    if session.sandbox:
        # It has the secrets, and needs no permissions.
        return steps
    secrets = {github: '{"user": "USER", "token": "TOKEN"}'}
    if docker != _NO_SECRET:
        secrets[docker] = '{"User": "USER", "AccessToken": "TOKEN"}'
    return [
        _Step(
            "Policies for deploying: ask your administrator for these permissions",
            (
                _own(session, "iam-policy", "source-credentials"),
                _own(session, "iam-policy", "ci-build", *project, *login),
            ),
        ),
        _Step(
            "Create the secrets from files, which you write with an editor and delete afterwards",
            tuple(_secret(session, name, text) for name, text in secrets.items()),
        ),
        *steps,
    ]


def _builds() -> list[str]:
    """Return the options of the buildspec files for the working directory: its flavors, or one Docker image."""
    if not Path("flavors").is_dir():
        return ["--flavor", "app", "--build-command", "docker build ."]
    return ["--config-file", _CONFIG] if Path(_CONFIG).is_file() else []


def _own(session: Session, *words: str) -> str:
    """Return a command of this tool with the options for the account and the region."""
    return session.with_global_options(f"`{shlex.join(['exasol-ci-setup', *words])}`").strip("`")


def _secret(session: Session, name: str, text: str) -> str:
    """Return the command that creates a secret from a file, with the text of the file as a comment."""
    words = ["aws", "secretsmanager", "create-secret", "--name", name, "--secret-string", f"file://{name}.json"]
    return f"{session.with_global_options(f'`{shlex.join(words)}`').strip('`')}  # {name}.json: {text}"
