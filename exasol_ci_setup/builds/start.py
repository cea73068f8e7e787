"""Find the CodeBuild project of a stack, and start, stop and retry its batches."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.aws.session import ClientError, error_code, is_transient, replace_aws_errors, translate_aws_errors
from exasol_ci_setup.builds.follow import interrupted
from exasol_ci_setup.builds.model import TOKEN_VARIABLE, Batch, batch_of
from exasol_ci_setup.core.errors import (
    OperationInterruptedError,
    SetupError,
    StackError,
    StackNotFoundError,
    ThrottledError,
)
from exasol_ci_setup.core.interrupts import DeferredSignals

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_codebuild import CodeBuildClient
    from mypy_boto3_codebuild.type_defs import EnvironmentVariableTypeDef

_PROJECT: Final = "AWS::CodeBuild::Project"
# Error codes of requests that CodeBuild rejects in the current state; AWS itself is usable.
_REFUSALS: Final = frozenset({"InvalidInputException", "ResourceNotFoundException", "AccountLimitExceededException"})


def find_project(cfn: CloudFormationClient, stack_name: str, *, hint: str = "") -> str:
    """Return the name of the one CodeBuild project in a stack; `hint` is for a missing stack.

    Raises StackNotFoundError, and StackError if the stack has none or several, with their names.
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
            # ListStackResources has no specific error code for a missing stack.
            if error_code(error) != "ValidationError" or "does not exist" not in str(error):
                raise
            raise StackNotFoundError(
                f"stack {stack_name!r} does not exist in {cfn.meta.region_name}", hint=hint, stack_name=stack_name
            ) from error
    if not found:
        raise StackError(
            f"stack {stack_name} has no CodeBuild project",
            hint=f"see its state with `exasol-ci-setup status {stack_name}`, or choose another stack with --stack-name",
            stack_name=stack_name,
        )
    if len(found) > 1:
        raise StackError(
            f"stack {stack_name} has {len(found)} CodeBuild projects instead of one: {', '.join(found)}",
            hint="choose a stack with one project with --stack-name",
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

    `token_reference` is the secret with the GitHub token: a name or an ARN, optionally with ``:KEY``. `begun` is called with the batch's id
    as soon as it is known, and with an empty text if AWS does not answer whether the batch exists. Raises SetupError if CodeBuild rejects the
    request, and OperationInterruptedError on Ctrl-C.
    """
    environment: list[EnvironmentVariableTypeDef] = [
        {"name": name, "value": value, "type": "PLAINTEXT"} for name, value in variables.items()
    ]
    if token_reference is not None:
        environment.append({"name": TOKEN_VARIABLE, "value": token_reference, "type": "SECRETS_MANAGER"})
    # A repeated call with the same token starts only one batch.
    key = str(uuid.uuid4())

    def call() -> Mapping[str, Any]:
        with replace_aws_errors(_REFUSALS, lambda why: SetupError(f"the batch of {project} was not started: {why}")):
            return codebuild.start_build_batch(
                projectName=project,
                sourceVersion=branch,
                environmentVariablesOverride=environment,
                idempotencyToken=key,
            )

    return _start_or_find(call, begun, f"a batch of {project} was being started")


def stop(codebuild: CodeBuildClient, batch_id: str) -> Batch:
    """Stop a batch and all its builds, which takes some seconds. Raises SetupError if CodeBuild rejects the request."""
    with replace_aws_errors(_REFUSALS, lambda why: SetupError(f"batch {batch_id} was not stopped: {why}")):
        answer = codebuild.stop_build_batch(id=batch_id)
    return batch_of(answer["buildBatch"])


def retry(
    codebuild: CodeBuildClient, batch_id: str, *, failed_only: bool, begun: Callable[[str], None] = lambda _: None
) -> Batch:
    """Retry a whole batch or only its builds that did not succeed; `begun` as for `start`. Raises as `start`."""
    key = str(uuid.uuid4())

    def call() -> Mapping[str, Any]:
        with replace_aws_errors(_REFUSALS, lambda why: SetupError(f"batch {batch_id} was not started again: {why}")):
            return codebuild.retry_build_batch(
                id=batch_id,
                retryType="RETRY_FAILED_BUILDS" if failed_only else "RETRY_ALL_BUILDS",
                idempotencyToken=key,
            )

    return _start_or_find(call, begun, f"batch {batch_id} was being started again")


def _start_or_find(call: Callable[[], Mapping[str, Any]], begun: Callable[[str], None], what: str) -> Batch:
    """Return the batch that `call` starts; after an interruption repeat the call, which starts no second batch.

    https://docs.aws.amazon.com/codebuild/latest/APIReference/API_StartBuildBatch.html, idempotencyToken.
    """
    pressed = False
    with DeferredSignals() as held:
        try:
            answer = call()
        except (KeyboardInterrupt, SetupError) as error:
            if isinstance(error, SetupError) and not _is_ambiguous(error):
                raise
            pressed = isinstance(error, KeyboardInterrupt)
            try:
                answer = call()
            except (KeyboardInterrupt, SetupError) as again:
                if isinstance(again, SetupError) and not _is_ambiguous(again) and not isinstance(again, ThrottledError):
                    raise
                begun("")
                hint = "list the builds with `exasol-ci-setup builds`, stop one with `exasol-ci-setup stop ID`"
                if pressed or isinstance(again, KeyboardInterrupt):
                    raise OperationInterruptedError(
                        f"interrupted while {what}: it may have started", hint=hint
                    ) from again
                again.hint = f"AWS did not answer while {what}: it may have started; {hint}\n{again.hint}".rstrip()
                raise
        batch = batch_of(answer["buildBatch"])
        begun(batch.id)
    if pressed or held.pressed:
        raise interrupted(batch.id)
    return batch


def _is_ambiguous(error: SetupError) -> bool:
    """Return whether the failed call may have had an effect: no answer arrived, or a server error."""
    return is_transient(error.__cause__ or error) and not isinstance(error, ThrottledError)
