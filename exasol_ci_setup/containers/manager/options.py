"""Models of the options of an image in the configuration file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationInfo, model_validator

from exasol_ci_setup.containers.manager import ports
from exasol_ci_setup.containers.manager.context import Context
from exasol_ci_setup.containers.manager.document import Document
from exasol_ci_setup.containers.manager.ports import Port

if TYPE_CHECKING:
    from collections.abc import Iterator

_PAIR: Final = 2
_TRIPLE: Final = 3
_MAX_SECONDS: Final = 7 * 24 * 3600  # a thread cannot wait for arbitrarily long times
_VARIABLE: Final = re.compile(r"([^:=\s]+)(?:([:=])(.*))?", re.DOTALL)
_LINK: Final = re.compile(r"(\{[^}]*\}|[^:{}]+)(?::([^:]+))?")
# Such as ro, or z,ro: https://docs.docker.com/engine/storage/bind-mounts/#options-for---volume
_MODE: Final = re.compile(r"[a-zA-Z]+(,[a-zA-Z]+)*")

T = TypeVar("T")


def get_document(info: ValidationInfo) -> Document:
    """Return the document from the context of a pydantic validation."""
    if not isinstance(info.context, Document):
        raise TypeError("the context of the validation must be a Document")
    return info.context


def _expand(value: Any, info: ValidationInfo) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError("a string is needed")  # noqa: TRY004 - pydantic reports only ValueError
    return get_document(info).expand(str(value))


def _to_list(value: Any) -> Any:
    return [] if value is None else value if isinstance(value, (list, tuple)) else [value]


def _image(value: Any, info: ValidationInfo) -> str:
    if not isinstance(value, str):
        raise ValueError("the name of an image is needed")  # noqa: TRY004 - pydantic reports only ValueError
    document = get_document(info)
    name = document.find_image(value) or value.strip()
    document.require_image(name)
    return name


def _port(value: Any, info: ValidationInfo) -> Port:
    if isinstance(value, Port):
        return value
    return ports.parse(get_document(info).expand(value) if isinstance(value, str) else value)


Formatted = Annotated[str, BeforeValidator(_expand)]
ImageName = Annotated[str, BeforeValidator(_image)]
Listed = Annotated[tuple[T, ...], BeforeValidator(_to_list)]
PublishedPort = Annotated[Port, BeforeValidator(_port)]


class _Unused:
    """Marks an option that is accepted without effect."""


def refused(reason: str) -> BeforeValidator:
    """Return a validator that rejects a value with the reason, unless it is empty."""

    def refuse(value: Any) -> Any:
        if value:
            raise ValueError(reason)
        return value

    return BeforeValidator(refuse)


# Only for options that cannot change a container.
WithoutEffect = Annotated[Any, _Unused()]


class Options(BaseModel):
    """A model that rejects unknown options."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def find_unused(self, path: str = "") -> Iterator[str]:
        """Yield the paths of the given options that have no effect."""
        for name in type(self).model_fields:
            if name not in self.model_fields_set:
                continue
            value, where = getattr(self, name), f"{path}.{name}" if path else name
            if any(isinstance(each, _Unused) for each in type(self).model_fields[name].metadata):
                yield where
            elif isinstance(value, Options):
                yield from value.find_unused(where)
            elif isinstance(value, dict):
                for key, each in value.items():
                    if isinstance(each, Options):
                        yield from each.find_unused(f"{where}.{key}")


class ContextOptions(Options):
    """``context``: a Boolean, or a selection of files; omitted options come from ``context`` of the file."""

    enabled: bool = True
    parent_dir: Formatted = Field(default="{config_root}", validate_default=True)
    use_gitignore: bool = False
    include: Listed[str] = ()
    exclude: Listed[str] = ()
    # All files of a context have the same time, and no program searches for them.
    use_git_timestamps: WithoutEffect = None
    find_options: WithoutEffect = None
    ignore_find_errors: WithoutEffect = None

    @model_validator(mode="before")
    @classmethod
    def _parse_bool(cls, value: Any) -> Any:
        return {"enabled": value} if isinstance(value, bool) else {} if value is None else value

    def resolve(self, document: Document) -> Context:
        """Return the context; its folder is relative to the folder of the file."""
        folder = document.root / Path(self.parent_dir).expanduser()
        return Context(folder, self.enabled, self.use_gitignore, self.include, self.exclude)


class Variable(Options):
    """``NAME`` from the environment of the manager, ``NAME:default``, or ``NAME=value``."""

    name: str
    value: str | None = None
    default: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _parse_text(cls, value: Any, info: ValidationInfo) -> Any:
        found = _VARIABLE.fullmatch(_expand(value, info))
        if not found:
            raise ValueError(f"{value!r} is not a variable: write NAME, NAME:default or NAME=value")
        return {"name": found[1], {"=": "value", ":": "default"}.get(found[2], "value"): found[3]}


class Link(Options):
    """A link to the container of another image: ``"{images.db}"``, ``"{images.db}:alias"``, or a list of both."""

    image: ImageName
    alias: str

    @model_validator(mode="before")
    @classmethod
    def _parse_text(cls, value: Any) -> Any:
        found = _LINK.fullmatch(value) if isinstance(value, str) else None
        parts = list(found.groups()) if found else value
        if not isinstance(parts, list) or len(parts) not in {1, _PAIR}:
            raise ValueError(f"{value!r} is not a link: write an image, or [image, name]")
        image, alias = (*parts, None)[:_PAIR]
        name = re.sub(r"^\{images\.|(\.container_name)?\}$", "", str(image))
        return {"image": image, "alias": alias or name}


