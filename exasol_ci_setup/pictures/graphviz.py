"""Draw graphs with Graphviz."""

from __future__ import annotations

import shutil
import subprocess

from exasol_ci_setup.core.errors import GraphvizError


def draw(graph: str, kind: str, *, layout: str = "dot", dpi: int = 72) -> bytes:
    """Return a graph in the language DOT as a picture of the file type `kind`, such as ``svg`` or ``png``.

    `layout` is a layout engine of Graphviz: https://graphviz.org/docs/layouts/. `dpi` is the resolution in pixels per inch.
    Raises GraphvizError if the program `dot` is missing or fails.
    """
    program = shutil.which("dot")
    if program is None:
        raise GraphvizError(
            f"cannot draw a picture of type {kind}: Graphviz's `dot` is not on the PATH",
            hint="install Graphviz (https://graphviz.org/download/), for example with `apt-get install graphviz`; "
            "Mermaid and DOT need no Graphviz",
        )
    try:
        ran = subprocess.run(  # noqa: S603 - the text is read from stdin
            [program, f"-K{layout}", f"-T{kind}", f"-Gdpi={dpi}"],
            input=graph.encode(),
            capture_output=True,
            check=False,
        )
    except OSError as error:
        raise GraphvizError(f"{program} cannot be run: {error.strerror}") from error
    if ran.returncode != 0 or not ran.stdout:
        reason = ran.stderr.decode(errors="replace").strip() or f"it ended with exit code {ran.returncode}"
        raise GraphvizError(f"`dot` drew no picture: {reason.splitlines()[0]}", hint="check that `dot -V` works")
    return ran.stdout
