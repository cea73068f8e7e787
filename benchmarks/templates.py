"""Compare start-up, checks and single deployments of one template with other tools."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import AWS, CFN_LINT, OURS, REGION, SAM, SCEPTRE, alternately, rows, sandbox
from benchmarks.page import table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_HEAD = ("", "time", "memory", "ratio to the first")
_URL = "https://github.com/exasol/script-languages-release"


def start_up(env: dict[str, str], rounds: int) -> str:
    """Measure the time of `--help`."""
    cases: dict[str, Sequence[str] | Callable[[int], Sequence[str]]] = {
        "`python -c 'import click'`": [sys.executable, "-c", "import click"],
        "`exasol-ci-setup --help`": [OURS, "--help"],
        "`sam --version`": [str(SAM), "--version"],
        "`aws --version`": [AWS, "--version"],
        "`sceptre --version`": [str(SCEPTRE), "--version"],
        "`cfn-lint --version`": [CFN_LINT, "--version"],
    }
    results = alternately(cases, env, rounds * 2)
    return table(_HEAD, rows(results, next(iter(cases))))


def checks(env: dict[str, str], rounds: int) -> str:
    """Measure the offline check of the CI template: ours without and with its cache, and other tools."""
    ours = [OURS, "validate-ci-build", "--offline", "--region", REGION, "--project", "Slc", "--project-url", _URL]
    with tempfile.TemporaryDirectory() as folder:
        env = {**env, "XDG_CACHE_HOME": folder, "SAM_CLI_TELEMETRY": "0"}
        rendered = subprocess.run(
            [*ours, "--print-template"], env=env, check=True, capture_output=True, text=True
        ).stdout
        template = Path(folder, "template.yaml")
        template.write_text(rendered, encoding="utf-8")
        off = "EXASOL_CI_SETUP_LINT_CACHE=off"
        cases: dict[str, Sequence[str] | Callable[[int], Sequence[str]]] = {
            "`cfn-lint`": [CFN_LINT, "--regions", REGION, "--", str(template)],
            "`validate-ci-build --offline`, new template": ["env", off, *ours],
            "the same template again": ours,
            "`sam validate --lint`": [str(SAM), "validate", "--lint", "--region", REGION, "-t", str(template)],
            "`sam validate` (structure only)": [str(SAM), "validate", "--region", REGION, "-t", str(template)],
        }
        results = alternately(cases, env, rounds)
    return table(_HEAD, rows(results, "`cfn-lint`"))


def deployments(rounds: int) -> tuple[str, str]:
    """Measure one new stack of six resources in a sandbox, and a second deployment without changes."""
    with sandbox() as (folder, env):
        # The other tool does not look up the secret. With its ARN, our program does not either.
        asked = [*("secretsmanager", "describe-secret", "--secret-id", "Dockerhub"), "--query", "ARN"]
        secret = subprocess.run(
            [AWS, *asked, "--output", "text"], env=env, check=True, capture_output=True, text=True
        ).stdout.strip()
        same = ["--project-url", _URL, "--docker-secret", secret]

        def template(number: int) -> str:
            """Return the file with the template that our command renders, so that both tools deploy the same one."""
            path = folder / f"peer{number}.yaml"
            validate = [OURS, "validate-release-build", "--offline", "--print-template", *same]
            rendered = subprocess.run(
                [*validate, "--project", f"Peer{number}"], env=env, check=True, capture_output=True, text=True
            )
            path.write_text(rendered.stdout, encoding="utf-8")
            return str(path)

        templates = [template(number) for number in range(rounds + 1)]

        def ours(number: int) -> list[str]:
            return [OURS, "deploy-release-build", *same, "--yes", "--no-lint", "--project", f"Ours{number}"]

        def linted(number: int) -> list[str]:
            return [OURS, "deploy-release-build", *same, "--yes", "--project", f"Linted{number}"]

        def aws(number: int) -> list[str]:
            words = [*(AWS, "cloudformation", "deploy", "--stack-name", f"Peer{number}")]
            return [*words, "--template-file", templates[number], "--capabilities", "CAPABILITY_IAM"]

        first = "`deploy-release-build --no-lint`"
        new = alternately(
            {
                first: ours,
                "`aws cloudformation deploy`": aws,
                "`deploy-release-build`, with cfn-lint beside it": linted,
            },
            env,
            rounds,
        )
        again = alternately(
            {
                first: lambda _: ours(0),
                "`aws cloudformation deploy`": lambda _: [*aws(0), "--no-fail-on-empty-changeset"],
            },
            env,
            rounds,
            # The other tool names change sets by the second, and does not delete empty ones.
            pause=0.6,
        )
    return table(_HEAD, rows(new, first)), table(_HEAD, rows(again, first))
