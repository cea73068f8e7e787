"""Build the images of container builders, with a Docker engine and the registry.

The commands of a buildspec never run in a shell: any client that reaches the port could run programs on this machine. Instead, this module
implements each command of the container builder template. If a build has any other command, or no engine is available, it is simulated.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import tarfile
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.core import patterns
from exasol_ci_setup.docker import program
from exasol_ci_setup.sandbox import ecr, registry
from exasol_ci_setup.sandbox.images import Repository

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence

    from exasol_ci_setup.sandbox.docker_client import Client

    Say = Callable[[Iterable[str]], None]

_FAILED: Final = 1
TAG: Final = re.compile(patterns.IMAGE_TAG[0])
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,255}")
_HOST_ON_AWS: Final = re.compile(r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?")

# The commands of container_builder.yaml.j2, with normalized spaces.
_LOGIN: Final = 'aws ecr get-login-password | docker login --username AWS --password-stdin "${REPOSITORY_URI%%/*}"'
# Without effect: the engine pulls base images with the logins of this machine.
_OTHER_LOGIN: Final = re.compile(
    r'aws ecr get-login-password --region "[a-z0-9-]+" \| docker login --username AWS --password-stdin "[a-z0-9.-]+"'
    r"|printf '%s' \"\$DOCKER_PASSWORD\" \| docker login --username \"\$DOCKER_USER\" --password-stdin"
)
_FETCH: Final = 'aws s3 cp --only-show-errors "s3://$ASSET_BUCKET/$ASSET_KEY" source.tar.gz'
_MAKE_FOLDER: Final = "mkdir source"
_UNPACK: Final = "tar -xzf source.tar.gz -C source"
# Build secrets, each with the name of its variable.
_SECRET: Final = re.compile(r"--secret id=\"([A-Za-z_][A-Za-z0-9_]*)\",env=\"\1\" ")
_BUILD: Final = (
    'docker build --cache-from "$REPOSITORY_URI:${IMAGE_TAG:-$CONTENT_HASH}" --build-arg BUILDKIT_INLINE_CACHE=1 '
    "${BUILD_ARGS:+--build-arg ${BUILD_ARGS// / --build-arg }} "
    '--tag "$REPOSITORY_URI:$CONTENT_HASH" "source/$BUILD_CONTEXT"'
)
_IS_SUCCEEDING: Final = 'test "$CODEBUILD_BUILD_SUCCEEDING" = 1'
_PUSH: Final = 'docker push "$REPOSITORY_URI:$CONTENT_HASH"'
_PUSH_TAG: Final = (
    'if [ -n "$IMAGE_TAG" ]; then docker tag "$REPOSITORY_URI:$CONTENT_HASH" "$REPOSITORY_URI:$IMAGE_TAG" '
    'docker push "$REPOSITORY_URI:$IMAGE_TAG" fi'
)


# A lock for each image name in the engine.
_LOCKS: Final[defaultdict[str, asyncio.Lock]] = defaultdict(asyncio.Lock)


class UnsupportedBuildError(Exception):
    """The failure of a command, with the message of its program."""


@dataclass(frozen=True)
class Location:
    """The account and region of a build, and the function that returns ministack's services in it."""

    account: str
    region: str
    get_service: Callable[[str], Any]


