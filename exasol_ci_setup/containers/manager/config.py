"""The configuration file of the container manager: images and their options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from exasol_ci_setup.containers.manager import dockerfile, sources
from exasol_ci_setup.containers.manager.document import IMAGE_NAME, Document
from exasol_ci_setup.containers.manager.options import (
    ContextOptions,
    Cpu,
    DependencyOptions,
    Formatted,
    ImageName,
    Link,
    Listed,
    Network,
    Options,
    PublishedPort,
    Registry,
    Variable,
    Volumes,
    WaitCondition,
    WithoutEffect,
    get_document,
    refused,
)
from exasol_ci_setup.containers.manager.run_options import (
    Device,
    LogConfig,
    OtherOptions,
    RestartPolicy,
    Shell,
    Ulimit,
)
from exasol_ci_setup.containers.manager.sources import merge
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.core.rules import rule_of
from exasol_ci_setup.core.task_graph import find_cycle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pydantic_core import ErrorDetails

    from exasol_ci_setup.containers.manager.context import Context


def _commands(value: Any, info: ValidationInfo) -> tuple[dockerfile.Instruction, ...]:
    if not isinstance(value, list):
        raise ValueError("a list of commands is needed")  # noqa: TRY004 - pydantic reports only ValueError
    return dockerfile.parse(value, get_document(info), _context_reader(get_document(info)))


def _context_reader(document: Document) -> Callable[[Any], Context]:
    def read(value: Any) -> Context:
        try:
            return ContextOptions.model_validate(value, context=document).resolve(document)
        except ValidationError as error:
            raise ValueError("; ".join(f"context{line}" for line in _render_errors(error))) from None

    return read


class ProgramOptions(Options):
    """Options of the command line of the program that the format is from: registry names, tasks, and its settings.

    None of them changes a container, so they are accepted without effect.
    """

    cache_from: WithoutEffect = None
    cleanup_intermediate_images: WithoutEffect = None
    configuration: WithoutEffect = None
    container_name: WithoutEffect = None
    deleteable_image: WithoutEffect = None
    harpoon: WithoutEffect = None
    image_index: WithoutEffect = None
    image_name: WithoutEffect = None
    image_name_prefix: WithoutEffect = None
    mtime: WithoutEffect = None
    name: WithoutEffect = None
    no_tty_option: WithoutEffect = None
    persistence: WithoutEffect = None
    squash_after: WithoutEffect = None
    squash_before_push: WithoutEffect = None
    tag: WithoutEffect = None
    tasks: WithoutEffect = None
    vars: WithoutEffect = None


class Image(ProgramOptions):
    """The options of an image: how to build it, and how to run its container."""

    commands: Annotated[tuple[dockerfile.Instruction, ...], BeforeValidator(_commands)]
    context: ContextOptions
    volumes: Volumes
    network: Network
    cpu: Cpu
    env: Listed[Variable] = ()
    ports: Listed[PublishedPort] = ()
    links: Listed[Link] = ()
    dependencies: Listed[ImageName] = ()
    dependency_options: dict[ImageName, DependencyOptions] = Field(default_factory=dict)
    wait_condition: WaitCondition | None = None
    command: Formatted | None = None
    bash: Formatted | None = None
    shell: Shell = "/bin/bash"
    user: Formatted | None = None
    privileged: bool = False
    read_only_rootfs: bool = False
    security_opt: Listed[str] = ()
    ulimits: Listed[Ulimit] = ()
    devices: Listed[Device] = ()
    log_config: LogConfig | None = None
    restart_policy: RestartPolicy | None = None
    other_options: OtherOptions = Field(default_factory=OtherOptions)
    authentication: dict[Formatted, Registry] = Field(default_factory=dict)
    assume_role: Annotated[
        Any, refused("the manager assumes no role: start it with the credentials, and list their variables in env")
    ] = None
    lxc_conf: Annotated[Any, refused("engines have no LXC driver since version 1.10")] = None

    @model_validator(mode="before")
    @classmethod
    def _add_defaults(cls, value: Any, info: ValidationInfo) -> Any:
        """Add the options at the top level of the file, unless the image has them itself."""
        if not isinstance(value, dict):
            return value
        whole = get_document(info).values
        used = dict(value)
        # An old name of the option.
        if "link" in used:
            used.setdefault("links", used.pop("link"))
        for name in cls.model_fields.keys() - ProgramOptions.model_fields.keys() - {"context", "authentication"}:
            if name in whole:
                used[name] = merge(whole[name], used[name]) if name in used else whole[name]
        given = {name: used.get(name) or {} for name in ("volumes", "network", "cpu", "other_options")}
        own, context = whole.get("context"), value.get("context")
        if context is None or isinstance(context, dict):
            context = {**(own if isinstance(own, dict) else {} if own is None else {"enabled": own}), **(context or {})}
        return {**used, **given, "context": context}

    @model_validator(mode="after")
    def _require_own_network(self) -> Image:
        if self.links and self.network.effective_mode:
            raise ValueError(f"links need a separate network, but network is {self.network.effective_mode!r}")
        return self

    @property
    def required(self) -> tuple[str, ...]:
        """The images whose containers must run before this container."""
        return tuple(
            dict.fromkeys((*(link.image for link in self.links), *self.volumes.share_with, *self.dependencies))
        )


class _Settings(Options):
    """``harpoon``: settings of the program that the format is from. `sources` reads `extra_files`."""

    model_config = ConfigDict(extra="allow")

    addons: Annotated[Any, refused("the manager runs no addons: write their images to the file")] = None


class _File(Options):
    model_config = ConfigDict(extra="ignore")

    images: dict[Annotated[str, StringConstraints(pattern=f"^{IMAGE_NAME}$")], Image] = Field(default_factory=dict)
    authentication: dict[Formatted, Registry] = Field(default_factory=dict)
    harpoon: _Settings | None = None


@dataclass(frozen=True)
class Config:
    """A configuration. `unused` lists the options of the format that have no effect."""

    document: Document
    images: Mapping[str, Image]
    authentication: Mapping[str, Registry]
    unused: tuple[str, ...] = ()


def load(path: Path) -> Config:
    """Read a configuration file, and the files that it lists. Raises InputError with the file, the position and the reason."""
    found = sources.read(path)
    return read(found.values, path, origins=found.origins)


def read(values: dict[str, Any], path: Path, *, origins: Mapping[str, Path] | None = None) -> Config:
    """Validate the values of the file at `path`; `origins` are the files of images from other files. Raises InputError as `load` does."""
    values = {**values, "images": values.get("images") or {}}
    document = Document(values, path.absolute().parent)
    try:
        file = _File.model_validate(values, context=document)
    except ValidationError as error:
        lines = [
            f"{_find_origin(each['loc'], path, origins or {})}: {line.removeprefix('.')}"
            for each, line in zip(error.errors(include_url=False), _render_errors(error), strict=True)
        ]
        raise InputError("\n".join(lines)) from None
    for needs, what in (
        ({name: dockerfile.parent_images(image.commands) for name, image in file.images.items()}, "is built from"),
        ({name: image.required for name, image in file.images.items()}, "depends on"),
    ):
        if chain := find_cycle(needs):
            raise InputError(f"{path}: images.{chain[0]}: the image {what} itself: {' -> '.join(chain)}")
    settings = file.harpoon.model_extra if file.harpoon is not None else None
    unused = (
        *file.find_unused(),
        *(f"harpoon.{name}" for name in settings or () if name != "extra_files"),
    )
    return Config(document, file.images, file.authentication, unused)


def _find_origin(where: tuple[int | str, ...], path: Path, origins: Mapping[str, Path]) -> Path:
    return origins.get(str(where[1]), path) if len(where) > 1 and where[0] == "images" else path


def _render_errors(error: ValidationError) -> list[str]:
    """Return one line for each problem, with its path and its reason."""
    lines: list[str] = []
    for each in error.errors(include_url=False):
        where = "".join(_render_part(part) for part in each["loc"] if part != "[key]")
        reason = _reason(each)
        lines.append(f"{where}{reason}" if reason.startswith(("[", ":")) else f"{where}: {reason}")
    return lines


def _render_part(part: str | int) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    return f".{part}" if part.isprintable() else f".{part!r}"


def _reason(problem: ErrorDetails) -> str:
    if problem["type"] == "extra_forbidden":
        return "unknown option"
    if problem["type"] in {"model_type", "dict_type"}:
        return "a mapping of options is needed"
    return rule_of(problem)
