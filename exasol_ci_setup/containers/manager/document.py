"""The configuration as it was written, and the values in braces that its texts take from elsewhere in it."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

IMAGE_NAME: Final = r"[a-zA-Z][a-zA-Z0-9_.-]*"
# `image_name` and `container_name` were wanted by old versions of the format; they name the same image.
_REFERENCE: Final = re.compile(rf"\{{images\.({IMAGE_NAME}?)(?:\.image_name|\.container_name)?\}}")


@dataclass(frozen=True)
class Document:
    """The values of a configuration file; `root` is the folder it is in."""

    values: Mapping[str, Any]
    root: Path

    def text(self, written: str) -> str:
        """Return `written` with ``{a.b}`` replaced by what stands at a.b, and ``{NAME:env}`` by ``${NAME}``; ``{{`` is a brace.

        `config_root` is the folder of the file. Raises ValueError that says what cannot be replaced and why.
        """
        return self._text(written, ())

    def _text(self, written: str, chain: tuple[str, ...]) -> str:
        parts: list[str] = []
        try:
            fields = list(string.Formatter().parse(written))
        except ValueError as error:
            raise ValueError(f"{written!r} has braces that do not match ({error}); write {{{{ for a brace") from None
        for literal, field, spec, _ in fields:
            parts.append(literal)
            if field is None:
                continue
            parts.append(f"${{{field}}}" if spec == "env" else self._value(field, chain))
        return "".join(parts)

    def _value(self, path: str, chain: tuple[str, ...]) -> str:
        if path in chain:
            raise ValueError(f"{{{path}}} leads back to itself: {' -> '.join((*chain, path))}")
        if path in {"config_root", "config_dir"}:
            return str(self.root)
        if path.startswith("images."):
            raise ValueError(f"{{{path}}} is an image, which cannot stand here")
        value: Any = self.values
        for key in path.split("."):
            if not isinstance(value, dict) or key not in value:
                raise ValueError(f"there is no {path!r} in the file")
            value = value[key]
        if isinstance(value, (dict, list)) or value is None:
            raise ValueError(f"{path!r} is not a text")
        return self._text(value, (*chain, path)) if isinstance(value, str) else str(value)

    def image(self, written: str) -> str | None:
        """Return the name of the image that ``{images.NAME}`` stands for, or None if `written` is something else.

        Raises ValueError if there is no image of that name.
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
            raise ValueError(f"there is no image {name!r}; the file has: {known}")
