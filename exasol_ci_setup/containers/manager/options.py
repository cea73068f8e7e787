"""The options of an image as the configuration file has them, each read into a model that is checked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationInfo, model_validator

from exasol_ci_setup.containers.manager import ports
from exasol_ci_setup.containers.manager.context import Context
from exasol_ci_setup.containers.manager.document import Document
from exasol_ci_setup.containers.manager.ports import Port

_PAIR: Final = 2
_TRIPLE: Final = 3
_LONGEST: Final = 7 * 24 * 3600  # seconds; a thread cannot wait for ever longer ones
_VARIABLE: Final = re.compile(r"([^:=\s]+)(?:([:=])(.*))?", re.DOTALL)
_LINK: Final = re.compile(r"(\{[^}]*\}|[^:{}]+)(?::([^:]+))?")
# Such as ro, or z,ro: https://docs.docker.com/engine/storage/bind-mounts/#options-for---volume
_MODE: Final = re.compile(r"[a-zA-Z]+(,[a-zA-Z]+)*")

T = TypeVar("T")


def document_of(info: ValidationInfo) -> Document:
    """Return the document that a model is read from, which is handed to pydantic as the context of the validation."""
    if not isinstance(info.context, Document):
        raise TypeError("options are read with their document as context")
    return info.context


def _formatted(value: Any, info: ValidationInfo) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError("write a text")  # noqa: TRY004 - as pydantic wants it
    return document_of(info).text(str(value))


def _listed(value: Any) -> Any:
    return [] if value is None else value if isinstance(value, (list, tuple)) else [value]


def _image(value: Any, info: ValidationInfo) -> str:
    if not isinstance(value, str):
        raise ValueError("write the name of an image")  # noqa: TRY004 - as pydantic wants it
    document = document_of(info)
    name = document.image(value) or value.strip()
    document.require_image(name)
    return name


def _port(value: Any, info: ValidationInfo) -> Port:
    if isinstance(value, Port):
        return value
    return ports.parse(document_of(info).text(value) if isinstance(value, str) else value)


Formatted = Annotated[str, BeforeValidator(_formatted)]
ImageName = Annotated[str, BeforeValidator(_image)]
Listed = Annotated[tuple[T, ...], BeforeValidator(_listed)]
PublishedPort = Annotated[Port, BeforeValidator(_port)]


class Options(BaseModel):
    """Options that are all known."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ContextOptions(Options):
    """``context``: a truth value, or which files of which folder; the file's own ``context`` has what is not said here."""

    enabled: bool = True
    parent_dir: Formatted = Field(default="{config_root}", validate_default=True)
    use_gitignore: bool = False
    include: Listed[str] = ()
    exclude: Listed[str] = ()
    # Times do not matter to what is built: each file has the same.
    use_git_timestamps: Any = None

    @model_validator(mode="before")
    @classmethod
    def _of_truth_value(cls, value: Any) -> Any:
        return {"enabled": value} if isinstance(value, bool) else {} if value is None else value

    def of(self, document: Document) -> Context:
        """Return the context that is meant, its folder found from the file's own."""
        folder = document.root / Path(self.parent_dir).expanduser()
        return Context(folder, self.enabled, self.use_gitignore, self.include, self.exclude)


class Variable(Options):
    """``NAME``, which must be set where the manager runs, ``NAME:default``, or ``NAME=value``."""

    name: str
    value: str | None = None
    default: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _of_text(cls, value: Any, info: ValidationInfo) -> Any:
        found = _VARIABLE.fullmatch(_formatted(value, info))
        if not found:
            raise ValueError(f"{value!r} is not a variable: write NAME, NAME:default or NAME=value")
        return {"name": found[1], {"=": "value", ":": "default"}.get(found[2], "value"): found[3]}


class Link(Options):
    """``"{images.db}"``, ``"{images.db}:alias"`` or both in a list: the container of another image, under a name."""

    image: ImageName
    alias: str

    @model_validator(mode="before")
    @classmethod
    def _of_text(cls, value: Any) -> Any:
        found = _LINK.fullmatch(value) if isinstance(value, str) else None
        parts = list(found.groups()) if found else value
        if not isinstance(parts, list) or len(parts) not in {1, _PAIR}:
            raise ValueError(f"{value!r} is not a link: write an image, or [image, name]")
        image, alias = (*parts, None)[:_PAIR]
        name = re.sub(r"^\{images\.|(\.container_name)?\}$", "", str(image))
        return {"image": image, "alias": alias or name}


