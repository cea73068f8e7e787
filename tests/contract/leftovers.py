"""Find and delete what a run created: at its end, after Ctrl-C, and what an earlier run left."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from tests.contract import scenario
from tests.contract.scenario import PREFIX, TAG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.contract.endpoint import Endpoint

_ATTEMPTS: Final = 3
_PAUSE_SECONDS: Final = 60.0
# The order of deletion: the others use these.
_LAST: Final = (f"{PREFIX}-credentials", "spaces-load-balancer", "contract-built", "contract-source")


_NAMES: Final = {
    "role": (f"{PREFIX}-deployer",),
    "repository": (f"{PREFIX}-images",),
    "key pair": (scenario.KEY_NAME,),
}
_BY_NAME: Final[Mapping[str, tuple[str, Callable[[Any, str], object], str]]] = {
    "role": ("iam", lambda client, name: client.get_role(RoleName=name), "NoSuchEntity"),
    "repository": (
        "ecr",
        lambda client, name: client.describe_repositories(repositoryNames=[name]),
        "RepositoryNotFoundException",
    ),
    "key pair": ("ec2", lambda client, name: client.describe_key_pairs(KeyNames=[name]), "InvalidKeyPair.NotFound"),
}
"""How each kind is found by its name, and the code of the error if it does not exist."""


def find(endpoint: Endpoint) -> list[tuple[str, str]]:
    """Return the kind and the name of each resource of a run that exists, in the order of deletion."""
    return [*_stacks(endpoint), *_rest(endpoint)]


def _stacks(endpoint: Endpoint) -> Iterator[tuple[str, str]]:
    pages = endpoint.client("cloudformation").get_paginator("describe_stacks").paginate()
    found = [
        each["StackName"]
        for page in pages
        for each in page["Stacks"]
        if "ParentId" not in each
        and each["StackStatus"] != "DELETE_COMPLETE"
        and (
            _has_tag(each.get("Tags", ()))
            # Not all commands have --tag. A name that only begins alike is that of a stack of the user.
            or each["StackName"] in scenario.STACKS
        )
    ]
    yield from (("stack", name) for name in sorted(found, key=lambda name: (name in _LAST, name)))


def _has_tag(tags: Any) -> bool:
    return {"Key": TAG[0], "Value": TAG[1]} in [dict(each) for each in tags]


def _rest(endpoint: Endpoint) -> Iterator[tuple[str, str]]:
    """Yield what is in no stack any more, by its exact name: a bucket of the user can begin alike."""
    templates = f"{scenario.TEMPLATE_BUCKET}{endpoint.account}-{endpoint.region}"
    for bucket in endpoint.client("s3").list_buckets()["Buckets"]:
        if bucket["Name"] == templates or scenario.BUCKETS.fullmatch(bucket["Name"]):
            yield "bucket", bucket["Name"]
    yield from _groups(endpoint)
    yield from _by_name(endpoint)
    for page in endpoint.client("secretsmanager").get_paginator("list_secrets").paginate():
        for secret in page["SecretList"]:
            if secret["Name"].removeprefix("naas/") in scenario.SECRETS and "DeletedDate" not in secret:
                yield "secret", secret["Name"]


def _groups(endpoint: Endpoint) -> Iterator[tuple[str, str]]:
    for group in scenario.GROUPS:
        for page in endpoint.client("logs").get_paginator("describe_log_groups").paginate(logGroupNamePrefix=group):
            names = [each["logGroupName"] for each in page["logGroups"]]
            yield from (("log group", name) for name in names if name == group or group.endswith("/"))


def _by_name(endpoint: Endpoint) -> Iterator[tuple[str, str]]:
    for kind, (service, call, absent) in _BY_NAME.items():
        for name in _NAMES[kind]:
            try:
                call(endpoint.client(service), name)
                yield kind, name
            except ClientError as error:
                if error.response["Error"]["Code"] != absent:
                    raise


def delete(endpoint: Endpoint) -> list[str]:
    """Delete what `find` returns, and return a line for each resource that remains.

    After Ctrl-C, an operation on a stack can still be in progress. So what remains is deleted again, up to three times.
    """
    for attempt in range(_ATTEMPTS):
        _delete_all(endpoint)
        left = [f"{kind} {name}" for kind, name in find(endpoint)]
        if not left:
            break
        if attempt < _ATTEMPTS - 1:
            time.sleep(_PAUSE_SECONDS if endpoint.kind == "aws" else 1)
    return left


def _delete_all(endpoint: Endpoint) -> None:
    # The deletion of a stack deletes most of the rest.
    for found in (_stacks, _rest):
        for kind, name in list(found(endpoint)):
            print(f"deleting {kind} {name}", file=sys.stderr, flush=True)
            try:
                _delete(endpoint, kind, name)
            except ClientError as error:
                print(f"  {error}", file=sys.stderr, flush=True)


def _delete(endpoint: Endpoint, kind: str, name: str) -> None:
    if kind == "stack":
        words = (
            ("space", "delete", "--name", name.removeprefix("space-"))
            if name.startswith("space-")
            else ("delete", name, "--empty")
        )
        program = [sys.executable, "-m", "exasol_ci_setup", *words, "--yes"]
        subprocess.run(program, env=dict(endpoint.environment), stdout=subprocess.DEVNULL, check=False)
    elif kind == "bucket":
        _delete_bucket(endpoint.client("s3"), name)
    elif kind == "log group":
        endpoint.client("logs").delete_log_group(logGroupName=name)
    elif kind == "role":
        iam = endpoint.client("iam")
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
            iam.delete_role_policy(RoleName=name, PolicyName=policy)
        iam.delete_role(RoleName=name)
    elif kind == "repository":
        endpoint.client("ecr").delete_repository(repositoryName=name, force=True)
    elif kind == "key pair":
        endpoint.client("ec2").delete_key_pair(KeyName=name)
    else:
        endpoint.client("secretsmanager").delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)


def _delete_bucket(s3: Any, name: str) -> None:
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=name):
        for each in [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]:
            s3.delete_object(Bucket=name, Key=each["Key"], VersionId=each["VersionId"])
    s3.delete_bucket(Bucket=name)
