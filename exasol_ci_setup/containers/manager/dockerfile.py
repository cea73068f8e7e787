"""From the commands of an image to its Dockerfile, and to the files that it needs besides its context."""

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

# Where our own files stand in a context, so that they are in nobody's way.
OURS: Final = ".container-manager"
_FROM: Final = re.compile(r"\s*FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?\s*", re.IGNORECASE)
_COPY: Final = re.compile(r"\s*(?:COPY|ADD)\s+(?:--\S+\s+)*?--from=(\S+)\s", re.IGNORECASE)
_AFTER_IMAGE: Final = re.compile(r"(\{[^}]*\})(\s+AS\s+[\w.-]+)?", re.IGNORECASE)
_PAIR: Final = 2


@dataclass(frozen=True)
class Line:
    """A line of the Dockerfile, as it is."""

    text: str


@dataclass(frozen=True)
class From:
    """FROM another image of the configuration; `rest` may be `` AS name``."""

    image: str
    rest: str = ""


@dataclass(frozen=True)
class Copy:
    """COPY a path of another image of the configuration."""

    image: str
    path: str
    to: str


@dataclass(frozen=True)
class AddContent:
    """ADD a file with this content."""

    dest: str
    content: str

    @property
    def name(self) -> str:
        """Its name in the context."""
        return f"{OURS}/{hashlib.sha256(self.content.encode('utf-8', 'surrogatepass')).hexdigest()}"


@dataclass(frozen=True)
class AddContext:
    """ADD the files of a context of its own; `number` tells those of an image apart."""

    dest: str
    context: Context
    number: int

    @property
    def name(self) -> str:
        """Its name in the context: an archive, which ADD unpacks."""
        return f"{OURS}/context-{self.number}.tar.gz"


Instruction: TypeAlias = Line | From | Copy | AddContent | AddContext


def parse(commands: Sequence[Any], document: Document, context: Callable[[Any], Context]) -> tuple[Instruction, ...]:
    """Return what the commands of an image say; `context` reads the options of a context.

    Raises ValueError that says which command is wrong and why.
    """
    found: list[Instruction] = []
    for number, command in enumerate(commands):
        try:
            found += _parsed(command, document, context, len(found))
        except ValueError as error:  # noqa: PERF203 - it ends the loop
            raise ValueError(f"[{number}]: {error}") from None
    if not any(isinstance(each, From) or (isinstance(each, Line) and _FROM.match(each.text)) for each in found):
        raise ValueError(": there is no FROM")
    return tuple(found)


def _parsed(command: Any, document: Document, context: Callable[[Any], Context], number: int) -> Iterator[Instruction]:
    if isinstance(command, str):
        if not command.strip():
            raise ValueError("a command cannot be empty")
        yield Line(command)
        return
    if isinstance(command, dict) and len(command) == 1:
        command = next(iter(command.items()))
    if not isinstance(command, (list, tuple)) or len(command) != _PAIR or not isinstance(command[0], str):
        raise ValueError("a command is a text, or a list of an instruction and its value")
    name, value = command[0].strip(), command[1]
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, dict):
            yield from _of_options(name.upper(), each, document, context, number)
        elif isinstance(each, (str, int, float)):
            yield _of_text(name, str(each), document)
        else:
            raise ValueError(f"{name} needs a text, a list of texts, or options")  # noqa: TRY004 - as pydantic wants it


def _of_text(name: str, value: str, document: Document) -> Instruction:
    found = _AFTER_IMAGE.fullmatch(value.strip())
    if name.upper() == "FROM" and found and (image := document.image(found[1])):
        return From(image, found[2] or "")
    return Line(f"{name} {document.text(value)}")