class Mount(Options):
    """``FOLDER:PATH`` or ``FOLDER:PATH:MODE``: a folder of the engine's host, or a volume by its name, in the container."""

    source: str
    target: str
    mode: str = "rw"

    @model_validator(mode="before")
    @classmethod
    def _of_text(cls, value: Any, info: ValidationInfo) -> Any:
        document = document_of(info)
        parts = document.text(value).split(":") if isinstance(value, str) else value
        if (
            not isinstance(parts, list)
            or len(parts) not in {_PAIR, _TRIPLE}
            or not all(isinstance(p, str) for p in parts)
        ):
            raise ValueError(f"{value!r} is not a mount: write FOLDER:PATH or FOLDER:PATH:ro")
        source, target, mode = (*(document.text(part) if isinstance(value, list) else part for part in parts), "rw")[
            :_TRIPLE
        ]
        if not source or not target.startswith("/") or not _MODE.fullmatch(mode):
            raise ValueError(f"{value!r} is not a mount: PATH must be absolute, and the mode such as ro or rw")
        if "/" in source or source.startswith((".", "~")):
            source = str(document.root / Path(source).expanduser())
        return {"source": source, "target": target, "mode": mode}


class Volumes(Options):
    """``volumes``: what is mounted, and whose volumes are."""

    mount: Listed[Mount] = ()
    share_with: Listed[ImageName] = ()


class WaitCondition(Options):
    """``wait_condition``: what must be so before a container counts as started; times in seconds."""

    timeout: float = Field(default=300, gt=0, le=_LONGEST)
    wait_between_attempts: float = Field(default=0.2, ge=0.01, le=_LONGEST)
    greps: dict[Formatted, Formatted] = Field(default_factory=dict)
    command: Listed[Formatted] = ()
    port_open: Listed[Annotated[int, Field(ge=1, le=65535)]] = ()
    file_value: dict[Formatted, Formatted] = Field(default_factory=dict)
    curl_result: dict[Formatted, Formatted] = Field(default_factory=dict)
    file_exists: Listed[Formatted] = ()


class DependencyOptions(Options):
    """``dependency_options.IMAGE``: what to wait for in place of the dependency's own condition."""

    # Output of a dependency is the engine's to keep; nobody looks on.
    attached: Any = None
    wait_condition: WaitCondition | None = None


class Network(Options):
    """``network``: names, and the mode that the engine knows."""

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
    def chosen(self) -> str | None:
        """The engine's network mode, or None for its default."""
        return "none" if self.disabled else self.network_mode or self.mode


class Cpu(Options):
    """``cpu``: limits; memory in bytes, or with a unit such as 512m; -1 swaps without a limit."""

    mem_limit: Annotated[int | str, Field(union_mode="left_to_right")] = 0
    memswap_limit: Annotated[int | str, Field(union_mode="left_to_right")] = 0
    cpu_shares: int | None = None

    @model_validator(mode="after")
    def _sizes(self) -> Cpu:
        for name in ("mem_limit", "memswap_limit"):
            if not re.fullmatch(r"-1|[0-9]+[bkmg]?", str(getattr(self, name)), re.IGNORECASE):
                raise ValueError(f"{name} is bytes, or a number with one of b, k, m and g, such as 512m")
        return self


class Login(Options):
    """Who may pull from a registry."""

    use: Literal["plain"]
    username: Formatted
    password: SecretStr

    @model_validator(mode="before")
    @classmethod
    def _with_password(cls, value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, dict) or not isinstance(value.get("password"), str):
            return value
        try:
            return {**value, "password": document_of(info).text(value["password"])}
        except ValueError:
            # The reason would show it.
            raise ValueError("the password has braces that stand for nothing; write {{ for a brace") from None


class Registry(Options):
    """``authentication.REGISTRY``; nothing is pushed, so only ``reading`` counts."""

    reading: Login | None = None
    writing: Any = None
