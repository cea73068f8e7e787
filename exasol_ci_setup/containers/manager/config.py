"""The configuration file of the container manager: images and their options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import yaml
from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from exasol_ci_setup.containers.manager import dockerfile
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
    get_document,
)
from exasol_ci_setup.core.errors import InputError
from exasol_ci_setup.core.task_graph import find_cycle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from exasol_ci_setup.containers.manager.context import Context

VARIABLE: Final = "CONTAINER_MANAGER_CONFIG"

# Options of the format without effect here, such as registry names, and tasks of another command line.
# fmt: off
UNUSED: Final = frozenset({
    "assume_role", "configuration", "container_name", "deleteable_image", "devices", "harpoon", "image_index",
    "image_name", "image_name_prefix", "log_config", "lxc_conf", "mtime", "name", "no_tty_option", "other_options",
    "persistence", "read_only_rootfs", "restart_policy", "security_opt", "shell", "squash_after",
    "squash_before_push", "tag", "tasks", "ulimits", "vars",
})
# fmt: on


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


class Image(Options):
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
    user: Formatted | None = None
    privileged: bool = False
    authentication: dict[Formatted, Registry] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _with_the_files_own(cls, value: Any, info: ValidationInfo) -> Any:
        """Add what the whole file says of contexts and variables, unless this image says it itself."""
        if not isinstance(value, dict):
            return value
        whole = get_document(info).values
        context = value.get("context")
        if context is None or isinstance(context, dict):
            own = whole.get("context")
            context = {**(own if isinstance(own, dict) else {} if own is None else {"enabled": own}), **(context or {})}
        used = {name: options for name, options in value.items() if name not in UNUSED}
        # An old name of the option.
        if "link" in used:
            used.setdefault("links", used.pop("link"))
        if "env" in whole:
            used.setdefault("env", whole["env"])
        given = {name: value.get(name) or {} for name in ("volumes", "network", "cpu")}
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


class _File(Options):
    model_config = ConfigDict(extra="ignore")

    images: dict[Annotated[str, StringConstraints(pattern=f"^{IMAGE_NAME}$")], Image] = Field(default_factory=dict)
    authentication: dict[Formatted, Registry] = Field(default_factory=dict)


@dataclass(frozen=True)
class Config:
    """A configuration file. `unused` lists the options of the format that have no effect."""

    document: Document
    images: Mapping[str, Image]
    authentication: Mapping[str, Registry]
    unused: tuple[str, ...] = ()


def load(path: Path) -> Config:
    """Read a configuration file. Raises InputError with the file, the position and the reason."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}", hint=f"set the configuration with `--config PATH` or {VARIABLE}"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} cannot be read: it is not UTF-8 at byte {error.start}") from error
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise InputError(f"{path}: {where}{getattr(error, 'problem', None) or error}") from error
    except (ValueError, RecursionError) as error:
        # Such as an impossible date. The YAML reader does not report its position.
        why = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise InputError(f"{path}: a value cannot be read: {why}") from error
    if values is not None and not isinstance(values, dict):
        raise InputError(f"{path}: the file must be a mapping with the key `images`")
    return read(values or {}, path)


def read(values: dict[str, Any], path: Path) -> Config:
    """Validate the values of the file at `path`. Raises InputError as `load` does."""
    values = {**values, "images": values.get("images") or {}}
    document = Document(values, path.absolute().parent)
    try:
        file = _File.model_validate(values, context=document)
    except ValidationError as error:
        raise InputError("\n".join(f"{path}: {line.removeprefix('.')}" for line in _render_errors(error))) from None
    for needs, what in (
        ({name: dockerfile.parent_images(image.commands) for name, image in file.images.items()}, "is built from"),
        ({name: image.required for name, image in file.images.items()}, "depends on"),
    ):
        if chain := find_cycle(needs):
            raise InputError(f"{path}: images.{chain[0]}: the image {what} itself: {' -> '.join(chain)}")
    unused = tuple(f"images.{name}.{key}" for name in file.images for key in values["images"][name] if key in UNUSED)
    return Config(document, file.images, file.authentication, unused)


def _render_errors(error: ValidationError) -> list[str]:
    """Return one line for each problem, with its path and its reason."""
    lines: list[str] = []
    for each in error.errors(include_url=False):
        where = "".join(_render_part(part) for part in each["loc"] if part != "[key]")
        raised = each.get("ctx", {}).get("error")
        reason = str(raised) if raised is not None else _reason(each["type"], each["msg"])
        lines.append(f"{where}{reason}" if reason.startswith(("[", ":")) else f"{where}: {reason}")
    return lines


def _render_part(part: str | int) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    return f".{part}" if part.isprintable() else f".{part!r}"


def _reason(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "unknown option"
    if kind in {"model_type", "dict_type"}:
        return "a mapping of options is needed"
    return message[:1].lower() + message[1:]
