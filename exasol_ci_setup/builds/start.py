"""Find the CodeBuild project of a stack, and start, stop and retry its batches."""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from exasol_ci_setup.aws import ClientError, boundary, error_code
from exasol_ci_setup.builds.model import TOKEN_VARIABLE, Batch, batch_of
from exasol_ci_setup.errors import Interrupted, SetupError, StackError, StackNotFound

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_codebuild import CodeBuildClient
    from mypy_boto3_codebuild.type_defs import EnvironmentVariableTypeDef

_PROJECT: Final = "AWS::CodeBuild::Project"
# What CodeBuild answers when a request cannot be carried out as things are; not that AWS cannot be used.
_REFUSALS: Final = frozenset({"InvalidInputException", "ResourceNotFoundException", "AccountLimitExceededException"})


def find_project(cfn: CloudFormationClient, stack_name: str, *, hint: str = "") -> str:
    """Return the name of the one CodeBuild project in a stack; `hint` says what to do if the stack is not there.

    Raises StackNotFound, and StackError if there is none in it or several, naming them.
    """
    found = []
    with boundary():
        try:
            for page in cfn.get_paginator("list_stack_resources").paginate(StackName=stack_name):
                found += [
                    resource["PhysicalResourceId"]
                    for resource in page["StackResourceSummaries"]
                    if resource["ResourceType"] == _PROJECT
                    and resource.get("PhysicalResourceId")
                    and resource["ResourceStatus"] != "DELETE_COMPLETE"
                ]
        except ClientError as error:
            # ListStackResources has no error code of its own for this.
            if error_code(error) != "ValidationError" or "does not exist" not in str(error):
                raise
            raise StackNotFound(
                f"stack {stack_name!r} does not exist in {cfn.meta.region_name}", hint=hint, stack_name=stack_name
            ) from error
    if not found:
        raise StackError(
            f"there is no CodeBuild project in stack {stack_name}",
            hint=f"`exasol-ci-setup status {stack_name}` shows its state; --stack-name names another stack",
            stack_name=stack_name,
        )
    if len(found) > 1:
        raise StackError(
            f"there are {len(found)} CodeBuild projects in stack {stack_name}, and it takes one: {', '.join(found)}",
            hint="name the stack with the one that shall build with --stack-name",
            stack_name=stack_name,
        )
    return found[0]


def start(
    codebuild: CodeBuildClient,
    project: str,
    branch: str,
    variables: Mapping[str, str],
    *,
    token_reference: str | None = None,
) -> Batch:
    """Start a batch of `project` on `branch` (any source version) with these environment variables.

    `token_reference` says where in Secrets Manager the builds find the GitHub token: a name or an ARN, and perhaps ``:KEY``.
    Raises SetupError if CodeBuild refuses, and Interrupted on Ctrl-C, after which nobody knows whether it has begun.
    """
    environment: list[EnvironmentVariableTypeDef] = [
        {"name": name, "value": value, "type": "PLAINTEXT"} for name, value in variables.items()
    ]
    if token_reference is not None:
        environment.append({"name": TOKEN_VARIABLE, "value": token_reference, "type": "SECRETS_MANAGER"})
    try:
        with _refusals(f"the batch of {project} was not started"):
            answer = codebuild.start_build_batch(
                projectName=project,
                sourceVersion=branch,
                environmentVariablesOverride=environment,
                # So that a call that botocore repeats starts one batch.
                idempotencyToken=str(uuid.uuid4()),
            )
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted while a batch of {project} was being started: it may have begun",
            hint="`exasol-ci-setup builds` shows it then, `exasol-ci-setup stop ID` stops it",
        ) from None
    return batch_of(answer["buildBatch"])


def stop(codebuild: CodeBuildClient, batch_id: str) -> Batch:
    """Stop a batch and all its builds; it may go on for some seconds. Raises SetupError if CodeBuild refuses."""
    with _refusals(f"batch {batch_id} was not stopped"):
        answer = codebuild.stop_build_batch(id=batch_id)
    return batch_of(answer["buildBatch"])


def retry(codebuild: CodeBuildClient, batch_id: str, *, failed_only: bool) -> Batch:
    """Build a batch again, whole or only what did not succeed. Raises SetupError if CodeBuild refuses."""
    with _refusals(f"batch {batch_id} was not started again"):
        answer = codebuild.retry_build_batch(
            id=batch_id,
            retryType="RETRY_FAILED_BUILDS" if failed_only else "RETRY_ALL_BUILDS",
            idempotencyToken=str(uuid.uuid4()),
        )
    return batch_of(answer["buildBatch"])


@contextmanager
def _refusals(what: str) -> Iterator[None]:
    try:
        with boundary():
            yield
    except SetupError as error:
        cause = error.__cause__
        if not isinstance(cause, ClientError) or error_code(cause) not in _REFUSALS:
            raise
        raise SetupError(f"{what}: {cause.response['Error'].get('Message', error_code(cause))}") from cause
