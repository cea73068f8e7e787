"""Tests of container builder builds with a docker command that only records its calls; tests/engine has real ones."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from exasol_ci_setup.sandbox import buildspecs, docker_client, image_builds, registry
from exasol_ci_setup.sandbox.docker_client import Client, FoundClient
from exasol_ci_setup.sandbox.settings import Settings, collect
from tests.docker import engine_server
from tests.docker.engine_server import EngineServer
from tests.registry import Pusher, require_program, tags
from tests.sandbox.codebuild import build, create_project, log, send, until
from tests.sandbox.differences import Differences

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exasol_ci_setup.sandbox.registry import Registry
    from tests.sandbox.conftest import Account

IMAGES = Differences("### Build images")

pytestmark = pytest.mark.live

GOLDEN = Path(__file__).parents[1] / "golden" / "container_builder.yaml"
HASH = "c0ffee"

DOCKER = """\
#!/bin/sh
record={record}
echo "$DOCKER_HOST $DOCKER_BUILDKIT $*" >>$record/calls
case $1 in
login) cat >$record/secret ;;
build)
  for last; do :; done
  cd "$last" && find . -type f -exec cat {{}} +
  echo "$$" >$record/process
  if [ -e $record/hangs ]; then sleep 600; fi
  if [ -e $record/fails ]; then echo "failed to solve: no such luck" >&2; exit 7; fi ;;
