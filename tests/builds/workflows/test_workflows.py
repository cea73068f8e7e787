"""Generated workflows: their keys for GitHub, their steps in a shell, and findings of linters."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from exasol_ci_setup.builds.workflows import ACTIONS, BuildWorkflow, PreviewWorkflow, SpaceWorkflow, on_disk, render
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.template import lint
from exasol_ci_setup.template.render import Template, parse
from tests.origins import AT_COMMIT, DIGEST, WHEEL

ROLE = "arn:aws:iam::123456789012:role/pipeline"
AnyWorkflow = SpaceWorkflow | PreviewWorkflow | BuildWorkflow
WORKFLOWS: dict[str, AnyWorkflow] = {
    "space": SpaceWorkflow(space="my-space", registry="my-space-registry", package="exasol-ci-setup==1.0"),
    "space_many_options": SpaceWorkflow(
        space="shop",
        registry="images",
        dockerfile_path="deploy/Docker file",
        docker_context="src; rm -rf $HOME",
        branch="release/*",
        role_arn=ROLE,
        region="eu-central-1",
        package=AT_COMMIT,
        environment="production of: {all}",
    ),
    "preview": PreviewWorkflow(space="my-space", registry="my-space-registry", package="exasol-ci-setup==1.0"),
    "preview_many_options": PreviewWorkflow(
        space="shop",
        registry="images",
        dockerfile_path="deploy/Docker file",
        docker_context="src; rm -rf $HOME",
        branch="release/*",
        role_arn=ROLE,
        region="eu-central-1",
        package=AT_COMMIT,
    ),
    "space_without_registry": SpaceWorkflow(space="my-space", registry=None, package="exasol-ci-setup==1.0"),
    "codebuild": BuildWorkflow(project="Slc", package="exasol-ci-setup==1.0"),
    "codebuild_many_options": BuildWorkflow(
        project="Slc",
        branch="release/*",
        role_arn=ROLE,
        region="eu-central-1",
        package=f"exasol-ci-setup @ {WHEEL}#sha256={DIGEST}",
    ),
}
every = pytest.mark.parametrize("kind", WORKFLOWS)


def read(workflow: AnyWorkflow) -> dict[str, Any]:
    parsed: dict[Any, Any] = yaml.safe_load(render(workflow))
    # In YAML 1.1 the key `on` is a boolean.
    return {"on" if key is True else key: value for key, value in parsed.items()}


def steps(workflow: AnyWorkflow) -> list[dict[str, Any]]:
    return [step for job in read(workflow)["jobs"].values() for step in job["steps"]]


@every
def test_generated_file_matches_golden_file(kind: str, golden: Callable[[str, str], None]):
    golden(f"workflow/{kind}.yaml", render(WORKFLOWS[kind]))


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """All workflows as files, by their names here."""
    found = {kind: tmp_path / kind / workflow.file_name for kind, workflow in WORKFLOWS.items()}
    for kind, path in found.items():
        path.parent.mkdir()
        path.write_text(render(WORKFLOWS[kind]), encoding="utf-8")
    return found


def test_actionlint_reports_no_errors(files: dict[str, Path], actionlint: Callable[[Path], list[Any]]):
    assert {kind: found for kind, path in files.items() if (found := actionlint(path))} == {}


def test_actionlint_finds_wrong_quotes(tmp_path: Path, actionlint: Callable[[Path], list[Any]]):
    file = tmp_path / "ci.yaml"
    file.write_text(render(WORKFLOWS["space"]).replace("'push'", '"push"'), encoding="utf-8")

    assert actionlint(file)


# The strictest persona requires a GitHub environment for each secret. The only secret, the ARN of a role, is not confidential.
@pytest.mark.parametrize(("persona", "has_role"), [("auditor", True), ("pedantic", False)])
def test_zizmor_reports_no_errors(persona: str, has_role: bool, files: dict[str, Path]):
    chosen = [path for kind, path in files.items() if bool(WORKFLOWS[kind].role_arn) is has_role]
    assert chosen

    ran = subprocess.run(
        [Path(sys.executable).with_name("zizmor"), "--offline", f"--persona={persona}", "--no-progress", *chosen],
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_files_are_valid_by_public_schema(files: dict[str, Path]):
    ran = subprocess.run(
        [
            Path(sys.executable).with_name("check-jsonschema"),
            "--builtin-schema=vendor.github-workflows",
            *files.values(),
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_steps_are_those_of_seed_and_not_empty():
    found = steps(WORKFLOWS["space"])

    assert [step["name"] for step in found] == [
        "Checkout Code",
        "Set up Python",
        "Install exasol-ci-setup",
        "Validate that exasol-ci-setup works",
        "Assume the role on AWS",
        "Check Naas Space status",
        "Check Naas Registry status",
        "Login to Docker Registry",
        "Build and Push Docker Image",
        "Update Naas Space",
        "Roll back Naas Space",
    ]
    assert all(("uses" in step) != ("run" in step) for step in found)


def test_only_push_builds_and_deploys():
    conditional = {step["name"]: step["if"] for step in steps(WORKFLOWS["space"]) if "if" in step}

    assert (
        conditional.pop("Roll back Naas Space") == "${{ github.event_name == 'workflow_dispatch' && inputs.rollback }}"
    )
    assert conditional == dict.fromkeys(
        ["Login to Docker Registry", "Build and Push Docker Image", "Update Naas Space"],
        "${{ github.event_name == 'push' }}",
    )


def test_image_has_tag_of_commit_and_space_runs_it():
    by_name = {step["name"]: step for step in steps(WORKFLOWS["space"])}
    image = "${{ steps.registry.outputs.uri }}:${{ github.sha }}"

    assert by_name["Build and Push Docker Image"]["env"]["IMAGE"] == image
    assert by_name["Update Naas Space"]["env"]["IMAGE"] == image
    assert ":latest" not in render(WORKFLOWS["space"])


@every
def test_workflow_has_least_permissions_on_github(kind: str):
    parsed = read(WORKFLOWS[kind])

    assert parsed["permissions"] == {}
    for job in parsed["jobs"].values():
        checks_out = any(step.get("uses", "").startswith("actions/checkout") for step in job["steps"])
        assert job["permissions"] == {
            "id-token": "write",
            **({"contents": "read"} if checks_out else {}),
        }


@every
def test_actions_are_pinned_by_commit_with_release_comment(kind: str):
    used = re.findall(r"uses: (\S+) # (\S+)\n", render(WORKFLOWS[kind]))

    assert len(used) == sum("uses" in step for step in steps(WORKFLOWS[kind]))
    assert set(used) <= set(ACTIONS.values())
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action) for action, _ in used)


@every
def test_workflow_stores_no_keys(kind: str):
    text = render(WORKFLOWS[kind])

    assert set(re.findall(r"secrets\.(\w+)", text)) <= {"AWS_ROLE_ARN", "AWS_PREVIEW_ROLE_ARN", "AWS_REGION"}
    assert "access-key" not in text
    assert all(
        step["with"]["persist-credentials"] is False
        for step in steps(WORKFLOWS[kind])
        if "checkout" in step.get("uses", "")
    )


@every
def test_commands_contain_no_expression_or_user_value(kind: str):
    commands = [step["run"] for step in steps(WORKFLOWS[kind]) if "run" in step]
    plain = [step["run"] for step in steps(WORKFLOWS[kind.partition("_")[0]]) if "run" in step]

    assert not any("${{" in command for command in commands)
    assert set(commands) <= set(plain)


def test_role_and_region_default_to_repository_variables():
    def of(kind: str) -> tuple[str, str]:
        (found,) = (step["with"] for step in steps(WORKFLOWS[kind]) if "configure-aws" in step.get("uses", ""))
        return found["role-to-assume"], found["aws-region"]

    assert of("space") == ("${{ secrets.AWS_ROLE_ARN }}", "${{ secrets.AWS_REGION }}")
    assert of("space_many_options") == (ROLE, "eu-central-1")


def test_codebuild_workflow_follows_build_of_pushed_commit():
    last = steps(WORKFLOWS["codebuild"])[-1]

    assert last["run"] == 'exasol-ci-setup start-ci-build --project "$PROJECT" --branch "$GITHUB_REF" --follow'
    assert last["env"] == {"PROJECT": "Slc"}


@settings(deadline=None)
@given(
    path=st.text(min_size=1, max_size=40),
    branch=st.text(min_size=1, max_size=40),
    package=st.text(min_size=1, max_size=40),
)
def test_any_value_keeps_structure_of_file(path: str, branch: str, package: str):
    try:
        workflow = SpaceWorkflow(
            space="my-space",
            registry="images",
            dockerfile_path=path,
            docker_context=path,
            branch=branch,
            package=package,
        )
        parsed = read(workflow)
    except InputError:
        assume(False)
        raise
    expected = read(WORKFLOWS["space"])
    expected["jobs"]["space"]["env"]["REGISTRY"] = "images"
    by_name = {step["name"]: step for step in expected["jobs"]["space"]["steps"]}
    by_name["Build and Push Docker Image"]["env"].update(DOCKERFILE=path, DOCKER_CONTEXT=path)
    by_name["Install exasol-ci-setup"]["env"]["PACKAGE"] = package
    expected["on"]["push"]["branches"] = [branch]

    assert parsed == expected


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("--name", {"space": "my space"}),
        ("--name", {"space": "../../etc"}),
        ("--registry-name", {"registry": "a;b"}),
        ("--dockerfile-path", {"dockerfile_path": "/etc/passwd"}),
        ("--dockerfile-path", {"dockerfile_path": "a/../../b"}),
        ("--docker-context", {"docker_context": " "}),
        ("--docker-context", {"docker_context": "a\nb"}),
        ("--branch", {"branch": "a b"}),
        ("--branch", {"branch": "!main"}),
        ("--role-arn", {"role_arn": "admin"}),
        ("--region", {"region": "here"}),
        ("--package", {"package": "-r"}),
        ("--package", {"package": "--index-url=https://example.com"}),
    ],
)
def test_invalid_value_is_named_by_option(option: str, values: dict[str, str]):
    with pytest.raises(InputError, match=f"^{option} "):
        SpaceWorkflow(**{"space": "my-space", "registry": "images", "package": AT_COMMIT, **values})


@pytest.mark.parametrize("name", ["dockerfile_path", "docker_context", "branch", "package"])
def test_github_expression_is_rejected(name: str):
    values: dict[str, Any] = {"space": "a", "registry": "b", "package": AT_COMMIT, name: "a${{github.token}}"}

    with pytest.raises(InputError, match="would evaluate"):
        render(SpaceWorkflow(**values))


BUILD = """#!/bin/sh
echo "$@" >> calls
case $1 in
  manifest) exit "$MANIFEST" ;;
  build) exit "${BUILD:-0}" ;;
