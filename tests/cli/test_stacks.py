"""Commands `list`, `status`, `outputs`, `watch`, `diff` and `delete`."""

from __future__ import annotations

import json
import time

import pytest
import yaml

URL = "https://github.com/exasol/script-languages-release"
RELEASE = ("deploy-release-build", "--project", "Slc", "--project-url", URL, "--yes", "--no-lint")

pytestmark = pytest.mark.live


@pytest.fixture
def ready(here):
    """The program with an account that has a release stack."""
    assert here(*RELEASE).code == 0
    return here


def test_list_shows_only_own_stacks(ready, live):
    live.client("cloudformation").create_stack(
        StackName="Theirs", TemplateBody='{"Resources": {"T": {"Type": "AWS::SNS::Topic"}}}'
    )

    ran = ready("list")

    assert ran.code == 0
    assert "SlcRelease" in ran.stdout
    assert "Theirs" not in ran.stdout


def test_empty_list_prints_message_to_stderr(here):
    ran = here("list")

    assert ran.code == 0
    assert not ran.stdout
    assert "no stacks created by this tool in eu-central-1" in ran.stderr


def test_status_shows_all_details(ready):
    ran = ready("status", "SlcRelease")

    assert "CREATE_COMPLETE" in ran.stdout
    assert "SlcReleaseCodeBuild" in ran.stdout
    assert ready("status", "--output", "json").records[0]["status"] == "CREATE_COMPLETE"


@pytest.mark.parametrize("command", [("status",), ("outputs",), ("watch",)])
def test_missing_stack_fails(here, command):
    ran = here(*command, "Nowhere")

    assert ran.code == 1
    assert "'Nowhere' does not exist in eu-central-1" in ran.stderr


@pytest.mark.parametrize(
    ("style", "read"),
    [
        ("json", json.loads),
        ("yaml", yaml.safe_load),
        ("env", lambda text: dict(line.split("=", 1) for line in text.splitlines())),
        ("text", lambda text: dict(line.split() for line in text.splitlines())),
    ],
)
def test_outputs_in_every_format(ready, style, read):
    ran = ready("outputs", "SlcRelease", "--format", style)

    assert ran.code == 0
    assert read(ran.stdout)["ProjectName"] == "SlcReleaseCodeBuild"


def test_watch_exits_with_result_of_operation(ready, here, request):
    ran = ready("watch", "SlcRelease")

    assert ran.code == 0
    assert "CREATE_COMPLETE" in ran.stderr

    # After the creation of the stack above.
    request.getfixturevalue("lost_access")
    failed = here("deploy-ci-build", "--project", "Bad", "--project-url", URL, "--yes", "--no-lint")
    again = here("watch", "Bad")

    assert (failed.code, again.code) == (1, 1)
    assert failed.stderr.splitlines()[-1] == again.stderr.splitlines()[-1]


def test_diff_shows_changed_lines(ready):
    same = ("diff", "release-build", "--project", "Slc", "--project-url")

    nothing = ready(*same, URL, "--exit-code")
    something = ready(*same, "https://github.com/exasol/other", "--exit-code")

    assert (nothing.code, nothing.stdout) == (0, "")
    assert something.code == 5
    assert f'-        Location: "{URL}"' in something.stdout
    assert '+        Location: "https://github.com/exasol/other"' in something.stdout
    assert ready(*same, "https://github.com/exasol/other").code == 0


def test_diff_of_new_stack_shows_whole_template(here):
    ran = here("diff", "release-build", "--project", "Slc", "--project-url", URL)

    assert ran.code == 0
    assert all(line.startswith(("+", "---", "@@")) for line in ran.stdout.splitlines())


def test_delete_shows_plan_prompts_and_deletes(ready, live):
    plan = ready("delete", "SlcRelease", "--plan")
    unasked = ready("delete", "SlcRelease")
    done = ready("delete", "SlcRelease", "--yes")
    again = ready("delete", "SlcRelease", "--yes")

    assert (plan.code, unasked.code, done.code, again.code) == (0, 2, 0, 0)
    assert "- ArtifactsBucket  AWS::S3::Bucket" in plan.stdout
    assert "no changes" in again.stderr
    assert live.client("cloudformation").describe_stacks()["Stacks"] == []


def test_full_bucket_is_deleted_only_with_empty(ready, live):
    bucket = ready("outputs", "SlcRelease", "--output", "json").records[0]["outputs"]["ArtifactsBucketName"]
    live.client("s3").put_object(Bucket=bucket, Key="artifact", Body=b"1")

    refused = ready("delete", "SlcRelease", "--yes")

    assert refused.code == 1
    assert f"nothing was deleted: bucket {bucket} holds objects" in refused.stderr
    assert "`exasol-ci-setup delete SlcRelease --yes --empty`" in refused.stderr
    assert "CREATE_COMPLETE" in ready("status", "SlcRelease").stdout

    planned = ready("delete", "SlcRelease", "--empty", "--plan")
    done = ready("delete", "SlcRelease", "--yes", "--empty")

    assert f"{bucket}  (data loss: its objects, also if it is not empty)" in planned.stdout
    assert done.code == 0
    assert "emptied bucket" in done.stderr


