"""Delete stacks: check what prevents it, start the deletion, and follow it."""

from __future__ import annotations

import uuid
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.aws.session import ignore_aws_errors, replace_aws_errors
from exasol_ci_setup.core.commands import unprotect_hint, watch_hint
from exasol_ci_setup.core.errors import (
    AccessDeniedError,
    AwsUnavailableError,
    DeleteFailedError,
    InputError,
    OperationInterruptedError,
    StackError,
    TimedOutError,
)
from exasol_ci_setup.core.text import counted, duration
from exasol_ci_setup.stacks import data_loss, diagnose, plan, state
from exasol_ci_setup.stacks.events import StackMonitor, latest_id
from exasol_ci_setup.template.intrinsics import as_mapping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_s3 import S3Client

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.aws.session import Account
    from exasol_ci_setup.core.stacks import Event, Stack
    from exasol_ci_setup.stacks.resources import Resource

# Maximum keys of one DeleteObjects: https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
_BATCH: Final = 1_000
# Maximum images of one BatchDeleteImage: https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_BatchDeleteImage.html
_IMAGES: Final = 100


def retained(cfn: CloudFormationClient, stack: Stack, found: Sequence[Resource], asked: Sequence[str]) -> set[str]:
    """Return the logical IDs of the retained resources: those in `asked`, and those whose DeletionPolicy retains them.

    Raises InputError for an ID that the stack does not have, and for a stack whose deletion has not failed. AWS accepts IDs only after a
    failed deletion (https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DeleteStack.html).
    """
    known = {resource.logical_id for resource in found}
    for name in asked:
        if name not in known:
            raise InputError(
                f"stack {stack.name} has no resource {name!r}", hint=f"its resources are: {', '.join(sorted(known))}"
            )
    if asked and stack.status != "DELETE_FAILED":
        raise InputError(
            f"--retain is for a stack that could not be deleted; {stack.name} is in {stack.status}",
            hint="AWS accepts it only after a failed deletion; to keep a resource of another stack, set its DeletionPolicy to Retain",
        )
    declared = as_mapping(plan.processed_template(cfn, stack.id).get("Resources"))
    return {*asked, *(name for name in known if data_loss.retains(as_mapping(declared.get(name))))}


def require_forcible(stack: Stack) -> None:
    """Raise InputError unless `stack` is in DELETE_FAILED. AWS accepts a forced deletion only then.

    Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DeleteStack.html.
    """
    if stack.status != "DELETE_FAILED":
        raise InputError(
            f"--force is for a stack that could not be deleted; {stack.name} is in {stack.status}",
            hint="delete it without --force first",
        )


def require_deletable(stack: Stack) -> None:
    """Raise StackError unless `stack` may be deleted: not protected, and created by this tool."""
    if not state.is_own(stack):
        raise StackError(
            f"stack {stack.name} was not created by this tool: it has none of its tags",
            hint=f"to delete it anyway: `aws cloudformation delete-stack --stack-name {stack.name}`",
            stack_name=stack.name,
        )
    if stack.root_id:
        root = stack.root_id.split("/")[1]
        raise StackError(
            f"stack {stack.name} is nested in stack {root}, whose template declares it",
            hint=f"remove it from that template, or delete the whole: `exasol-ci-setup delete {root}`",
            stack_name=stack.name,
        )
    if stack.termination_protection:
        raise StackError(
            f"stack {stack.name} is protected against deletion",
            hint=f"{unprotect_hint(stack.name)}, or run its deploy command with --no-termination-protection",
            stack_name=stack.name,
        )


def delete(
    context: Context,
    stack: Stack,
    *,
    role_arn: str = "",
    retain: Sequence[str] = (),
    force: bool = False,
    timeout: float | None = None,
) -> list[Event]:
    """Delete `stack` and wait. Return the last event of each resource that AWS retained because of `force`.

    `retain` are logical IDs of retained resources. With `force` AWS retains the resources that it cannot delete. It accepts both only for
    a stack in DELETE_FAILED. After `timeout` seconds AWS continues, and TimedOutError is raised. Raises DeleteFailedError, whose diagnosis names what could not be deleted, and OperationInterruptedError.
    """
    cfn = context.cfn
    after = None if state.is_busy(stack) else latest_id(cfn, stack.id)
    begin(cfn, stack, role_arn=role_arn, retain=retain, force=force)
    monitor = StackMonitor(context, stack.id, after=after)
    try:
        ended = monitor.run(None if timeout is None else context.clock.now() + timeout)
    except KeyboardInterrupt:
        raise OperationInterruptedError(
            f"stopped following: AWS continues to delete stack {stack.name}",
            hint=watch_hint(stack.name),
            stack_name=stack.name,
        ) from None
    except AwsUnavailableError as error:
        error.hint = f"AWS continues to delete stack {stack.name}\n{error.hint}".rstrip()
        raise
    if ended is None:
        raise TimedOutError(
            f"stack {stack.name} was not deleted within {duration(timeout or 0)}; AWS continues with it",
            hint=f"to watch it again: `exasol-ci-setup watch {stack.name}`",
            stack_name=stack.name,
        )
    if ended.status != "DELETE_COMPLETE":
        found = diagnose.of_stack(context.account, ended, monitor.events)
        raise DeleteFailedError(
            f"stack {stack.name} could not be deleted; it is in {ended.status}",
            hint=found.hints[0]
            if found.hints
            else f"`exasol-ci-setup delete {stack.name} --retain LOGICAL_ID` retains a resource; --force retains all that cannot be deleted",
            stack_name=stack.name,
            diagnosis=found,
        )
    last = {event.logical_id: event for event in monitor.events if not event.is_stack}
    return [event for event in last.values() if event.status in {"DELETE_FAILED", "DELETE_SKIPPED"}] if force else []