esac
"""


def builder_spec() -> str:
    """Return the buildspec of the container builder template."""

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_multi_constructor("!", lambda _loader, _suffix, _node: None)
    template = yaml.load(GOLDEN.read_text(encoding="utf-8"), Loader)  # noqa: S506 - derived from the safe one
    return str(template["Resources"]["Project"]["Properties"]["Source"]["BuildSpec"])


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    require_program()
    with registry.running(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Path]:
    """Put a docker command on PATH, and return the folder where it records its calls."""
    program = tmp_path / "docker"
    program.write_text(DOCKER.format(record=tmp_path), encoding="utf-8")
    program.chmod(0o755)
    docker_client.use(FoundClient(Client(str(program), "unix:///the-engine")))
    yield tmp_path
    docker_client.use(FoundClient())


class Builder:
    """A project like that of a container builder's stack, with an archive in a bucket and a repository."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.bucket = f"assets-{account.number}"
        self.ecr = account.client("ecr")
        self.ecr.create_repository(repositoryName="team/app", imageTagMutability="IMMUTABLE")
        account.client("s3").create_bucket(
            Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        self.upload(("Dockerfile", "FROM scratch"), ("deep/Dockerfile", "FROM deep"))
        create_project(
            account,
            source={"type": "NO_SOURCE", "buildspec": builder_spec()},
            environment={
                "type": "LINUX_CONTAINER",
                "image": "aws/codebuild/standard:8.0",
                "computeType": "BUILD_GENERAL1_SMALL",
                "privilegedMode": True,
            },
        )

    def upload(self, *files: tuple[str, str], link: str = "") -> None:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            for name, text in files:
                info = tarfile.TarInfo(name)
                info.size = len(text)
                archive.addfile(info, io.BytesIO(text.encode()))
            if link:
                info = tarfile.TarInfo("link")
                info.type, info.linkname = tarfile.SYMTYPE, link
                archive.addfile(info)
        self.account.client("s3").put_object(Bucket=self.bucket, Key="source", Body=packed.getvalue())

    def start(self, variables: dict[str, str] | None = None, *, minutes: float | None = None) -> dict[str, Any]:
        """Start a build and return it immediately."""
        variables = {
            "ASSET_BUCKET": self.bucket,
            "ASSET_KEY": "source",
            "REPOSITORY_URI": f"{self.account.number}.dkr.ecr.eu-central-1.amazonaws.com/team/app",
            "CONTENT_HASH": HASH,
            "IMAGE_TAG": "1.0",
            "BUILD_CONTEXT": ".",
            **(variables or {}),
        }
        started: dict[str, Any] = send(
            self.account,
            "StartBuild",
            projectName="Slc",
            environmentVariablesOverride=[{"name": name, "value": value} for name, value in variables.items()],
            **({} if minutes is None else {"timeoutInMinutesOverride": minutes}),
        )["build"]
        return started

    def run(self, **variables: str) -> dict[str, Any]:
        """Start a build, wait for its end, and return it."""
        return self.ended(self.start(variables)["id"])

    def ended(self, name: str) -> dict[str, Any]:
        return until(lambda: build(self.account, name), lambda shown: bool(shown["buildComplete"]))

    def log(self, shown: dict[str, Any]) -> str:
        return "\n".join(log(self.account, shown))


@pytest.fixture
def builder(images: Registry, account: Account) -> Builder:  # noqa: ARG001 - it runs
    account.server.build_seconds[account.number] = 0.05
    return Builder(account)


def calls(record: Path) -> list[str]:
    return (record / "calls").read_text(encoding="utf-8").splitlines() if (record / "calls").exists() else []


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_each_documented_difference_of_image_builds_has_test() -> None:
    assert IMAGES.documented() == IMAGES.tested


def test_every_command_of_template_is_known() -> None:
    commands = buildspecs.commands(builder_spec())
    assert image_builds.is_image_build(commands)
    assert not image_builds.is_image_build({**commands, "INSTALL": ["curl example.com | sh"]})
    assert not image_builds.is_image_build({phase: listed for phase, listed in commands.items() if phase != "BUILD"})


@IMAGES.test("the image `aws/codebuild/…` and the compute type apply")
@IMAGES.test("the host ends with the build")
def test_commands_run_docker_in_order(builder: Builder, record: Path, images: Registry) -> None:
    shown = builder.run()
    uri = f"{images.address}/{builder.account.number}/eu-central-1/team/app"
    assert shown["buildStatus"] == "SUCCEEDED", builder.log(shown)
    done = [call.removeprefix("unix:///the-engine 1 ") for call in calls(record)]
    context = done[1].rpartition(" ")[2]
    assert done == [
        f"login --username AWS --password-stdin {images.address}",
        f"build --cache-from {uri}:1.0 --build-arg BUILDKIT_INLINE_CACHE=1 --tag {uri}:{HASH} {context}",
        f"push {uri}:{HASH}",
        f"tag {uri}:{HASH} {uri}:1.0",
        f"push {uri}:1.0",
        f"image rm {uri}:1.0",
        f"image rm {uri}:{HASH}",
    ]
    assert (record / "secret").read_text(encoding="utf-8") == images.password
    assert not Path(context).exists()
    said = builder.log(shown)
    assert "it builds the image itself, with the Docker engine at unix:///the-engine" in said
    assert "FROM scratch" in said
    assert images.password not in said


def test_named_variables_become_build_arguments(builder: Builder, record: Path) -> None:
    shown = builder.run(BUILD_ARGS="PATH SIZE MISSING", PATH="/nowhere", SIZE="large; exit 1")
    assert shown["buildStatus"] == "SUCCEEDED", builder.log(shown)
    (built,) = [call for call in calls(record) if " build " in call]
    assert " --build-arg PATH=/nowhere --build-arg SIZE=large; exit 1 --tag " in built
    assert "MISSING" not in built


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ("", []),
        ("SIZE", ["--build-arg", "SIZE"]),
        ("COLOR SIZE", ["--build-arg", "COLOR", "--build-arg", "SIZE"]),
    ],
)
def test_shell_converts_names_to_build_arguments(tmp_path: Path, names: str, words: list[str]) -> None:
    (command,) = buildspecs.commands(builder_spec())["BUILD"]
    program = tmp_path / "docker"
    program.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n", encoding="utf-8")
    program.chmod(0o755)
    variables = {"REPOSITORY_URI": "uri", "CONTENT_HASH": HASH, "BUILD_CONTEXT": ".", "BUILD_ARGS": names}
    environment = {**variables, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    ran = subprocess.run(["bash", "-c", command], env=environment, check=True, capture_output=True, text=True)
    said = ran.stdout.splitlines()
    assert said == [
        *("build", "--cache-from", f"uri:{HASH}", "--build-arg", "BUILDKIT_INLINE_CACHE=1"),
        *words,
        *("--tag", f"uri:{HASH}", "source/."),
    ]


def test_build_without_tag_pushes_only_hash(builder: Builder, record: Path) -> None:
    assert builder.run(IMAGE_TAG="")["buildStatus"] == "SUCCEEDED"
    assert [call.split()[2] for call in calls(record)] == ["login", "build", "push", "image"]


@IMAGES.test("images are pushed to `{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{NAME}`")
def test_registry_address_replaces_address_on_aws(builder: Builder, record: Path) -> None:
    (found,) = builder.ecr.describe_repositories()["repositories"]
    assert builder.run(REPOSITORY_URI=found["repositoryUri"])["buildStatus"] == "SUCCEEDED"
    assert any(call.endswith(f"push {found['repositoryUri']}:{HASH}") for call in calls(record))


def test_failed_docker_build_is_not_pushed(builder: Builder, record: Path) -> None:
    (record / "fails").touch()
    shown = builder.run()
    assert shown["buildStatus"] == "FAILED"
    failed = {each["phaseType"]: each["contexts"][0] for each in shown["phases"] if each.get("phaseStatus") == "FAILED"}
    assert failed["BUILD"]["statusCode"] == "COMMAND_EXECUTION_ERROR"
    assert failed["BUILD"]["message"].endswith("Reason: exit status 7")
    assert set(failed) == {"BUILD", "POST_BUILD"}
    assert "failed to solve: no such luck" in builder.log(shown)
    assert not any("push" in call for call in calls(record))


def test_switch_fails_image_build(builder: Builder, record: Path) -> None:
    builder.account.server.failures[builder.account.number] = "Slc:BUILD"
    assert builder.run()["buildStatus"] == "FAILED"
    assert [call.split()[2] for call in calls(record)] == ["login"]


@pytest.mark.parametrize("how", ["stopped", "timed out"])
def test_ended_build_leaves_no_process_and_no_files(builder: Builder, record: Path, how: str) -> None:
    (record / "hangs").touch()
    started = builder.start(minutes=0.03 if how == "timed out" else None)
    process = int(until(lambda: _read(record / "process"), bool))
    assert is_alive(process)
    # The event loop that serves requests does not wait for docker.
    assert tags(builder.ecr) == {}
    if how == "stopped":
        builder.account.client("codebuild").stop_build(id=started["id"])
    assert builder.ended(started["id"])["buildStatus"] == ("STOPPED" if how == "stopped" else "TIMED_OUT")
    until(lambda: is_alive(process), lambda alive: not alive)
    context = Path(next(call for call in calls(record) if " build " in call).rpartition(" ")[2])
    until(context.exists, lambda there: not there)


def test_concurrent_builds_of_same_image_succeed(builder: Builder, record: Path) -> None:
    (record / "hangs").touch()
    first = builder.start()["id"]
    until(lambda: _read(record / "process"), bool)
    second = builder.start()["id"]
    until(lambda: build(builder.account, second), lambda shown: shown["currentPhase"] == "BUILD")
    assert [call.split()[2] for call in calls(record)] == ["login", "build", "login"]
    (record / "hangs").unlink()
    builder.account.client("codebuild").stop_build(id=first)
    assert builder.ended(second)["buildStatus"] == "SUCCEEDED"
    assert [call.split()[2] for call in calls(record)][3:7] == ["image", "build", "push", "tag"]


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip() if path.exists() else ""


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"BUILD_CONTEXT": "../../../etc"}, "unable to prepare context: path source/../../../etc not found"),
        ({"BUILD_CONTEXT": "/etc"}, "unable to prepare context: path source//etc not found"),
        ({"BUILD_CONTEXT": "nowhere"}, "unable to prepare context: path source/nowhere not found"),
        ({"REPOSITORY_URI": "example.com/team/app"}, "example.com/team/app is not in the registry of account"),
        (
            {"REPOSITORY_URI": "111122223333.dkr.ecr.eu-central-1.amazonaws.com/team/app"},
            "is not in the registry of account",
        ),
        ({"CONTENT_HASH": "a b"}, "'a b' is not a valid image tag"),
        ({"IMAGE_TAG": "--help"}, "'--help' is not a valid image tag"),
        ({"ASSET_KEY": "nothing"}, "object not found: s3://"),
        ({"BUILD_ARGS": "A --privileged"}, "'--privileged' is not a valid variable name"),
    ],
)
def test_request_cannot_use_other_paths_or_registries(
    builder: Builder, record: Path, variables: dict[str, str], reason: str
) -> None:
    shown = builder.run(**variables)
    assert shown["buildStatus"] == "FAILED"
    assert reason in builder.log(shown)
    assert not any(" push " in call for call in calls(record))