def test_foreign_stack_is_not_deleted(here, live):
    live.client("cloudformation").create_stack(
        StackName="Theirs", TemplateBody='{"Resources": {"T": {"Type": "AWS::SNS::Topic"}}}'
    )

    ran = here("delete", "Theirs", "--yes")

    assert ran.code == 1
    assert "was not created by this tool" in ran.stderr


def test_protected_stack_is_not_deleted(ready):
    assert ready(*RELEASE, "--termination-protection").code == 0

    ran = ready("delete", "SlcRelease", "--yes")

    assert ran.code == 1
    assert "--no-termination-protection" in ran.stderr
    assert ready(*RELEASE, "--no-termination-protection").code == 0
    assert ready("delete", "SlcRelease", "--yes").code == 0


def test_retained_bucket_keeps_objects(ready, live):
    bucket = ready("outputs", "SlcRelease", "--output", "json").records[0]["outputs"]["ArtifactsBucketName"]
    live.client("s3").put_object(Bucket=bucket, Key="artifact", Body=b"1")

    early = ready("delete", "SlcRelease", "--yes", "--empty", "--retain", "ArtifactsBucket")

    assert early.code == 2
    assert "could not be deleted" in early.stderr
    assert live.client("s3").list_objects_v2(Bucket=bucket)["KeyCount"] == 1

    cfn = live.client("cloudformation")
    cfn.delete_stack(StackName="SlcRelease")
    while cfn.describe_stacks(StackName="SlcRelease")["Stacks"][0]["StackStatus"] != "DELETE_FAILED":
        time.sleep(0.01)
    plan = ready("delete", "SlcRelease", "--empty", "--retain", "ArtifactsBucket", "--plan")
    done = ready("delete", "SlcRelease", "--yes", "--empty", "--retain", "ArtifactsBucket")

    assert "(kept)" in plan.stdout
    assert done.code == 0
    assert live.client("s3").list_objects_v2(Bucket=bucket)["KeyCount"] == 1


def test_retain_of_unknown_resource_fails(ready):
    ran = ready("delete", "SlcRelease", "--yes", "--retain", "Nothing")

    assert ran.code == 2
    assert "ArtifactsBucket" in ran.stderr


@pytest.mark.parametrize("name", ["", "a b", "-x", "1Slc", "x" * 129])
@pytest.mark.parametrize("command", ["status", "outputs", "watch", "delete"])
def test_invalid_stack_name_exits_2(here, command, name):
    ran = here(command, *(["--yes"] if command == "delete" else []), "--", name)

    assert ran.code == 2
    assert "letters, digits and hyphens" in ran.stderr


def test_invalid_name_besides_valid_one_deletes_nothing(ready):
    assert ready("delete", "--yes", "--", "SlcRelease", "a b").code == 2
    assert ready("status", "SlcRelease").code == 0


def test_json_of_delete_has_plan(ready):
    ran = ready("delete", "SlcRelease", "--plan", "--output", "json")

    assert ran.records[0]["kind"] == "DELETE"
    assert {change["action"] for change in ran.records[0]["changes"]} == {"Remove"}


def test_watch_of_undeployed_stack_fails(here, live):
    live.client("cloudformation").create_change_set(
        StackName="Shell",
        ChangeSetName="other",
        ChangeSetType="CREATE",
        TemplateBody='{"Resources": {"T": {"Type": "AWS::SNS::Topic"}}}',
    )

    ran = here("watch", "Shell")

    assert ran.code == 1
    assert "was never deployed" in ran.stderr


def test_several_stacks_are_deleted_with_one_plan(ready):
    assert ready("deploy-registry", "--name", "one", "--stack-name", "One", "--yes", "--no-lint").code == 0

    planned = ready("delete", "SlcRelease", "One", "Nowhere", "--plan")
    retained = ready("delete", "SlcRelease", "One", "--retain", "CodeBuild", "--yes")
    unasked = ready("delete", "SlcRelease", "One")
    remaining = ready("list").stdout
    deleted = ready("delete", "SlcRelease", "One", "Nowhere", "--yes", "--output", "json")

    assert planned.code == 0, planned.stderr
    assert "Plan for stack SlcRelease (delete)" in planned.stdout
    assert "Plan for stack One (delete)" in planned.stdout
    assert "stack Nowhere does not exist: no changes" in planned.stderr
    assert (retained.code, unasked.code) == (2, 2)
    assert "One" in remaining
    assert deleted.code == 0, deleted.stderr
    assert deleted.records[-1]["status"] == "deleted"
    assert ready("list").stdout == ""
    assert ready("delete", "SlcRelease", "One", "--yes").code == 0
