"""`space.add` step by step, with a stand-in for docker: what is made, used again, refused and told."""

from __future__ import annotations

from pathlib import Path

import pytest

import exasol_ci_setup as naas
from exasol_ci_setup.errors import (
    DockerFailed,
    EngineUnavailable,
    InputError,
    Interrupted,
    SpaceRequestError,
    StackError,
)
from exasol_ci_setup.platform import registry, secret, space
from exasol_ci_setup.platform.place import NullReport, Place
from exasol_ci_setup.secretsmanager import TEAM_PREFIX
from tests.origins import AT_COMMIT, git, install

pytestmark = pytest.mark.live

ID = "0123456789abcdef" * 4
PIPELINE = Path(".github/workflows/ci-my-space.yaml")


class Told(NullReport):
    """Remembers what was said, and may be interrupted at a word."""

    def __init__(self, *, interrupted_at="nothing"):
        self.lines = []
        self._at = interrupted_at

    def say(self, message, /):
        self.lines.append(message)
        if message.startswith(self._at):
            raise KeyboardInterrupt


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def place(live, told):
    return Place(live, report=told)


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
    """This program appears as installed from a commit."""
    install(monkeypatch, tmp_path_factory.mktemp("commit"), git())


def stacks(account):
    return sorted(each["StackName"] for each in account.client("cloudformation").describe_stacks()["Stacks"])


def test_it_is_a_verb_of_the_library_and_wants_a_name():
    assert callable(naas.space.add)
    with pytest.raises(TypeError, match="space_name"):
        naas.space.add()  # type: ignore[call-arg] # which is the point


def test_registry_login_build_push_space_and_pipeline_come_one_after_the_other(place, docker, told):
    made = naas.space.add(space_name="my-space", cpu="1", env={"A": "b"}, container_port=8080, place=place)

    uri = registry.get("my-space-registry", place=place).uri
    assert docker.commands == [
        "version --format {{.Server.Version}}",
        f"login --username AWS --password-stdin {uri.partition('/')[0]}",
        f"build --platform linux/amd64 --tag {uri}:latest --file Dockerfile -- .",
        f"image inspect --format {{{{.Id}}}} -- {uri}:latest",
        f"tag -- {uri}:latest {uri}:{ID[:12]}",
        f"push -- {uri}:{ID[:12]}",
        f"push -- {uri}:latest",
    ]
    assert (made.image, made.port, made.cpu) == (f"{uri}:{ID[:12]}", 8080, 1)
    assert space.get("my-space", place=place).env == {"A": "b"}
    assert 'aws-region: "eu-central-1"' in PIPELINE.read_text(encoding="utf-8")
    assert f'PACKAGE: "{AT_COMMIT}"' in PIPELINE.read_text(encoding="utf-8")
    assert f"pipeline {PIPELINE} is written: commit it" in told.lines


def test_again_registry_space_and_pipeline_are_used_and_only_what_is_given_changes(place, told):
    space.create("my-space", image="a/b:1", env={"A": "b"}, cpu="1", memory="2Gi", place=place)
    registry.create("my-space-registry", place=place)
    PIPELINE.parent.mkdir(parents=True)
    PIPELINE.write_text("mine\n", encoding="utf-8")
    before = stacks(place.account)

    made = space.add("my-space", memory="4Gi", env={"C": "d"}, place=place)

    assert stacks(place.account) == before
    assert (made.cpu, made.memory, made.image.rpartition(":")[2]) == (1, 4096, ID[:12])
    assert space.get("my-space", place=place).env == {"A": "b", "C": "d"}
    assert PIPELINE.read_text(encoding="utf-8") == "mine\n"
    said = "\n".join(told.lines)
    assert "registry my-space-registry is there already: it is used" in said
    assert f"pipeline {PIPELINE} is there already: it is left as it is" in said


def test_an_image_that_is_given_is_run_and_nothing_is_built(place, docker):
    made = space.add("my-space", image="public.ecr.aws/nginx/nginx:1.27", skip_registry=True, place=place)

    assert made.image == "public.ecr.aws/nginx/nginx:1.27"
    assert docker.commands == []
    assert registry.list(place=place) == []
    assert "docker" not in PIPELINE.read_text(encoding="utf-8").lower()