def test_push_to_missing_repository_fails(builder: Builder, record: Path) -> None:
    uri = f"{builder.account.number}.dkr.ecr.eu-central-1.amazonaws.com/other"
    shown = builder.run(REPOSITORY_URI=uri)
    assert "name unknown: The repository with name 'other' does not exist" in builder.log(shown)
    assert not any(" push " in call for call in calls(record))


def test_push_to_immutable_tag_fails(builder: Builder, record: Path) -> None:
    Pusher(builder.ecr).push("team/app", "another image", "1.0")
    shown = builder.run()
    assert shown["buildStatus"] == "FAILED"
    assert "tag invalid: The image tag '1.0' already exists in the 'team/app' repository" in builder.log(shown)
    assert [call.rpartition(":")[2] for call in calls(record) if " push " in call] == [HASH]


@IMAGES.test("`tar` unpacks any link")
@pytest.mark.parametrize("link", ["/etc/passwd", "../../../etc/passwd"])
def test_archive_with_path_traversal_is_rejected(builder: Builder, record: Path, link: str) -> None:
    builder.upload(("Dockerfile", "FROM scratch"), link=link)
    shown = builder.run()
    assert shown["buildStatus"] == "FAILED"
    assert "tar: " in builder.log(shown)
    assert not any(" build " in call for call in calls(record))


