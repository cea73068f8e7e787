"""`space.add` step by step, with a fake docker: creation, reuse, validation and messages."""

from __future__ import annotations

from pathlib import Path

import pytest

import exasol_ci_setup as naas
from exasol_ci_setup.aws.context import Context
from exasol_ci_setup.aws.secretsmanager import TEAM_PREFIX
from exasol_ci_setup.core.errors import (
    DockerFailedError,
    EngineUnavailableError,
    InputError,
    OperationInterruptedError,
    SpaceRequestError,
    StackError,
)
from exasol_ci_setup.core.origin import with_extra
from exasol_ci_setup.platform import registry, secret, space
from tests.origins import AT_COMMIT, git, install
from tests.reporters import RecordingReporter

pytestmark = pytest.mark.live

ID = "0123456789abcdef" * 4
PIPELINE = Path(".github/workflows/ci-my-space.yaml")


class InterruptingReporter(RecordingReporter):
    """Raises KeyboardInterrupt at a message that starts with `interrupt_at`."""

    def __init__(self, *, interrupt_at):
        super().__init__()
        self._at = interrupt_at

    def note(self, message, /):
        super().note(message)
        if message.startswith(self._at):
            raise KeyboardInterrupt


@pytest.fixture
def reporter():
    return RecordingReporter()


@pytest.fixture
def context(live, reporter):
    return Context(live, reporter=reporter)


@pytest.fixture(autouse=True)
def repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    return tmp_path


@pytest.fixture(autouse=True)
def built(docker):
    docker.plan(image_says=f"sha256:{ID}")
    return docker


@pytest.fixture(autouse=True)
def from_commit(tmp_path_factory, monkeypatch):
    """The package appears as installed from a commit."""
    install(monkeypatch, tmp_path_factory.mktemp("commit"), git())


def stacks(account):
    return sorted(each["StackName"] for each in account.client("cloudformation").describe_stacks()["Stacks"])


def test_add_is_exposed_and_requires_name():
    assert callable(naas.space.add)
    with pytest.raises(TypeError, match="space_name"):
        naas.space.add()  # type: ignore[call-arg]# a missing name is tested


def test_add_runs_all_steps_in_order(context, docker, reporter):
    made = naas.space.add(space_name="my-space", cpu="1", env={"A": "b"}, container_port=8080, context=context)

    uri = registry.get("my-space-registry", context=context).uri
    assert docker.commands == [
        f"login --username AWS --password-stdin {uri.partition('/')[0]}",
        f"build --platform linux/amd64 --tag {uri}:latest --file Dockerfile -- .",
        f"image inspect --format {{{{.Id}}}} -- {uri}:latest",
        f"tag -- {uri}:latest {uri}:{ID[:12]}",
        f"push -- {uri}:{ID[:12]}",
        f"push -- {uri}:latest",
        f"image inspect --format {{{{json .Config}}}} -- {uri}:{ID[:12]}",
    ]
    assert (made.image, made.port, made.cpu) == (f"{uri}:{ID[:12]}", 8080, 1)
    assert space.get("my-space", context=context).env == {"A": "b"}
    assert 'aws-region: "eu-central-1"' in PIPELINE.read_text(encoding="utf-8")
    package = with_extra(AT_COMMIT, "aws")
    assert f'PACKAGE: "{package}"' in PIPELINE.read_text(encoding="utf-8")
    assert f"wrote pipeline {PIPELINE}: commit it" in reporter.notes


def test_second_add_reuses_resources_and_updates_space(context, reporter):
    space.create("my-space", image="a/b:1", env={"A": "b"}, cpu="1", memory="2Gi", context=context)
    registry.create("my-space-registry", context=context)
    PIPELINE.parent.mkdir(parents=True)
    PIPELINE.write_text("mine\n", encoding="utf-8")
    before = stacks(context.account)

    made = space.add("my-space", memory="4Gi", env={"C": "d"}, context=context)

    assert stacks(context.account) == before
    assert (made.cpu, made.memory, made.image.rpartition(":")[2]) == (1, 4096, ID[:12])
    assert space.get("my-space", context=context).env == {"A": "b", "C": "d"}
    assert PIPELINE.read_text(encoding="utf-8") == "mine\n"
    said = "\n".join(reporter.notes)
    assert "registry my-space-registry already exists: using it" in said
    assert f"pipeline {PIPELINE} already exists: not changed" in said


def test_only_exposed_port_is_used_and_reported(context, docker, reporter):
    docker.plan(image_says=f"sha256:{ID}", exposed=["8000/tcp", "53/udp"])

    assert space.add("my-space", context=context).port == 8000
    assert "the image exposes port 8000: the space uses it" in reporter.notes
    assert space.add("my-space", context=context).port == 8000
    assert not [note for note in reporter.notes if note.startswith("warning")]


@pytest.mark.parametrize(
    ("exposed", "port", "used", "named"),
    [
        (["8000/tcp", "80/tcp"], None, 80, "ports 80 and 8000, and the space uses 80"),
        (["8000/tcp"], 9000, 9000, "port 8000, and the space uses 9000"),
    ],
)
def test_other_exposed_port_is_warning(context, docker, reporter, exposed, port, used, named):
    docker.plan(image_says=f"sha256:{ID}", exposed=exposed)

    assert space.add("my-space", container_port=port, context=context).port == used
    assert f"warning: the image exposes {named}: --container-port selects another one" in reporter.notes