def _of_options(
    name: str, options: dict[Any, Any], document: Document, context: Callable[[Any], Context], number: int
) -> Iterator[Instruction]:
    if name == "COPY":
        _only(name, options, {"from", "path", "to"})
        path, to = _text(name, options, "path"), _text(name, options, "to")
        yield _copy(
            options["from"] if isinstance(options.get("from"), int) else _text(name, options, "from"),
            path,
            to,
            document,
        )
        return
    if name != "ADD":
        raise ValueError(f"{name} takes no options; only ADD and COPY do")
    kinds = [key for key in ("content", "formatted", "context", "get") if key in options]
    if len(kinds) != 1:
        raise ValueError("ADD needs one of content, formatted, context and get")
    (kind,) = kinds
    if kind == "get":
        _only(name, options, {"get", "prefix"})
        prefix = document.text(_text(name, options, "prefix", "")).rstrip("/")
        for path in options["get"] if isinstance(options["get"], list) else [options["get"]]:
            if not isinstance(path, str):
                raise ValueError("ADD with get needs a path or a list of paths")  # noqa: TRY004 - as above
            source = document.text(path)
            yield Line(f"ADD {json.dumps([source, f'{prefix}/{source}' if 'prefix' in options else source])}")
        return
    # Its time was of use to engines of old, which compared it.
    _only(name, options, {"dest", "mtime", kind})
    dest = document.text(_text(name, options, "dest"))
    if kind == "context":
        yield AddContext(dest, context(options[kind]), number)
    elif isinstance(options[kind], dict):
        _only("ADD with content", options[kind], {"image", "path"})
        yield _copy(_text(name, options[kind], "image"), _text(name, options[kind], "path"), dest, document)
    else:
        content = _text(name, options, kind, empty=True)
        yield AddContent(dest, document.text(content) if kind == "formatted" else content)


def _copy(source: str | int, path: str, to: str, document: Document) -> Instruction:
    path, to = document.text(path), document.text(to)
    if isinstance(source, str) and (image := document.image(source)):
        return Copy(image, path, to)
    return Line(_copy_line(str(source) if isinstance(source, int) else document.text(source), path, to))


def _copy_line(source: str, path: str, to: str) -> str:
    return f"COPY --from={source} {json.dumps([path, to])}"


def _only(name: str, options: dict[Any, Any], known: set[str]) -> None:
    if unknown := [str(key) for key in options if key not in known]:
        raise ValueError(f"{name} does not know {', '.join(unknown)}; it knows {', '.join(sorted(known))}")


def _text(name: str, options: dict[Any, Any], key: str, default: str | None = None, *, empty: bool = False) -> str:
    value = options.get(key, default)
    if not isinstance(value, str) or not (value or empty or default is not None):
        raise ValueError(f"{name} needs {key}, a text")
    return value


def parents(instructions: Sequence[Instruction]) -> tuple[str, ...]:
    """Return the images of the configuration that must be built before."""
    return tuple(dict.fromkeys(each.image for each in instructions if isinstance(each, (From, Copy))))


def externals(instructions: Sequence[Instruction]) -> tuple[str, ...]:
    """Return the other images that it is made of, as far as their names are known before the build."""
    stages: set[str] = set()
    found: dict[str, None] = {}
    for each in instructions:
        if isinstance(each, From):
            stages.update(each.rest.split()[1:])
        if not isinstance(each, Line):
            continue
        if origin := _FROM.match(each.text):
            if origin[1] not in {*stages, "scratch"}:
                found[origin[1]] = None
            stages.update({origin[2]} if origin[2] else set())
        elif (copied := _COPY.match(each.text)) and copied[1] not in stages and not copied[1].isdigit():
            found[copied[1]] = None
    return tuple(name for name in found if "$" not in name)


def render(instructions: Sequence[Instruction], tags: Mapping[str, str]) -> str:
    """Return the Dockerfile; `tags` has the tags of the images of the configuration that it needs."""
    lines: list[str] = []
    for each in instructions:
        if isinstance(each, Line):
            lines.append(each.text)
        elif isinstance(each, From):
            lines.append(f"FROM {tags[each.image]}{each.rest}")
        elif isinstance(each, Copy):
            lines.append(_copy_line(tags[each.image], each.path, each.to))
        else:
            lines.append(f"ADD {json.dumps([each.name, each.dest])}")
    return "".join(f"{line}\n" for line in lines)
