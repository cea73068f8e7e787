"""`completion`: what makes a shell complete this program's commands and options."""

from __future__ import annotations

from typing import Final

import click

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
    """  # noqa: D301 - click's own mark of lines that are not to be wrapped
    from click.shell_completion import get_completion_class

    root = context.find_root()
    name = root.info_name or ""
    # The variable that click looks for in its own environment, made of the program's name as click makes it.
    variable = f"_{name}_COMPLETE".replace("-", "_").replace(".", "_").upper()
    maker = get_completion_class(shell)
    if maker is None:  # pragma: no cover - click knows the three
        raise click.UsageError(f"{shell} is not known")
    click.echo(maker(root.command, {}, name, variable).source().rstrip("\n"))
