"""`python -m tests.contract`: run the contract tests against the sandbox, moto or AWS, and delete what they created.

`make test-contract`, `make test-moto`, `make test-aws` and `make test-aws-clean` call it; docs/evidence.md describes them.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import pytest

from exasol_ci_setup.access.resource_arns import Place
from exasol_ci_setup.aws.errors import translate_aws_errors
from exasol_ci_setup.cli.commands.iam_policy import text_of, write_documents
from exasol_ci_setup.core.errors import SetupError
from tests.contract import evidence, leftovers, preview, servers
from tests.contract.endpoint import KIND, Endpoint, environment
from tests.contract.scenario import PREFIX

if TYPE_CHECKING:
    from collections.abc import Sequence

_ANY: Final = "*"
_KEYS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
# moto answers some concurrent requests with errors.
_WORKERS: Final = {"aws": 8, "moto": 1, "sandbox": 2}
# Each case on AWS, in seconds.
_TIMEOUT: Final = 3_600


def main() -> int:
    """Run the command line, and return the exit code."""
    options = _options()
    try:
        with translate_aws_errors():
            return _main(options)
    except SetupError as error:
        # Such as missing credentials, or those of a user without the policy.
        hint = f"\nhint: {error.hint}" if error.hint else ""
        _stop(f"{error.message}{hint}")


def _main(options: argparse.Namespace) -> int:
    if options.what == "sandbox":
        with servers.sandbox() as (variables, account):
            place = Place(account, variables["AWS_REGION"])
            keys = servers.user_with(preview.policy(preview.stacks(place), place), variables)
            return _run("sandbox", {**variables, **keys}, options)
    if options.what == "moto":
        with servers.moto(options.moto) as variables:
            return _run("moto", variables, options)
    if options.what == "clean":
        return _clean(_aws(options))
    return _run_on_aws(options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.contract", description=__doc__)
    parser.add_argument("what", choices=["sandbox", "moto", "aws", "clean"])
    parser.add_argument("--profile", default="", help="profile of the AWS configuration")
    parser.add_argument("--region", default="", help="region of AWS")
    parser.add_argument("--account", default="", help="ID of the account that is used; the run refuses any other")
    parser.add_argument("--dry-run", action="store_true", help="print what a run creates, its cost and its policy")
    parser.add_argument("--into", type=Path, help="write each document of the policy to a file in this folder")
    parser.add_argument("--yes", action="store_true", help="do not prompt for confirmation")
    parser.add_argument("--workers", type=int, default=0, help="cases at the same time [default: by endpoint]")
    parser.add_argument(
        "--moto", type=Path, default=Path(".venv-moto/bin/moto_server"), help="program of the moto server"
    )
    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)
    options = parser.parse_args(words[:end])
    # Arguments of pytest, such as -k.
    options.more = words[end + 1 :]
    return options


def _place(options: argparse.Namespace) -> Place:
    region = options.region or os.environ.get("AWS_REGION", "") or _ANY
    partition = "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"
    return Place(options.account or _ANY, region, partition)


def _stop(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(2)


def _run_on_aws(options: argparse.Namespace) -> int:
    place = _place(options)
    print(preview.text(place))
    documents = preview.policy(preview.stacks(place), place)
    if options.into is None:
        print(text_of(documents))
    else:
        commands = write_documents(documents, options.into, name=PREFIX, warn=lambda text: print(f"warning: {text}"))
        print("\n".join(commands))
    if options.dry_run:
        return 0
    endpoint = _aws(options)
    if found := leftovers.find(endpoint):
        listed = ", ".join(f"{kind} {name}" for kind, name in found)
        _stop(f"an earlier run left {listed}: delete them with `make test-aws-clean`")
    _confirm(options, f"create this in account {options.account}, {options.region}?")
    return _run("aws", endpoint.environment, options)


def _aws(options: argparse.Namespace) -> Endpoint:
    """Return the endpoint of the account that the user named. Ends the process if it is another one."""
    if not re.fullmatch(r"[0-9]{12}", options.account):
        _stop("name the account to use: make test-aws PROFILE=name REGION=eu-central-1 ACCOUNT=111122223333")
    if not options.region:
        _stop("name the region to use: make test-aws PROFILE=name REGION=eu-central-1 ACCOUNT=111122223333")
    variables = {**environment(), "AWS_REGION": options.region, "AWS_DEFAULT_REGION": options.region}
    if options.profile:
        variables["AWS_PROFILE"] = options.profile
        # Keys in the environment would be used in place of the profile.
        for name in _KEYS:
            variables.pop(name, None)
            os.environ.pop(name, None)
    endpoint = Endpoint("aws", variables, Path.cwd())
    if endpoint.account != options.account:
        _stop(f"the credentials belong to account {endpoint.account}, not to {options.account}: nothing was created")
    return endpoint


def _confirm(options: argparse.Namespace, question: str) -> None:
    if options.yes:
        return
    if not sys.stdin.isatty():
        _stop("confirmation is needed: run it in a terminal, or with YES=1")
    if input(f"{question} [y/N] ").strip().lower() not in {"y", "yes"}:
        _stop("declined: nothing was created or deleted")


def _clean(endpoint: Endpoint) -> int:
    found = leftovers.find(endpoint)
    for kind, name in found:
        print(f"{kind} {name}")
    if not found:
        print("no leftovers", file=sys.stderr)
        return 0
    _confirm(_options(), f"delete these in account {endpoint.account}, {endpoint.region}?")
    return _report(leftovers.delete(endpoint))


def _report(left: Sequence[str]) -> int:
    for each in left:
        print(f"not deleted: {each}", file=sys.stderr)
    return 1 if left else 0


def _run(kind: str, variables: Any, options: argparse.Namespace) -> int:
    """Run the cases, delete what remains, and write the evidence."""
    os.environ.update(variables)
    os.environ[KIND] = kind
    workers = options.workers or _WORKERS[kind]
    recorder = evidence.Recorder()
    begun = time.monotonic()
    endpoint = Endpoint(kind, variables, Path(tempfile.gettempdir()))
    own = ["tests/contract", "-m", "contract", "-n", str(workers), "-o", f"timeout={_TIMEOUT}", "--color=no"]
    code = int(pytest.ExitCode.INTERRUPTED)
    try:
        code = int(pytest.main([*own, *options.more], plugins=[recorder]))
    finally:
        # Also after Ctrl-C: pytest ends then, and this deletes what exists.
        left = leftovers.delete(endpoint)
        page = evidence.write(
            recorder,
            kind=kind,
            region=endpoint.region,
            account=endpoint.account,
            leftovers=left,
            seconds=time.monotonic() - begun,
            complete=code in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED},
        )
        print(f"{json.dumps(recorder.counts)}\nwrote {page}", file=sys.stderr)
    return _report(left) or code


if __name__ == "__main__":
    sys.exit(main())
