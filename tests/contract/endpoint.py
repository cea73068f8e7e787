"""The AWS endpoint of a run, the commands and clients that use it, and the records of commands for the evidence."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import botocore.session
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

KIND: Final = "EXASOL_CI_SETUP_CONTRACT"
"""The variable with the kind of endpoint: sandbox, moto or aws. Without it, a few cases run against a sandbox of the tests."""
_POLL_SECONDS: Final = 2.0


@dataclass(frozen=True)
class Ran:
    """Result of a command."""

    code: int
    stdout: str
    stderr: str


@dataclass
class Endpoint:
    """An endpoint of AWS, with the environment of the commands. `folder` is their working directory."""

    kind: str
    environment: Mapping[str, str]
    folder: Path
    commands: list[dict[str, Any]] = field(default_factory=list)

    @property
    def region(self) -> str:
        """The region of the run."""
        return self.environment["AWS_REGION"]

    @functools.cached_property
    def account(self) -> str:
        """The ID of the account."""
        return str(self.client("sts").get_caller_identity()["Account"])

    @functools.cached_property
    def _session(self) -> Any:
        session = botocore.session.Session()
        if profile := self.environment.get("AWS_PROFILE"):
            session.set_config_variable("profile", profile)
        return session

    @functools.cached_property
    def _clients(self) -> dict[str, Any]:
        return {}

    def client(self, service: str) -> Any:
        """Return a client of botocore."""
        if service not in self._clients:
            names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
            keys = {name.lower(): self.environment[name] for name in names if name in self.environment}
            self._clients[service] = self._session.create_client(
                service, region_name=self.region, endpoint_url=self.environment.get("AWS_ENDPOINT_URL"), **keys
            )
        return self._clients[service]

    def run(self, *words: str, stdin: str = "", code: int | None = 0, **more: str) -> Ran:
        """Run a command of this program, and check its exit code; None accepts any.

        `more` are variables of its environment; an empty value removes one.
        """
        begun = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "exasol_ci_setup", *words],
            input=stdin,
            capture_output=True,
            text=True,
            cwd=self.folder,
            env={name: value for name, value in {**self.environment, **more}.items() if value},
            check=False,
        )
        self.commands.append(
            {
                "command": " ".join(words[:2] if words[0] in GROUPS else words[:1]),
                "exit_code": done.returncode,
                "seconds": round(time.monotonic() - begun, 1),
                # What AWS answered is part of the evidence, as hints depend on it.
                "messages": [] if done.returncode == 0 else done.stderr.splitlines()[-20:],
            }
        )
        assert code is None or done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return Ran(done.returncode, done.stdout, done.stderr)

    def stack(self, name: str) -> Mapping[str, Any] | None:
        """Return a stack, None if it does not exist."""
        try:
            found: Mapping[str, Any] = self.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
        except ClientError as error:
            if "does not exist" in error.response["Error"]["Message"]:
                return None
            raise
        return None if found["StackStatus"] == "DELETE_COMPLETE" else found

    def outputs(self, name: str) -> dict[str, str]:
        """Return the outputs of a stack."""
        stack = self.stack(name)
        assert stack is not None, f"stack {name} does not exist"
        return {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", ())}

    def physical_id(self, stack: str, kind: str) -> str:
        """Return the physical ID of the first resource of a type in a stack."""
        pages = self.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack)
        resources = (each for page in pages for each in page["StackResourceSummaries"])
        return next(str(each["PhysicalResourceId"]) for each in resources if each["ResourceType"] == kind)

    def poll(self, seconds: float) -> Iterator[None]:
        """Yield until the time limit, with a pause between two checks."""
        end = time.monotonic() + seconds
        while True:
            yield
            if time.monotonic() >= end:
                raise AssertionError(f"no result within {seconds:.0f} s")
            time.sleep(_POLL_SECONDS if self.kind == "aws" else 0.05)


GROUPS: Final = frozenset({"asset", "import", "registry", "secret", "space", "storage"})
"""Commands whose first argument names a command below them."""


def environment() -> dict[str, str]:
    """Return the environment of the commands: that of this process, without what changes their output."""
    removed = {"CI", "NO_COLOR", "TERM", KIND}
    return {name: value for name, value in os.environ.items() if name not in removed}
