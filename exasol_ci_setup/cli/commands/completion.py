"""`completion`: completion of commands and options in a shell."""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import get_completion_class

SHELLS: Final = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the shell completion script.

    \b
    bash  add to ~/.bashrc:  eval "$(exasol-ci-setup completion bash)"
    zsh   add to ~/.zshrc:   eval "$(exasol-ci-setup completion zsh)"
    fish  exasol-ci-setup completion fish > ~/.config/fish/completions/exasol-ci-setup.fish
    """  # noqa: D301 - click's mark of lines that are not wrapped
    root = context.find_root()
    name = root.info_name or ""
    # Click derives the name of its environment variable from the program in the same way.
    variable = f"_{name}_COMPLETE".replace("-", "_").replace(".", "_").upper()
    completer = get_completion_class(shell)
    if completer is None:  # pragma: no cover - click has all three
        raise click.UsageError(f"unknown shell: {shell}")
    click.echo(completer(root.command, {}, name, variable).source().rstrip("\n"))