class Mount(Options):
    """``SOURCE:PATH`` or ``SOURCE:PATH:MODE``: mounts a folder of the host, or a volume, in the container."""

    source: str
    target: str
    mode: str = "rw"

    @model_validator(mode="before")
    @classmethod
    def _parse_text(cls, value: Any, info: ValidationInfo) -> Any:
        document = get_document(info)
        parts = document.expand(value).split(":") if isinstance(value, str) else value
        if (
            not isinstance(parts, list)
            or len(parts) not in {_PAIR, _TRIPLE}
            or not all(isinstance(p, str) for p in parts)
        ):
            raise ValueError(f"{value!r} is not a mount: write FOLDER:PATH or FOLDER:PATH:ro")
        source, target, mode = (*(document.expand(part) if isinstance(value, list) else part for part in parts), "rw")[
            :_TRIPLE
        ]
        if not source or not target.startswith("/") or not _MODE.fullmatch(mode):
            raise ValueError(f"{value!r} is not a mount: PATH must be absolute, and the mode a word such as ro or rw")
        if "/" in source or source.startswith((".", "~")):
            source = str(document.root / Path(source).expanduser())
        return {"source": source, "target": target, "mode": mode}


class Volumes(Options):
    """``volumes``: mounts, and images whose volumes the container shares."""

    mount: Listed[Mount] = ()
    share_with: Listed[ImageName] = ()


class WaitCondition(Options):
    """``wait_condition``: the conditions for a container to be ready; times in seconds.

    With `healthy`, the health check of the image must succeed. If it is omitted, the health check counts only if there is no other
    condition.
    """

    timeout: float = Field(default=300, gt=0, le=_MAX_SECONDS)
    wait_between_attempts: float = Field(default=0.2, ge=0.01, le=_MAX_SECONDS)
    greps: dict[Formatted, Formatted] = Field(default_factory=dict)
    command: Listed[Formatted] = ()
    port_open: Listed[Annotated[int, Field(ge=1, le=65535)]] = ()
    file_value: dict[Formatted, Formatted] = Field(default_factory=dict)
    curl_result: dict[Formatted, Formatted] = Field(default_factory=dict)
    file_exists: Listed[Formatted] = ()
    healthy: bool | None = None

    def checks_health(self, *, has_health_check: bool) -> bool:
        """Return whether the container must be healthy to be ready."""
        if self.healthy is not None:
            return self.healthy
        others = (self.greps, self.command, self.port_open, self.file_value, self.curl_result, self.file_exists)
        return has_health_check and not any(others)


class DependencyOptions(Options):
    """``dependency_options.IMAGE``: a wait condition that replaces the one of the dependency."""

    # The manager does not attach to containers.
    attached: WithoutEffect = None
    wait_condition: WaitCondition | None = None


class Network(Options):
    """``network``: the network mode, and host names."""

    mode: Formatted | None = None
    network_mode: Formatted | None = None
    hostname: Formatted | None = None
    domainname: Formatted | None = None
    disabled: bool = False
    dns: Listed[Formatted] = ()
    dns_search: Listed[Formatted] = ()
    extra_hosts: Listed[Annotated[Formatted, Field(pattern=r"^[^:]+:.+$")]] = ()
    publish_all_ports: bool = False

    @property
    def effective_mode(self) -> str | None:
        """The network mode, or None for the default of the engine."""
        return "none" if self.disabled else self.network_mode or self.mode


class Cpu(Options):
    """``cpu``: limits and capabilities. Memory is in bytes, or has a unit, such as 512m; -1 removes the limit of swap."""

    mem_limit: Annotated[int | str, Field(union_mode="left_to_right")] = 0
    memswap_limit: Annotated[int | str, Field(union_mode="left_to_right")] = 0
    cpu_shares: int | None = None
    cpuset_cpus: Formatted | None = None
    cpuset_mems: Formatted | None = None
    cap_add: Listed[str] = ()
    cap_drop: Listed[str] = ()

    @model_validator(mode="after")
    def _check_sizes(self) -> Cpu:
        for name in ("mem_limit", "memswap_limit"):
            if not re.fullmatch(r"-1|[0-9]+[bkmg]?", str(getattr(self, name)), re.IGNORECASE):
                raise ValueError(f"{name} must be a number of bytes, or a number with unit b, k, m or g, such as 512m")
        return self


class Login(Options):
    """The login of a registry."""

    use: Literal["plain"]
    username: Formatted
    password: SecretStr

    @model_validator(mode="before")
    @classmethod
    def _expand_password(cls, value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, dict) or not isinstance(value.get("password"), str):
            return value
        try:
            return {**value, "password": get_document(info).expand(value["password"])}
        except ValueError:
            # The original reason contains the password.
            raise ValueError("the password has invalid braces; write {{ for a brace") from None


class Registry(Options):
    """``authentication.REGISTRY``. Only ``reading`` has an effect: the manager pushes no images."""

    reading: Login | None = None
    writing: WithoutEffect = None
