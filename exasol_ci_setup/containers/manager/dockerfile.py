"""The Dockerfile of an image, and the files that it needs besides its context."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from exasol_ci_setup.containers.manager.context import Context  # noqa: TC001 - pydantic reads the annotations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from exasol_ci_setup.containers.manager.document import Document

# The directory of generated files in a build context. It does not collide with files of the context.
OWN_DIRECTORY: Final = ".container-manager"
_FROM: Final = re.compile(r"\s*FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?\s*", re.IGNORECASE)
_COPY: Final = re.compile(r"\s*(?:COPY|ADD)\s+(?:--\S+\s+)*?--from=(\S+)\s", re.IGNORECASE)
_AFTER_IMAGE: Final = re.compile(r"(\{[^}]*\})(\s+AS\s+[\w.-]+)?", re.IGNORECASE)
_PAIR: Final = 2


@dataclass(frozen=True)
class LineInstruction:
    """A literal line of the Dockerfile."""

    text: str


@dataclass(frozen=True)
class FromInstruction:
    """FROM another image of the configuration; `rest` may be `` AS name``."""

    image: str
    rest: str = ""


@dataclass(frozen=True)
class CopyInstruction:
    """COPY a path of another image of the configuration."""

    image: str
    path: str
    to: str


@dataclass(frozen=True)
class AddContent:
    """ADD a file with the given content."""

    dest: str
    content: str

    @property
    def name(self) -> str:
        """The name of the file in the context."""
        return f"{OWN_DIRECTORY}/{hashlib.sha256(self.content.encode('utf-8', 'surrogatepass')).hexdigest()}"


@dataclass(frozen=True)
class AddContext:
    """ADD the files of a separate context; `number` is unique within the image."""

    dest: str
    context: Context
    number: int

    @property
    def name(self) -> str:
        """The name of the archive in the context; ADD unpacks it."""
        return f"{OWN_DIRECTORY}/context-{self.number}.tar.gz"


Instruction: TypeAlias = LineInstruction | FromInstruction | CopyInstruction | AddContent | AddContext


def parse(commands: Sequence[Any], document: Document, context: Callable[[Any], Context]) -> tuple[Instruction, ...]:
    """Parse the commands of an image; `context` reads the options of a context.

    Raises ValueError with the number of the invalid command and the reason.
    """
    found: list[Instruction] = []
    for number, command in enumerate(commands):
        try:
            found += _parse_command(command, document, context, len(found))
        except ValueError as error:  # noqa: PERF203 - it ends the loop
            raise ValueError(f"[{number}]: {error}") from None
    if not any(
        isinstance(each, FromInstruction) or (isinstance(each, LineInstruction) and _FROM.match(each.text))
        for each in found
    ):
        raise ValueError(": FROM is missing")
    return tuple(found)


def _parse_command(
    command: Any, document: Document, context: Callable[[Any], Context], number: int
) -> Iterator[Instruction]:
    if isinstance(command, str):
        if not command.strip():
            raise ValueError("the command is empty")
        yield LineInstruction(command)
        return
    if isinstance(command, dict) and len(command) == 1:
        command = next(iter(command.items()))
    if not isinstance(command, (list, tuple)) or len(command) != _PAIR or not isinstance(command[0], str):
        raise ValueError("a command must be a string, or a list of an instruction and its value")
    name, value = command[0].strip(), command[1]
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, dict):
            yield from _parse_options(name.upper(), each, document, context, number)
        elif isinstance(each, (str, int, float)):
            yield _parse_text(name, str(each), document)
        else:
            raise ValueError(f"{name} needs a string, a list of strings, or options")  # noqa: TRY004 - pydantic reports only ValueError


def _parse_text(name: str, value: str, document: Document) -> Instruction:
    found = _AFTER_IMAGE.fullmatch(value.strip())
    if name.upper() == "FROM" and found and (image := document.find_image(found[1])):
        return FromInstruction(image, found[2] or "")
    return LineInstruction(f"{name} {document.expand(value)}")


def _parse_options(
    name: str, options: dict[Any, Any], document: Document, context: Callable[[Any], Context], number: int
) -> Iterator[Instruction]:
    if name == "COPY":
        _require_known(name, options, {"from", "path", "to"})
        path, to = _get_text(name, options, "path"), _get_text(name, options, "to")
        yield _parse_copy(
            options["from"] if isinstance(options.get("from"), int) else _get_text(name, options, "from"),
            path,
            to,
            document,
        )
        return
    if name != "ADD":
        raise ValueError(f"{name} has no options; only ADD and COPY have options")
    kinds = [key for key in ("content", "formatted", "context", "get") if key in options]
    if len(kinds) != 1:
        raise ValueError("ADD needs exactly one of content, formatted, context and get")
    (kind,) = kinds
    if kind == "get":
        _require_known(name, options, {"get", "prefix"})
        prefix = document.expand(_get_text(name, options, "prefix", "")).rstrip("/")
        for path in options["get"] if isinstance(options["get"], list) else [options["get"]]:
            if not isinstance(path, str):
                raise ValueError("ADD with get needs a path or a list of paths")  # noqa: TRY004 - as above
            source = document.expand(path)
            yield LineInstruction(
                f"ADD {json.dumps([source, f'{prefix}/{source}' if 'prefix' in options else source])}"
            )
        return
    # The modification time is accepted and ignored: current engines do not compare it.
    _require_known(name, options, {"dest", "mtime", kind})
    dest = document.expand(_get_text(name, options, "dest"))
    if kind == "context":
        yield AddContext(dest, context(options[kind]), number)
    elif isinstance(options[kind], dict):
        _require_known("ADD with content", options[kind], {"image", "path"})
        yield _parse_copy(
            _get_text(name, options[kind], "image"), _get_text(name, options[kind], "path"), dest, document
        )
    else:
        content = _get_text(name, options, kind, empty=True)
        yield AddContent(dest, document.expand(content) if kind == "formatted" else content)


def _parse_copy(source: str | int, path: str, to: str, document: Document) -> Instruction:
    path, to = document.expand(path), document.expand(to)
    if isinstance(source, str) and (image := document.find_image(source)):
        return CopyInstruction(image, path, to)
    return LineInstruction(_render_copy(str(source) if isinstance(source, int) else document.expand(source), path, to))


def _render_copy(source: str, path: str, to: str) -> str:
    return f"COPY --from={source} {json.dumps([path, to])}"


def _require_known(name: str, options: dict[Any, Any], known: set[str]) -> None:
    if unknown := [str(key) for key in options if key not in known]:
        raise ValueError(f"unknown options of {name}: {', '.join(unknown)}; known are {', '.join(sorted(known))}")


def _get_text(name: str, options: dict[Any, Any], key: str, default: str | None = None, *, empty: bool = False) -> str:
    value = options.get(key, default)
    if not isinstance(value, str) or not (value or empty or default is not None):
        raise ValueError(f"{name} needs {key}, a string")
    return value


def parent_images(instructions: Sequence[Instruction]) -> tuple[str, ...]:
    """Return the images of the configuration that the instructions use."""
    return tuple(
        dict.fromkeys(each.image for each in instructions if isinstance(each, (FromInstruction, CopyInstruction)))
    )


def external_images(instructions: Sequence[Instruction]) -> tuple[str, ...]:
    """Return the images from registries that the instructions use, except names with build variables."""
    stages: set[str] = set()
    found: dict[str, None] = {}
    for each in instructions:
        if isinstance(each, FromInstruction):
            stages.update(each.rest.split()[1:])
        if not isinstance(each, LineInstruction):
            continue
        if origin := _FROM.match(each.text):
            if origin[1] not in {*stages, "scratch"}:
                found[origin[1]] = None
            stages.update({origin[2]} if origin[2] else set())
        elif (copied := _COPY.match(each.text)) and copied[1] not in stages and not copied[1].isdigit():
            found[copied[1]] = None
    return tuple(name for name in found if "$" not in name)


def render(instructions: Sequence[Instruction], tags: Mapping[str, str]) -> str:
    """Return the Dockerfile; `tags` maps images of the configuration to their tags."""
    lines: list[str] = []
    for each in instructions:
        if isinstance(each, LineInstruction):
            lines.append(each.text)
        elif isinstance(each, FromInstruction):
            lines.append(f"FROM {tags[each.image]}{each.rest}")
        elif isinstance(each, CopyInstruction):
            lines.append(_render_copy(tags[each.image], each.path, each.to))
        else:
            lines.append(f"ADD {json.dumps([each.name, each.dest])}")
    return "".join(f"{line}\n" for line in lines)