def test_without_a_pipeline_paths_may_lie_anywhere(place, docker, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "Dockerfile.web").touch()

    space.add(
        "my-space",
        dockerfile_path=elsewhere / "Dockerfile.web",
        docker_context=elsewhere,
        registry_name="images",
        image_tag="1.0",
        generate_ci=False,
        place=place,
    )

    assert docker.commands[2].endswith(f"/images:1.0 --file {elsewhere}/Dockerfile.web -- {elsewhere}")
    assert not PIPELINE.exists()


@pytest.mark.parametrize("failing", ["login", "build", "push"])
def test_a_step_of_docker_that_fails_ends_it_and_what_was_made_is_told(place, docker, failing):
    docker.plan(image_says=f"sha256:{ID}", **{failing: 9})

    with pytest.raises(DockerFailed) as caught:
        space.add("my-space", place=place)

    assert caught.value.exit_code == 9
    assert caught.value.hint.endswith(
        "made before that, and still there: registry my-space-registry; the same command goes on from there"
    )
    assert docker.commands[-1].startswith(failing)
    assert stacks(place.account) == ["registry-my-space-registry"]
    assert not PIPELINE.exists()

    docker.plan(image_says=f"sha256:{ID}")
    assert space.add("my-space", place=place).name == "my-space"


def test_an_image_that_was_pushed_is_told_when_the_space_fails(place):
    # Its stack's name is taken by one that this tool did not make.
    template = '{"Resources": {"T": {"Type": "AWS::SNS::Topic"}}}'
    place.account.client("cloudformation").create_stack(StackName="space-my-space", TemplateBody=template)

    with pytest.raises(StackError, match="space-my-space") as caught:
        space.add("my-space", place=place)

    uri = registry.get("my-space-registry", place=place).uri
    assert f"registry my-space-registry, image {uri}:{ID[:12]};" in caught.value.hint
    assert not PIPELINE.exists()


def test_an_interruption_tells_what_was_made(live):
    place = Place(live, report=Told(interrupted_at="building"))

    with pytest.raises(Interrupted) as caught:
        space.add("my-space", place=place)

    assert "registry my-space-registry;" in caught.value.hint


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"space_name": "My Space"}, "--name 'My Space'"),
        ({"registry_name": "a b"}, "--registry-name 'a b'"),
        ({"registry_name": "a b", "generate_ci": False}, "--registry-name 'a b'"),
        ({"dockerfile_path": "nowhere"}, "nowhere is not a file"),
        ({"docker_context": "nowhere"}, "nowhere is not a directory"),
        ({"docker_context": ".."}, "lies outside of"),
        ({"skip_registry": True}, "no image to run"),
        ({"image": "a:b", "dockerfile_path": "Dockerfile"}, "--dockerfile-path is for an image that is built"),
        ({"image": "a:b", "registry_name": "a"}, "--registry-name is for an image that is built"),
        ({"image": "a b"}, "image"),
        ({"image_tag": "a b"}, "--image-tag 'a b'"),
        ({"cpu": "9000"}, "more than Fargate has"),
        ({"domain": "no_domain"}, "domain"),
        ({"secrets": {"A": "nobodys"}}, "'nobodys' does not exist"),
        ({"container_port": 0}, "port"),
        ({"role_arn": "me"}, "--role-arn"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(place, docker, values, says):
    with pytest.raises((InputError, SpaceRequestError), match=says):
        space.add(**{"space_name": "my-space", "place": place, **values})

    assert stacks(place.account) == []
    assert docker.commands == []


def test_without_an_engine_that_answers_nothing_is_made(place, docker):
    docker.plan(version=1, version_says="Cannot connect to the Docker daemon")

    with pytest.raises(EngineUnavailable, match="the Docker engine cannot be used: Cannot connect"):
        space.add("my-space", place=place)

    assert stacks(place.account) == []


def test_without_docker_nothing_is_made(place, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(EngineUnavailable):
        space.add("my-space", place=place)

    assert stacks(place.account) == []


def test_a_secret_of_the_team_goes_before_another_of_the_same_name(place, live):
    mine = secret.create("database", "x", place=place)
    live.client("secretsmanager").create_secret(Name="database", SecretString="x")
    other = live.client("secretsmanager").create_secret(Name="other", SecretString="x")["ARN"]

    space.create("my-space", image="a/b:1", secrets={"A": "database", "B": "other"}, place=place)

    assert mine.arn.rpartition(":")[2].startswith(f"{TEAM_PREFIX}database-")
    assert space.get("my-space", place=place).secrets == {"A": mine.arn, "B": other}