def begin(
    cfn: CloudFormationClient,
    stack: Stack,
    *,
    role_arn: str = "",
    retain: Sequence[str] = (),
    force: bool = False,
) -> None:
    """Start the deletion of `stack` without waiting for it. Raises StackError if AWS refuses."""
    arguments: dict[str, Any] = {"StackName": stack.id, "ClientRequestToken": uuid.uuid4().hex}
    if role_arn:
        arguments["RoleARN"] = role_arn
    if retain:
        arguments["RetainResources"] = list(retain)
    if force:
        arguments["DeletionMode"] = "FORCE_DELETE_STACK"
    refusal = f"AWS refused to delete stack {stack.name}"
    with replace_aws_errors({"ValidationError"}, lambda why: StackError(f"{refusal}: {why}", stack_name=stack.name)):
        cfn.delete_stack(**arguments)


def buckets(found: Iterable[Resource]) -> list[Resource]:
    """Return the resources that are S3 buckets, which AWS deletes only when they are empty."""
    return [resource for resource in found if resource.type == "AWS::S3::Bucket" and resource.physical_id]


def repositories(found: Iterable[Resource]) -> list[Resource]:
    """Return the resources that are ECR repositories, which AWS deletes only when they are empty."""
    return [resource for resource in found if resource.type == "AWS::ECR::Repository" and resource.physical_id]


def contents(account: Account, going: Iterable[Resource], say: Callable[[str], None]) -> list[str]:
    """Return a text for each bucket and repository that is not empty. Calls `say` for each that cannot be listed."""
    listed = list(going)
    looks: list[tuple[str, str, Callable[[], bool]]] = [
        (f"bucket {each.physical_id}", "objects", partial(_has_objects, account.client("s3"), each.physical_id))
        for each in buckets(listed)
    ]
    looks += [
        (f"repository {each.physical_id}", "images", partial(_has_images, account.client("ecr"), each.physical_id))
        for each in repositories(listed)
    ]

    def holds(which: str, what: str, look: Callable[[], bool]) -> bool:
        try:
            return look()
        except AccessDeniedError as error:
            say(f"whether {which} holds {what} is unknown: {error.message}")
            return False

    return [f"{which} holds {what}" for which, what, look in looks if holds(which, what, look)]


def _has_objects(s3: S3Client, bucket: str) -> bool:
    with ignore_aws_errors("NoSuchBucket"):
        page = s3.list_object_versions(Bucket=bucket, MaxKeys=1)
        return bool(page.get("Versions") or page.get("DeleteMarkers"))
    return False


def _has_images(ecr: ECRClient, name: str) -> bool:
    with ignore_aws_errors("RepositoryNotFoundException"):
        # A page may be empty although another one follows.
        pages = ecr.get_paginator("list_images").paginate(repositoryName=name)
        return any(page["imageIds"] for page in pages)
    return False


def empty(account: Account, going: Iterable[Resource], say: Callable[[str], None]) -> None:
    """Empty the buckets and repositories in `going`, with a message for each. Raises StackError for what remains."""
    listed = list(going)
    for bucket in buckets(listed):
        count = empty_bucket(account.client("s3"), bucket.physical_id)
        say(f"emptied bucket {bucket.physical_id}: {counted(count, 'object version')}")
    for repository in repositories(listed):
        count = empty_repository(account.client("ecr"), repository.physical_id)
        say(f"emptied repository {repository.physical_id}: {counted(count, 'image')}")


def empty_repository(ecr: ECRClient, name: str) -> int:
    """Delete every image of the repository `name`, and return the number of deleted images.

    Raises StackError with the first image that ECR did not delete. Manifest lists go first: ECR refuses to delete an image that a
    manifest list names (https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ImageFailure.html).
    """
    gone = 0
    with ignore_aws_errors("RepositoryNotFoundException"):
        while digests := _image_digests(ecr, name):
            count = 0
            failed = ""
            for start in range(0, len(digests), _IMAGES):
                batch = digests[start : start + _IMAGES]
                answer = ecr.batch_delete_image(
                    repositoryName=name, imageIds=[{"imageDigest": digest} for digest in batch]
                )
                deleted = len({image["imageDigest"] for image in answer.get("imageIds", [])})
                count += deleted
                gone += deleted
                failed = failed or next((each.get("failureReason", "") for each in answer.get("failures", [])), "")
            if not count:
                raise StackError(f"repository {name} could not be emptied: {failed or 'ECR gave no reason'}")
    return gone


def _image_digests(ecr: ECRClient, name: str) -> list[str]:
    pages = ecr.get_paginator("list_images").paginate(repositoryName=name)
    return sorted({image["imageDigest"] for page in pages for image in page["imageIds"] if "imageDigest" in image})


def empty_bucket(s3: S3Client, bucket: str) -> int:
    """Delete every object of `bucket` with all versions and delete markers, and return their number.

    Raises StackError with the first object that S3 did not delete.
    """
    gone = 0
    with ignore_aws_errors("NoSuchBucket"):
        for batch in _batches(s3, bucket):
            answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": batch, "Quiet": True})
            for failed in answer.get("Errors", []):
                raise StackError(
                    f"bucket {bucket} could not be emptied: {failed.get('Key')}: {failed.get('Message')}",
                    hint="an object lock or a bucket policy may protect it",
                )
            gone += len(batch)
    return gone


def _batches(s3: S3Client, bucket: str) -> Iterator[list[Any]]:
    batch: list[dict[str, str]] = []
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        listed = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        for entry in listed:
            batch.append({"Key": entry["Key"], "VersionId": entry["VersionId"]})
            if len(batch) == _BATCH:
                yield batch
                batch = []
    if batch:
        yield batch
