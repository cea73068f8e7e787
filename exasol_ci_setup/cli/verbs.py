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
    **dict.fromkeys(("mv", "rename"), ("move-object",)),
    "cp": ("get-object", "put-object", "copy-object"),
    **dict.fromkeys(("shell", "ssh"), ("exec",)),
    "download": ("get-object",),
    "upload": ("put-object",),
    "ls": ("list", "list-object"),
}
"""Commands by the words of other programs with this meaning. The spelling of ``status`` is near that of ``restart``."""

_WHOLE_SENTENCE: Final = 1000


class VerbGroup(click.Group):
    """A group of commands such as ``get``, ``list`` and ``put-object``."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command. For a word of another program, the error names the commands that mean the same."""
        require_command(self, ctx, args[0])
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands with their whole first sentences, which click cuts at the end of a line."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [
            (name, each.get_short_help_str(limit=_WHOLE_SENTENCE))
            for name, each in commands
            if each and not each.hidden
        ]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


def require_command(group: click.Group, ctx: click.Context, word: str) -> None:
    """Raise UsageError with the nearest commands if the group has no command of this name.

    Click suggests the names of loaded commands only, and none for the beginning of a name.
    """
    if word.startswith("-") or ctx.resilient_parsing or group.get_command(ctx, word) is not None:
        return
    names = group.list_commands(ctx)
    same = _WORDS.get(word, ())
    near = [name for name in names if name in same or name.startswith(f"{word}-")]
    near = near or [name for name in names if f"-{word}-" in f"-{name}-"]
    if not near:
        from difflib import get_close_matches  # noqa: PLC0415 - only after a mistake

        near = get_close_matches(word, names) or [name for name in names if name.startswith(word)]
    ctx.fail(f"No such command {word!r}.{_suggestion(near)}")


def _suggestion(near: Sequence[str]) -> str:
    """Return a sentence that names the commands, or an empty text without any."""
    if not near:
        return ""
    return f" Did you mean {near[0]!r}?" if len(near) == 1 else f" Did you mean one of: {', '.join(map(repr, near))}?"
