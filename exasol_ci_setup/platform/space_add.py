"""`space.add`: from a folder with a Dockerfile to a running space with a pipeline; what is there already is used again."""

from __future__ import annotations

import shlex
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup import origin, workflows
from exasol_ci_setup.aws import ClientError, error_code, translate_aws_errors
from exasol_ci_setup.errors import (
    InputError,
    Interrupted,
    NotApprovedError,
    RegistryNotFound,
    SetupError,
    SpaceNotFound,
)
from exasol_ci_setup.platform import docker, registry
from exasol_ci_setup.platform.place import PlansOnly, here

if TYPE_CHECKING:
    from exasol_ci_setup.platform.place import Place
    from exasol_ci_setup.platform.registry import Registry
    from exasol_ci_setup.platform.space_stacks import Space

DEFAULT_IMAGE_TAG: Final = "latest"
_ID_LENGTH: Final = 12
_STAND_IN: Final = "to-be-built"
_OF_NEW_SPACES: Final = frozenset({"vpc_id", "subnet_ids"})


@dataclass(frozen=True)
class _Source:
    """What is built: POSIX paths relative to the working directory where there is a pipeline, and the tag that the image gets too."""

    dockerfile: Path
    context: Path
    image_tag: str


def add(
    space_name: str,
    *,
    registry_name: str | None = None,
    skip_registry: bool = False,
    image: str | None = None,
    image_tag: str | None = None,
    dockerfile_path: str | Path | None = None,
    docker_context: str | Path | None = None,
    container_port: int | None = None,
    generate_ci: bool = True,
    role_arn: str | None = None,
    package: str | None = None,
    plan_only: bool = False,
    place: Place | None = None,
    **settings: Any,
) -> Space:
    """Build the image of a folder, let a space run it, and write its pipeline; return the space.

    One after the other: the registry (`registry_name`, or the space's name and ``-registry``) is made, or used if it is there; docker
    logs in; the image of `dockerfile_path` (``Dockerfile``) and `docker_context` (``.``) is built and pushed; the space is created, or
    updated if it is there; and unless `generate_ci` is false its pipeline is written to ``.github/workflows`` below the working directory, if
    no file of its name is there. A pipeline installs `package`, or what this program was installed from; without either it is not written, and the report
    says how to write it. The image is pushed with a tag of its own, which is what the space runs, and with `image_tag`
    (``latest``). With `image` nothing is built, and the space runs that one; `skip_registry` needs it.

    With `plan_only` the place is shown the plans of the stacks, and nothing is built or changed; a tag stands for that of the image.

    `role_arn` is the pipeline's role. `settings` are those of `space.create`: `domain`, `env`, `secrets`, `cpu`, `memory`, `certificate_arn`,
    `hosted_zone_id`; `vpc_id` and `subnet_ids` are used only where the space is new.

    Raises NotApprovedError where a plan was only shown, InputError before anything is made, and the errors of each step, whose hints say what was
    made before: DockerFailed with docker's exit code, EngineUnavailable, and those of `registry.create`, `registry.docker_login`, `space.create` and `space.update`.
    """
    source = _source(
        image,
        dockerfile_path,
        docker_context,
        image_tag,
        skip_registry=skip_registry or image is not None,
        registry_name=registry_name,
    )
    name = registry_name or f"{space_name}-registry"
    # Refuses names that are none, whether it is written or not.
    workflows.SpaceWorkflow(
        space=space_name,
        registry=name if source is not None else None,
        package=origin.EXAMPLE if package is None else package,
    )
    if source is not None:
        docker.require_tag(source.image_tag)
    place = here(place)
    pipeline = _pipeline(space_name, name, source, place.account.region, role_arn, package) if generate_ci else None
    wanted = {"image": image, "port": container_port, **settings}
    _require_acceptable(place, space_name, wanted)
    if plan_only:
        place = replace(place, report=PlansOnly(place.report))
        if source is not None:
            wanted["image"] = _planned_image(place, name, source)
        return _space(place, space_name, [], wanted)
    if source is not None:
        docker.require_engine()
    made: list[str] = []
    try:
        if source is not None:
            wanted["image"] = _pushed(place, _registry(place, name, made), source, made)
        space = _space(place, space_name, made, wanted)
        if isinstance(pipeline, workflows.SpaceWorkflow):
            place.report.say(_how_to_write(pipeline))
        elif pipeline is not None:
            _write(place, pipeline, made)
    except SetupError as error:
        error.hint = _with_made(error.hint, made)
        raise
    except KeyboardInterrupt:
        raise Interrupted("interrupted", hint=_with_made("", made)) from None
    return space


def _source(
    image: str | None,
    dockerfile: str | Path | None,
    context: str | Path | None,
    tag: str | None,
    *,
    skip_registry: bool,
    registry_name: str | None,
) -> _Source | None:
    """Return what is built, None if nothing is. Raises InputError for what contradicts itself or is not there."""
    if not skip_registry:
        source = _Source(Path(dockerfile or "Dockerfile"), Path(context or "."), tag or DEFAULT_IMAGE_TAG)
        if not source.context.is_dir():
            raise InputError(f"there is nothing to build: {source.context} is not a directory", hint="--docker-context")
        if not source.dockerfile.is_file():
            raise InputError(
                f"there is nothing to build: {source.dockerfile} is not a file",
                hint="run it in the folder with the Dockerfile, name that with --dockerfile-path, or give an image with --image",
            )
        return source
    if image is None:
        raise InputError("there is no image to run", hint="--skip-registry needs --image")
    given = {
        "--dockerfile-path": dockerfile,
        "--docker-context": context,
        "--image-tag": tag,
        "--registry-name": registry_name,
    }
    for option, value in given.items():
        if value is not None:
            raise InputError(f"{option} is for an image that is built, and {image} is not")
    return None