class ImageBuild:
    """One build of a container builder. `variables` are those of its environment; `say` receives the output."""

    def __init__(
        self, client: Client, running: registry.Registry, place: Location, variables: Mapping[str, str], say: Say
    ) -> None:
        self._client = client
        self._registry = running
        self._place = place
        self._variables = variables
        self._say = say
        self._folder: Path | None = None
        self._held: list[str] = []
        self._secrets: list[str] = []
        self._steps: dict[str, Callable[[], Awaitable[int]]] = {
            _LOGIN: self._login,
            _FETCH: self._fetch,
            _MAKE_FOLDER: self._succeed,
            _UNPACK: self._unpack,
            _BUILD: self._build,
            _IS_SUCCEEDING: self._succeed,
            _PUSH: self._push,
            _PUSH_TAG: self._push_tag,
        }

    @property
    def engine(self) -> str:
        """The address of the Docker engine."""
        return self._client.host

    async def run(self, command: str, *, is_succeeding: bool) -> int:
        """Perform a command of a container builder and return its exit status."""
        known = _normalize_spaces(command)
        self._secrets += _SECRET.findall(known)
        known = _SECRET.sub("", known)
        if known == _IS_SUCCEEDING and not is_succeeding:
            return _FAILED
        if _OTHER_LOGIN.fullmatch(known):
            return 0
        try:
            return await self._steps[known]()
        except UnsupportedBuildError as problem:
            self._say([str(problem)])
            return _FAILED

    async def close(self) -> None:
        """Delete the source, the login and the image from this machine. The registry keeps the image."""
        while self._held:
            await self._release(self._held[-1])
        if self._folder is not None:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def _succeed(self) -> int:
        return 0

    async def _login(self) -> int:
        self._uri()
        return await self._docker(
            *("login", "--username", registry.USER, "--password-stdin", self._registry.address),
            secret=self._registry.password,
        )

    async def _fetch(self) -> int:
        bucket, key = self._of("ASSET_BUCKET"), self._of("ASSET_KEY")
        content = self._place.get_service("s3")._get_object_data(bucket, key)  # noqa: SLF001
        if content is None:
            raise UnsupportedBuildError(f"fatal error: object not found: s3://{bucket}/{key}")
        await asyncio.to_thread((self._work / "source.tar.gz").write_bytes, content)
        return 0

    async def _unpack(self) -> int:
        await asyncio.to_thread(_unpack, self._work / "source.tar.gz", self._source)
        return 0

    async def _build(self) -> int:
        uri, tag = self._uri(), self._tag("CONTENT_HASH")
        context = (self._source / self._of("BUILD_CONTEXT")).resolve()
        # The request contains the path, so it must not lead to other files of this user.
        if not (context.is_relative_to(self._source) and context.is_dir()):
            raise UnsupportedBuildError(f"unable to prepare context: path source/{self._of('BUILD_CONTEXT')} not found")
        await self._hold(f"{uri}:{tag}")
        cached = self._tag("IMAGE_TAG") if self._of("IMAGE_TAG") else tag
        return await self._docker(
            *("build", "--cache-from", f"{uri}:{cached}", "--build-arg", "BUILDKIT_INLINE_CACHE=1"),
            *self._build_arguments(),
            *(each for name in self._secrets for each in ("--secret", f"id={name},env={name}")),
            *("--tag", f"{uri}:{tag}", str(context)),
        )

    def _build_arguments(self) -> Iterator[str]:
        for name in self._of("BUILD_ARGS").split(" "):
            if name and not _VARIABLE.fullmatch(name):
                raise UnsupportedBuildError(f"invalid argument: {name!r} is not a valid variable name")
            if name in self._variables:
                # With its value: a variable such as PATH must not be read from the environment of docker.
                yield from ("--build-arg", f"{name}={self._variables[name]}")

    def _secret_values(self) -> dict[str, str]:
        """Return the values of the build secrets, which docker reads from its environment."""
        return {name: self._variables[name] for name in self._secrets if name in self._variables}

    async def _push(self) -> int:
        return await self._push_image(self._tag("CONTENT_HASH"))

    async def _push_tag(self) -> int:
        if not self._of("IMAGE_TAG"):
            return 0
        uri, tag = self._uri(), self._tag("IMAGE_TAG")
        await self._hold(f"{uri}:{tag}")
        status = await self._docker("tag", f"{uri}:{self._tag('CONTENT_HASH')}", f"{uri}:{tag}")
        status = status or await self._push_image(tag)
        await self._release(f"{uri}:{tag}")
        return status

    async def _push_image(self, tag: str) -> int:
        uri, name = self._uri(), self._repository()
        repository = self._place.get_service("ecr")._repositories.get(name)  # noqa: SLF001
        if repository is None:
            raise UnsupportedBuildError(
                f"name unknown: The repository with name '{name}' does not exist in the registry with id "
                f"'{self._place.account}'"
            )
        held = Repository.of(self._registry, self._place.account, self._place.region, name)
        if not ecr.may_move(repository, tag) and any(tag in image.tags for image in held.images()):
            raise UnsupportedBuildError(f"tag invalid: {ecr.immutable_tag_message(tag, name)}")
        return await self._docker("push", f"{uri}:{tag}")

    async def _hold(self, image: str) -> None:
        """Lock an image name in the engine for this build. On CodeBuild each build has a separate engine."""
        await _LOCKS[image].acquire()
        self._held.append(image)

    async def _release(self, image: str) -> None:
        """Remove an image from the engine if it exists, and unlock its name."""
        try:
            await self._docker("image", "rm", image, say=lambda _lines: None)
        finally:
            self._held.remove(image)
            _LOCKS[image].release()

    async def _docker(self, *arguments: str, secret: str = "", say: Say | None = None) -> int:
        shown = say or self._say
        return await program.run(
            [self._client.program, *arguments],
            {**self._client.configure(self._work / "docker"), **self._secret_values()},
            lambda line: shown([line]),
            secret,
        )

    @property
    def _work(self) -> Path:
        if self._folder is None:
            # Resolved, so that paths below it can be compared.
            self._folder = Path(tempfile.mkdtemp(prefix="exasol-ci-setup-build-")).resolve()
        return self._folder

    @property
    def _source(self) -> Path:
        return self._work / "source"

    def _of(self, variable: str) -> str:
        return self._variables.get(variable, "")

    def _tag(self, variable: str) -> str:
        tag = self._of(variable)
        if not TAG.fullmatch(tag):
            raise UnsupportedBuildError(f"invalid reference format: {tag!r} is not a valid image tag")
        return tag

    def _uri(self) -> str:
        return self._registry.uri(self._place.account, self._place.region, self._repository())

    def _repository(self) -> str:
        """Return the name of the repository at REPOSITORY_URI, which must be in this account and region."""
        uri, place = self._of("REPOSITORY_URI"), self._place
        prefix = self._registry.uri(place.account, place.region, "")
        return uri.removeprefix(prefix) if uri.startswith(prefix) else repository_at(uri, place)