esac
"""


def build_and_push(tmp_path: Path, **environment: str) -> tuple[int, list[str]]:
    """Run the step as GitHub does, with a `docker` that records its calls."""
    program = tmp_path / "docker"
    program.write_text(BUILD, encoding="utf-8")
    program.chmod(0o755)
    (step,) = (each for each in steps(WORKFLOWS["space_many_options"]) if each["name"].startswith("Build and Push"))
    bash = shutil.which("bash")
    assert bash
    ran = subprocess.run(
        [bash, "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        cwd=tmp_path,
        env={**step["env"], "IMAGE": "reg/images:abc", "PATH": f"{tmp_path}:/usr/bin:/bin", **environment},
        check=False,
    )
    return ran.returncode, (tmp_path / "calls").read_text(encoding="utf-8").splitlines()


def test_step_builds_and_pushes_with_literal_paths(tmp_path: Path):
    status, calls = build_and_push(tmp_path, MANIFEST="1")

    assert status == 0
    assert calls[1:] == [
        "build --platform linux/amd64 --tag reg/images:abc --file deploy/Docker file -- src; rm -rf $HOME",
        "push -- reg/images:abc",
    ]


def test_repeated_run_of_same_commit_pushes_nothing(tmp_path: Path):
    assert build_and_push(tmp_path, MANIFEST="0") == (0, ["manifest inspect reg/images:abc"])


def test_failed_build_fails_step_without_push(tmp_path: Path):
    status, calls = build_and_push(tmp_path, MANIFEST="1", BUILD="3")

    assert status == 3
    assert not any(call.startswith("push") for call in calls)


RECORDS = """#!/bin/sh
echo '{"type": "registry", "name": "'"$4"'", "uri": "host/images"}'
echo '{"type": "result", "status": "shown"}'
exit "$STATUS"
"""


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed; runners of GitHub have it")
@pytest.mark.parametrize(("status", "written"), [("0", "uri=host/images\n"), ("1", "")])
def test_registry_address_is_output_only_if_known(tmp_path: Path, status: str, written: str):
    program = tmp_path / "exasol-ci-setup"
    program.write_text(RECORDS, encoding="utf-8")
    program.chmod(0o755)
    output = tmp_path / "output"
    output.touch()
    (step,) = (each for each in steps(WORKFLOWS["space"]) if each.get("id") == "registry")
    environment = {"SPACE": "a", "REGISTRY": "b", "GITHUB_OUTPUT": str(output), "STATUS": status}

    ran = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        env={**environment, "PATH": f"{tmp_path}:/usr/bin:/bin"},
        check=False,
    )

    assert ran.returncode == int(status)
    assert output.read_text(encoding="utf-8") == written


def documented_role() -> str:
    """The template in the documentation."""
    page = Path(__file__).parents[3] / "docs" / "registry.md"
    return page.read_text(encoding="utf-8").partition("```yaml role.yaml\n")[2].partition("```")[0]


def test_documented_role_has_no_lint_findings():
    assert lint.lint(Template("role.yaml", documented_role()), "eu-central-1") == []


def test_documented_role_trusts_one_branch_of_one_repository():
    role = parse(documented_role())["Resources"]["Role"]["Properties"]
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]

    assert trust["Condition"] == {
        "StringEquals": {
            "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
            "token.actions.githubusercontent.com:sub": {
                "Fn::If": [
                    "HasEnvironment",
                    {"Fn::Sub": "repo:${Repository}:environment:${Environment}"},
                    {"Fn::Sub": "repo:${Repository}:ref:refs/heads/${Branch}"},
                ]
            },
        }
    }


def test_file_is_compared_with_existing_file(tmp_path: Path):
    workflow = WORKFLOWS["space"]
    assert on_disk(workflow, tmp_path).stale

    (tmp_path / "ci-my-space.yaml").write_text(render(workflow), encoding="utf-8")

    assert not on_disk(workflow, tmp_path).stale


def test_deployment_waits_for_environment():
    (job,) = read(WORKFLOWS["space_many_options"])["jobs"].values()

    assert job["environment"] == "production of: {all}"
    assert "environment" not in next(iter(read(WORKFLOWS["space"])["jobs"].values()))


def test_manual_run_can_roll_back():
    assert read(WORKFLOWS["space"])["on"]["workflow_dispatch"]["inputs"].keys() == {"rollback", "release"}
    step = steps(WORKFLOWS["space"])[-1]

    assert step["if"] == "${{ github.event_name == 'workflow_dispatch' && inputs.rollback }}"
    assert "inputs" not in step["run"]


def test_preview_is_space_of_pull_request_without_forks():
    preview = read(WORKFLOWS["preview"])

    assert preview["on"]["pull_request"]["types"] == ["opened", "reopened", "synchronize", "closed"]
    for job in preview["jobs"].values():
        assert "github.event.pull_request.head.repo.full_name == github.repository" in job["if"]
        assert job["env"]["SPACE"] == "my-space-pr-${{ github.event.number }}"
    assert "secrets.AWS_PREVIEW_ROLE_ARN" in render(WORKFLOWS["preview"])
    with pytest.raises(InputError, match="too long for previews"):
        PreviewWorkflow(space="s" * 53, registry="r", package="p")
