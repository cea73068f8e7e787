"""`space.add`: from a folder with a Dockerfile to a running space with a pipeline; existing parts are reused."""

from __future__ import annotations

import shlex
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.aws.session import ignore_aws_errors
from exasol_ci_setup.builds import workflows
from exasol_ci_setup.core import origin
from exasol_ci_setup.core.errors import (
    InputError,
    NotApprovedError,
    OperationInterruptedError,
    RegistryNotFoundError,
    SetupError,
    SpaceNotFoundError,
)
from exasol_ci_setup.docker import engine, program
from exasol_ci_setup.platform import registry, spaces
from exasol_ci_setup.platform.space_settings import AddSettings, SourceSettings, require_known
from exasol_ci_setup.template.context import default_context

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from typing_extensions import Unpack

    from exasol_ci_setup.aws.context import Context
    from exasol_ci_setup.platform.registry import Registry
    from exasol_ci_setup.platform.space_stacks import Space

DEFAULT_IMAGE_TAG: Final = "latest"
_ID_LENGTH: Final = 12
_PLACEHOLDER_TAG: Final = "to-be-built"
_OF_NEW_SPACES: Final = frozenset({"vpc_id", "subnet_ids"})
_OF_EXISTING_SPACES: Final = frozenset({"unset"})


@dataclass(frozen=True)
class _Source:
    """The build input: paths (relative to the working directory for a pipeline) and the additional tag of the image."""

    dockerfile: Path
    context: Path
    image_tag: str


def add(
    space_name: str,
    *,
    generate_ci: bool = True,
    role_arn: str | None = None,
    package: str | None = None,
    plan_only: bool = False,
    context: Context | None = None,
    **settings: Unpack[AddSettings],
) -> Space:
    """Build the image of a folder, run it in a space, and write its pipeline; return the space.

    The steps: create the registry (`registry_name`, or the space's name and ``-registry``) unless it exists, and log docker in. Build and push
    the image of `dockerfile_path` (``Dockerfile``) and `docker_context` (``.``). Create or update the space. Unless `generate_ci` is false,
    write its pipeline to ``.github/workflows`` below the working directory, if that file does not exist.

    A pipeline installs `package`, or the origin of this installation. If neither is known, it is not written, and the report shows the
    command that writes it. The image is pushed with a unique tag, which the space runs, and with `image_tag` (``latest``). With `image`
    nothing is built, and the space runs that image; `skip_registry` needs it.

    With `plan_only` the plans of the stacks are reported, and nothing is built or changed; the plan shows a placeholder for the image's tag.

    `role_arn` is the pipeline's role. `vpc_id` and `subnet_ids` apply only to a new space, `unset` to an existing one. The other settings are in `AddSettings`.

    Without `container_port` a new space uses the only TCP port that the built image exposes, otherwise 80.

    Raises NotApprovedError if plans are only shown, InputError before any change, and the errors of each step. Their hints name what was
    created before: DockerFailedError with docker's exit code, EngineUnavailableError, and those of `registry.create`, `registry.docker_login`,
    `space.create` and `space.update`.
    """
    require_known("add", settings, AddSettings)
    source = _source(settings)
    name = settings.get("registry_name") or f"{space_name}-registry"
    # Validates the names, even if no pipeline is written.
    workflows.SpaceWorkflow(
        space=space_name,
        registry=name if source is not None else None,
        package=origin.EXAMPLE if package is None else package,
    )
    if source is not None:
        program.require_tag(source.image_tag)
    context = context or default_context()
    pipeline = _pipeline(space_name, name, source, context.account.region, role_arn, package) if generate_ci else None
    of_space = {key: value for key, value in settings.items() if key not in SourceSettings.__annotations__}
    wanted = {"image": settings.get("image"), "port": settings.get("container_port"), **of_space}
    _require_acceptable(context, space_name, wanted)
    if plan_only:
        context = replace(context, plan_only=True)
        if source is not None:
            wanted["image"] = _planned_image(context, name, source)
        return _deploy_space(context, space_name, [], wanted)
    if source is not None:
        program.require()
        engine.connect().close()
    created: list[str] = []
    try:
        exposed: list[int] = []
        if source is not None:
            image = _build_and_push(
                context, _ensure_registry(context, name, created, settings.get("tags")), source, created
            )
            wanted["image"] = image
            exposed = program.exposed_ports(image)
        space = _deploy_space(context, space_name, created, wanted, exposed)
        if isinstance(pipeline, workflows.SpaceWorkflow):
            context.note(_write_command_hint(pipeline))
        elif pipeline is not None:
            _write(context, pipeline, created)
    except SetupError as error:
        error.hint = _add_created(error.hint, created)
        raise
    except KeyboardInterrupt:
        raise OperationInterruptedError("interrupted", hint=_add_created("", created)) from None
    return space


def _source(settings: AddSettings) -> _Source | None:
    """Return the build input, or None without a build. Raises InputError for contradicting options and missing files."""
    image = settings.get("image")
    if not settings.get("skip_registry") and image is None:
        source = _Source(
            Path(settings.get("dockerfile_path") or "Dockerfile"),
            Path(settings.get("docker_context") or "."),
            settings.get("image_tag") or DEFAULT_IMAGE_TAG,
        )
        if not source.context.is_dir():
            raise InputError(
                f"nothing to build: {source.context} is not a directory", hint="set --docker-context to a directory"
            )
        if not source.dockerfile.is_file():
            raise InputError(
                f"nothing to build: {source.dockerfile} is not a file",
                hint="run the command in the folder with the Dockerfile, or set --dockerfile-path or --image",
            )
        return source
    if image is None:
        raise InputError("no image to run", hint="--skip-registry needs --image")
    given = {
        "--dockerfile-path": settings.get("dockerfile_path"),
        "--docker-context": settings.get("docker_context"),
        "--image-tag": settings.get("image_tag"),
        "--registry-name": settings.get("registry_name"),
    }
    for option, value in given.items():
        if value is not None:
            raise InputError(f"{option} needs a build, but --image {image} is not built")
    return None


