"""Groups of commands whose error for an unknown command names the nearest one, also by words of other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

_WORDS: Final = {
    **dict.fromkeys(("describe", "info", "inspect", "ps", "show", "stat", "status"), ("get",)),
    **dict.fromkeys(("destroy", "remove", "rm"), ("delete", "delete-object")),
    **dict.fromkeys(("make", "new"), ("create",)),
    **dict.fromkeys(("cp", "copy"), ("get-object", "put-object")),
    **dict.fromkeys(("shell", "ssh"), ("exec",)),
    "download": ("get-object",),
    "upload": ("put-object",),
    "ls": ("list", "list-object"),
}
"""Commands by the words of other programs with this meaning. The spelling of ``status`` is near that of ``restart``."""


class VerbGroup(click.Group):
    """A group of commands such as ``get``, ``list`` and ``put-object``."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command. For a word of another program, the error names the commands that mean the same."""
        word = args[0]
        if word not in self.commands and not ctx.resilient_parsing:
            same = _WORDS.get(word, ())
            near = [name for name in self.list_commands(ctx) if name in same or name.startswith(f"{word}-")]
            if near:
                ctx.fail(f"No such command {word!r}.{suggestion(near)}")
        return super().resolve_command(ctx, args)


def suggestion(near: Sequence[str]) -> str:
    """Return a sentence that names the commands, or an empty text without any."""
    if not near:
        return ""
    return f" Did you mean {near[0]!r}?" if len(near) == 1 else f" Did you mean one of: {', '.join(map(repr, near))}?"
