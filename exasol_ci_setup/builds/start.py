"""Find the CodeBuild project of a stack, and start, stop and retry its batches."""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.aws import ClientError, error_code, is_transient, translate_aws_errors
from exasol_ci_setup.builds.follow import interrupted
from exasol_ci_setup.builds.interrupts import DeferredSignals
from exasol_ci_setup.builds.model import TOKEN_VARIABLE, Batch, batch_of
from exasol_ci_setup.errors import Interrupted, SetupError, StackError, StackNotFound, Throttled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

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
    with translate_aws_errors():
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
    begun: Callable[[str], None] = lambda _: None,
) -> Batch:
    """Start a batch of `project` on `branch` (any source version) with these environment variables.

    `token_reference` says where in Secrets Manager the builds find the GitHub token: a name or an ARN, and perhaps ``:KEY``.
    `begun` is called with the batch's id as soon as there is one, and with an empty text if AWS does not say whether there is.
    Raises SetupError if CodeBuild refuses, and Interrupted on Ctrl-C.
    """
    environment: list[EnvironmentVariableTypeDef] = [
        {"name": name, "value": value, "type": "PLAINTEXT"} for name, value in variables.items()
    ]
    if token_reference is not None:
        environment.append({"name": TOKEN_VARIABLE, "value": token_reference, "type": "SECRETS_MANAGER"})
    # So that a call that is repeated starts one batch.
    key = str(uuid.uuid4())

    def call() -> Mapping[str, Any]:
        with _refusals(f"the batch of {project} was not started"):
            return codebuild.start_build_batch(
                projectName=project,
                sourceVersion=branch,
                environmentVariablesOverride=environment,
                idempotencyToken=key,
            )

    return _certain(call, begun, f"a batch of {project} was being started")


def stop(codebuild: CodeBuildClient, batch_id: str) -> Batch:
    """Stop a batch and all its builds; it may go on for some seconds. Raises SetupError if CodeBuild refuses."""
    with _refusals(f"batch {batch_id} was not stopped"):
        answer = codebuild.stop_build_batch(id=batch_id)
    return batch_of(answer["buildBatch"])


def retry(
    codebuild: CodeBuildClient, batch_id: str, *, failed_only: bool, begun: Callable[[str], None] = lambda _: None
) -> Batch:
    """Build a batch again, whole or only what did not succeed; `begun` as for `start`. Raises as `start`."""
    key = str(uuid.uuid4())

    def call() -> Mapping[str, Any]:
        with _refusals(f"batch {batch_id} was not started again"):
            return codebuild.retry_build_batch(
                id=batch_id,
                retryType="RETRY_FAILED_BUILDS" if failed_only else "RETRY_ALL_BUILDS",
                idempotencyToken=key,
            )

    return _certain(call, begun, f"batch {batch_id} was being started again")


def _certain(call: Callable[[], Mapping[str, Any]], begun: Callable[[str], None], what: str) -> Batch:
    """Return the batch that `call` starts; if it breaks off, find out by the same call once more, which starts no other.

    https://docs.aws.amazon.com/codebuild/latest/APIReference/API_StartBuildBatch.html, idempotencyToken.
    """
    pressed = False
    with DeferredSignals() as held:
        try:
            answer = call()
        except (KeyboardInterrupt, SetupError) as error:
            if isinstance(error, SetupError) and not _leaves_doubt(error):
                raise
            pressed = isinstance(error, KeyboardInterrupt)
            try:
                answer = call()
            except (KeyboardInterrupt, SetupError) as again:
                if isinstance(again, SetupError) and not _leaves_doubt(again) and not isinstance(again, Throttled):
                    raise
                begun("")
                hint = "`exasol-ci-setup builds` shows it then, `exasol-ci-setup stop ID` stops it"
                if pressed or isinstance(again, KeyboardInterrupt):
                    raise Interrupted(f"interrupted while {what}: it may have begun", hint=hint) from again
                again.hint = f"AWS did not answer while {what}: it may have begun; {hint}\n{again.hint}".rstrip()
                raise
        batch = batch_of(answer["buildBatch"])
        begun(batch.id)
    if pressed or held.pressed:
        raise interrupted(batch.id)
    return batch


def _leaves_doubt(error: SetupError) -> bool:
    """Return whether the call that failed so may have been carried out: no answer came, or one of a fault."""
    return is_transient(error.__cause__ or error) and not isinstance(error, Throttled)


@contextmanager
def _refusals(what: str) -> Iterator[None]:
    try:
        with translate_aws_errors():
            yield
    except SetupError as error:
        cause = error.__cause__
        if not isinstance(cause, ClientError) or error_code(cause) not in _REFUSALS:
            raise
        raise SetupError(f"{what}: {cause.response['Error'].get('Message', error_code(cause))}") from cause