def _pipeline(
    space: str, registry_name: str, source: _Source | None, region: str, role_arn: str | None, package: str | None
) -> workflows.GeneratedFile | workflows.SpaceWorkflow:
    """Return the file of the pipeline, or the pipeline itself if its package is unknown."""
    paths = {}
    if source is not None:
        # In a pipeline the paths are relative to the root of the repository.
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


def _write_command_hint(pipeline: workflows.SpaceWorkflow) -> str:
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
        f"pipeline {path} {'was not compared' if path.exists() else 'was not written'}: a pipeline cannot install this package, because it "
        f"was not installed from an index, a commit or an archive with a hash. Write it with `{shlex.join(command)}`"
    )


def _require_acceptable(context: Context, name: str, wanted: dict[str, Any]) -> None:
    # Use a placeholder for an image that is not built yet.
    values = {**wanted, "image": wanted["image"] or "image:tag"}
    given: Any = {key: value for key, value in values.items() if key not in _OF_NEW_SPACES | _OF_EXISTING_SPACES}
    spaces.require_acceptable(context, name, given)


def _ensure_registry(context: Context, name: str, created: list[str], tags: Mapping[str, str] | None) -> Registry:
    try:
        found = registry.get(name, context=context)
    except RegistryNotFoundError:
        found = registry.create(name, tags=tags, context=context)
        created.append(f"registry {name}")
    else:
        context.note(f"registry {name} already exists: using it")
    return found


def _planned_image(context: Context, name: str, source: _Source) -> str:
    """Report the plan of the registry if it does not exist, and return a placeholder for the image in it."""
    try:
        # `uri` is empty if its creation did not finish.
        where = registry.get(name, context=context).uri or name
    except RegistryNotFoundError:
        with suppress(NotApprovedError):
            registry.create(name, context=context)
        where = name
    context.note(
        f"the image is built from {source.context} when the plan is executed: the tag {_PLACEHOLDER_TAG} is a placeholder"
    )
    return f"{where}:{_PLACEHOLDER_TAG}"


def _build_and_push(context: Context, found: Registry, source: _Source, created: list[str]) -> str:
    """Build and push the image, and return its name with the unique tag."""
    say = context.note
    registry.docker_login(found.name, context=context)
    movable = f"{found.uri}:{source.image_tag}"
    say(f"building {movable} from {source.context} with {source.dockerfile}")
    program.build(movable, dockerfile=source.dockerfile, context=source.context, say=say)
    tag = program.image_id(movable)[:_ID_LENGTH]
    own = f"{found.uri}:{tag}"
    if _has_image(context, found.repository, tag):
        say(f"{own} is already in the registry")
    else:
        program.tag(movable, own)
        say(f"pushing {own}")
        program.push(own, say)
        created.append(f"image {own}")
    program.push(movable, say)
    return own


def _has_image(context: Context, repository: str, tag: str) -> bool:
    with ignore_aws_errors("ImageNotFoundException"):
        ecr = context.account.client("ecr")
        return bool(ecr.describe_images(repositoryName=repository, imageIds=[{"imageTag": tag}])["imageDetails"])
    return False


def _deploy_space(
    context: Context, name: str, created: list[str], settings: dict[str, Any], exposed: Sequence[int] = ()
) -> Space:
    """Create or update the space. A new one without a port gets the only one of the `exposed` ports of its image."""
    try:
        found = spaces.get(name, context=context)
    except SpaceNotFoundError:
        if settings.get("unset"):
            raise InputError(
                f"--unset needs an existing space, but {name} does not exist", hint="omit --unset"
            ) from None
        if settings["port"] is None and len(exposed) == 1:
            settings["port"] = exposed[0]
            context.note(f"the image exposes port {exposed[0]}: the space uses it")
        _compare_ports(context, settings["port"] or spaces.DEFAULT_PORT, exposed)
        of_new = {key: value for key, value in settings.items() if key not in _OF_EXISTING_SPACES}
        new = spaces.create(name, **of_new, context=context)
        created.append(f"space {name}")
        return new
    context.note(f"space {name} already exists: updating it to image {settings['image']}")
    _compare_ports(context, settings["port"] or found.port, exposed)
    values = {key: value for key, value in settings.items() if key not in _OF_NEW_SPACES}
    return spaces.update(name, **values, context=context)


def _compare_ports(context: Context, port: int, exposed: Sequence[int]) -> None:
    """Report a port of the space that is not the only one of the image."""
    if exposed and list(exposed) != [port]:
        listed = " and ".join(map(str, exposed))
        context.note(
            f"warning: the image exposes port{'s' if len(exposed) > 1 else ''} {listed}, and the space uses {port}: "
            "--container-port selects another one"
        )


def _write(context: Context, pipeline: workflows.GeneratedFile, created: list[str]) -> None:
    if pipeline.existing is not None:
        stale = "; `exasol-ci-setup generate-pipeline` updates it" if pipeline.stale else ""
        context.note(f"pipeline {pipeline.path} already exists: not changed{stale}")
        return
    workflows.write(pipeline)
    created.append(f"pipeline {pipeline.path}")
    context.note(f"wrote pipeline {pipeline.path}: commit it")


def _add_created(hint: str, created: list[str]) -> str:
    note = f"created before the error: {', '.join(created)}" if created else "nothing was created"
    return f"{hint}\n{note}; run the same command again to continue".lstrip()