def _pipeline(
    space: str, registry_name: str, source: _Source | None, region: str, role_arn: str | None, package: str | None
) -> workflows.GeneratedFile | workflows.SpaceWorkflow:
    """Return the file of the pipeline, or the pipeline itself if nothing is known that it may install."""
    paths = {}
    if source is not None:
        # A pipeline finds them in the repository, wherever that is checked out.
        paths = {
            "dockerfile_path": workflows.from_root(source.dockerfile, "the Dockerfile"),
            "docker_context": workflows.from_root(source.context, "the Docker context"),
        }
    wanted = workflows.SpaceWorkflow(
        space=space,
        registry=registry_name if source is not None else None,
        region=region,
        role_arn=role_arn,
        package=origin.EXAMPLE if package is None else package,
        **paths,
    )
    package = workflows.package_of(workflows.DIRECTORY / wanted.file_name, package)
    return wanted if package is None else workflows.on_disk(replace(wanted, package=package))


def _how_to_write(pipeline: workflows.SpaceWorkflow) -> str:
    options = {
        "--region": pipeline.region,
        "--role-arn": pipeline.role_arn,
        "--registry-name": pipeline.registry,
        "--dockerfile-path": pipeline.dockerfile_path if pipeline.registry is not None else None,
        "--docker-context": pipeline.docker_context if pipeline.registry is not None else None,
        "--package": pipeline.package,
    }
    given = [word for option, value in options.items() if value is not None for word in (option, value)]
    command = ["exasol-ci-setup", "generate-pipeline", "--name", pipeline.space, *given]
    if pipeline.registry is None:
        command.append("--skip-registry")
    path = workflows.DIRECTORY / pipeline.file_name
    return (
        f"pipeline {path} {'was not compared' if path.exists() else 'was not written'}: this installation is from no index, commit or "
        f"archive with a hash, so a pipeline cannot install it. Write it with `{shlex.join(command)}`"
    )


def _require_acceptable(place: Place, name: str, wanted: dict[str, Any]) -> None:
    from exasol_ci_setup.platform import space

    # Where the image is only known once it is built, another one stands in.
    values = {**wanted, "image": wanted["image"] or "image:tag"}
    space.require_acceptable(
        name, **{key: value for key, value in values.items() if key not in _OF_NEW_SPACES}, place=place
    )


def _registry(place: Place, name: str, made: list[str]) -> Registry:
    try:
        found = registry.get(name, place=place)
    except RegistryNotFound:
        found = registry.create(name, place=place)
        made.append(f"registry {name}")
    else:
        place.report.say(f"registry {name} is there already: it is used")
    return found


def _planned_image(place: Place, name: str, source: _Source) -> str:
    """Show the plan of the registry if there is none, and return an image in it that stands for the one that is built."""
    try:
        # One that was never finished has none.
        where = registry.get(name, place=place).uri or name
    except RegistryNotFound:
        with suppress(NotApprovedError):
            registry.create(name, place=place)
        where = name
    place.report.say(
        f"the image is built from {source.context} when the plan is executed: the tag {_STAND_IN} stands for its own"
    )
    return f"{where}:{_STAND_IN}"


def _pushed(place: Place, found: Registry, source: _Source, made: list[str]) -> str:
    """Build and push the image, and return its name with the tag that is its own."""
    say = place.report.say
    registry.docker_login(found.name, place=place)
    movable = f"{found.uri}:{source.image_tag}"
    say(f"building {movable} from {source.context} with {source.dockerfile}")
    docker.build(movable, dockerfile=source.dockerfile, context=source.context, say=say)
    tag = docker.image_id(movable)[:_ID_LENGTH]
    own = f"{found.uri}:{tag}"
    if _holds(place, found.repository, tag):
        say(f"the registry holds {own} already")
    else:
        docker.tag(movable, own)
        say(f"pushing {own}")
        docker.push(own, say)
        made.append(f"image {own}")
    docker.push(movable, say)
    return own


def _holds(place: Place, repository: str, tag: str) -> bool:
    with translate_aws_errors():
        try:
            found = place.account.client("ecr").describe_images(repositoryName=repository, imageIds=[{"imageTag": tag}])
        except ClientError as error:
            if error_code(error) == "ImageNotFoundException":
                return False
            raise
    return bool(found["imageDetails"])


def _space(place: Place, name: str, made: list[str], settings: dict[str, Any]) -> Space:
    from exasol_ci_setup.platform import space

    try:
        space.get(name, place=place)
    except SpaceNotFound:
        created = space.create(name, **settings, place=place)
        made.append(f"space {name}")
        return created
    place.report.say(f"space {name} is there already: it runs {settings['image']} from now on")
    of_new_ones = {"vpc_id", "subnet_ids"}
    return space.update(name, **{key: value for key, value in settings.items() if key not in of_new_ones}, place=place)


def _write(place: Place, pipeline: workflows.GeneratedFile, made: list[str]) -> None:
    if pipeline.found is not None:
        stale = " as it is; generate-pipeline brings it up to date" if pipeline.stale else ""
        place.report.say(f"pipeline {pipeline.path} is there already: it is left{stale or ' alone'}")
        return
    workflows.write(pipeline)
    made.append(f"pipeline {pipeline.path}")
    place.report.say(f"pipeline {pipeline.path} is written: commit it")


def _with_made(hint: str, made: list[str]) -> str:
    told = f"made before that, and still there: {', '.join(made)}" if made else "nothing was made before that"
    return f"{hint}\n{told}; the same command goes on from there".lstrip()
