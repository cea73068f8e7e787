"""The local endpoints of a run: a sandbox with access control and a user with the policy, and a moto server."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore.session

from exasol_ci_setup import sandbox as local
from exasol_ci_setup.sandbox.daemon import DIRECTORY_VARIABLE
from exasol_ci_setup.sandbox.settings import ACCESS_CONTROL_VARIABLE
from tests.contract.scenario import PREFIX
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_START_SECONDS = 60.0


def _without_aws(folder: str) -> dict[str, str]:
    for name in [name for name in os.environ if name.startswith(("AWS_", "EXASOL_CI_SETUP_"))]:
        del os.environ[name]
    return {
        "AWS_CONFIG_FILE": f"{folder}/no-config",
        "AWS_SHARED_CREDENTIALS_FILE": f"{folder}/no-credentials",
        "AWS_EC2_METADATA_DISABLED": "true",
        "HOME": folder,
    }


@contextmanager
def sandbox() -> Iterator[tuple[dict[str, str], str]]:
    """Run a sandbox with access control; return the environment of its root user, and the account."""
    with tempfile.TemporaryDirectory() as folder:
        variables = _without_aws(folder)
        os.environ.update({DIRECTORY_VARIABLE: f"{folder}/state", ACCESS_CONTROL_VARIABLE: "1"})
        found = local.ensure()
        try:
            yield (
                {
                    **variables,
                    "AWS_ENDPOINT_URL": found.url,
                    "AWS_ACCESS_KEY_ID": found.account,
                    "AWS_SECRET_ACCESS_KEY": "sandbox",
                    "AWS_REGION": found.region,
                },
                found.account,
            )
        finally:
            local.stop()


def user_with(documents: Sequence[Mapping[str, Any]], variables: Mapping[str, str]) -> dict[str, str]:
    """Create a user with exactly the policy, and return its keys."""
    iam: Any = botocore.session.Session().create_client(
        "iam",
        region_name=variables["AWS_REGION"],
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
    )
    name = f"user-of-{PREFIX}-tests"
    iam.create_user(UserName=name)
    for number, document in enumerate(documents):
        created = iam.create_policy(PolicyName=f"{name}-{number}", PolicyDocument=json.dumps(document))["Policy"]
        iam.attach_user_policy(UserName=name, PolicyArn=created["Arn"])
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}


@contextmanager
def moto(program: Path) -> Iterator[dict[str, str]]:
    """Run a moto server, and return the environment of its account."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "moto.log").open("wb") as log:
        variables = _without_aws(folder)
        process = subprocess.Popen(
            [str(program.absolute()), "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log, cwd=folder
        )
        try:
            url = f"http://127.0.0.1:{port}"
            end = time.monotonic() + _START_SECONDS
            while not _answers(url):
                if process.poll() is not None or time.monotonic() > end:
                    raise SystemExit(
                        f"error: the moto server does not answer: {(Path(folder) / 'moto.log').read_text()[-500:]}"
                    )
                time.sleep(0.1)
            yield {
                **variables,
                "AWS_ENDPOINT_URL": url,
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_REGION": "eu-central-1",
            }
        finally:
            process.terminate()
            process.wait()


def _answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url}/moto-api/data.json", timeout=2):
            return True
    except OSError:
        return False
