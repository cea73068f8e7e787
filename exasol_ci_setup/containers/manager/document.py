"""The raw configuration, and the expansion of references in braces."""

from __future__ import annotations

import os
import re
import string
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

IMAGE_NAME: Final = r"[a-zA-Z][a-zA-Z0-9_.-]*"
# Old versions of the format require the suffixes `image_name` and `container_name`; they name the same image.
_REFERENCE: Final = re.compile(rf"\{{images\.({IMAGE_NAME}?)(?:\.image_name|\.container_name)?\}}")


@dataclass(frozen=True)
class Document:
    """The values of a configuration; `root` is the folder of the selected file, `environ` the environment of the manager."""

    values: Mapping[str, Any]
    root: Path
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def expand(self, written: str) -> str:
        """Return `written` with its references expanded.

        ``{a.b}`` becomes the value at a.b, ``{NAME:env}`` becomes ``${NAME}``, ``{NAME:from_env}`` the value of the variable NAME,
        ``{config_root}`` the folder of the file, and ``{{`` a brace. The values in `content` are literal. Raises ValueError with the
        reference and the reason.
        """
        return self._expand(written, ())

    def _expand(self, written: str, chain: tuple[str, ...]) -> str:
        parts: list[str] = []
        try:
            fields = list(string.Formatter().parse(written))
        except ValueError as error:
            raise ValueError(f"{written!r} has unmatched braces ({error}); write {{{{ for a brace") from None
        for literal, name, spec, _ in fields:
            parts.append(literal)
            if name is None:
                continue
            if spec == "env":
                parts.append(f"${{{name}}}")
            elif spec == "from_env":
                if name not in self.environ:
                    raise ValueError(f"the variable {name} is not set in the environment of the container manager")
                parts.append(self.environ[name])
            else:
                parts.append(self._look_up(name, chain))
        return "".join(parts)

    def _look_up(self, path: str, chain: tuple[str, ...]) -> str:
        if path in chain:
            raise ValueError(f"{{{path}}} refers to itself: {' -> '.join((*chain, path))}")
        if path in {"config_root", "config_dir"}:
            return str(self.root)
        if path.startswith("images."):
            raise ValueError(f"{{{path}}} is an image, which cannot be used here")
        value: Any = self.values
        for key in path.split("."):
            if not isinstance(value, dict) or key not in value:
                raise ValueError(f"the file has no value {path!r}")
            value = value[key]
        if isinstance(value, (dict, list)) or value is None:
            raise ValueError(f"{path!r} is not a string or a number")
        is_literal = not isinstance(value, str) or path.startswith("content.")
        return str(value) if is_literal else self._expand(value, (*chain, path))

    def find_image(self, written: str) -> str | None:
        """Return the name in ``{images.NAME}``, or None if `written` has another form.

        Raises ValueError if the file has no image of that name.
        """
        found = _REFERENCE.fullmatch(written.strip())
        if found is None:
            return None
        self.require_image(found[1])
        return found[1]

    def require_image(self, name: str) -> None:
        """Raise ValueError unless the file has an image of this name."""
        images = self.values.get("images")
        if not isinstance(images, dict) or name not in images:
            known = ", ".join(sorted(map(str, images))) if isinstance(images, dict) and images else "none"
            raise ValueError(f"unknown image {name!r}; the file has: {known}")