def repository_at(uri: str, place: Location) -> str:
    """Return the repository name in an ECR address. Raises UnsupportedBuildError for another account or region."""
    host, _, name = uri.partition("/")
    on_aws = _HOST_ON_AWS.fullmatch(host)
    if on_aws and (on_aws["account"], on_aws["region"]) == (place.account, place.region):
        return name
    raise UnsupportedBuildError(
        f"Error response: {uri} is not in the registry of account {place.account} in {place.region}"
    )


def is_image_build(commands: Mapping[str, Sequence[str]]) -> bool:
    """Whether a build is that of a container builder: all commands are known, and one of them builds."""
    known = {_LOGIN, _FETCH, _MAKE_FOLDER, _UNPACK, _BUILD, _IS_SUCCEEDING, _PUSH, _PUSH_TAG}
    found = {_SECRET.sub("", _normalize_spaces(command)) for listed in commands.values() for command in listed}
    return _BUILD in found and all(each in known or _OTHER_LOGIN.fullmatch(each) for each in found)


def _normalize_spaces(command: str) -> str:
    return " ".join(command.split())


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive. Raises UnsupportedBuildError if it is invalid or has a path outside of the folder."""
    folder.mkdir()
    try:
        with tarfile.open(archive, "r:gz") as packed:
            packed.extractall(folder, filter="data")
    except (tarfile.TarError, OSError, EOFError) as error:
        raise UnsupportedBuildError(f"tar: {error}") from error
