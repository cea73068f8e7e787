"""The raw configuration, and the expansion of references in braces."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

IMAGE_NAME: Final = r"[a-zA-Z][a-zA-Z0-9_.-]*"
# Old versions of the format require the suffixes `image_name` and `container_name`; they name the same image.
_REFERENCE: Final = re.compile(rf"\{{images\.({IMAGE_NAME}?)(?:\.image_name|\.container_name)?\}}")


@dataclass(frozen=True)
class Document:
    """The values of a configuration file; `root` is the folder of the file."""

    values: Mapping[str, Any]
    root: Path

    def expand(self, written: str) -> str:
        """Return `written` with its references expanded.

        ``{a.b}`` becomes the value at a.b, ``{NAME:env}`` becomes ``${NAME}``, ``{config_root}`` the folder of the file, and ``{{``
        a brace. Raises ValueError with the reference and the reason.
        """
        return self._expand(written, ())

    def _expand(self, written: str, chain: tuple[str, ...]) -> str:
        parts: list[str] = []
        try:
            fields = list(string.Formatter().parse(written))
        except ValueError as error:
            raise ValueError(f"{written!r} has unmatched braces ({error}); write {{{{ for a brace") from None
        for literal, field, spec, _ in fields:
            parts.append(literal)
            if field is None:
                continue
            parts.append(f"${{{field}}}" if spec == "env" else self._look_up(field, chain))
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
        return self._expand(value, (*chain, path)) if isinstance(value, str) else str(value)

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
