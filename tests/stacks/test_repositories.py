"""Deletion of images in an ECR repository, with answers that the sandbox does not give."""

from __future__ import annotations

import pytest

from exasol_ci_setup.core.errors import AccessDeniedError, StackError
from exasol_ci_setup.stacks.delete import contents, empty_repository, repositories
from exasol_ci_setup.stacks.resources import Resource
from tests.answers import AwsError


def images(*digests: str) -> list[dict[str, str]]:
    return [{"imageDigest": f"sha256:{digest * 64}"} for digest in digests]


def test_only_repositories_that_exist_are_emptied():
    there = Resource("A", "team/a", "AWS::ECR::Repository", "CREATE_COMPLETE")
    others = [Resource("B", "", "AWS::ECR::Repository", "CREATE_FAILED"), Resource("C", "c", "AWS::S3::Bucket", "X")]

    assert repositories([there, *others]) == [there]


def test_image_used_by_index_is_deleted_in_next_round(answers):
    listed = [{"imageIds": [*images("a", "b"), {**images("a")[0], "imageTag": "one"}]}, {"imageIds": images("b")}]
    answers.on("ecr", "ListImages", [*listed, {"imageIds": []}])
    refused = {
        "imageId": images("b")[0],
        "failureCode": "ImageReferencedByManifestList",
        "failureReason": "it is referenced",
    }
    answers.on(
        "ecr",
        "BatchDeleteImage",
        [{"imageIds": images("a"), "failures": [refused]}, {"imageIds": images("b"), "failures": []}],
    )

    assert empty_repository(answers.account.client("ecr"), "team/a") == 2
    deleted = [call.params["imageIds"] for call in answers.calls if call.operation == "BatchDeleteImage"]
    assert deleted == [images("a", "b"), images("b")]


def test_images_are_deleted_by_hundreds(answers):
    digests = [{"imageDigest": f"sha256:{number:064x}"} for number in range(150)]
    answers.on("ecr", "ListImages", [{"imageIds": digests}, {"imageIds": []}])
    answers.on("ecr", "BatchDeleteImage", lambda params: {"imageIds": params["imageIds"], "failures": []})

    assert empty_repository(answers.account.client("ecr"), "team/a") == 150
    sizes = [len(call.params["imageIds"]) for call in answers.calls if call.operation == "BatchDeleteImage"]
    assert sizes == [100, 50]


def test_repository_that_cannot_be_emptied_has_reason(answers):
    answers.on("ecr", "ListImages", {"imageIds": images("a")})
    refused = {"imageId": images("a")[0], "failureCode": "KmsError", "failureReason": "the key is gone"}
    answers.on("ecr", "BatchDeleteImage", {"imageIds": [], "failures": [refused]})

    with pytest.raises(StackError, match="repository team/a could not be emptied: the key is gone"):
        empty_repository(answers.account.client("ecr"), "team/a")


def test_missing_repository_is_empty(answers):
    answers.on("ecr", "ListImages", AwsError("RepositoryNotFoundException", "no"))

    assert empty_repository(answers.account.client("ecr"), "team/a") == 0


def test_other_refusal_is_raised(answers):
    answers.on("ecr", "ListImages", AwsError("AccessDeniedException", "no"))

    with pytest.raises(AccessDeniedError):
        empty_repository(answers.account.client("ecr"), "team/a")


FULL = [Resource("A", "team/a", "AWS::ECR::Repository", ""), Resource("B", "team-b", "AWS::S3::Bucket", "")]


@pytest.mark.parametrize(
    ("images_answer", "objects_answer", "found"),
    [
        ({"imageIds": images("a")}, {}, ["repository team/a holds images"]),
        ({"imageIds": []}, {"Versions": [{"Key": "k", "VersionId": "1"}]}, ["bucket team-b holds objects"]),
        ({"imageIds": []}, {"DeleteMarkers": [{"Key": "k", "VersionId": "1"}]}, ["bucket team-b holds objects"]),
        ({"imageIds": []}, {}, []),
        (AwsError("RepositoryNotFoundException"), AwsError("NoSuchBucket", status=404), []),
    ],
)
def test_contents_are_listed_without_change(answers, images_answer, objects_answer, found):
    answers.on("ecr", "ListImages", images_answer)
    answers.on("s3", "ListObjectVersions", objects_answer)

    assert contents(answers.account, FULL, pytest.fail) == found


def test_repository_with_empty_first_page_has_images(answers):
    answers.on("ecr", "ListImages", [{"imageIds": [], "nextToken": "2"}, {"imageIds": images("a")}])

    assert contents(answers.account, FULL[:1], pytest.fail) == ["repository team/a holds images"]


def test_contents_without_permission_to_list_are_reported(answers):
    said: list[str] = []
    answers.on("ecr", "ListImages", AwsError("AccessDeniedException", "not authorized"))
    answers.on("s3", "ListObjectVersions", AwsError("AccessDenied", "not authorized", status=403))

    assert contents(answers.account, FULL, said.append) == []
    assert [line.split(" is unknown")[0] for line in said] == [
        "whether bucket team-b holds objects",
        "whether repository team/a holds images",
    ]