def test_existing_space_keeps_its_port(context, docker, reporter):
    space.create("my-space", image="a/b:1", port=9000, context=context)
    docker.plan(image_says=f"sha256:{ID}", exposed=["8000/tcp"])

    assert space.add("my-space", context=context).port == 9000
    assert any("port 8000, and the space uses 9000" in note for note in reporter.notes)


def test_given_image_runs_without_build(context, docker):
    made = space.add("my-space", image="public.ecr.aws/nginx/nginx:1.27", skip_registry=True, context=context)

    assert made.image == "public.ecr.aws/nginx/nginx:1.27"
    assert docker.commands == []
    assert registry.list(context=context) == []
    assert "docker" not in PIPELINE.read_text(encoding="utf-8").lower()


def test_without_pipeline_paths_can_be_anywhere(context, docker, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "Dockerfile.web").touch()

    space.add(
        "my-space",
        dockerfile_path=elsewhere / "Dockerfile.web",
        docker_context=elsewhere,
        registry_name="images",
        image_tag="1.0",
        generate_ci=False,
        context=context,
    )

    assert docker.commands[1].endswith(f"/images:1.0 --file {elsewhere}/Dockerfile.web -- {elsewhere}")
    assert not PIPELINE.exists()


@pytest.mark.parametrize("failing", ["login", "build", "push"])
def test_failed_docker_step_names_created_resources(context, docker, failing):
    docker.plan(image_says=f"sha256:{ID}", **{failing: 9})

    with pytest.raises(DockerFailedError) as caught:
        space.add("my-space", context=context)

    assert caught.value.exit_code == 9
    assert caught.value.hint.endswith(
        "created before the error: registry my-space-registry; run the same command again to continue"
    )
    assert docker.commands[-1].startswith(failing)
    assert stacks(context.account) == ["registry-my-space-registry"]
    assert not PIPELINE.exists()

    docker.plan(image_says=f"sha256:{ID}")
    assert space.add("my-space", context=context).name == "my-space"


def test_failed_space_names_pushed_image(context):
    # Another tool's stack has the name of the space's stack.
    template = '{"Resources": {"T": {"Type": "AWS::SNS::Topic"}}}'
    context.account.client("cloudformation").create_stack(StackName="space-my-space", TemplateBody=template)

    with pytest.raises(StackError, match="space-my-space") as caught:
        space.add("my-space", context=context)

    uri = registry.get("my-space-registry", context=context).uri
    assert f"registry my-space-registry, image {uri}:{ID[:12]};" in caught.value.hint
    assert not PIPELINE.exists()


def test_interrupt_names_created_resources(live):
    context = Context(live, reporter=InterruptingReporter(interrupt_at="building"))

    with pytest.raises(OperationInterruptedError) as caught:
        space.add("my-space", context=context)

    assert "registry my-space-registry;" in caught.value.hint


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"space_name": "My Space"}, "--name 'My Space'"),
        ({"registry_name": "a b"}, "--registry-name 'a b'"),
        ({"registry_name": "a b", "generate_ci": False}, "--registry-name 'a b'"),
        ({"dockerfile_path": "nowhere"}, "nowhere is not a file"),
        ({"docker_context": "nowhere"}, "nowhere is not a directory"),
        ({"docker_context": ".."}, "is outside of"),
        ({"skip_registry": True}, "no image to run"),
        ({"image": "a:b", "dockerfile_path": "Dockerfile"}, "--dockerfile-path needs a build"),
        ({"image": "a:b", "registry_name": "a"}, "--registry-name needs a build"),
        ({"image": "a b"}, "image"),
        ({"image_tag": "a b"}, "--image-tag 'a b'"),
        ({"cpu": "9000"}, "exceed the largest size"),
        ({"domain": "no_domain"}, "domain"),
        ({"secrets": {"A": "missing"}}, "'missing' does not exist"),
        ({"container_port": 0}, "port"),
        ({"role_arn": "me"}, "--role-arn"),
    ],
)
def test_invalid_values_are_rejected_before_creation(context, docker, values, message):
    with pytest.raises((InputError, SpaceRequestError), match=message):
        space.add(**{"space_name": "my-space", "context": context, **values})

    assert stacks(context.account) == []
    assert docker.commands == []


@pytest.mark.parametrize("function", [space.add, space.create, space.update])
def test_unknown_setting_is_rejected_as_python_does(context, function):
    with pytest.raises(TypeError, match=r"\(\) got an unexpected keyword argument 'color'"):
        function("my-space", color="red", context=context)


def test_unreachable_engine_is_reported_before_creation(context, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")

    with pytest.raises(
        EngineUnavailableError, match=r"the Docker engine at tcp://127\.0\.0\.1:9 cannot be used: Connection refused"
    ):
        space.add("my-space", context=context)

    assert stacks(context.account) == []


def test_missing_docker_is_reported_before_creation(context, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(EngineUnavailableError):
        space.add("my-space", context=context)

    assert stacks(context.account) == []


def test_team_secret_wins_over_secret_of_same_name(context, live):
    mine = secret.create("database", "x", context=context)
    live.client("secretsmanager").create_secret(Name="database", SecretString="x")
    other = live.client("secretsmanager").create_secret(Name="other", SecretString="x")["ARN"]

    space.create("my-space", image="a/b:1", secrets={"A": "database", "B": "other"}, context=context)

    assert mine.arn.rpartition(":")[2].startswith(f"{TEAM_PREFIX}database-")
    assert space.get("my-space", context=context).secrets == {"A": mine.arn, "B": other}