def test_invalid_archive_is_rejected(builder: Builder, record: Path) -> None:
    builder.account.client("s3").put_object(Bucket=builder.bucket, Key="source", Body=b"no archive")
    assert "tar: " in builder.log(builder.run())
    assert [call.split()[2] for call in calls(record)] == ["login"]


def test_build_without_engine_is_simulated_with_reason(builder: Builder) -> None:
    docker_client.use(FoundClient(reason="no Docker engine answers at unix:///nowhere"))
    try:
        shown = builder.run()
    finally:
        docker_client.use(FoundClient())
    assert shown["buildStatus"] == "SUCCEEDED"
    said = builder.log(shown)
    assert "This build creates no image: no Docker engine answers at unix:///nowhere" in said
    assert "commands are logged, but not run" in said


@IMAGES.test("the commands of the buildspec run in a container with a separate engine")
def test_other_build_runs_no_commands(builder: Builder, record: Path) -> None:
    started = send(
        builder.account,
        "StartBuild",
        projectName="Slc",
        buildspecOverride=builder_spec().replace("mkdir source", "mkdir source; docker push me"),
    )["build"]
    shown = builder.ended(started["id"])
    assert "commands are logged, but not run" in builder.log(shown)
    assert calls(record) == []


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[EngineServer]:
    with engine_server.running() as server:
        monkeypatch.setenv("DOCKER_HOST", server.url)
        yield server


def client(folder: Path, *, version: str, buildx: str = "") -> None:
    """Write a docker command with these answers to `folder`."""
    folder.mkdir()
    program = folder / "docker"
    program.write_text(
        f"""#!/bin/sh
case "$*" in
--version) echo Docker version {version}, build 0 ;;
buildx*) echo {buildx} ;;
esac
""",
        encoding="utf-8",
    )
    program.chmod(0o755)


def test_first_client_that_can_build_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: EngineServer
) -> None:
    kinds = {"bare": ("28.2.2", ""), "old": ("20.10.24+dfsg1", ""), "new": ("28.2.2", "0.20")}
    for name, (version, buildx) in kinds.items():
        client(tmp_path / name, version=version, buildx=buildx)

    def on_path(*names: str) -> FoundClient:
        monkeypatch.setenv("PATH", ":".join(str(tmp_path / name) for name in names))
        return docker_client.find()

    assert on_path("nowhere") == FoundClient(reason="no docker command is on PATH")
    assert "has no buildx" in on_path("bare").reason
    for name in ("old", "new"):
        found = on_path("bare", name)
        assert found.client is not None
        assert (found.client.program, found.engine) == (str(tmp_path / name / "docker"), engine.url)


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # the client does not close a socket that could not connect
def test_unusable_engine_has_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: EngineServer) -> None:
    client(tmp_path / "new", version="28.2.2", buildx="0.20")
    monkeypatch.setenv("PATH", str(tmp_path / "new"))
    engine.platform = "Docker Desktop 4.40"
    assert "runs in a virtual machine" in docker_client.find().reason
    monkeypatch.setenv("DOCKER_HOST", "tcp://10.0.0.1:2376")
    assert docker_client.find().engine == "none: the Docker engine at tcp://10.0.0.1:2376 is not on this machine"
    monkeypatch.setenv("DOCKER_HOST", "unix:///silent")
    assert docker_client.find().engine.startswith("none: the Docker engine at unix:///silent cannot be used: ")


@pytest.mark.usefixtures("engine")
def test_plugins_of_user_are_found_with_other_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client(tmp_path / "new", version="28.2.2", buildx="0.20")
    plugins = tmp_path / "config" / "cli-plugins"
    plugins.mkdir(parents=True)
    monkeypatch.setenv("PATH", str(tmp_path / "new"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "config"))
    found = docker_client.find().client
    assert found is not None
    assert found.plugins == str(plugins)


@pytest.mark.parametrize(
    "found", [FoundClient(), FoundClient(reason="why not"), FoundClient(Client("docker", "unix:///x", "/plugins"))]
)
def test_settings_round_trip_preserves_client(found: FoundClient) -> None:
    settings = Settings(registry=True, docker=found.as_settings())
    assert FoundClient.from_settings(Settings.from_json(settings.as_json()).docker) == found


def test_docker_is_not_searched_without_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: EngineServer
) -> None:
    client(tmp_path / "new", version="28.2.2", buildx="0.20")
    monkeypatch.setenv("PATH", str(tmp_path / "new"))
    assert collect().docker == {}
    assert collect(registry=True).docker["host"] == engine.url
